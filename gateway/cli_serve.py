"""What `sagaql serve` does: in this process, as a supervisor of several, or as one of those.

Invariant: the port is held before anything slow is done, so whoever connects meanwhile waits instead of being turned away. What is
slow to import is imported by the function that needs it, as in `cli.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .terminal import FAILED, INVALID, Refused, graph_of, require_none

if TYPE_CHECKING:
    import socket

    from .graph import Graph
    from .settings import Settings
    from .siblings import Siblings
    from .supervisor import Part
    from .telemetry import Log


class Listening(NamedTuple):
    """File descriptors of the ports that a supervisor holds. `admins`: None where there is no such port."""

    clients: int
    admins: int | None


def serve_alone(settings: Settings, *, ends_with_stdin: bool) -> None:
    from . import server
    from .cli_risks import warn_of_dangers
    from .telemetry import json_log

    try:
        with _held(settings) as (held, admin):  # before the slow part
            if ends_with_stdin:
                server.end_with_stdin()
            graph = graph_of(settings)
            require_none(_standing_in_the_way(settings, graph))
            log = json_log(level=settings.telemetry.log_level)
            app = wired(settings, graph, steered=True)
            warn_of_dangers(settings, log=log)
            _answer(app, held, settings, log=log, admin=admin)
    except (server.PortTaken, server.StartFailed) as error:
        raise Refused([str(error)], exit_code=FAILED) from error


def supervise(settings: Settings, *, arguments: Sequence[str], ends_with_stdin: bool) -> None:
    """Hold the port, and keep the processes alive that serve at it."""
    import asyncio

    from . import server
    from .cli_risks import warn_of_dangers
    from .supervisor import ChildFailed, Supervisor
    from .telemetry import json_log

    address = settings.server.host, settings.server.port
    try:
        with _held(settings) as (held, admin):
            if ends_with_stdin:
                server.end_with_stdin()
            log = json_log(level=settings.telemetry.log_level).bind(process="supervisor")
            warn_of_dangers(settings, log=log)
            parts = _parts(settings, arguments=("serve", *arguments))
            supervisor = Supervisor(
                parts,
                held=held,
                log=log,
                url=server.url_of(*address, is_tls=settings.tls is not None),
                admin=admin,
                drain_delay=settings.server.drain_delay,
            )
            asyncio.run(supervisor.run())
    except server.PortTaken as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except ChildFailed as error:
        raise Refused(error.problems, exit_code=error.exit_code) from error


def _parts(settings: Settings, *, arguments: Sequence[str]) -> list[Part]:
    """The workers, and the saga process where there may be sagas."""
    from .siblings import SAGAS
    from .supervisor import Part

    parts = [
        Part(name=f"worker-{number}", arguments=arguments, drain=settings.server.drain)
        for number in range(1, settings.server.workers + 1)
    ]
    if settings.needs_saga_process:
        parts.insert(0, Part(name=SAGAS, arguments=arguments, drain=settings.sagas.drain, runs_sagas=True))
    return parts


def arguments_of(config: Path | None, given: Mapping[str, Any]) -> list[str]:
    """The arguments of `serve`, for processes that shall read the same settings."""
    options = [] if config is None else ["--config", str(config.absolute())]
    for name, value in {**given, **given["server"]}.items():
        if name != "server":
            options += [f"--{name}", str(value)]
    return options


def play(part: str, settings: Settings, *, siblings: int, listening: Listening) -> None:
    """One of the processes of a supervisor, which is told why it cannot start: it says so once for all of them."""
    from . import server
    from .siblings import Failing, Siblings

    server.end_with_stdin()
    supervisor = Siblings(siblings, name=part)
    try:
        _play_with(supervisor, settings, listening=listening)
    except Refused as error:
        supervisor.say(Failing(error.problems, error.exit_code))
        raise SystemExit(
            error.exit_code
        ) from error  # no Exit: the supervisor has the words, so nothing is printed here


def _play_with(supervisor: Siblings, settings: Settings, *, listening: Listening) -> None:
    from . import processes, server
    from .settings import SettingsInvalid
    from .siblings import SAGAS
    from .telemetry import json_log

    graph = graph_of(settings)
    require_none(_standing_in_the_way(settings, graph))
    log = json_log(level=settings.telemetry.log_level).bind(process=supervisor.name)
    try:
        if supervisor.name == SAGAS:
            server.speak_through(log)
            processes.run_sagas(settings, graph, siblings=supervisor)
            return
        app = processes.worker_app(settings, graph, siblings=supervisor)
        admin = None if listening.admins is None else server.inherited(listening.admins)
        _answer(app, server.inherited(listening.clients), settings, log=log, admin=admin)
    except SettingsInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    except server.StartFailed as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except Exception as error:  # the border of this process, as `told` is that of a command
        raise Refused([f"the gateway could not start: {type(error).__name__}: {error}"], exit_code=FAILED) from error


def _answer(app: Any, held: socket.socket, settings: Settings, *, log: Log, admin: socket.socket | None) -> None:
    """Serve until a signal comes, as the settings have it. Raises: StartFailed, PortTaken."""
    from . import server
    from .admin_server import AdminPort

    gateway = app.state.gateway
    server.serve(
        app,
        held,
        drain=settings.server.drain,
        log=log,
        drain_delay=settings.server.drain_delay,
        on_announce=gateway.announce,
        on_leave=gateway.leave,
        ws_max_size=settings.server.max_body,
        tls=settings.tls,
        doorstep=gateway.doorstep,
        heads=settings.server.heads,
        admin=None if admin is None else AdminPort(app=app.state.admin, held=admin, tls=settings.admin.tls),
    )


@contextmanager
def _held(settings: Settings) -> Generator[tuple[socket.socket, socket.socket | None]]:
    """The clients' port, and the admins' if there is one. Raises: PortTaken."""
    from . import server

    admin = settings.admin
    with ExitStack() as both:
        clients = both.enter_context(server.hold_port(settings.server.host, settings.server.port))
        yield (
            clients,
            None
            if admin.port is None
            else both.enter_context(server.hold_port(admin.host, admin.port, moved_by=server.MOVES_ADMINS)),
        )


def wired(settings: Settings, graph: Graph, *, steered: bool = False) -> Any:
    from .app import create_app
    from .graph import GraphInvalid
    from .settings import SettingsInvalid

    try:
        return create_app(settings, graph, steered=steered)
    except (GraphInvalid, SettingsInvalid) as error:
        raise Refused(error.problems, exit_code=INVALID) from error


def _standing_in_the_way(settings: Settings, graph: Graph) -> list[str]:
    """What a gateway cannot run with. A schema file that is out of date is `check`'s business, not an outage."""
    from .project import problems

    without_file = settings.model_copy(update={"graph": settings.graph.model_copy(update={"sdl": None})})
    return problems(without_file, graph)
