"""`sagaql sagas …`: what a person types to look at sagas and to help them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from .terminal import INVALID, ConfigOption, JsonOption, Refused, SocketOption, as_text, asked, told

_ID = Annotated[str, typer.Argument(metavar="ID", help="The saga's id, as `sagaql sagas` shows it.")]
_STEP = Annotated[str, typer.Argument(metavar="STEP", help="The step's name.")]
_REASON = Annotated[str, typer.Option("--reason", help="Why; it stands in the saga's history.")]

sagas_app = typer.Typer(
    name="sagas", help="Look at the sagas of the running gateway, and help those that need it.", rich_markup_mode=None
)


@sagas_app.callback(invoke_without_command=True)
def sagas(
    context: typer.Context,
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only these, such as NEEDS_ATTENTION; else all that are open.")
    ] = None,
    saga: Annotated[str | None, typer.Option("--saga", help="Only this one, by its class's name.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many at most, the newest first.")] = 50,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """List sagas, the newest first: those that are not over, unless --status says otherwise."""
    if context.invoked_subcommand is not None:
        return
    with told(context):
        given = {"states": [each.upper() for each in status or ()], "saga": saga, "limit": limit}
        found = asked("sagas", given, config=config, socket=socket)
        typer.echo(as_text(found) if as_json else _tables().sagas_table(found["sagas"]))


@sagas_app.command()
def show(
    context: typer.Context,
    id: _ID,  # noqa: A002 - what it is called on the command line
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how a saga stands, its steps, and everything that has happened to it."""
    with told(context):
        found = asked("sagas show", {"id": id}, config=config, socket=socket)
        typer.echo(as_text(found) if as_json else _tables().saga_text(found))


@sagas_app.command()
def retry(
    context: typer.Context,
    id: _ID,  # noqa: A002
    step: _STEP,
    reason: _REASON,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Try a step, or its undo, again now, with all its patience."""
    with told(context):
        _ask("sagas retry", {"id": id, "step": step, "reason": reason}, config=config, socket=socket)


@sagas_app.command()
def skip(
    context: typer.Context,
    id: _ID,  # noqa: A002
    step: _STEP,
    reason: _REASON,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Go on without a step after the pivot, or let the effect of one stand that cannot be undone."""
    with told(context):
        _ask("sagas skip", {"id": id, "step": step, "reason": reason}, config=config, socket=socket)


@sagas_app.command()
def resolve(
    context: typer.Context,
    id: _ID,  # noqa: A002
    step: _STEP,
    verdict: Annotated[str, typer.Argument(metavar="done|not_done|undone", help="What became of it.")],
    reason: _REASON,
    result: Annotated[str | None, typer.Option("--result", metavar="JSON", help="What it yielded; with done.")] = None,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Say what became of a step, when you have found it out."""
    with told(context):
        given = {"id": id, "step": step, "reason": reason, "verdict": verdict, "result": _parsed(result, "--result")}
        _ask("sagas resolve", given, config=config, socket=socket)


@sagas_app.command()
def cancel(
    context: typer.Context,
    id: _ID,  # noqa: A002
    reason: _REASON,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Undo a saga, if there is still a way back; after its pivot this is recorded and not obeyed."""
    with told(context):
        _ask("sagas cancel", {"id": id, "reason": reason}, config=config, socket=socket)


@sagas_app.command()
def signal(
    context: typer.Context,
    id: _ID,  # noqa: A002
    name: Annotated[str, typer.Argument(metavar="SIGNAL", help="The step that waits for it.")],
    payload: Annotated[str, typer.Argument(metavar="JSON", help="What it brings.")] = "null",
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Send a saga what it waits for, by hand."""
    with told(context):
        given = {"id": id, "signal": name, "payload": _parsed(payload, "the payload")}
        _ask("sagas signal", given, config=config, socket=socket)


def _ask(command: str, given: dict[str, Any], *, config: Path | None, socket: Path | None) -> None:
    found = asked(command, given, config=config, socket=socket)
    typer.echo("it was there already" if found["isRepeated"] else "done; `sagaql sagas show` tells where it leads")


def _parsed(text: str | None, what: str) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise Refused([f"{what} is not JSON: {error}"], exit_code=INVALID) from error


def _tables() -> Any:
    """Imported by who prints, so that --help is fast."""
    from .control import saga_tables

    return saga_tables
