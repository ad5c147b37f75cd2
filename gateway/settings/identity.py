"""Who is known: by static tokens, by signed ones, by a proxy's word."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from ..edge.authentication import LONGEST_TOKEN, Issuer, TrustedProxy, ensure_apart, hashed, path_of
from ..identity import Identity, known
from .concern import Concern, Duration, OptionalPath, Scope, Size, Words

_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


def ensure_digest(sha256: SecretStr) -> None:
    """Raises: ValueError for what `sagaql hash-token` never prints."""
    if not _IS_DIGEST(sha256.get_secret_value().lower()):
        raise ValueError("sha256 is no SHA-256: it is 64 hexadecimal digits, as `sagaql hash-token` prints them")


def digest_of(token: SecretStr | None, sha256: SecretStr | None) -> str:
    """What a token is known by, of which one is given."""
    if sha256 is not None:
        return sha256.get_secret_value().lower()
    return hashed("" if token is None else token.get_secret_value())


class TokenSettings(Concern):
    """A caller that shows this token is this identity. For demos and machines; people come with signed tokens."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_TOKEN)] | None = None
    """What stands after "Bearer". Write ${NAME} and keep it in the environment; or write sha256."""
    sha256: Annotated[SecretStr, Field(min_length=64, max_length=64)] | None = None
    """In place of the token: its SHA-256, as `sagaql hash-token` prints it. Whoever reads it cannot show the token."""
    tenant: Annotated[str, Field(min_length=1)] = "public"
    """Whose data it is: callers of one tenant never see another's."""
    subject: Annotated[str, Field(min_length=1)]
    """Who it is, unique within the tenant."""
    scopes: tuple[Scope, ...] = ()
    """What the caller may do beyond the public."""

    @model_validator(mode="after")
    def _is_somebody_s(self) -> Self:
        if (self.token is None) == (self.sha256 is None):
            raise ValueError("write either token or sha256: what `sagaql hash-token` prints of the token")
        if self.sha256 is not None:
            ensure_digest(self.sha256)
        self.identity()
        return self

    @property
    def digest(self) -> str:
        """What the token is known by."""
        return digest_of(self.token, self.sha256)

    def identity(self) -> Identity:
        """Raises: ValueError for names that nobody may have."""
        return known(self.tenant, self.subject, frozenset(self.scopes))


_RULES = Issuer(issuer="x", audience=frozenset({"x"}), jwks="x")
"""Where the defaults of an issuer stand."""


class IssuerSettings(Concern):
    """Whose signed tokens (JWT) are taken: an identity provider, such as Keycloak, Auth0 or your own."""

    issuer: Annotated[str, Field(min_length=1)]
    """`iss` of its tokens, letter by letter."""
    audience: Annotated[Words, Field(min_length=1)]
    """What its tokens call this gateway: one of these must be in `aud`. One made for another service is not taken."""
    jwks: Annotated[str, Field(min_length=1)]
    """Where its public keys are: an https address, or a file relative to gateway.toml. It need not be there at the start."""
    ca_file: OptionalPath = None
    """Certificates (PEM) that the address of `jwks` is verified against, relative to gateway.toml; None: the system's."""
    algorithms: Words = _RULES.algorithms
    """What tokens may be signed with; a key's own `alg` narrows it. None of them can be signed with by who can verify."""
    leeway: Duration = _RULES.leeway
    """Seconds by which the issuer's clock and ours may differ. 30 s: clocks that are set at all differ by less."""
    typ: Annotated[str, Field(min_length=1)] | None = None
    """What `typ` of a token's header must say, as "at+jwt"; so that no other kind of token is taken for one. None: anything."""
    subject_claim: Annotated[str, Field(min_length=1)] = "sub"
    """The claim that says who it is. Dots lead into objects (`user.id`); a name with "://" in it is one name."""
    tenant: Annotated[str, Field(min_length=1)] = _RULES.tenant
    """Whose data it is, where no claim says it."""
    tenant_claim: Annotated[str, Field(min_length=1)] | None = None
    """The claim that says whose data it is; a token without it is refused. None: `tenant`."""
    tenants: Words = ()
    """The tenants that `tenant_claim` may name. None: any, which only the one issuer may be allowed."""
    scopes_claim: Annotated[str, Field(min_length=1)] = "scope"
    """The claim that says what the caller may do: words with spaces between them, or a list, as `realm_access.roles`."""
    refresh: Duration = _RULES.refresh
    """Seconds between two looks at its keys. 10 min: a key that it has withdrawn is good for as long."""
    stale: Duration = _RULES.stale
    """Seconds that the keys are used after they were last seen, while it does not answer. 1 h: tokens live about as long."""
    cooldown: Duration = _RULES.cooldown
    """Seconds in which tokens with keys that are not known make us look at most once. 10 s: a new key works as soon."""

    @model_validator(mode="after")
    def _can_be_kept_to(self) -> Self:
        self.rules()
        return self

    def rules(self) -> Issuer:
        """The plain value that the floor below is handed. Raises: ValueError."""
        return Issuer(
            issuer=self.issuer,
            audience=frozenset(self.audience),
            jwks=self.jwks,
            algorithms=self.algorithms,
            leeway=self.leeway,
            typ=None if self.typ is None else self.typ.lower().removeprefix("application/"),
            subject_claim=path_of(self.subject_claim),
            tenant=self.tenant,
            tenant_claim=None if self.tenant_claim is None else path_of(self.tenant_claim),
            tenants=frozenset(self.tenants),
            scopes_claim=path_of(self.scopes_claim),
            refresh=self.refresh,
            stale=self.stale,
            cooldown=self.cooldown,
        )


class ProxySettings(Concern):
    """Proxies in front of the gateway that have found out who is calling. Needs `server.tls_client_ca`."""

    names: Annotated[Words, Field(min_length=1)]
    """Of the proxies: alternative names (DNS, URI) of the certificates that they show, or the common name where there are none."""
    subject_header: Annotated[str, Field(min_length=1)]
    """The header that says who it is, believed of these proxies only. Where it is missing, credentials count as ever."""
    tenant_header: Annotated[str, Field(min_length=1)] | None = None
    """The header that says whose data it is. None: `tenant`."""
    scopes_header: Annotated[str, Field(min_length=1)] | None = None
    """The header that says what the caller may do: words with spaces or commas between them. None: nothing beyond the public."""
    tenant: Annotated[str, Field(min_length=1)] = "public"
    """Whose data it is, where no header says it."""

    @model_validator(mode="after")
    def _can_be_kept_to(self) -> Self:
        self.trusted()
        return self

    def trusted(self) -> TrustedProxy:
        """The plain value that the floor below is handed. Raises: ValueError."""
        lower = [None if each is None else each.lower() for each in (self.tenant_header, self.scopes_header)]
        return TrustedProxy(
            names=frozenset(self.names),
            subject_header=self.subject_header.lower(),
            tenant_header=lower[0],
            scopes_header=lower[1],
            tenant=self.tenant,
        )


class IdentitySettings(Concern):
    """Who is known. Nobody named here: every caller is anonymous."""

    tokens: tuple[TokenSettings, ...] = ()
    """Static bearer tokens."""
    issuers: tuple[IssuerSettings, ...] = ()
    """Whose signed tokens are taken."""
    proxy: ProxySettings | None = None
    """Whose word about a caller is taken."""
    max_token: Annotated[Size, Field(ge=64)] = LONGEST_TOKEN
    """Bytes of a token; longer ones are refused unread. 8 KiB: what proxies allow a header's line."""

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        first: dict[str, int] = {}
        for index, each in enumerate(self.tokens):
            earlier = first.setdefault(each.digest, index)
            if earlier != index:
                raise ValueError(f"tokens[{earlier}] and tokens[{index}] are the same token: one token, one identity")
            if each.token is not None and len(each.token.get_secret_value()) > self.max_token:
                raise ValueError(f"tokens[{index}] is longer than max_token, so it would be refused: raise max_token")
        return self

    @model_validator(mode="after")
    def _issuers_are_apart(self) -> Self:
        ensure_apart([each.rules() for each in self.issuers])
        return self
