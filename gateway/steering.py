"""What operators change while the gateway runs: the settings of its services, by the file, by command, and one instance at a time.

Invariants: settings take effect as a whole or not at all; one change at a time; an invalid file changes nothing and is told once,
with every mistake; whatever changes is logged as a sentence, with who did it. What stands outside `[services]` is told to need a
restart.
State: the settings that are in force, per worker process. What `set` and `drain` did is not written down: a reload forgets the
former, a restart both.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from .clock import Seconds
from .control import Caller, Commands, ControlServer, FileWatch, Refused, signature
from .services import ServiceClient, ServiceConfig, Services, UnknownService
from .settings import ServiceSettings, Settings, SettingsInvalid
from .settings.sources import Tree, merged, problems_of
from .telemetry import Telemetry

T = TypeVar("T")

READ_WITHIN = Seconds(30.0)
"""Seconds for reading the settings again, the answers of `discovery` included."""

FIRST = "worker-1"
"""Of several workers the one that `sagaql services` and `sagaql sagas` speak to."""

_THE_FILE = "the file"
"""Who changed it, where nobody spoke: the settings' file itself."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did: sentences; and the settings, by their dotted names, that it could not change."""

    changed: Sequence[str]
    needs_restart: Sequence[str]


class Steering:
    """The settings in force, and every way to change them."""

    def __init__(
        self,
        settings: Settings,
        services: Services,
        *,
        telemetry: Telemetry,
        callers: int = 1,
        process: str | None = None,
    ) -> None:
        """`callers`: processes that share each service's permits. `process`: which of several this is."""
        self._callers = callers
        self._process = process
        self._built_of = settings
        self._settings = settings
        self._services = services
        self._log = telemetry.log
        self._metrics = telemetry.metrics
        self._one_at_a_time = asyncio.Lock()
        self.commands = Commands(
            {
                "services": self._show,
                "services reload": self._reload,
                "services set": self._set,
                "services drain": partial(self._take_out, is_back=False),
                "services undrain": partial(self._take_out, is_back=True),
            }
        )

    def __repr__(self) -> str:
        return f"<Steering {self._services!r}>"

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[None]:
        """While the body runs: the file is watched, and operators are listened to, as far as the settings say."""
        helpers: list[ControlServer | FileWatch] = [*self._control(), *self._watch()]
        async with AsyncExitStack() as all_of_them:
            for each in helpers:
                await each.start()
                all_of_them.push_async_callback(each.close)
            yield

    async def reload(self, *, by: str = _THE_FILE) -> Reloaded:
        """Read the settings again, file, environment and command line, and apply them. Raises: SettingsInvalid."""
        async with self._one_at_a_time:
            try:
                settings, configs = await self._read()
            except SettingsInvalid as error:
                self._tell_invalid(error, by=by)
                raise
            changed = self._services.configure(configs)
            self._settings = settings
            done = Reloaded(changed, [*self._built_of.differences(settings)])
            self._tell(done, by=by)
            return done

    async def set(self, assignments: Sequence[str], *, by: str) -> list[str]:
        """Other parameters until a restart or a reload, each as "catalog.bulkhead.limit=32". Returns what changed.

        Raises: SettingsInvalid with every mistake; then nothing has changed.
        """
        async with self._one_at_a_time:
            chosen = self._assigned(assignments)
            configs = {name: client.config for name, client in self._services.items()}
            for name, service in chosen.items():
                configs[name] = _config(service, instances=configs[name].instances, callers=self._callers)
            changed = self._services.configure(configs)
            self._settings = self._settings.model_copy(update={"services": {**self._settings.services, **chosen}})
            self._tell_changes(changed, by=by)
            return changed

    # -- what listens --------------------------------------------------------------------------------------------------

    def _control(self) -> Iterable[ControlServer]:
        path = self._settings.control
        return [] if path is None else [ControlServer(own(path, self._process), self.commands, log=self._log)]

    def _watch(self) -> Iterable[FileWatch]:
        file, interval = self._settings.file, self._settings.server.watch
        if file is None or not interval:
            return []
        look = partial(signature, file)
        known = self._settings.seen
        return [FileWatch(look, known=known, interval=interval, changed=self._follow, log=self._log)]

    async def _follow(self) -> None:
        """The file has changed. One that is invalid was told of, and is read again when it changes again."""
        try:
            await self.reload()
        except SettingsInvalid:
            return

    # -- the commands --------------------------------------------------------------------------------------------------

    async def _show(self, arguments: Mapping[str, Any], _: Caller) -> Any:
        wanted = _taken(arguments, _Show).service
        names = [*self._services] if wanted is None else [wanted]
        return {"services": [self._client(name).snapshot() for name in names]}

    async def _reload(self, arguments: Mapping[str, Any], caller: Caller) -> Any:
        _taken(arguments, _Nothing)
        try:
            done = await self.reload(by=_who(caller))
        except SettingsInvalid as error:
            raise Refused(error.problems) from error
        return {"changed": done.changed, "needsRestart": done.needs_restart}

    async def _set(self, arguments: Mapping[str, Any], caller: Caller) -> Any:
        try:
            return {"changed": await self.set(_taken(arguments, _Set).assignments, by=_who(caller))}
        except SettingsInvalid as error:
            raise Refused(error.problems) from error

    async def _take_out(self, arguments: Mapping[str, Any], caller: Caller, *, is_back: bool) -> Any:
        given = _taken(arguments, _Instance)
        client = self._client(given.service)
        try:
            sentence = _undrained(client, given.instance) if is_back else _drained(client, given.instance)
        except (LookupError, ValueError) as error:
            raise Refused([f"{given.service}: {error.args[0]}"]) from error
        self._tell_changes([sentence], by=_who(caller))
        return {"changed": [sentence]}

    def _client(self, name: str) -> ServiceClient:
        try:
            return self._services[name]
        except UnknownService as error:
            raise Refused([str(error)]) from error

    # -- settings ------------------------------------------------------------------------------------------------------

    async def _read(self) -> tuple[Settings, dict[str, ServiceConfig]]:
        """In a thread: the file may be slow, and `discovery` is foreign code that may ask a network."""
        try:
            async with asyncio.timeout(READ_WITHIN):
                return await asyncio.to_thread(_read_again, self._settings, self._callers)
        except TimeoutError as error:
            raise SettingsInvalid(
                [f"the settings could not be read within {READ_WITHIN:g} s: is it discovery?"]
            ) from error

    def _assigned(self, assignments: Sequence[str]) -> dict[str, ServiceSettings]:
        """The services that are named, with their assignments. Raises: SettingsInvalid with every mistake."""
        problems: list[str] = []
        tree: Tree = {}
        for text in assignments:
            try:
                tree = merged(tree, self._assignment(text))
            except (ValueError, LookupError) as error:
                problems.append(str(error))
        given = {name: _merged(self._settings.services[name], assigned) for name, assigned in tree.items()}
        try:
            chosen = Settings.within(self._settings.root, {"services": given}).services
        except ValidationError as error:
            problems += problems_of(error, model=Settings, environ={})
            raise SettingsInvalid(problems) from None
        if problems:
            raise SettingsInvalid(problems)
        return dict(chosen)

    def _assignment(self, text: str) -> Tree:
        """{"catalog": {"bulkhead": {"limit": 32}}}. Raises: ValueError, UnknownService."""
        path, is_one, value = text.partition("=")
        service, *names = (each.strip() for each in path.split("."))
        if not is_one or not names or not all((service, *names)):
            raise ValueError(f"{path!r} assigns nothing: write SERVICE.SETTING=VALUE, as in catalog.bulkhead.limit=32")
        _ = self._services[service]
        tree: Any = written(value.strip())
        for name in reversed(names):
            tree = {name: tree}
        return {service: tree}

    # -- telling -------------------------------------------------------------------------------------------------------

    def _tell(self, done: Reloaded, *, by: str) -> None:
        self._metrics.reloads.labels("applied" if done.changed else "unchanged").inc()
        self._metrics.settings_invalid.set(0)
        self._log.info("settings read again", by=by, changes=len(done.changed))
        self._tell_changes(done.changed, by=by)
        if done.needs_restart:
            self._log.warning("settings need a restart", settings=list(done.needs_restart), by=by)

    def _tell_changes(self, changed: Sequence[str], *, by: str) -> None:
        for sentence in changed:
            self._log.info("settings changed", change=sentence, by=by)

    def _tell_invalid(self, error: SettingsInvalid, *, by: str) -> None:
        self._metrics.reloads.labels("invalid").inc()
        self._metrics.settings_invalid.set(1)
        for problem in error.problems:
            self._log.error("settings invalid, the former ones stay", problem=problem, by=by)


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A command that is given nothing."""


class _Show(msgspec.Struct, forbid_unknown_fields=True):
    service: str | None = None


class _Set(msgspec.Struct, forbid_unknown_fields=True):
    assignments: list[str]


class _Instance(msgspec.Struct, forbid_unknown_fields=True):
    service: str
    instance: str


def written(text: str) -> object:
    """A value as it is typed: what TOML reads, or else the text itself, so that 32, true, ["a", "b"] and 500ms need no quotes."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return tree["value"] if tree.keys() == {"value"} else text


def _taken(arguments: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as error:
        raise Refused([f"the command's arguments do not fit: {error}"]) from error


def own(path: Path, process: str | None) -> Path:
    """The control socket of one of several processes: the first worker has the one that is named in the settings."""
    if process is None or process == FIRST:
        return path
    return path.with_name(f"{path.stem}-{process}{path.suffix}")


def _read_again(settings: Settings, callers: int) -> tuple[Settings, dict[str, ServiceConfig]]:
    """Raises: SettingsInvalid, for a file that changed meanwhile too: half of one may be a valid other one."""
    anew = settings.read_again()
    configs = anew.service_configs(callers=callers)
    if anew.file is not None and signature(anew.file) != anew.seen:
        raise SettingsInvalid([f"{anew.file} changed while it was read: write beside it and rename"])
    return anew, configs


def _merged(service: ServiceSettings, assigned: object) -> object:
    """What is written of a service, and over it what is assigned; addresses replace one another."""
    if not isinstance(assigned, Mapping):
        return assigned
    told = service.model_dump(exclude_unset=True)
    if {"url", "instances"} & assigned.keys():
        told = {name: value for name, value in told.items() if name not in {"url", "instances"}}
    return merged(told, assigned)


def _config(service: ServiceSettings, *, instances: tuple[str, ...], callers: int) -> ServiceConfig:
    """Where `discovery` was asked, its last answer stays. Permits are what is set, shared by all who call."""
    config = service.config(service.addresses or instances)
    return replace(config, bulkhead=config.bulkhead.shared_by(callers))


def _drained(client: ServiceClient, instance: str) -> str:
    under_way = client.drain(instance)
    return f"{client.name}: {instance} is drained; {under_way} under way"


def _undrained(client: ServiceClient, instance: str) -> str:
    is_news = client.undrain(instance)
    return f"{client.name}: {instance} is used again" if is_news else f"{client.name}: {instance} was not drained"


def _who(caller: Caller) -> str:
    return "an operator" if caller.uid is None else f"uid {caller.uid}"
