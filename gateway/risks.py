"""What makes a gateway unsafe where others reach it: a table of rules over the settings, each with what may happen and what to do.

Invariants: pure, nobody is asked and nothing is opened; a rule says where it is broken, never what stands there; every rule has a
test in which it is broken and one in which it is mended. What the settings themselves refuse is not said again here.

What is not seen: addresses that `discovery` knows, and whatever stands in front of the gateway.
A new rule is a row of `RULES`, and a row of the table in its test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from .edge.authentication import SHORTEST_TOKEN
from .loopback import is_loopback
from .settings import ServiceSettings, Settings
from .settings.sources import Loc, dotted

Where = Callable[[Settings], Iterable[Loc]]
"""The settings that break a rule; none where it is kept."""


class Level(StrEnum):
    """How grave it is, the gravest first."""

    DANGER = "danger"
    """Whoever reaches the gateway, its file or its network can take what is not theirs. `sagaql check` fails."""
    WARNING = "warning"
    """A defence that is not there, or something that is told without need."""
    ACCEPTED = "accepted"
    """Either of them, which `accepted_risks` names."""


@dataclass(frozen=True, slots=True)
class Risk:
    """One setting that breaks a rule."""

    level: Level
    path: Loc
    consequence: str
    remedy: str

    @property
    def setting(self) -> str:
        return dotted(self.path)


@dataclass(frozen=True, slots=True)
class Rule:
    level: Level
    where: Where
    consequence: str
    remedy: str


def risks(settings: Settings) -> tuple[Risk, ...]:
    """Every risk, the gravest first, and then as `RULES` has them."""
    found = [Risk(rule.level, path, rule.consequence, rule.remedy) for rule in RULES for path in rule.where(settings)]
    borne = [replace(risk, level=Level.ACCEPTED) if _names(settings.accepted_risks, risk) else risk for risk in found]
    return tuple(sorted(borne, key=lambda risk: [*Level].index(risk.level)))


def idle_acceptances(settings: Settings) -> list[str]:
    """Names in `accepted_risks` that are no risk: mended, or never written right."""
    found = risks(settings)
    return [name for name in settings.accepted_risks if not any(_names([name], risk) for risk in found)]


def _names(accepted: Sequence[str], risk: Risk) -> bool:
    return any(risk.setting == name or fnmatchcase(risk.setting, name) for name in accepted)


# -- where -------------------------------------------------------------------------------------------------------------


def at(setting: str, is_broken: Callable[[Settings], bool]) -> Where:
    """One setting, and when it breaks the rule."""
    path = tuple(setting.split("."))
    return lambda settings: [path] if is_broken(settings) else []


def _is_public(settings: Settings) -> bool:
    return not is_loopback(settings.server.host)


def _nobody_is_known(settings: Settings) -> bool:
    identity = settings.identity
    return not identity.tokens and not identity.issuers and identity.proxy is None


def _open_origins(settings: Settings) -> bool:
    """Pages that anybody on their way may have written, loopback aside."""
    return any(_is_readable(origin) for origin in settings.server.cors_origins)


def _weak_tokens(settings: Settings) -> Iterator[Loc]:
    for index, each in enumerate(settings.identity.tokens):
        if each.token is not None and len(each.token.get_secret_value()) < SHORTEST_TOKEN:
            yield "identity", "tokens", index, "token"


PUBLISHED = frozenset(
    {
        "e5c528ffab250743a38d8baf9990976d0f3e7a2bafe755dbe9244edf658be4b3",
        "000bdb5e82644cece10760f442fb24856cd64333e041f2e23bef2bf924186fd3",
        "9437e87fae95c03d3778f2575bb18ce30e647e51d86a8c37963364e1fc4f374e",
    }
)
"""Digests of the tokens that the demo shows to everybody. They stand in the demo's gateway.toml, which is copied."""


def _published_tokens(settings: Settings) -> Iterator[Loc]:
    for index, each in enumerate(settings.identity.tokens):
        if each.digest in PUBLISHED:
            yield "identity", "tokens", index, "token" if each.sha256 is None else "sha256"
    if settings.admin.digest in PUBLISHED:
        yield "admin", "token" if settings.admin.sha256 is None else "sha256"


def _unpinned_types(settings: Settings) -> Iterator[Loc]:
    for index, each in enumerate(settings.identity.issuers):
        if each.typ is None:
            yield "identity", "issuers", index, "typ"


def _secrets_in_file(settings: Settings) -> Iterator[Loc]:
    return (path for path in _secrets(settings) if settings.stands_in_file(path))


def _secrets(settings: Settings) -> Iterator[Loc]:
    """Wherever a secret may stand; digests are none."""
    for index in range(len(settings.identity.tokens)):
        yield "identity", "tokens", index, "token"
    yield "admin", "token"
    yield "operation", "game_day_key"
    yield "sagas", "signing_key"
    yield "sagas", "secret_key"
    for index in range(len(settings.sagas.old_secret_keys)):
        yield "sagas", "old_secret_keys", index
    address = settings.shared.address
    if address is not None and address.password is not None:
        yield "shared", "url"
    for name, service in settings.services.items():
        for header in service.set_headers:
            if _is_credential(header):
                yield "services", name, "set_headers", header


def _is_credential(header: str) -> bool:
    """By its name: what the settings do not say, nobody else here knows."""
    return any(word in header.lower() for word in ("auth", "cookie", "key", "token", "secret", "password"))


def _readable_services(settings: Settings, *, telling: bool) -> Iterator[Loc]:
    """Services that are called without TLS outside this machine; `telling`: those that are told credentials or who is calling."""
    for name, service in settings.services.items():
        if _tells(service) is telling:
            for knob, addresses in (("instances", service.addresses), ("fallback", service.fallback)):
                if any(_is_readable(address) for address in addresses):
                    yield "services", name, "url" if knob == "instances" and service.url is not None else knob


def _tells(service: ServiceSettings) -> bool:
    sent = (*service.set_headers, *service.send_headers)
    return bool(service.identity_headers) or any(_is_credential(header) for header in sent)


def _is_readable(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _faults(settings: Settings) -> Iterator[Loc]:
    return (("services", name, "faults") for name, each in settings.services.items() if not each.faults.is_off)


def _store_elsewhere(settings: Settings, *, lacks: Callable[[Settings], bool]) -> bool:
    address = settings.shared.address
    return address is not None and not is_loopback(address.host) and lacks(settings)


def _is_store_readable(settings: Settings) -> bool:
    address = settings.shared.address
    return address is not None and not address.is_encrypted


def _is_store_open(settings: Settings) -> bool:
    address = settings.shared.address
    return address is not None and address.password is None


def _has_sagas(settings: Settings) -> bool:
    return settings.graph.mutation is not None


# -- the rules ---------------------------------------------------------------------------------------------------------

RULES: tuple[Rule, ...] = (
    # who is calling
    Rule(
        Level.DANGER,
        at("identity", _nobody_is_known),
        "every caller is anonymous, so nobody can be told from anybody and whatever has no rule is everybody's",
        "name issuers, tokens or a proxy, as docs/guides/identity.md has it",
    ),
    Rule(
        Level.DANGER,
        _secrets_in_file,
        "the secret stands in the file, so whoever reads the file, its copies or its history has it",
        'write "${NAME}" and keep it in the environment, or the digest of a token (`sagaql hash-token`); then make a new one',
    ),
    Rule(
        Level.DANGER,
        _weak_tokens,
        f"the token has fewer than {SHORTEST_TOKEN} characters, so it can be found by trying",
        "take what `openssl rand -hex 32` prints",
    ),
    Rule(
        Level.DANGER,
        _published_tokens,
        "the token is one of the demo's, which are printed where everybody reads them",
        "take what `openssl rand -hex 32 | tee token | sagaql hash-token` prints, or take it out",
    ),
    Rule(
        Level.WARNING,
        _unpinned_types,
        "any kind of token of this issuer is taken, also one that was made to tell an application who has logged in",
        'write the kind that its access tokens say of themselves, such as typ = "at+jwt"',
    ),
    # the way in
    Rule(
        Level.DANGER,
        at("server.tls_certificate", lambda s: _is_public(s) and s.server.tls_certificate is None),
        "tokens and answers can be read and changed on their way between clients and this port",
        "set server.tls_certificate and tls_key; or accept it where a proxy ends TLS and nobody else reaches this port",
    ),
    Rule(
        Level.WARNING,
        at("server.cors_origins", lambda s: "*" in s.server.cors_origins),
        "any page may read the answers to whoever visits it",
        "list the origins of your own pages",
    ),
    Rule(
        Level.WARNING,
        at("server.cors_origins", _open_origins),
        "a page that came over plain http may be anybody's, and reads answers as yours would",
        "serve these pages over https, and list them so",
    ),
    Rule(
        Level.DANGER,
        at("server.csrf_prevention", lambda s: not s.server.csrf_prevention),
        "a foreign page can have a visitor's browser ask here, with whatever it shows by itself (cookies, certificates)",
        "leave it on; clients that ask by GET send Apollo-Require-Preflight or another header of their own",
    ),
    Rule(
        Level.WARNING,
        at("admin.port", lambda s: s.admin.port is None),
        "nobody can read /metrics, nor which services the gateway does without",
        "set admin.port, and a token for it",
    ),
    Rule(
        Level.WARNING,
        at("admin.tls", lambda s: s.admin.port is not None and not s.admin.tls and not is_loopback(s.admin.host)),
        "the admin token can be read on its way to this port",
        "set admin.tls with a server.tls_certificate; or accept it where only your collector reaches this port",
    ),
    # what is told
    Rule(
        Level.WARNING,
        at("server.graphiql", lambda s: s.server.graphiql),
        "an IDE for the graph is served to everybody",
        "leave it off, and let developers use one of their own against a gateway with profile dev",
    ),
    Rule(
        Level.WARNING,
        at("operation.introspection", lambda s: s.operation.introspection),
        "everybody may list all types and fields, those not meant for them included",
        "leave it off, and publish schema.graphql to those who need it",
    ),
    Rule(
        Level.WARNING,
        at("operation.suggestions", lambda s: s.operation.introspection and s.operation.suggestions),
        "errors complete what somebody guesses",
        "leave it off",
    ),
    Rule(
        Level.DANGER,
        at("operation.explain_scope", lambda s: s.operation.explain_scope is None),
        "whoever asks is told which services are called, how, and how they did",
        'name a scope that only operators have, such as "explain"',
    ),
    # how much
    Rule(
        Level.WARNING,
        at("operation.trusted_only", lambda s: not s.operation.trusted_only),
        "whoever comes chooses what is asked, within the bounds",
        "if all clients are your own, trust their documents and set trusted_only; else accept it",
    ),
    Rule(
        Level.WARNING,
        at("operation.cost", lambda s: s.operation.cost != "enforce" and not s.operation.trusted_only),
        "one operation may cost as much as a thousand others",
        'measure first (cost = "measure"), then set max_cost and cost = "enforce"',
    ),
    Rule(
        Level.WARNING,
        at("limits.rate", lambda s: not s.limits.client_classes.are_rates),
        "one client may take whatever the others leave, day and night",
        "set limits.rate, as docs/guides/limits.md has it; or accept it where all clients are your own",
    ),
    Rule(
        Level.WARNING,
        at("overload.adaptive", lambda s: not s.overload.adaptive),
        "more is let in than can be done in time, and then everybody waits",
        "leave it on",
    ),
    Rule(
        Level.WARNING,
        at("overload.shed_early", lambda s: not s.overload.shed_early),
        "one greedy client costs the others their share, since all that it sends is read first",
        "leave it on",
    ),
    Rule(
        Level.WARNING,
        at("server.drain_delay", lambda s: _is_public(s) and not s.server.drain_delay),
        "at each restart a balancer still sends requests to a port that is closed already",
        "set it to longer than your balancer takes to notice, 5 to 15 s; or accept it where there is none",
    ),
    Rule(
        Level.WARNING,
        at("server.workers", lambda s: s.server.workers == 1),
        "the one process answers nobody while it starts again, and uses one processor",
        "set workers to the number of processors; or accept it where several gateways stand behind a balancer",
    ),
    # services
    Rule(
        Level.DANGER,
        lambda s: _readable_services(s, telling=True),
        "credentials, or who is calling, can be read and changed on their way to this service",
        "call it by https; or accept it where the network itself encrypts, as a mesh does",
    ),
    Rule(
        Level.WARNING,
        lambda s: _readable_services(s, telling=False),
        "what is asked and answered can be read and changed on its way to this service",
        "call it by https; or accept it where the network itself encrypts, as a mesh does",
    ),
    Rule(
        Level.DANGER,
        _faults,
        "calls to this service fail on purpose",
        "leave [services.*.faults] to tests, or use signed headers on a game day",
    ),
    Rule(
        Level.WARNING,
        at("operation.game_day_key", lambda s: s.operation.game_day_key is not None),
        "whoever has the key can make operations fail",
        "set it for the game day only",
    ),
    # what is kept
    Rule(
        Level.DANGER,
        at("shared.url", lambda s: _store_elsewhere(s, lacks=_is_store_readable)),
        "documents, and the store's password, can be read and changed on their way to the store",
        "write rediss:// and have the store show a certificate",
    ),
    Rule(
        Level.DANGER,
        at("shared.url", lambda s: _store_elsewhere(s, lacks=_is_store_open)),
        "whoever reaches the store reads and changes what gateways believe",
        "give the store a password, and write it in the url by ${NAME}",
    ),
    Rule(
        Level.WARNING,
        at("sagas.journal", lambda s: _has_sagas(s) and not s.sagas.journal.is_absolute()),
        "the journal lies beside gateway.toml, where a new release or a new container may leave it behind, open sagas and all",
        "write an absolute path on a disk that outlives the process",
    ),
    Rule(
        Level.WARNING,
        at("sagas.signing_key", lambda s: _has_sagas(s) and s.sagas.signing_key is None),
        "whoever can write the journal can change what it says happened, unnoticed",
        "make a key with `sagaql sagas new-key signing`, and copy the checkpoints away (sagas.anchor)",
    ),
)
