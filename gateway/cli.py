"""`sagaql demo · serve · check · schema · explain · services · sagas · faults · init`: what a person types.

Invariants: results on standard output, everything else on standard error; a mistake is a sentence with a remedy, never a
traceback (unless --debug); exit codes: 0 done, 1 it did not work, 2 it cannot work as it is written. What is slow to
import is imported by the command that needs it, so that --help is fast.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from . import cli_journal as cli_journal  # which adds its commands to `sagaql sagas`
from .cli_explain import print_explanation
from .cli_sagas import sagas_app
from .cli_serve import Listening, arguments_of, play, serve_alone, supervise, wired
from .terminal import (
    FAILED,
    INVALID,
    ConfigOption,
    JsonOption,
    ProfileOption,
    Refused,
    SocketOption,
    as_text,
    asked,
    graph_of,
    require_none,
    say,
    settings_of,
    told,
)

if TYPE_CHECKING:
    from .settings import Settings

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
app.add_typer(sagas_app)


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
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on; else server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; else SAGAQL_PORT, else server.port.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that answer, beside one that runs the sagas; else server.workers.")
    ] = None,
    profile: ProfileOption = None,
    lifeline: Annotated[bool, typer.Option("--lifeline", hidden=True)] = False,
    part: Annotated[str | None, typer.Option(hidden=True)] = None,
    siblings: Annotated[int, typer.Option(hidden=True)] = -1,
    listening: Annotated[int, typer.Option(hidden=True)] = -1,
    admin_listening: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the gateway until SIGINT or SIGTERM, then drain: in this process, or supervised by it in several."""
    with told(context):
        given = _given(profile, host=host, port=port, workers=workers)
        settings = settings_of(config, overrides=given)
        if part is not None:
            play(part, settings, siblings=siblings, listening=Listening(listening, admin_listening))
        elif settings.server.workers > 1:
            supervise(settings, arguments=arguments_of(config, given), ends_with_stdin=lifeline)
        else:
            serve_alone(settings, ends_with_stdin=lifeline)


@app.command()
def demo(
    context: typer.Context,
    config: ConfigOption = None,
    services: Annotated[bool, typer.Option("--services", help="Only the seven services, without the gateway.")] = False,
) -> None:
    """Run the shop: its seven services and the gateway, until Ctrl-C. Needs a checkout of SagaQL.

    SAGAQL_PORT moves the gateway, DEMO_PORT_BASE the services, DEMO_DATA their data.
    """
    with told(context):
        _demonstrate(config, services_only=services)


@app.command()
def schema(
    context: typer.Context,
    config: ConfigOption = None,
    write: Annotated[bool, typer.Option("--write", help="Rewrite the file that graph.sdl names.")] = False,
) -> None:
    """Print the schema that clients see, as SDL."""
    with told(context):
        settings = settings_of(config)
        sdl = graph_of(settings).sdl
        if not write:
            sys.stdout.write(sdl)
            return
        if settings.sdl is None:
            raise Refused(["graph.sdl names no file: name one in gateway.toml"], exit_code=INVALID)
        settings.sdl.write_text(sdl, encoding="utf-8")
        say(f"wrote {settings.sdl}")


@app.command()
def check(context: typer.Context, config: ConfigOption = None, profile: ProfileOption = None) -> None:
    """Wire everything without serving, and report every mistake: settings, graph, services, sagas, schema file.

    With profile production every risk is listed, a line each: how grave, which setting, who said it, what may happen, what to do.
    """
    with told(context, invalid=FAILED):
        from .cli_risks import tell_risks
        from .project import problems

        settings = settings_of(config, overrides=_given(profile))
        dangers = tell_risks(settings)
        graph = graph_of(settings)
        require_none(problems(settings, graph))
        wired(settings, graph)
        typer.echo(graph.summary())
        if dangers:
            raise typer.Exit(FAILED)


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
    config: ConfigOption = None,
) -> None:
    """Tell what an operation will cost and how it fails, without running it: calls, layers, fallbacks, policies.

    No service need be there.
    """
    with told(context):
        settings = settings_of(config)
        print_explanation(settings, file, operation=operation, variables=variables, as_json=as_json)


@app.command()
def init(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the project is written; made if need be.")],
) -> None:
    """Write a project of your own: small and whole, with a test. Nothing that exists is overwritten."""
    with told(context):
        for file in _project(folder):
            typer.echo(str(file))
        say(f"next: cd {folder} && sagaql schema --write && sagaql check")


@app.command()
def faults(
    context: typer.Context,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help='As JSON: \'{"reviews": {"error": 0.5, "seed": 7}}\'.')],
    config: ConfigOption = None,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long it is good, at most 24h.")] = "10m",
    tenant: Annotated[str | None, typer.Option(help="The only tenant whose operations it may befall.")] = None,
) -> None:
    """Sign a game day's faults: print the header that makes them befall the operation which is sent with it.

    curl -H "$(sagaql faults '{"reviews": {"hang": 1}}')" … ; the key is operation.game_day_key. Sagas are never harmed.
    """
    with told(context):
        typer.echo(_faults_header(plan, settings_of(config), lasts=lasts, tenant=tenant))


@app.command("hash-token")
def hash_token(context: typer.Context) -> None:
    """Print what gateway.toml may hold in place of a static token, as identity.tokens[].sha256.

    openssl rand -hex 32 | tee token.txt | sagaql hash-token ; at a terminal it is asked for, and not shown.
    """
    with told(context):
        typer.echo(_digest_of(_typed() if sys.stdin.isatty() else sys.stdin.read()))


# -- steering a running gateway ----------------------------------------------------------------------------------------


@services_app.callback(invoke_without_command=True)
def services(
    context: typer.Context, config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False
) -> None:
    """Show how each service and each of its instances is doing, as the running gateway sees it."""
    if context.invoked_subcommand is not None:
        return
    with told(context):
        _show_services(asked("services", {}, config=config, socket=socket), as_json=as_json)


@services_app.command("reload")
def reload_services(
    context: typer.Context, config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False
) -> None:
    """Apply gateway.toml and discovery as they are now. What was set by hand is forgotten."""
    with told(context):
        _show_changes(asked("services reload", {}, config=config, socket=socket), as_json=as_json)


@services_app.command("set")
def set_services(
    context: typer.Context,
    assignments: Annotated[
        list[str], typer.Argument(metavar="SERVICE.SETTING=VALUE...", help="As in catalog.bulkhead.limit=32.")
    ],
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change parameters until a restart or a reload. All of them, or none if one is a mistake."""
    with told(context):
        found = asked("services set", {"assignments": assignments}, config=config, socket=socket)
        _show_changes(found, as_json=as_json)


@services_app.command()
def drain(
    context: typer.Context,
    service: _SERVICE,
    instance: _INSTANCE,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send nothing new to an instance. What it has under way ends; until `undrain`, or a restart."""
    with told(context):
        given = {"service": service, "instance": instance}
        _show_changes(asked("services drain", given, config=config, socket=socket), as_json=as_json)


@services_app.command()
def undrain(
    context: typer.Context,
    service: _SERVICE,
    instance: _INSTANCE,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Use an instance again. Slowly at first, as if it were new."""
    with told(context):
        given = {"service": service, "instance": instance}
        _show_changes(asked("services undrain", given, config=config, socket=socket), as_json=as_json)


# -- the work ----------------------------------------------------------------------------------------------------------


def _show_services(found: Any, *, as_json: bool) -> None:
    from .control import services_table

    typer.echo(as_text(found) if as_json else services_table(found["services"]))


def _show_changes(found: Any, *, as_json: bool) -> None:
    if as_json:
        typer.echo(as_text(found))
        return
    for sentence in found["changed"] or ["nothing changed"]:
        typer.echo(sentence)
    if needs_restart := found.get("needsRestart"):
        say(f"after a restart only: {', '.join(needs_restart)}")


def _typed() -> str:
    token: str = typer.prompt("token", hide_input=True, err=True)
    return token


def _digest_of(text: str) -> str:
    from .edge.authentication import SHORTEST_TOKEN, hashed

    token = text.strip()
    if len(token) < SHORTEST_TOKEN:
        why = f"the token has fewer than {SHORTEST_TOKEN} characters, so whoever reads its hash could find it by trying"
        raise Refused([f"{why}: take what `openssl rand -hex 32` prints"], exit_code=INVALID)
    return hashed(token)


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
    say(f"good until {told(until)}{f', for tenant {tenant}' if tenant else ''}")
    return f"{HEADER}: {header}"


def _demonstrate(config: Path | None, *, services_only: bool) -> None:
    from . import demonstration

    try:
        checkout = demonstration.checkout(config)
        settings = settings_of(checkout / "gateway.toml" if config is None else config)
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


# -- the words ---------------------------------------------------------------------------------------------------------


def _given(profile: str | None, **server: str | int | None) -> dict[str, Any]:
    """What the command line says, as a tree of settings."""
    said: dict[str, Any] = {} if profile is None else {"profile": profile}
    return {**said, "server": {name: value for name, value in server.items() if value is not None}}


def _version() -> str:
    try:
        return version("sagaql")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"
