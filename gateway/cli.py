"""`sagaql demo · serve · check · schema · init`: what a person types.

Invariants: results on standard output, everything else on standard error; a mistake is a sentence with a remedy, never a
traceback (unless --debug); exit codes: 0 done, 1 it did not work, 2 it cannot work as it is written. What is slow to
import is imported by the command that needs it, so that --help is fast.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from .control import Control
    from .graph import Graph
    from .settings import Settings
    from .supervisor import Part

FAILED, INVALID, INTERRUPTED = 1, 2, 130

_PATH = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings; else SAGAQL_CONFIG, else ./gateway.toml."),
]

app = typer.Typer(
    name="sagaql",
    help="One graph over many services: queries that degrade instead of failing, mutations that are durable sagas.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Refused(Exception):
    """What stands in the way, one sentence each, and the exit code that says so."""

    def __init__(self, problems: Sequence[str], *, exit_code: int) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)
        self.exit_code = exit_code


def main() -> None:
    app()


@app.callback(invoke_without_command=True)
def sagaql(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    context.obj = debug
    if show_version:
        typer.echo(f"sagaql {_version()}")
        raise typer.Exit


@app.command()
def serve(
    context: typer.Context,
    config: _PATH = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on; else server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; else SAGAQL_PORT, else server.port.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer, beside one that runs the sagas; else server.workers.")
    ] = None,
    lifeline: Annotated[bool, typer.Option("--lifeline", hidden=True)] = False,
    part: Annotated[str | None, typer.Option(hidden=True)] = None,
    control: Annotated[int, typer.Option(hidden=True)] = -1,
    listening: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Run the gateway until SIGINT or SIGTERM, then drain: in this process, or supervised by it in several."""
    with _told(context):
        given = _given(host=host, port=port, workers=workers)
        settings = _settings(config, overrides=given)
        if part is not None:
            _play(part, settings, control=control, listening=listening)
        elif settings.server.workers > 1:
            _supervise(settings, arguments=_arguments(config, given), ends_with_stdin=lifeline)
        else:
            _serve(settings, ends_with_stdin=lifeline)


@app.command()
def demo(
    context: typer.Context,
    config: _PATH = None,
    services: Annotated[bool, typer.Option("--services", help="Only the seven services, without the gateway.")] = False,
) -> None:
    """Run the shop: its seven services and the gateway, until Ctrl-C. Needs a checkout of SagaQL.

    SAGAQL_PORT moves the gateway, DEMO_PORT_BASE the services, DEMO_DATA their data.
    """
    with _told(context):
        _demonstrate(config, services_only=services)


@app.command()
def schema(
    context: typer.Context,
    config: _PATH = None,
    write: Annotated[bool, typer.Option("--write", help="Rewrite the file that graph.sdl names.")] = False,
) -> None:
    """Print the schema that clients see, as SDL."""
    with _told(context):
        settings = _settings(config)
        sdl = _graph(settings).sdl
        if not write:
            sys.stdout.write(sdl)
            return
        if settings.sdl is None:
            raise Refused(["graph.sdl names no file: name one in gateway.toml"], exit_code=INVALID)
        settings.sdl.write_text(sdl, encoding="utf-8")
        _say(f"wrote {settings.sdl}")


@app.command()
def check(context: typer.Context, config: _PATH = None) -> None:
    """Wire everything without serving, and report every mistake: settings, graph, services, sagas, schema file."""
    with _told(context, invalid=FAILED):
        settings = _settings(config)
        graph = _graph(settings)
        _require_none(_problems(settings, graph))
        _wire(settings, graph)
        typer.echo(graph.summary())


@app.command()
def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the project is written; made if need be.")],
) -> None:
    """Write a project of your own: small and whole, with a test. Nothing that exists is overwritten."""
    with _told(context):
        for file in _project(folder):
            typer.echo(str(file))
        _say(f"next: cd {folder} && sagaql schema --write && sagaql check")


# -- the work ----------------------------------------------------------------------------------------------------------


def _settings(config: Path | None, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    from .settings import SettingsInvalid, load_settings

    try:
        settings = load_settings(config, overrides=overrides or {})
    except SettingsInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    if str(settings.root) not in sys.path:  # the graph and the discovery stand beside gateway.toml
        sys.path.insert(0, str(settings.root))
    return settings


def _graph(settings: Settings) -> Graph:
    from .graph import GraphInvalid
    from .project import load_graph

    try:
        return load_graph(settings)
    except GraphInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error


def _problems(settings: Settings, graph: Graph) -> list[str]:
    from .project import problems

    return problems(settings, graph)


def _wire(settings: Settings, graph: Graph) -> Any:
    from .app import create_app
    from .graph import GraphInvalid
    from .settings import SettingsInvalid

    try:
        return create_app(settings, graph)
    except (GraphInvalid, SettingsInvalid) as error:
        raise Refused(error.problems, exit_code=INVALID) from error


def _serve(settings: Settings, *, ends_with_stdin: bool) -> None:
    from . import server
    from .telemetry import json_log

    try:
        with server.hold_port(settings.server.host, settings.server.port) as held:  # before the slow part
            if ends_with_stdin:
                server.end_with_stdin()
            graph = _graph(settings)
            _require_none(_standing_in_the_way(settings, graph))
            log = json_log(level=settings.telemetry.log_level)
            app = _wire(settings, graph)
            leave = app.state.gateway.leave
            server.serve(app, held, drain=settings.server.drain, log=log, on_leave=leave)
    except (server.PortTaken, server.StartFailed) as error:
        raise Refused([str(error)], exit_code=FAILED) from error


def _supervise(settings: Settings, *, arguments: Sequence[str], ends_with_stdin: bool) -> None:
    """Hold the port, and keep the processes alive that serve at it."""
    import asyncio

    from . import server
    from .supervisor import ChildFailed, Supervisor
    from .telemetry import json_log

    address = settings.server.host, settings.server.port
    try:
        with server.hold_port(*address) as held:
            if ends_with_stdin:
                server.end_with_stdin()
            log = json_log(level=settings.telemetry.log_level).bind(process="supervisor")
            parts = _parts(settings, arguments=("serve", *arguments))
            asyncio.run(Supervisor(parts, held=held, log=log, url=server.url_of(*address)).run())
    except server.PortTaken as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except ChildFailed as error:
        raise Refused(error.problems, exit_code=error.exit_code) from error


def _parts(settings: Settings, *, arguments: Sequence[str]) -> list[Part]:
    """The workers, and the saga process where there may be sagas."""
    from .control import SAGAS
    from .supervisor import Part

    parts = [
        Part(name=f"worker-{number}", arguments=arguments, drain=settings.server.drain)
        for number in range(1, settings.server.workers + 1)
    ]
    if settings.needs_saga_process:
        parts.insert(0, Part(name=SAGAS, arguments=arguments, drain=settings.sagas.drain, runs_sagas=True))
    return parts


def _play(part: str, settings: Settings, *, control: int, listening: int) -> None:
    """One of the processes of a supervisor, which is told why it cannot start: it says so once for all of them."""
    from . import server
    from .control import Control, Failing

    server.end_with_stdin()
    supervisor = Control(control, name=part)
    try:
        _play_with(supervisor, settings, listening=listening)
    except Refused as error:
        supervisor.say(Failing(error.problems, error.exit_code))
        raise SystemExit(
            error.exit_code
        ) from error  # no Exit: the supervisor has the words, so nothing is printed here


def _play_with(supervisor: Control, settings: Settings, *, listening: int) -> None:
    from . import processes, server
    from .control import SAGAS
    from .settings import SettingsInvalid
    from .telemetry import json_log

    graph = _graph(settings)
    _require_none(_standing_in_the_way(settings, graph))
    log = json_log(level=settings.telemetry.log_level).bind(process=supervisor.name)
    try:
        if supervisor.name == SAGAS:
            server.speak_through(log)
            processes.run_sagas(settings, graph, control=supervisor)
            return
        app = processes.worker_app(settings, graph, control=supervisor)
        leave = app.state.gateway.leave
        held = server.inherited(listening)
        server.serve(app, held, drain=settings.server.drain, log=log, on_leave=leave)
    except SettingsInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    except server.StartFailed as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except Exception as error:  # the border of this process, as `_told` is that of a command
        raise Refused([f"the gateway could not start: {type(error).__name__}: {error}"], exit_code=FAILED) from error


def _arguments(config: Path | None, given: Mapping[str, Any]) -> list[str]:
    """The arguments of `serve`, for processes that shall read the same settings."""
    options = [] if config is None else ["--config", str(config.absolute())]
    for name, value in given["server"].items():
        options += [f"--{name}", str(value)]
    return options


def _demonstrate(config: Path | None, *, services_only: bool) -> None:
    from . import demonstration

    try:
        checkout = demonstration.checkout(config)
        settings = _settings(checkout / "gateway.toml" if config is None else config)
        demonstration.run(settings, checkout, services_only=services_only, console=Console(soft_wrap=True))
    except demonstration.NoDemonstration as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except KeyboardInterrupt:  # before anything was started: what was asked for is done
        return


def _project(folder: Path) -> list[Path]:
    from .scaffold import AlreadyThere, write_project

    try:
        return write_project(folder)
    except (AlreadyThere, OSError) as error:
        raise Refused([str(error)], exit_code=FAILED) from error


def _standing_in_the_way(settings: Settings, graph: Graph) -> list[str]:
    """What a gateway cannot run with. A schema file that is out of date is `check`'s business, not an outage."""
    without_file = settings.model_copy(update={"graph": settings.graph.model_copy(update={"sdl": None})})
    return _problems(without_file, graph)


# -- the words ---------------------------------------------------------------------------------------------------------


@contextmanager
def _told(context: typer.Context, *, invalid: int = INVALID) -> Generator[None]:
    """Turns what went wrong into sentences and an exit code; `invalid` stands in for the code INVALID."""
    try:
        yield
    except Refused as error:
        for problem in error.problems:
            _say(f"✗ {problem}")
        code = invalid if error.exit_code == INVALID else error.exit_code
        raise _exit(context, code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error
    except Exception as error:  # the outermost border: nobody above could say it better
        _say(f"✗ {type(error).__name__}: {error} (sagaql --debug … shows where)")
        raise _exit(context, FAILED) from error


def _exit(context: typer.Context, code: int) -> typer.Exit:
    if context.obj:
        traceback.print_exc()
    return typer.Exit(code)


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def _require_none(problems: Sequence[str]) -> None:
    if problems:
        raise Refused(problems, exit_code=INVALID)


def _given(**server: str | int | None) -> dict[str, Any]:
    return {"server": {name: value for name, value in server.items() if value is not None}}


def _version() -> str:
    try:
        return version("sagaql")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"
