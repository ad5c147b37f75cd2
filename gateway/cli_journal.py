"""`sagaql sagas draw · verify · export · backup · restore · new-key`: what needs the project or the journal's file, and no gateway.

Invariants: nothing here writes a journal that a gateway may own: restore takes its lock, the others only read. Results stand on
standard output, all else on standard error, so an export can be piped.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_sagas import sagas_app
from .terminal import FAILED, INVALID, ConfigOption, JsonOption, Refused, as_text, say, settings_of, told

if TYPE_CHECKING:
    from .sagas import Definition
    from .sagas.export import ExportedSaga
    from .sagas.states import SagaState
    from .sagas.verification import Verification
    from .settings import Settings

_MIB = 1024 * 1024

JournalOption = Annotated[
    Path | None,
    typer.Option("--journal", metavar="FILE", help="A journal, or a copy of one; else sagas.journal of the settings."),
]


# -- drawing -----------------------------------------------------------------------------------------------------------


@sagas_app.command()
def draw(
    context: typer.Context,
    saga: Annotated[str, typer.Argument(metavar="SAGA", help="By its class's name, such as PlaceOrder.")],
    version: Annotated[int | None, typer.Option("--version", help="An older one; else the newest.")] = None,
    states: Annotated[bool, typer.Option("--states", help="The states it goes through, instead of its steps.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Mermaid, for Markdown, instead of text.")] = False,
    config: ConfigOption = None,
) -> None:
    """Draw a saga: its steps with retries, undos and pivot, or its states. No gateway need run."""
    with told(context):
        definition = _definition(settings_of(config), saga, version=version)
        from .sagas import draw as drawn

        drawing = drawn(definition, "mermaid" if mermaid else "terminal", of="states" if states else "steps")
        typer.echo(drawing, nl=False)


def _definition(settings: Settings, name: str, *, version: int | None) -> Definition:
    from difflib import get_close_matches

    from .graph import GraphInvalid
    from .project import load_graph

    try:
        graph = load_graph(settings)
    except GraphInvalid as error:
        raise Refused(error.problems, exit_code=INVALID) from error
    known = [*graph.sagas.values(), *graph.older_sagas]
    fitting = [each for each in known if each.name == name and version in (None, each.version)]
    if fitting:
        return max(fitting, key=lambda each: each.version)
    versions = sorted(each.version for each in known if each.name == name)
    if versions:
        raise Refused([f"{name} has no version {version}, only {', '.join(map(str, versions))}"], exit_code=INVALID)
    names = sorted({each.name for each in known})
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}" if names else "it has none"
    raise Refused([f"the graph has no saga {name}: {hint}"], exit_code=INVALID)


# -- the journal's file ------------------------------------------------------------------------------------------------


@sagas_app.command()
def verify(
    context: typer.Context,
    journal: JournalOption = None,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", metavar="FILE", help="Checkpoints kept elsewhere; else sagas.anchor.")
    ] = None,
    public_key: Annotated[
        list[str] | None,
        typer.Option("--public-key", metavar="LINE", help="Of a key that may have signed; else of sagas.signing_key."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave SQLite's own check of its pages out, beside a busy gateway.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the journal is what was written, and say what that proves. Exit code 1: it is not.

    With --journal nothing of the settings is needed: a copy can be checked on another machine.
    """
    with told(context):
        settings = None if journal is not None else settings_of(config)
        found = _verified(
            _journal(journal, settings),
            anchor=anchor if anchor is not None or settings is None else settings.keeping.anchor,
            public_keys=public_key or _public_keys(settings),
            check_pages=not quick,
        )
        typer.echo(as_text(_verification(found)) if as_json else found.text())
        if not found.is_intact:
            raise typer.Exit(FAILED)


def _verified(path: Path, *, anchor: Path | None, public_keys: list[str], check_pages: bool) -> Verification:
    from .sagas.verify import verify as verified

    try:
        return verified(path, anchor, public_keys, check_pages=check_pages)
    except OSError as error:
        raise Refused([f"the anchor {anchor} cannot be read: {error.strerror}"], exit_code=INVALID) from error
    except ValueError as error:
        raise Refused([str(error)], exit_code=INVALID) from error


def _public_keys(settings: Settings | None) -> list[str]:
    key = None if settings is None else settings.keeping.key
    return [] if key is None else [str(key.public)]


def _verification(found: Verification) -> dict[str, Any]:
    return {
        "isIntact": found.is_intact,
        "sagas": found.sagas,
        "events": found.events,
        "pruned": found.pruned,
        "problems": [{"kind": each.kind, "message": each.message, "sagaId": each.saga_id} for each in found.problems],
        "proven": list(found.proven),
        "notProven": list(found.not_proven),
        "checkpoint": None if found.last is None else found.last.number,
    }


@sagas_app.command()
def export(
    context: typer.Context,
    journal: JournalOption = None,
    saga_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Only this one.")] = None,
    saga: Annotated[str | None, typer.Option("--saga", help="Only this one, by its class's name.")] = None,
    status: Annotated[list[str] | None, typer.Option("--status", help="Only these, such as COMPLETED.")] = None,
    begun_from: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Begun then or later: 2026-11-25, or with T08:00Z.")
    ] = None,
    begun_before: Annotated[str | None, typer.Option("--before", metavar="TIME", help="Begun before then.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="A new file of yours alone; else standard output.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write sagas as JSON lines, each with its whole history, the oldest first; also beside a running gateway.

    What was declared Secret stands there as "(secret)". The form is described in docs/guides/journal.md.
    """
    with told(context):
        from .sagas.export import export as exported

        path = _journal(journal, None if journal is not None else settings_of(config))
        lines = exported(
            path,
            saga_id=saga_id,
            saga=saga,
            states=_states(status or ()),
            begun_from=_instant(begun_from, "--from"),
            begun_before=_instant(begun_before, "--before"),
            redact=_redacted,
        )
        try:
            count = _to_output(lines) if output is None else _to_file(lines, output)
        except sqlite3.Error as error:
            raise Refused([f"{path} cannot be read: {error}"], exit_code=FAILED) from error
        say(f"{count} sagas" if output is None else f"{count} sagas in {output}")


def _redacted(saga: ExportedSaga) -> ExportedSaga:
    import msgspec

    from .sagas.codec import redacted

    def plain(raw: msgspec.Raw) -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(redacted(msgspec.json.decode(raw))))

    return msgspec.structs.replace(saga, input=plain(saga.input), events=[plain(event) for event in saga.events])


def _to_output(lines: Iterable[bytes]) -> int:
    """Somebody who stops reading, such as `head`, ends it without a word."""
    count = 0
    try:
        for line in lines:
            sys.stdout.buffer.write(line)
            count += 1
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        raise typer.Exit(FAILED) from None
    return count


def _to_file(lines: Iterable[bytes], target: Path) -> int:
    """Under its name only when it is whole."""
    count = 0
    with _new_file(target) as partial, partial.open("wb") as file:
        for line in lines:
            file.write(line)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return count


@contextmanager
def _new_file(target: Path) -> Generator[Path]:
    """A file beside `target` that takes its name at the end, and is gone if there is none. Raises: Refused."""
    if target.exists():
        raise Refused([f"{target} is there already: name a new file, nothing is replaced"], exit_code=INVALID)
    partial = target.with_name(target.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield partial
        target.hardlink_to(partial)  # unlike a rename it never replaces
    except OSError as error:
        raise Refused([f"{target} cannot be written: {error.strerror}"], exit_code=FAILED) from error
    finally:
        partial.unlink(missing_ok=True)


def _states(given: Iterable[str]) -> list[SagaState]:
    from .sagas.states import SagaState

    found: list[SagaState] = []
    for each in given:
        try:
            found.append(SagaState(each.upper()))
        except ValueError:
            states = ", ".join(state.value for state in SagaState)
            raise Refused([f"--status is {each!r}: ask for {states}"], exit_code=INVALID) from None
    return found


def _instant(text: str | None, option: str) -> Any:
    """Without an offset it is UTC, as everything the journal shows."""
    from .clock import Epoch

    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        problem = f"{option} is {text!r}: write a day as 2026-11-25, or an instant as 2026-11-25T08:00:00Z"
        raise Refused([problem], exit_code=INVALID) from None
    return Epoch((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())


@sagas_app.command()
def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; an existing one is not replaced.")],
    journal: JournalOption = None,
    rate: Annotated[float, typer.Option("--rate", metavar="MIB", min=0.1, help="MiB copied a second, at most.")] = 50.0,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the journal as it is at one moment into one file, while the gateway goes on."""
    with told(context):
        from .sagas.backup import BackupRefused
        from .sagas.backup import backup as backed_up

        path = _journal(journal, None if journal is not None else settings_of(config))
        say(f"copying {path.stat().st_size / _MIB:.1f} MiB")
        try:
            made = backed_up(path, target, bytes_per_second=int(rate * _MIB))
        except BackupRefused as error:
            raise Refused([str(error)], exit_code=FAILED) from error
        checkpoint = None if made.last is None else made.last.number
        if as_json:
            typer.echo(as_text({"path": str(made.path), "bytes": made.size, "checkpoint": checkpoint}))
            return
        upto = (
            "without a checkpoint yet" if checkpoint is None else f"up to checkpoint {checkpoint} and what came after"
        )
        typer.echo(f"{made.path}: {made.size / _MIB:.1f} MiB, {upto}")


@sagas_app.command()
def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup, as `sagaql sagas backup` makes it.")],
    config: ConfigOption = None,
) -> None:
    """Put a backup in the place of the journal of the settings, whose gateway must be stopped. What was there is moved aside.

    Sagas that were open in the backup run on from there at the next start; docs/guides/journal.md tells what that does.
    """
    with told(context):
        from .clock import LoopClock
        from .sagas import SagaStartError
        from .sagas.backup import BackupRefused
        from .sagas.backup import restore as restored

        settings = settings_of(config)
        if not source.is_file():
            raise Refused([f"there is no backup {source}"], exit_code=INVALID)
        try:
            found = restored(source, settings.journal, now=LoopClock().wall(), anchor=settings.keeping.anchor)
        except (BackupRefused, SagaStartError) as error:
            raise Refused([str(error)], exit_code=FAILED) from error
        for path in found.moved_aside:
            say(f"moved aside: {path}")
        typer.echo(f"{found.path} is {source} now")
        say("at the next start its open sagas go on from there; what was begun since is not known to it any more")


def _journal(given: Path | None, settings: Settings | None) -> Path:
    """Raises: Refused when there is none."""
    path = given if given is not None else settings.journal if settings is not None else None
    if path is None or not path.is_file():
        raise Refused([f"there is no journal {path}: a gateway makes it at its first start"], exit_code=INVALID)
    return path


# -- keys --------------------------------------------------------------------------------------------------------------


@sagas_app.command("new-key")
def new_key(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="secret|signing", help="What for: see below.")],
) -> None:
    """Make a key and print it; it is kept nowhere.

    secret: for sagas.secret_key, which seals what sagas declare as Secret. signing: for sagas.signing_key, which signs checkpoints;
    its second line is public, and for who verifies.
    """
    with told(context):
        from .sagas.secret_keys import new_secret_key
        from .sagas.signing import new_signing_key

        if kind == "secret":
            typer.echo(new_secret_key())
        elif kind == "signing":
            typer.echo("\n".join(new_signing_key()))
        else:
            raise Refused([f"{kind!r} is no kind of key: say secret or signing"], exit_code=INVALID)
        say(f'keep it in the environment, and set {kind}_key = "${{ITS_NAME}}" below [sagas]')
