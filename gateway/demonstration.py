"""`sagaql demo`: the shop's seven services and the gateway as one command, and as one Ctrl-C.

Invariants: when `run` is left, for whatever reason, no child lives and no port is held. The shop is found by name in the
checkout, never imported: the engine knows no business word.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from rich.console import Console
from rich.status import Status

from .server import url_of
from .settings import Settings

READY_WITHIN = 60.0  # seconds; the first start seeds seven databases, on a machine that may be busy
LOG_LINES = 20
_PORT_VARIABLE = "SAGAQL_PORT"
_GATEWAY = "gateway"
_LIFELINE = "--lifeline"
_ADMIN_VARIABLE = "SAGAQL_ADMIN__PORT"
_MOVES = (_PORT_VARIABLE, _ADMIN_VARIABLE, "DEMO_PORT_BASE", "DEMO_DATA")

T = TypeVar("T")

Tour: TypeAlias = Callable[[str], Sequence[tuple[str, str, str]]]
"""The checkout's `demo.tour:tour`: from the endpoint to (title, command, what to look for)."""


class Person(Protocol):
    """One of the checkout's `demo.people:PEOPLE`."""

    @property
    def token(self) -> str: ...
    @property
    def may(self) -> str: ...


class NoDemonstration(Exception):
    """Why there is none, or none any more, in a sentence with a remedy."""


# -- what the checkout brings ------------------------------------------------------------------------------------------


class ChildProcess(Protocol):
    """One process: of the shop, or the gateway."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def ready_url(self) -> str: ...
    @property
    def command(self) -> list[str]: ...
    @property
    def env(self) -> dict[str, str]: ...


class ProcessSupervisor(Protocol):
    """Starts children, watches them, and leaves none behind."""

    def start(self, children: Sequence[ChildProcess], *, timeout: float) -> Coroutine[Any, Any, None]: ...
    def wait(self) -> Coroutine[Any, Any, ChildProcess]: ...
    async def stop(self) -> None: ...


class Supervision(Protocol):
    """The checkout's `demo.supervisor`."""

    StartFailed: type[Exception]

    def Child(  # noqa: N802 - a class there
        self,
        *,
        name: str,
        command: list[str],
        port: int,
        ready_url: str,
        env: dict[str, str],
        moved_by: str,
    ) -> ChildProcess: ...
    def Supervisor(self, logs: Path, *, on_ready: Callable[[ChildProcess], None]) -> ProcessSupervisor: ...  # noqa: N802 - a class there
    def service_children(self, data: Path) -> list[ChildProcess]: ...


class Addresses(Protocol):
    """The checkout's `demo.addresses`."""

    BadPortBase: type[Exception]
    DATA_VARIABLE: str

    def data_dir(self) -> Path: ...
    def admin_port(self) -> int: ...


def checkout(config: Path | None = None) -> Path:
    """The folder that holds gateway.toml and the shop. Raises: NoDemonstration."""
    folder = Path.cwd() if config is None else config.absolute().parent
    if not ((folder / "gateway.toml").is_file() and (folder / "demo" / "supervisor.py").is_file()):
        raise NoDemonstration(
            f"the demo needs a checkout of SagaQL, and {folder} is none (no gateway.toml beside a demo/): "
            "go to the folder of a checkout, and run it there"
        )
    return folder


# -- running -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is started, and what there is to say of it."""

    supervision: Supervision
    children: Sequence[ChildProcess]
    logs: Path
    endpoint: str | None
    admin_url: str | None
    """Where the gateway tells of itself, to whoever shows the operator's token."""
    tour: Tour
    people: Sequence[Person]
    settings: Settings
    console: Console


def run(settings: Settings, folder: Path, *, services_only: bool, console: Console) -> None:
    """Start everything, say what there is, and stop everything at Ctrl-C.

    Raises: NoDemonstration if something could not be started, or ended by itself.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    supervision = cast("Supervision", import_module("demo.supervisor"))
    addresses = cast("Addresses", import_module("demo.addresses"))
    try:
        plan = _plan(settings, supervision=supervision, data=addresses.data_dir().absolute(), console=console)
        if not services_only:
            plan = _with_gateway(plan, folder, addresses)
        _require_ports_of_their_own(plan.children)
        asyncio.run(_until_ctrl_c(plan))
    except (supervision.StartFailed, addresses.BadPortBase) as error:
        raise NoDemonstration(str(error)) from error


def _plan(settings: Settings, *, supervision: Supervision, data: Path, console: Console) -> _Plan:
    return _Plan(
        supervision=supervision,
        children=supervision.service_children(data),
        logs=data / "logs",
        endpoint=None,
        admin_url=None,
        tour=cast("Tour", import_module("demo.tour").tour),
        people=cast("Sequence[Person]", import_module("demo.people").PEOPLE),
        settings=settings,
        console=console,
    )


def _with_gateway(plan: _Plan, folder: Path, addresses: Addresses) -> _Plan:
    server, admin = plan.settings.server, plan.settings.admin
    admin_port = admin.port or addresses.admin_port()
    url = url_of(server.host, server.port, is_tls=plan.settings.tls is not None)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    gateway = plan.supervision.Child(
        name=_GATEWAY,
        command=[sys.executable, "-m", "gateway", "serve", "--config", str(folder / "gateway.toml"), _LIFELINE],
        port=server.port,
        ready_url=f"{url}/readyz",
        env={addresses.DATA_VARIABLE: str(plan.logs.parent), _ADMIN_VARIABLE: str(admin_port), "PYTHONPATH": path},
        moved_by=_PORT_VARIABLE,
    )
    admin_url = url_of(admin.host, admin_port, is_tls=admin.tls)
    return replace(plan, children=[*plan.children, gateway], endpoint=f"{url}/graphql", admin_url=admin_url)


async def _until_ctrl_c(plan: _Plan) -> None:
    with _asked_to_stop() as asked, _Progress(plan.children, plan.console) as progress:
        supervisor = plan.supervision.Supervisor(plan.logs, on_ready=progress.ready)
        try:
            await _unless(asked, supervisor.start(plan.children, timeout=READY_WITHIN))
            if not asked.is_set():
                progress.finish()
                _welcome(plan)
                await _watch(asked, supervisor, plan)
        finally:
            progress.finish()
            plan.console.print("Stopping…", style="dim")
            await supervisor.stop()
            plan.console.print("Stopped: no process and no port is left.", style="dim")


async def _watch(asked: asyncio.Event, supervisor: ProcessSupervisor, plan: _Plan) -> None:
    """Until asked to stop. A process that ends by itself is told of, and the rest goes on: the graph does without it.

    Raises: NoDemonstration when none is left.
    """
    living = list(plan.children)
    while (ended := await _unless(asked, supervisor.wait())) is not None:
        living.remove(ended)
        _line(plan.console, _obituary(ended, plan.logs))
        if not living:
            raise NoDemonstration("every process has ended by itself: nothing is left to show")


@contextmanager
def _asked_to_stop() -> Generator[asyncio.Event]:
    """Set by Ctrl-C, as often as it is pressed, by SIGTERM, and by a terminal that is closed."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked.set)
    yield asked


async def _unless(asked: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` returns; or None once asked to stop, when `work` has been cancelled and has ended."""
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        working.cancel()
        await asyncio.wait((working,))
        return None
    finally:
        waiting.cancel()


def _require_ports_of_their_own(children: Sequence[ChildProcess]) -> None:
    first: dict[int, str] = {}
    for child in children:
        other = first.setdefault(child.port, child.name)
        if other != child.name:
            raise NoDemonstration(
                f"port {child.port} is wanted by {other} and by {child.name}: "
                f"move one of them with {_PORT_VARIABLE} or DEMO_PORT_BASE"
            )


# -- what is said ------------------------------------------------------------------------------------------------------


class _Progress:
    """A line for each child that is ready, and a spinner for the rest."""

    def __init__(self, children: Sequence[ChildProcess], console: Console) -> None:
        self._console = console
        self._waiting = [child.name for child in children]
        self._began = time.monotonic()
        self._status = Status(self._text(), console=console)

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def ready(self, child: ChildProcess) -> None:
        self._waiting.remove(child.name)
        after = time.monotonic() - self._began
        _line(self._console, f"  ✓ {child.name:<10} {_base(child)}  ({after:.1f} s)")
        self._status.update(self._text())

    def finish(self) -> None:
        self._status.stop()

    def _text(self) -> str:
        return f"Starting {', '.join(self._waiting)}"


def _welcome(plan: _Plan) -> None:
    say = partial(_line, plan.console)
    services = [child for child in plan.children if child.name != _GATEWAY]
    if plan.endpoint is not None:
        base = plan.endpoint.removesuffix("/graphql")
        say("\nSagaQL is running.\n")
        if plan.settings.server.graphiql:
            say(f"  GraphiQL   {base}/graphiql   (open it in a browser)")
        say(f"  endpoint   {plan.endpoint}")
        say(f"  metrics    {plan.admin_url}/metrics   (for the operator's token)")
    say("\nServices, each with /__fault, /__calls and /health:\n")
    for child in services:
        say(f"  {child.name:<10} {_base(child)}")
    say(f"\nLogs: {plan.logs}")
    if plan.endpoint is not None:
        _people(plan, plan.endpoint.removesuffix("/graphql"), say)
        for title, command, look_for in plan.tour(plan.endpoint):
            say(f"\n{title}:\n\n{command}\n\n  → {look_for}")
    say("\nCtrl-C stops everything.")


def _people(plan: _Plan, base: str, say: Callable[[str], None]) -> None:
    """Their tokens are shown on purpose: they are the demo's, and guard nothing. In a link one stands where no server reads it."""
    say(
        '\nWho you can be, by a header "Authorization: Bearer …" (everybody knows these tokens: keep the demo on your machine):\n'
    )
    for person in plan.people:
        say(f"  {person.token:<14} {person.may}")
        if plan.settings.server.graphiql:
            say(f"  {'':<14} {base}/graphiql#token={person.token}")
    say(f"  {'(none)':<14} reads the catalogue, stock, prices and reviews")


def _obituary(child: ChildProcess, logs: Path) -> str:
    log = logs / f"{child.name}.log"
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
    said = f"\n✗ {child.name} has ended by itself; the rest goes on without it. The end of {log}:"
    return "\n".join([said, *last, f"Start it again, in this folder: {_by_hand(child)}"])


def _by_hand(child: ChildProcess) -> str:
    """What a person types to have the process again, on the same port."""
    environment = {**os.environ, **child.env}
    moved = [f"{name}={environment[name]}" for name in _MOVES if name in environment]
    return " ".join([*moved, shlex.join(word for word in child.command if word != _LIFELINE)])


def _base(child: ChildProcess) -> str:
    parts = urlsplit(child.ready_url)
    return f"{parts.scheme}://{parts.netloc}"


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
