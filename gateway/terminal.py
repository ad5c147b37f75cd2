"""What every command of `sagaql` shares: options, sentences for people, exit codes, and a word with the running gateway."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from .graph import Graph
    from .settings import Settings

FAILED, INVALID, INTERRUPTED = 1, 2, 130

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings; else SAGAQL_CONFIG, else ./gateway.toml."),
]

SocketOption = Annotated[
    Path | None,
    typer.Option("--socket", metavar="FILE", help="The gateway's control socket; else server.control of the settings."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="dev or production; else SAGAQL_PROFILE, else profile of the settings."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


class Refused(Exception):
    """What stands in the way, one sentence each, and the exit code that says so."""

    def __init__(self, problems: Sequence[str], *, exit_code: int) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)
        self.exit_code = exit_code


def require_none(problems: Sequence[str]) -> None:
    if problems:
        raise Refused(problems, exit_code=INVALID)


@contextmanager
def told(context: typer.Context, *, invalid: int = INVALID) -> Generator[None]:
    """Turns what went wrong into sentences and an exit code; `invalid` stands in for the code INVALID."""
    try:
        yield
    except Refused as error:
        for problem in error.problems:
            say(f"✗ {problem}")
        code = invalid if error.exit_code == INVALID else error.exit_code
        raise _exit(context, code) from error
    except typer.Exit:
        raise
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error
    except Exception as error:  # the outermost border: nobody above could say it better
        say(f"✗ {type(error).__name__}: {error} (sagaql --debug … shows where)")
        raise _exit(context, FAILED) from error


def _exit(context: typer.Context, code: int) -> typer.Exit:
    if context.obj:
        traceback.print_exc()
    return typer.Exit(code)


def say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)


def settings_of(config: Path | None, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    from .settings import SettingsInvalid, load_settings

    try:
        settings = load_settings(config, overrides=overrides or {})
    except SettingsInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    if str(settings.root) not in sys.path:  # the graph and the discovery stand beside gateway.toml
        sys.path.insert(0, str(settings.root))
    return settings


def graph_of(settings: Settings) -> Graph:
    from .graph import GraphInvalid
    from .project import load_graph

    try:
        return load_graph(settings)
    except GraphInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error


def asked(command: str, arguments: Mapping[str, Any], *, config: Path | None, socket: Path | None) -> Any:
    """What the running gateway says to a command."""
    from . import control

    path = socket or settings_of(config).control
    if path is None:
        raise Refused(["server.control is empty, so the gateway listens to nobody: set it"], exit_code=INVALID)
    try:
        return control.ask(path, command, arguments)
    except control.NotListening as error:
        raise Refused([str(error)], exit_code=FAILED) from error
    except control.Refused as error:
        raise Refused(error.problems, exit_code=INVALID) from error


def as_text(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
