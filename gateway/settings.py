"""Every knob of the gateway: one typed, frozen tree, one model per concern.

Invariants: a tree that exists can be run; unknown keys are refused; all mistakes are reported at once, with their
dotted paths. Order: `gateway.toml`, then the environment (`SAGAQL_SERVER__PORT`), then the command line; the later
wins. Durations are written "250ms", "2s", "15m"; sizes "64KiB", "1MiB". A string in the file may hold `${NAME}` or
`${NAME:-default}`, so that no secret need be written into it.
Read by `app` and `cli` only; everything below is handed plain values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
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
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from .clock import Seconds, duration
from .sagas.secret_keys import KeyRing
from .services import (
    BalanceSettings,
    BreakerSettings,
    BudgetSettings,
    BulkheadSettings,
    FaultSettings,
    HealthSettings,
    HedgeSettings,
    Retry,
    ServiceConfig,
)
from .settings_sources import (
    SettingsInvalid,
    Tree,
    environment_tree,
    merged,
    problems_of,
    python_name,
    size,
    toml_tree,
    words,
    written,
)

__all__ = [
    "GraphSettings",
    "IdentitySettings",
    "OperationSettings",
    "SagaSettings",
    "ServerSettings",
    "ServiceSettings",
    "Settings",
    "SettingsInvalid",
    "TelemetrySettings",
    "TokenSettings",
    "load_settings",
]

DEFAULT_FILE = Path("gateway.toml")
FILE_VARIABLE = "SAGAQL_CONFIG"
_BARE = ServiceConfig(instances=("http://unresolved.invalid",))
"""Where the defaults of a service stand."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})


# -- how values are written --------------------------------------------------------------------------------------------

Duration: TypeAlias = Annotated[
    Seconds, BeforeValidator(written(duration, (str, int, float))), Field(allow_inf_nan=False)
]
"""Seconds, written as "250ms", "2s", "15m", "1h" or "7d"; a number is taken as seconds."""

Size: TypeAlias = Annotated[int, BeforeValidator(size), Field(gt=0)]
"""Bytes, written as a number or as "64KiB", "1MiB"."""

LongerThanZero: TypeAlias = Annotated[Duration, Field(gt=0)]
SdlPath: TypeAlias = Annotated[Path | None, BeforeValidator(lambda text: None if text == "" else text)]
Words: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(words)]
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
    sdl: SdlPath = Path("schema.graphql")
    """The printed schema that `sagaql check` compares with the code, relative to gateway.toml; "" keeps none."""


class ServerSettings(Concern):
    """The listening side."""

    host: str = "127.0.0.1"
    """The address to listen on. Loopback: who may reach a gateway is decided on purpose; 0.0.0.0 in a container."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8000
    """The TCP port."""
    max_body: Size = 1024 * 1024
    """Bytes of a request's body. 1 MiB: a hundred times a large document with its variables."""
    max_operations: Positive = 512
    """Operations in flight; more are refused with OVERLOADED. 512: eight services' bulkheads full at once."""
    drain: Annotated[Duration, Field(ge=0)] = Seconds(10.0)
    """Seconds that running operations may take after SIGTERM. 10 s: `operation.query_deadline`."""
    graphiql: bool = True
    """Whether the IDE is served to browsers. It shows nothing that introspection does not."""


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
    max_tokens: Positive = 10_000
    """Tokens of a document. 10 000: ten times the largest one written by hand; parsing costs about 1 µs a token."""
    documents: Positive = 1_000
    """Parsed and validated documents kept. 1 000: more than a client application has, at some 50 KiB each."""

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
    """How much of us the service may hold."""
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
    """Names of client headers that are forwarded to this service. None: what is not declared is not leaked."""

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
        )


class SagaSettings(Concern):
    """The embedded host of sagas."""

    journal: Path = Path(".sagaql/journal.sqlite3")
    """The SQLite file that owns all sagas, relative to gateway.toml. One process at a time."""
    wait: Annotated[Duration, Field(ge=0)] = Seconds(10.0)
    """Seconds that a mutation waits for its saga before it answers "accepted"; also bounded by its deadline."""
    drain: Annotated[Duration, Field(ge=0)] = Seconds(5.0)
    """Seconds that running steps may take at shutdown. What is not done then is resumed at the next start."""
    max_open: Positive = 10_000
    """Sagas not ended yet; further ones are refused with OVERLOADED before anything is written."""
    secret_key: SecretStr | None = None
    """Seals what sagas declare as Secret in the journal: 32 random bytes as base64. Write ${NAME} and keep it in the environment.
    None: no saga may hold secrets. There is no default that would be everybody's."""
    old_secret_keys: tuple[SecretStr, ...] = ()
    """Keys that `secret_key` was before: they open what they sealed. One may be dropped when all sagas begun under it have ended,
    and their clients retry no more."""

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


class TokenSettings(Concern):
    """A caller that shows this token is this identity. For demos and machines; people come with signed tokens."""

    token: Annotated[SecretStr, Field(min_length=1)]
    """What stands after "Bearer". Write ${NAME} and keep it in the environment."""
    tenant: Annotated[str, Field(min_length=1)] = "public"
    """Whose data it is: callers of one tenant never see another's."""
    subject: Annotated[str, Field(min_length=1)]
    """Who it is, unique within the tenant."""
    scopes: tuple[Scope, ...] = ()
    """What the caller may do beyond the public."""


class IdentitySettings(Concern):
    """Who is known."""

    tokens: tuple[TokenSettings, ...] = ()
    """Static bearer tokens. None: every caller is anonymous."""

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        first: dict[str, int] = {}
        for index, each in enumerate(self.tokens):
            earlier = first.setdefault(each.token.get_secret_value(), index)
            if earlier != index:
                raise ValueError(f"tokens[{earlier}] and tokens[{index}] are the same token: one token, one identity")
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


class Settings(BaseSettings):
    """The whole tree. Built directly it reads nothing from outside; `load_settings` reads file and environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    graph: GraphSettings = GraphSettings()
    server: ServerSettings = ServerSettings()
    operation: OperationSettings = OperationSettings()
    services: Mapping[str, ServiceSettings] = Field(default_factory=dict[str, ServiceSettings])
    """Every service that the graph names."""
    discovery: Name | None = None
    """A function, name -> url or urls, "module:name", asked for services that name no instance."""
    sagas: SagaSettings = SagaSettings()
    identity: IdentitySettings = IdentitySettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    _root: Path = PrivateAttr(default_factory=Path.cwd)

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

    @property
    def root(self) -> Path:
        """The folder of gateway.toml: relative paths start there, and so does the search for the graph's modules."""
        return self._root

    @property
    def journal(self) -> Path:
        """`sagas.journal`, absolute."""
        return self._root / self.sagas.journal

    @property
    def secret_keys(self) -> KeyRing | None:
        """`sagas.secret_key` and the older ones; None without."""
        return self.sagas.key_ring()

    @property
    def sdl(self) -> Path | None:
        """`graph.sdl`, absolute."""
        return None if self.graph.sdl is None else self._root / self.graph.sdl

    def service_configs(self) -> dict[str, ServiceConfig]:
        """Every service with its address: its own url, or what `discovery` says.

        Raises: SettingsInvalid with every service whose address is not known.
        """
        find = _discovery(self.discovery) if not all(each.addresses for each in self.services.values()) else _unknown
        configs: dict[str, ServiceConfig] = {}
        problems: dict[str, list[str]] = {}
        for name, service in self.services.items():
            try:
                configs[name] = service.config(service.addresses or find(name))
            except Exception as error:  # discovery is foreign code: whatever it raises is a problem of that service
                problems.setdefault(_reason(error), []).append(name)
        if problems:
            raise SettingsInvalid([_nowhere(names, reason=reason) for reason, names in problems.items()])
        return configs

    def redacted(self) -> Tree:
        """The tree as plain JSON values, durations in seconds, without secrets: for logs and people."""
        return self.model_dump(mode="json")

    @classmethod
    def within(cls, root: Path, tree: Mapping[str, Any]) -> Self:
        """The tree of a project in the folder `root`. Raises: pydantic's ValidationError."""
        settings = cls(**tree)
        settings._root = root
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
    layers = (toml_tree(file, environ=environ), environment_tree(Settings, environ=environ), overrides)
    try:
        return Settings.within(file.parent, merged(*layers))
    except ValidationError as error:
        raise SettingsInvalid(problems_of(error, model=Settings, environ=environ)) from None


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
