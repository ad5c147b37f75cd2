"""The whole tree of settings, and how it is read.

Invariants: a tree that exists can be run; unknown keys are refused; all mistakes are reported at once, with their
dotted paths. Order: `gateway.toml`, then the environment (`SAGAQL_SERVER__PORT`), then the command line; the later wins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ..control import Signature, signature
from ..edge.tls import Tls
from ..loopback import is_loopback
from ..overload_limits import OverloadLimits
from ..sagas.keeping import Keeping
from ..sagas.secret_keys import KeyRing
from ..sagas.signing import SigningKey
from ..services import ServiceConfig
from ..stream_limits import StreamLimits
from .admin import AdminSettings
from .concern import AsWritten, Name, Words
from .discovery import discovery, nowhere, reason_of, unknown
from .graph import GraphSettings
from .identity import IdentitySettings
from .limits import LimitSettings
from .operation import OperationSettings
from .profiles import DEV, Profile, completed
from .provenance import Provenance, provenance
from .sagas import SagaSettings
from .server import ServerSettings
from .service import UNRESOLVED, ServiceSettings
from .shared import SharedSettings
from .sources import Loc, SettingsInvalid, Tree, environment_tree, merged, parsed, problems_of, toml_tree
from .telemetry import TelemetrySettings

DEFAULT_FILE = Path("gateway.toml")
FILE_VARIABLE = "SAGAQL_CONFIG"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a tree was read, and how to read it again."""

    file: Path
    seen: Signature | None
    load: Callable[[], Settings] = field(repr=False)  # it holds the environment
    said: Provenance


class Settings(BaseSettings):
    """The whole tree. Built directly it reads nothing from outside; `load_settings` reads file and environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    profile: Profile = DEV
    """What holds where nothing else is said: "dev", on this machine only, shows whoever develops what there is; "production" shows
    nothing that was not switched on. dev: a gateway that others reach has been made to on purpose, and then it says so here."""
    graph: GraphSettings = GraphSettings()
    server: ServerSettings = ServerSettings()
    admin: AdminSettings = AdminSettings()
    operation: OperationSettings = OperationSettings()
    streams: Annotated[StreamLimits, AsWritten()] = StreamLimits()
    """How long subscriptions may be silent, stalled or idle."""
    overload: Annotated[OverloadLimits, AsWritten()] = OverloadLimits()
    """What happens when there is more to do than can be done."""
    limits: LimitSettings = LimitSettings()
    services: Mapping[str, ServiceSettings] = Field(default_factory=dict[str, ServiceSettings])
    """Every service that the graph names."""
    discovery: Name | None = None
    """A function, name -> url or urls, "module:name", asked for services that name no instance: at start, and whenever the settings
    are read again."""
    sagas: SagaSettings = SagaSettings()
    shared: SharedSettings = SharedSettings()
    identity: IdentitySettings = IdentitySettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    accepted_risks: Words = ()
    """Risks that somebody has looked at and bears, by the dotted names under which `sagaql check` lists them; "*" stands for any
    part of one, as in "services.*.url". They are listed, and no longer make it fail."""

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

    @model_validator(mode="before")
    @classmethod
    def _is_completed(cls, given: Any) -> Any:
        return completed(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _dev_is_for_this_machine(self) -> Self:
        if self.profile == DEV and not is_loopback(self.server.host):
            raise ValueError(
                f'server.host is {self.server.host!r}, where others reach it, and profile is "dev", which shows GraphiQL, the '
                'schema and /metrics to anybody: set profile = "production" (SAGAQL_PROFILE, --profile); '
                "`sagaql check --profile production` lists what else there is to do"
            )
        return self

    @model_validator(mode="after")
    def _admins_have_a_port_of_their_own(self) -> Self:
        admin, server = self.admin, self.server
        if admin.port is not None and admin.port == server.port:
            raise ValueError(f"admin.port is {admin.port}, and so is server.port: admins have a port of their own")
        if admin.tls and server.tls_certificate is None:
            raise ValueError("admin.tls is on, and there is no server.tls_certificate: give one, or switch it off")
        return self

    @model_validator(mode="after")
    def _proxies_show_certificates(self) -> Self:
        if self.identity.proxy is not None and self.server.tls_client_ca is None:
            raise ValueError(
                "identity.proxy is given, and no server.tls_client_ca: anybody could say what the proxy says; "
                "name who signs the proxy's certificate"
            )
        return self

    @model_validator(mode="after")
    def _shared_limits_have_a_store(self) -> Self:
        if self.limits.shared and self.shared.url is None:
            raise ValueError("limits.shared is on, and shared.url names no store: give one, or leave limits.shared out")
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
            hsts=server.tls_hsts,
        )

    @property
    def shows_itself(self) -> bool:
        """Whether the clients' port tells anybody what is for admins: on a machine of one's own, until there is a port for it."""
        return self.profile == DEV and self.admin.port is None

    def said_by(self, path: Loc) -> str:
        """Who said a setting, in words: the file, a variable, the command line, the profile, or the default."""
        return "the code" if self._origin is None else self._origin.said.of(path, profile=self.profile)

    def stands_in_file(self, path: Loc) -> bool:
        """Whether whoever reads gateway.toml reads the text at `path`."""
        return self._origin is not None and self._origin.said.stands(path)

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
        find = discovery(self.discovery) if not all(each.addresses for each in self.services.values()) else unknown
        configs: dict[str, ServiceConfig] = {}
        problems: dict[str, list[str]] = {}
        for name, service in self.services.items():
            try:
                config = service.config(service.addresses or find(name))
                configs[name] = replace(config, bulkhead=config.bulkhead.shared_by(callers))
            except Exception as error:  # discovery is foreign code: whatever it raises is a problem of that service
                problems.setdefault(reason_of(error), []).append(name)
        if problems:
            raise SettingsInvalid([nowhere(names, reason=reason) for reason, names in problems.items()])
        return configs

    def service_policies(self) -> dict[str, ServiceConfig]:
        """How every service is called, without asking `discovery`: addresses that are not written here are stood in for."""
        return {
            name: service.config(service.addresses or UNRESOLVED.instances) for name, service in self.services.items()
        }

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


def load_settings(
    path: Path | None = None, *, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] = _NOTHING
) -> Settings:
    """The settings of the project whose file is `path`, or SAGAQL_CONFIG, or ./gateway.toml.

    `overrides` is a tree as in the file, from the command line: it wins over file and environment.
    Raises: SettingsInvalid with every mistake.
    """
    file = (path or Path(environ.get(FILE_VARIABLE) or DEFAULT_FILE)).absolute()
    seen = signature(file)  # before it is read: what is written meanwhile is then seen to be another one
    written, environment = parsed(file), environment_tree(Settings, environ=environ)
    said = provenance(written, environment, overrides, file=file.name, environ=environ)
    origin = _Origin(file, seen, partial(load_settings, file, environ=environ, overrides=overrides), said)
    layers = (toml_tree(written, environ=environ), environment, overrides)
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
