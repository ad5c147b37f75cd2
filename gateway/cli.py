"""`sagaql demo · serve · check · schema · explain · services · faults · init`: what a person types.

Invariants: results on standard output, everything else on standard error; a mistake is a sentence with a remedy, never a
traceback (unless --debug); exit codes: 0 done, 1 it did not work, 2 it cannot work as it is written. What is slow to
import is imported by the command that needs it, so that --help is fast.
"""

from __future__ import annotations

import json
import os
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
    from .execution.explaining import Explanation
    from .graph import Graph
    from .settings import Settings

FAILED, INVALID, INTERRUPTED = 1, 2, 130

_PATH = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings; else SAGAQL_CONFIG, else ./gateway.toml."),
]

_SOCKET = Annotated[
    Path | None,
    typer.Option("--socket", metavar="FILE", help="The gateway's control socket; else server.control of the settings."),
]
_JSON = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
_SERVICE = Annotated[str, typer.Argument(metavar="SERVICE", help="Its name in [services].")]
_INSTANCE = Annotated[str, typer.Argument(metavar="INSTANCE", help="Its address, as `sagaql services` shows it.")]

app = typer.Typer(
    name="sagaql",
    help="One graph over many services: queries that degrade instead of failing, mutations that are durable sagas.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

services_app = typer.Typer(
    name="services", help="Look at the services of the running gateway, and steer them.", rich_markup_mode=None
)
app.add_typer(services_app)


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
    lifeline: Annotated[bool, typer.Option("--lifeline", hidden=True)] = False,
) -> None:
    """Run the gateway in this process until SIGINT or SIGTERM, then drain."""
    with _told(context):
        settings = _settings(config, overrides=_given(host=host, port=port))
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
def explain(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help='The GraphQL document; "-" reads standard input.')],
    operation: Annotated[
        str | None, typer.Option("--operation", metavar="NAME", help="Which operation, if FILE has several.")
    ] = None,
    variables: Annotated[
        str | None,
        typer.Option(
            "--variables", metavar="JSON", help="Its variables, or @FILE; without any it is told for all values."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for tools, instead of a tree.")] = False,
    config: _PATH = None,
) -> None:
    """Tell what an operation will cost and how it fails, without running it: calls, layers, fallbacks, policies.

    No service need be there.
    """
    with _told(context):
        settings = _settings(config)
        told = _explanation(settings, file, operation=operation, variables=variables)
        _print(_as_text(told, as_json=as_json))


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


@app.command()
def faults(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help='As JSON: \'{"reviews": {"error": 0.5, "seed": 7}}\'.')],
    config: _PATH = None,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it is good, at most 24h.")] = "10m",
    tenant: Annotated[str | None, typer.Option(help="The only tenant whose operations it may befall.")] = None,
) -> None:
    """Sign a game day's faults: print the header that makes them befall the operation which is sent with it.

    curl -H "$(sagaql faults '{"reviews": {"hang": 1}}')" … ; the key is operation.game_day_key. Sagas are never harmed.
    """
    with _told(context):
        typer.echo(_faults_header(plan, _settings(config), lasts=lasts, tenant=tenant))


# -- steering a running gateway ----------------------------------------------------------------------------------------


@services_app.callback(invoke_without_command=True)
def services(context: typer.Context, config: _PATH = None, socket: _SOCKET = None, as_json: _JSON = False) -> None:
    """Show how each service and each of its instances is doing, as the running gateway sees it."""
    if context.invoked_subcommand is not None:
        return
    with _told(context):
        _show_services(_asked("services", {}, config=config, socket=socket), as_json=as_json)


@services_app.command("reload")
def reload_services(
    context: typer.Context, config: _PATH = None, socket: _SOCKET = None, as_json: _JSON = False
) -> None:
    """Apply gateway.toml and discovery as they are now. What was set by hand is forgotten."""
    with _told(context):
        _show_changes(_asked("services reload", {}, config=config, socket=socket), as_json=as_json)


@services_app.command("set")
def set_services(
    context: typer.Context,
    assignments: Annotated[
        list[str], typer.Argument(metavar="SERVICE.SETTING=VALUE...", help="As in catalog.bulkhead.limit=32.")
    ],
    config: _PATH = None,
    socket: _SOCKET = None,
    as_json: _JSON = False,
) -> None:
    """Change parameters until a restart or a reload. All of them, or none if one is a mistake."""
    with _told(context):
        found = _asked("services set", {"assignments": assignments}, config=config, socket=socket)
        _show_changes(found, as_json=as_json)


@services_app.command()
def drain(
    context: typer.Context,
    service: _SERVICE,
    instance: _INSTANCE,
    config: _PATH = None,
    socket: _SOCKET = None,
    as_json: _JSON = False,
) -> None:
    """Send nothing new to an instance. What it has under way ends; until `undrain`, or a restart."""
    with _told(context):
        given = {"service": service, "instance": instance}
        _show_changes(_asked("services drain", given, config=config, socket=socket), as_json=as_json)


@services_app.command()
def undrain(
    context: typer.Context,
    service: _SERVICE,
    instance: _INSTANCE,
    config: _PATH = None,
    socket: _SOCKET = None,
    as_json: _JSON = False,
) -> None:
    """Use an instance again. Slowly at first, as if it were new."""
    with _told(context):
        given = {"service": service, "instance": instance}
        _show_changes(_asked("services undrain", given, config=config, socket=socket), as_json=as_json)


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


def _asked(command: str, arguments: Mapping[str, Any], *, config: Path | None, socket: Path | None) -> Any:
    """What the running gateway says to a command."""
    from . import control

    path = socket or _settings(config).control
    if path is None:
        raise Refused(["server.control is empty, so the gateway listens to nobody: set it"], exit_code=INVALID)
    try:
        return control.ask(path, command, arguments)
    except control.NotListening as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except control.Refused as error:
        raise Refused(error.problems, exit_code=INVALID) from error


def _show_services(found: Any, *, as_json: bool) -> None:
    from .control import services_table

    typer.echo(_json(found) if as_json else services_table(found["services"]))


def _show_changes(found: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(_json(found))
        return
    for sentence in found["changed"] or ["nothing changed"]:
        typer.echo(sentence)
    if needs_restart := found.get("needsRestart"):
        _say(f"after a restart only: {', '.join(needs_restart)}")


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _faults_header(plan: str, settings: Settings, *, lasts: str, tenant: str | None) -> str:
    from .clock import LoopClock, duration
    from .edge.game_day import HEADER, checked, expiry, signed, told

    key = settings.operation.secret_of_game_days
    if key is None:
        raise Refused(["operation.game_day_key is not set: set it, here and where the gateway runs"], exit_code=INVALID)
    try:
        until = expiry(duration(lasts), now=LoopClock().wall())
        header = signed(checked(plan, services=settings.services), key=key, until=until, tenant=tenant)
    except ValueError as error:
        raise Refused([str(error)], exit_code=INVALID) from error
    _say(f"good until {told(until)}{f', for tenant {tenant}' if tenant else ''}")
    return f"{HEADER}: {header}"


def _problems(settings: Settings, graph: Graph) -> list[str]:
    from .project import problems

    return problems(settings, graph)


def _wire(settings: Settings, graph: Graph, *, steered: bool = False) -> Any:
    from .app import create_app
    from .graph import GraphInvalid
    from .settings import SettingsInvalid

    try:
        return create_app(settings, graph, steered=steered)
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
            app = _wire(settings, graph, steered=True)
            leave = app.state.gateway.leave
            server.serve(
                app,
                held,
                drain=settings.server.drain,
                log=log,
                on_leave=leave,
                ws_max_size=settings.server.max_body,
            )
    except (server.PortTaken, server.StartFailed) as error:
        raise Refused([str(error)], exit_code=FAILED) from error


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


def _explanation(settings: Settings, file: str, *, operation: str | None, variables: str | None) -> Explanation:
    from graphql import OperationType

    from .execution.explaining import ServiceMissing, TooLarge, VariablesUnfit, explain
    from .operation_file import OperationUnreadable, read_operation, read_variables

    graph, limits = _graph(settings), settings.operation
    try:
        given = read_variables(variables)
        chosen = read_operation(graph.core, file, operation, max_tokens=limits.max_tokens)
        is_write = chosen.kind is OperationType.MUTATION
        return explain(
            graph,
            chosen,
            given,
            services=settings.service_policies(),
            deadline=limits.mutation_deadline if is_write else limits.query_deadline,
            saga_wait=settings.sagas.wait,
            discovered=[name for name, each in settings.services.items() if not each.addresses],
        )
    except (OperationUnreadable, VariablesUnfit) as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    except (ServiceMissing, TooLarge) as error:
        raise Refused([str(error)], exit_code=INVALID) from error


def _as_text(explanation: Explanation, *, as_json: bool) -> str:
    if as_json:
        from .execution.explaining import as_json as plain

        return json.dumps(plain(explanation), indent=2) + "\n"
    from .explanation_tree import WIDTH, explained

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH
    with console.capture() as captured:
        console.print(explained(explanation))
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


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


def _print(text: str) -> None:
    """On standard output, all of it now. Whoever reads may go away, as `head` does: then there is no more to do."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes once more at exit


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
