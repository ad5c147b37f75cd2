"""Every knob of the gateway: one typed, frozen tree, one model per concern.

Invariants: a tree that exists can be run; unknown keys are refused; all mistakes are reported at once, with their
dotted paths. Order: `gateway.toml`, then the environment (`SAGAQL_SERVER__PORT`), then the command line; the later
wins. Durations are written "250ms", "2s", "15m"; sizes "64KiB", "1MiB". A string in the file may hold `${NAME}` or
`${NAME:-default}`, so that no secret need be written into it.
Read by `app`, `cli` and `steering` only; everything below is handed plain values.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeAlias, cast, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from .clock import Seconds, duration
from .control import Signature, signature
from .edge.authentication import LONGEST_TOKEN, Issuer, TrustedProxy, ensure_apart, hashed, path_of
from .edge.tls import Tls
from .execution.bounds import Bounds
from .execution.costing import CostMode
from .head_limits import HeadLimits
from .identity import Identity, known
from .overload_limits import OverloadLimits
from .sagas.keeping import Keeping
from .sagas.secret_keys import KeyRing
from .sagas.signing import SigningKey
from .services import (
    BalanceSettings,
    BreakerSettings,
    BudgetSettings,
    BulkheadSettings,
    FaultSettings,
    HealthSettings,
    HedgeSettings,
    IdentityHeader,
    Retry,
    ServiceConfig,
    SetHeader,
)
from .services.identity_headers import Says
from .settings_sources import (
    SettingsInvalid,
    Tree,
    environment_tree,
    merged,
    number,
    origins,
    problems_of,
    python_name,
    size,
    toml_tree,
    words,
    written,
)
from .shared import StoreAddress, address_of
from .stream_limits import StreamLimits

__all__ = [
    "GraphSettings",
    "IdentitySettings",
    "IssuerSettings",
    "OperationSettings",
    "ProxySettings",
    "SagaSettings",
    "ServerSettings",
    "ServiceSettings",
    "Settings",
    "SettingsInvalid",
    "SharedSettings",
    "TelemetrySettings",
    "TokenSettings",
    "load_settings",
]

DEFAULT_FILE = Path("gateway.toml")
FILE_VARIABLE = "SAGAQL_CONFIG"
_BARE = ServiceConfig(instances=("http://unresolved.invalid",))
"""Where the defaults of a service stand."""
_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
_SHORTEST_KEY = 32
"""Characters: half of what SHA-256 is wide, in hexadecimal."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


# -- how values are written --------------------------------------------------------------------------------------------

Duration: TypeAlias = Annotated[
    Seconds, BeforeValidator(written(duration, (str, int, float))), Field(allow_inf_nan=False)
]
"""Seconds, written as "250ms", "2s", "15m", "1h" or "7d"; a number is taken as seconds."""

Size: TypeAlias = Annotated[int, BeforeValidator(size), Field(gt=0)]
"""Bytes, written as a number or as "64KiB", "1MiB"."""

LongerThanZero: TypeAlias = Annotated[Duration, Field(gt=0)]
OptionalPath: TypeAlias = Annotated[Path | None, BeforeValidator(lambda text: None if text == "" else text)]
Words: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(words)]
"""A list; or one string with commas, because environment variables have no lists."""

Positive: TypeAlias = Annotated[int, Field(ge=1)]
Scope: TypeAlias = Annotated[str, Field(pattern=r"^[^\s,]+$")]

Name: TypeAlias = Annotated[str, AfterValidator(python_name)]
"""Where something is in Python: "package.module:name"."""


class Concern(BaseModel):
    """What all models here share: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True)


class AsWritten:
    """Marks a settings dataclass of a lower floor: its durations may be written with units, unknown names are refused.

    So the knobs of a policy, with their defaults, meanings and rules, stand once: beside the policy.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        hints = get_type_hints(source)
        knobs: dict[str, Any] = {
            each.name: (Duration if hints[each.name] is Seconds else hints[each.name], each.default)
            for each in fields(source)
        }
        table = handler.generate_schema(create_model(source.__name__, __base__=Concern, **knobs))
        return core_schema.no_info_before_validator_function(
            lambda value: asdict(value) if isinstance(value, source) else value,
            core_schema.no_info_after_validator_function(lambda checked: source(**dict(checked)), table),
            serialization=core_schema.plain_serializer_function_ser_schema(asdict),
        )


# -- the tree ----------------------------------------------------------------------------------------------------------


class GraphSettings(Concern):
    """Where the graph is. Modules are found beside gateway.toml first."""

    query: Name = "resolvers:Query"
    """The root type of queries, "module:name"."""
    mutation: Name | None = None
    """The root type of mutations. None: a graph that only reads."""
    subscription: Name | None = None
    """The root type of subscriptions. None: there are none."""
    sdl: OptionalPath = Path("schema.graphql")
    """The printed schema that `sagaql check` compares with the code, relative to gateway.toml; "" keeps none."""


class ServerSettings(Concern):
    """The listening side."""

    host: str = "127.0.0.1"
    """The address to listen on. Loopback: who may reach a gateway is decided on purpose; 0.0.0.0 in a container."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    """The TCP port."""
    max_body: Size = 1024 * 1024
    """Bytes of a request's body. 1 MiB: a hundred times a large document with its variables."""
    body_timeout: LongerThanZero = Seconds(10.0)
    """Seconds in which a request's body has to be here, else 408. 10 s: a MiB over a poor mobile line takes five."""
    max_head: Size = 32 * 1024
    """Bytes of a request's line and headers, else 431. 32 KiB: four times what browsers and proxies send."""
    max_headers: Positive = 100
    """Headers of a request, else 431. 100: as other servers have it."""
    head_timeout: LongerThanZero = Seconds(10.0)
    """Seconds in which a request's line and headers have to be here, from the connection's beginning or from their first byte;
    else 408."""
    max_connections: Positive = 10_000
    """Connections of each worker; more are answered with 503 and closed. 10 000: some 100 MB."""
    workers: Positive = 1
    """Processes that answer requests, all on the one port. More than one: a process of its own runs the sagas, and each worker
    brings its own caches and breakers. 1: about as many as there are processors is the most that helps."""
    max_operations: Positive = 512
    """Operations in flight on this machine; more are refused with OVERLOADED. Each worker admits its share, rounded up. 512:
    eight services' bulkheads full at once."""
    max_subscriptions: Positive = 1_000
    """Subscriptions under way on this machine, shared as above; more are refused with OVERLOADED. 1 000: some 20 MB."""
    drain: Annotated[Duration, Field(ge=0)] = Seconds(10.0)
    """Seconds that running operations may take after SIGTERM. 10 s: `operation.query_deadline`."""
    partial_success_status: Annotated[Literal[200, 294], BeforeValidator(number)] = 200
    """The status of data with errors beside it, as application/graphql-response+json: 294 shows it to whoever reads statuses only,
    and is no error. 200: not every client, proxy and dashboard has heard of 294."""
    compress: bool = True
    """Whether answers are compressed, with gzip or zstd, for clients that say they take it. Off where a proxy does it."""
    compress_above: Size = 1024
    """Bytes of an answer that is not worth compressing yet. 1 KiB: shorter ones go in one packet either way."""
    cors_origins: Annotated[Words, AfterValidator(origins)] = ()
    """Origins whose pages may come here, as "https://app.example"; or "*" for all, without cookies. None: our own pages only.
    It holds for WebSockets too."""
    csrf_prevention: bool = True
    """Whether a query by GET is refused that a browser sends for a page of another origin without having asked first."""
    http_caching: bool = True
    """Whether answers to queries by GET may be kept by browsers and proxies, for as long as all that they read is declared `fresh`.
    Off: none is, as with answers by POST."""
    graphiql: bool = True
    """Whether the IDE is served to browsers. It shows nothing that introspection does not."""
    watch: Annotated[Duration, Field(ge=0)] = Seconds(2.0)
    """Seconds between two looks at gateway.toml: a changed one is applied to the services while they run. 0 looks never."""
    control: OptionalPath = Path("control.sock")
    """The Unix socket on which `sagaql services` speaks to the running gateway, relative to the journal's folder; "" has none."""

    tls_certificate: OptionalPath = None
    """Our certificate with its chain (PEM), relative to gateway.toml. None: plain HTTP, as behind a proxy on this machine. Renewed
    files are read at a restart."""
    tls_key: OptionalPath = None
    """The private key of `tls_certificate` (PEM, without a passphrase)."""
    tls_client_ca: OptionalPath = None
    """Who signs certificates of clients (PEM): one that a client shows must be of these. None: nobody is asked for one."""
    tls_client_required: bool = False
    """Whether nobody gets in without such a certificate, health checks included."""

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: give both, or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca is given, and no tls_certificate: without TLS nobody shows a certificate")
        if self.tls_client_required and self.tls_client_ca is None:
            raise ValueError("tls_client_required is on, and there is no tls_client_ca to verify certificates against")
        return self

    @property
    def heads(self) -> HeadLimits:
        """The bounds of connections and of the heads of requests."""
        return HeadLimits(
            bytes=self.max_head, count=self.max_headers, within=self.head_timeout, connections=self.max_connections
        )

    @property
    def operations_each(self) -> int:
        """What one worker admits of `max_operations`."""
        return math.ceil(self.max_operations / self.workers)

    @property
    def subscriptions_each(self) -> int:
        """What one worker admits of `max_subscriptions`."""
        return math.ceil(self.max_subscriptions / self.workers)


class OperationSettings(Concern):
    """The bounds of one operation."""

    query_deadline: LongerThanZero = Seconds(10.0)
    """Seconds from the request's arrival to its answer, all calls, retries and waits included."""
    mutation_deadline: LongerThanZero = Seconds(15.0)
    """The same for a mutation. A saga that is not done by then goes on, and the client is told its id."""
    max_deadline: Annotated[LongerThanZero, Field(validate_default=True)] = Seconds(60.0)
    """The most that a client's own deadline header may ask for."""
    critical_scope: Scope = "critical"
    """The scope without which a client's X-Request-Priority: critical is taken as normal: else everybody is critical."""
    explain_scope: Scope = "explain"
    """The scope without which `extensions: {explain: true}` in a request is refused: the answer tells what services are called."""
    game_day_key: SecretStr | None = None
    """What headers with faults (X-SagaQL-Faults) are signed with: 32 characters or more. None: such headers are refused."""
    max_tokens: Positive = 2_000
    """Tokens of a document. 2 000: twice the largest one written by hand; parsing and validating cost some 20 µs a token. Trusted
    documents, which build tools write, have no bounds, neither this nor `bounds`."""
    bounds: Annotated[Bounds, AsWritten()] = Bounds()
    """What a document may have: [operation.bounds]."""
    cost: CostMode | None = None
    """Whether what operations cost is estimated before they run: "measure" counts it (`sagaql_operation_estimated_cost`),
    "enforce" also refuses what costs more than `max_cost`. None: only where a client asks (`extensions: {cost: true}`), and
    nothing is refused."""
    max_cost: Positive | None = None
    """What an operation may be estimated to cost: 10 for a call to a service, 1 for an object. More is OPERATION_TOO_EXPENSIVE.
    None: no bound; it depends on the graph, so measure before you set it."""
    introspection: bool = True
    """Whether clients may ask for the schema. Off: `__schema` and `__type` are FORBIDDEN, but in trusted documents, and errors
    suggest nothing. On: what is served is no secret by its name, and IDEs and build tools need it."""
    suggestions: bool = True
    """Whether errors in a document name what was perhaps meant. On: they help whoever writes one, and tell no
    more than introspection."""
    documents: Positive = 1_000
    """Parsed and validated documents kept; one of more than 500 characters counts as several. 1 000: more than a client
    application has, and at most some 120 MB."""
    trusted: OptionalPath = None
    """Documents that your own clients send: a folder of .graphql files, or a manifest of texts by id (.json, as clients' build
    tools write it), relative to gateway.toml. They are checked and compiled at the start, which fails if one does not fit the
    graph, kept however many others are sent, and may be asked for by id (`documentId`). "": there are none."""
    trusted_only: bool = False
    """Whether nothing but the trusted documents is served, whoever asks."""
    persisted: Size | None = None
    """Characters of documents that clients may have kept under their hash (Apollo's automatic persisted queries), in each
    worker. None: they are told to send texts. 16MiB holds some ten thousand. With `shared.url` all gateways know what one was
    sent."""
    persisted_for: LongerThanZero = Seconds(86_400.0)
    """Seconds that the shared store keeps a document which no gateway asks for there. 1d: whoever comes back after a weekend sends
    the text once, and what nobody uses any more is gone tomorrow. Without `shared.url` it means nothing."""
    compile: bool = True
    """Whether an operation that is seen again is compiled into a plan. Off: graphql-core executes everything, many times slower."""
    incremental: bool = True
    """Whether @defer and @stream are heeded for clients that can take an answer in parts. Off: documents with them are as valid,
    and everything comes at once."""
    max_deferrals: Positive = 32
    """@defer and @stream in one operation, its fragments included. 32: several times what a page has; each costs a part of the
    answer for every object that it stands on."""

    @property
    def secret_of_game_days(self) -> str | None:
        """The key itself."""
        return None if self.game_day_key is None else self.game_day_key.get_secret_value()

    @field_validator("game_day_key")
    @classmethod
    def _cannot_be_guessed(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(
                f"it has fewer than {_SHORTEST_KEY} characters, so it can be guessed: "
                "take those of `openssl rand -hex 32`"
            )
        return key

    @model_validator(mode="after")
    def _something_is_served(self) -> Self:
        if self.trusted_only and self.trusted is None:
            raise ValueError("trusted_only is on and trusted names no documents: nothing would be served")
        return self

    @model_validator(mode="after")
    def _a_bound_is_enforced(self) -> Self:
        if (self.cost == "enforce") is not (self.max_cost is not None) and self.cost != "measure":
            raise ValueError(
                'max_cost is what cost = "enforce" refuses above: set both, or neither, or cost = "measure" to try the bound'
            )
        return self

    @field_validator("max_deadline")
    @classmethod
    def _defaults_fit(cls, longest: Seconds, others: ValidationInfo) -> Seconds:
        for name in ("query_deadline", "mutation_deadline"):
            if others.data.get(name, 0) > longest:
                raise ValueError(
                    f"{longest:g} s is less than {name}, {others.data[name]:g} s: "
                    "what holds for everybody must not be longer than what a client may ask for"
                )
        return longest


class ServiceSettings(Concern):
    """How one service is called: `gateway.services.ServiceConfig`, as it is written."""

    url: str | None = None
    """Where its one instance is, as http://host:port, perhaps with a path. None: `instances`, or `discovery` knows."""
    instances: Words = ()
    """Where its instances are, in place of `url`."""
    fallback: Words = ()
    """Instances of another region: used when all others were tried, or too few of them are well."""
    coalesce: bool = _BARE.coalesce
    """Whether identical reads under way are one call."""
    retry: Annotated[Retry, AsWritten()] = Retry()
    """When and how often an attempt is repeated."""
    budget: Annotated[BudgetSettings, AsWritten()] = BudgetSettings()
    """How many attempts beyond the first ones the service is sent, by retries and hedges together."""
    hedge: Annotated[HedgeSettings, AsWritten()] = HedgeSettings()
    """When a slow read is asked a second time."""
    breaker: Annotated[BreakerSettings, AsWritten()] = BreakerSettings()
    """When the service is left alone, and for how long."""
    bulkhead: Annotated[BulkheadSettings, AsWritten()] = BulkheadSettings()
    """How much of this machine the service may hold: each process that calls it has its share of the permits, rounded up."""
    balance: Annotated[BalanceSettings, AsWritten()] = BalanceSettings()
    """How attempts are spread over several instances, and when one is left out."""
    health: Annotated[HealthSettings, AsWritten()] = HealthSettings()
    """How instances are asked for their health."""
    faults: Annotated[FaultSettings, AsWritten()] = FaultSettings()
    """What is done to attempts on purpose, for tests and game days."""
    attempt_timeout: Duration = _BARE.attempt_timeout
    """Seconds that one attempt may take at most, connecting included."""
    attempt_timeout_floor: Duration = _BARE.attempt_timeout_floor
    """Reads are cut after three times their endpoint's p99, but not sooner than this."""
    connect_timeout: Duration = _BARE.connect_timeout
    """Seconds for name, TCP and TLS."""
    ca_file: str | None = None
    """Certificates (PEM) that https addresses are verified against; None: the system's."""
    max_response: Size = _BARE.max_response
    """Bytes of a decompressed body beyond which an answer is given up."""
    send_headers: Words = _BARE.send_headers
    """Client headers that are forwarded to this service: names, or beginnings as "x-tenant-*". None: what is not declared is
    not leaked. Credentials (authorization, cookie) only by their whole name."""
    set_headers: Mapping[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Headers that go with every attempt and health check, such as the gateway's own key: { x-api-key = "${KEY}" }."""
    identity_headers: Mapping[str, Says] = Field(default_factory=dict[str, Says])
    """Headers that tell this service who is calling: { x-user-id = "subject", x-tenant = "tenant", x-scopes = "scopes" }. None:
    what is not declared is not told. Calls whose answers are shared as public have none, those of a tenant its tenant at most."""

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.url is not None and self.instances:
            raise ValueError("url and instances are both given: write all addresses as instances")
        self.config(self.addresses or _BARE.instances)  # the rules stand there
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is written here; empty where `discovery` is to be asked."""
        return self.instances if self.url is None else (self.url,)

    def config(self, instances: tuple[str, ...]) -> ServiceConfig:
        """The plain value that the floor below is handed. Raises: ValueError for an impossible address."""
        return ServiceConfig(
            instances=instances,
            fallback=self.fallback,
            coalesce=self.coalesce,
            retry=self.retry,
            budget=self.budget,
            hedge=self.hedge,
            breaker=self.breaker,
            bulkhead=self.bulkhead,
            balance=self.balance,
            health=self.health,
            faults=self.faults,
            attempt_timeout=self.attempt_timeout,
            attempt_timeout_floor=self.attempt_timeout_floor,
            connect_timeout=self.connect_timeout,
            ca_file=self.ca_file,
            max_response=self.max_response,
            send_headers=tuple(name.lower() for name in self.send_headers),
            set_headers=tuple(
                SetHeader(name.lower(), value.get_secret_value()) for name, value in self.set_headers.items()
            ),
            identity_headers=tuple(IdentityHeader(name.lower(), says) for name, says in self.identity_headers.items()),
        )


class SagaSettings(Concern):
    """The embedded host of sagas."""

    journal: Path = Path(".sagaql/journal.sqlite3")
    """The SQLite file that owns all sagas, relative to gateway.toml. One process at a time."""
    wait: Annotated[Duration, Field(ge=0)] = Seconds(10.0)
    """Seconds that a mutation waits for its saga before it answers "accepted"; also bounded by its deadline."""
    drain: Annotated[Duration, Field(ge=0)] = Seconds(5.0)
    """Seconds that running steps may take at shutdown. What is not done then is resumed at the next start."""
    operator_scope: Scope = "operator"
    """The scope of those who may list, retry, skip, resolve and cancel sagas of others."""
    signal_scope: Scope = "signals"
    """The scope of those who may send a saga the signal that it waits for: the services that know, not clients."""
    max_open: Positive = 10_000
    """Sagas not ended yet; further ones are refused with OVERLOADED before anything is written."""
    retention: Annotated[Duration, Field(ge=0)] = Seconds(30 * 86_400.0)
    """Seconds that a finished saga is kept, and that its idempotency key finds it; after that the key begins anew. Longer than
    any client repeats itself. 0 keeps all for ever. Those that need attention always stay."""
    checkpoint_every: LongerThanZero = Seconds(300.0)
    """Seconds between two checkpoints over all sagas. What is changed in the file within the newest span is not found; each
    checkpoint is half a kilobyte that is never removed. None is made while nothing happens."""
    anchor: Path | None = None
    """A file, relative to gateway.toml, to which each checkpoint is added as a line. Copy it to where nobody who can write the
    journal can write: with it `verify` finds edits, truncation and roll-back; without one it finds accidents."""
    signing_key: SecretStr | None = None
    """Signs checkpoints and prunings: one line, made by `sagaql sagas new-key signing`. Write ${NAME} and keep it in the
    environment. None: they are unsigned, and say so."""
    secret_key: SecretStr | None = None
    """Seals what sagas declare as Secret in the journal: 32 random bytes as base64, made by `sagaql sagas new-key secret`. Write
    ${NAME} and keep it in the environment. None: no saga may hold secrets; a default would be everybody's."""
    old_secret_keys: tuple[SecretStr, ...] = ()
    """Keys that `secret_key` was before: they open what they sealed. One may be dropped when all sagas begun under it have ended,
    and their clients retry no more."""

    @field_validator("signing_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            SigningKey.parse(key.get_secret_value())
        return key

    @model_validator(mode="after")
    def _are_keys(self) -> Self:
        if self.secret_key is None and self.old_secret_keys:
            raise ValueError("old_secret_keys are given and no secret_key: the newest key is the secret_key")
        self.key_ring()  # the rules stand there
        return self

    def key_ring(self) -> KeyRing | None:
        """The keys as the floor below is handed them. Raises: ValueError for what is no key, never telling it."""
        if self.secret_key is None:
            return None
        return KeyRing(self.secret_key.get_secret_value(), old=[key.get_secret_value() for key in self.old_secret_keys])


class SharedSettings(Concern):
    """A store that several gateways share: Redis or Valkey. It makes them know more, and is never needed for an answer."""

    url: SecretStr | None = None
    """Where it is: "redis://user:password@host:6379/0", "rediss://" with TLS. Write ${NAME} and keep it in the environment. None:
    each process goes by its own memory. Needs the extra: pip install 'sagaql[redis]'."""
    timeout: LongerThanZero = Seconds(0.05)
    """Seconds that a request waits for it. 50 ms: a hundred times what one in the same network takes, and not yet what people
    notice. Five failures in a row, or half of twenty, and it is left alone for a while."""
    prefix: Annotated[str, Field(pattern=r"^[!-~]{1,64}$")] = "sagaql:"
    """How every key begins. Gateways that share a store and must not know one another's have different ones."""
    ca_file: str | None = None
    """Certificates (PEM) that a rediss:// address is verified against; None: the system's. There is no way to verify nothing."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            address_of(url.get_secret_value())
        return url

    @model_validator(mode="after")
    def _certificates_have_a_use(self) -> Self:
        address = self.address
        if self.ca_file is not None and (address is None or not address.is_encrypted):
            raise ValueError("ca_file is given, and url is not encrypted: write rediss:// in url, or leave ca_file out")
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise ValueError(f"ca_file is {self.ca_file!r}: there is no such file")
        return self

    @property
    def address(self) -> StoreAddress | None:
        """The URL, read."""
        return None if self.url is None else address_of(self.url.get_secret_value())


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
        if self.sha256 is not None and not _IS_DIGEST(self.sha256.get_secret_value().lower()):
            raise ValueError("sha256 is no SHA-256: it is 64 hexadecimal digits, as `sagaql hash-token` prints them")
        self.identity()
        return self

    @property
    def digest(self) -> str:
        """What the token is known by."""
        if self.sha256 is not None:
            return self.sha256.get_secret_value().lower()
        return hashed("" if self.token is None else self.token.get_secret_value())

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


class TelemetrySettings(Concern):
    """What the gateway says of itself. `/metrics` and JSON logs are always there."""

    service_name: Annotated[str, Field(min_length=1)] = "sagaql"
    """`service.name` of spans."""
    exporter: Literal["none", "otlp"] = "none"
    """Where spans go. "otlp": over HTTP to where the standard OTEL_EXPORTER_OTLP_* variables say."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of traces that are recorded, where the caller has not decided."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least grave lines that are written to standard error."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a tree was read, and how to read it again."""

    file: Path
    seen: Signature | None
    load: Callable[[], Settings]


class Settings(BaseSettings):
    """The whole tree. Built directly it reads nothing from outside; `load_settings` reads file and environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    graph: GraphSettings = GraphSettings()
    server: ServerSettings = ServerSettings()
    operation: OperationSettings = OperationSettings()
    streams: Annotated[StreamLimits, AsWritten()] = StreamLimits()
    """How long subscriptions may be silent, stalled or idle."""
    overload: Annotated[OverloadLimits, AsWritten()] = OverloadLimits()
    """What happens when there is more to do than can be done."""
    services: Mapping[str, ServiceSettings] = Field(default_factory=dict[str, ServiceSettings])
    """Every service that the graph names."""
    discovery: Name | None = None
    """A function, name -> url or urls, "module:name", asked for services that name no instance: at start, and whenever the settings
    are read again."""
    sagas: SagaSettings = SagaSettings()
    shared: SharedSettings = SharedSettings()
    identity: IdentitySettings = IdentitySettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    _root: Path = PrivateAttr(default_factory=Path.cwd)
    _origin: _Origin | None = PrivateAttr(default=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @model_validator(mode="after")
    def _proxies_show_certificates(self) -> Self:
        if self.identity.proxy is not None and self.server.tls_client_ca is None:
            raise ValueError(
                "identity.proxy is given, and no server.tls_client_ca: anybody could say what the proxy says; "
                "name who signs the proxy's certificate"
            )
        return self

    @model_validator(mode="after")
    def _nobody_writes_who_is_calling(self) -> Self:
        """What tells one service who is calling is no client's header to another."""
        telling = {name.lower() for each in self.services.values() for name in each.identity_headers}
        for name, service in self.services.items():
            for header in (each.lower() for each in service.send_headers):
                if header in telling:
                    raise ValueError(
                        f"services.{name}.send_headers forwards the client's {header!r}, which tells another service who is "
                        "calling (identity_headers): take another name for one of them"
                    )
        return self

    @property
    def tls(self) -> Tls | None:
        """The door's certificate, with absolute paths; None for plain HTTP."""
        server = self.server
        if server.tls_certificate is None or server.tls_key is None:
            return None
        return Tls(
            certificate=self._root / server.tls_certificate,
            key=self._root / server.tls_key,
            client_ca=None if server.tls_client_ca is None else self._root / server.tls_client_ca,
            is_client_required=server.tls_client_required,
        )

    @property
    def root(self) -> Path:
        """The folder of gateway.toml: relative paths start there, and so does the search for the graph's modules."""
        return self._root

    @property
    def file(self) -> Path | None:
        """The file that was read; None for settings that were built by hand."""
        return None if self._origin is None else self._origin.file

    @property
    def seen(self) -> Signature | None:
        """What the file was when it was read."""
        return None if self._origin is None else self._origin.seen

    def read_again(self) -> Settings:
        """What the same file, environment and command line say now. Settings that were built by hand say the same for ever.

        Raises: SettingsInvalid.
        """
        return self if self._origin is None else self._origin.load()

    def differences(self, other: Settings) -> Iterator[str]:
        """Dotted names of the settings outside `services` and `discovery` in which the two differ; no values."""
        return _differences(self, other, without={"services", "discovery"})

    @property
    def journal(self) -> Path:
        """`sagas.journal`, absolute."""
        return self._root / self.sagas.journal

    @property
    def control(self) -> Path | None:
        """`server.control`, absolute: beside the journal, unless it says otherwise."""
        return None if self.server.control is None else self.journal.parent / self.server.control

    @property
    def keeping(self) -> Keeping:
        """How the journal keeps itself: the plain value that the floor below is handed."""
        sagas, key = self.sagas, self.sagas.signing_key
        return Keeping(
            every=sagas.checkpoint_every,
            retention=sagas.retention or None,
            anchor=None if sagas.anchor is None else self._root / sagas.anchor,
            key=None if key is None else SigningKey.parse(key.get_secret_value()),
        )

    @property
    def secret_keys(self) -> KeyRing | None:
        """`sagas.secret_key` and the older ones; None without."""
        return self.sagas.key_ring()

    @property
    def sdl(self) -> Path | None:
        """`graph.sdl`, absolute."""
        return None if self.graph.sdl is None else self._root / self.graph.sdl

    @property
    def trusted(self) -> Path | None:
        """`operation.trusted`, absolute."""
        return None if self.operation.trusted is None else self._root / self.operation.trusted

    @property
    def needs_saga_process(self) -> bool:
        """Whether sagas, if the graph has any, run in a process of their own: two workers cannot both own the journal."""
        return self.server.workers > 1 and self.graph.mutation is not None

    @property
    def callers(self) -> int:
        """Processes that call services: the workers, and the one that runs the sagas."""
        return self.server.workers + self.needs_saga_process

    def service_configs(self, *, callers: int = 1) -> dict[str, ServiceConfig]:
        """Every service with its address: its own url, or what `discovery` says. `callers`: processes that share the permits.

        Raises: SettingsInvalid with every service whose address is not known.
        """
        find = _discovery(self.discovery) if not all(each.addresses for each in self.services.values()) else _unknown
        configs: dict[str, ServiceConfig] = {}
        problems: dict[str, list[str]] = {}
        for name, service in self.services.items():
            try:
                config = service.config(service.addresses or find(name))
                configs[name] = replace(config, bulkhead=config.bulkhead.shared_by(callers))
            except Exception as error:  # discovery is foreign code: whatever it raises is a problem of that service
                problems.setdefault(_reason(error), []).append(name)
        if problems:
            raise SettingsInvalid([_nowhere(names, reason=reason) for reason, names in problems.items()])
        return configs

    def service_policies(self) -> dict[str, ServiceConfig]:
        """How every service is called, without asking `discovery`: addresses that are not written here are stood in for."""
        return {name: service.config(service.addresses or _BARE.instances) for name, service in self.services.items()}

    def redacted(self) -> Tree:
        """The tree as plain JSON values, durations in seconds, without secrets: for logs and people."""
        return self.model_dump(mode="json")

    @classmethod
    def within(cls, root: Path, tree: Mapping[str, Any], *, origin: _Origin | None = None) -> Self:
        """The tree of a project in the folder `root`. Raises: pydantic's ValidationError."""
        settings = cls(**tree)
        settings._root = root
        settings._origin = origin
        return settings


# -- reading -----------------------------------------------------------------------------------------------------------


def load_settings(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] = _NOTHING
) -> Settings:
    """The settings of the project whose file is `path`, or SAGAQL_CONFIG, or ./gateway.toml.

    `overrides` is a tree as in the file, from the command line: it wins over file and environment.
    Raises: SettingsInvalid with every mistake.
    """
    file = (path or Path(environ.get(FILE_VARIABLE) or DEFAULT_FILE)).absolute()
    seen = signature(file)  # before it is read: what is written meanwhile is then seen to be another one
    origin = _Origin(file, seen, partial(load_settings, file, environ=environ, overrides=overrides))
    layers = (toml_tree(file, environ=environ), environment_tree(Settings, environ=environ), overrides)
    try:
        return Settings.within(file.parent, merged(*layers), origin=origin)
    except ValidationError as error:
        raise SettingsInvalid(problems_of(error, model=Settings, environ=environ)) from None


def _differences(one: BaseModel, other: BaseModel, *, without: Set[str] = frozenset(), path: str = "") -> Iterator[str]:
    for name in type(one).model_fields:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, BaseModel) and isinstance(theirs, BaseModel) and name not in without:
            yield from _differences(mine, theirs, path=f"{path}{name}.")
        elif mine != theirs and name not in without:
            yield f"{path}{name}"


# -- addresses ---------------------------------------------------------------------------------------------------------


def _discovery(name: str | None) -> Callable[[str], tuple[str, ...]]:
    if name is None:
        return _unknown
    module, _, attribute = name.partition(":")
    try:
        find = cast("Callable[[str], str | Sequence[str]]", getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise SettingsInvalid([f"discovery is {name!r}, which cannot be imported: {error}"]) from error

    def addresses(service: str) -> tuple[str, ...]:
        found = find(service)
        return (found,) if isinstance(found, str) else tuple(found)

    return addresses


def _unknown(_: str) -> tuple[str, ...]:
    raise LookupError("it has no url and no instances, and there is no `discovery` to ask")


def _reason(error: Exception) -> str:
    return str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)


def _nowhere(names: list[str], *, reason: str) -> str:
    places = ", ".join(f"[services.{name}] url" for name in names)
    return f'{places}: {reason}: write url = "http://host:port" there'
