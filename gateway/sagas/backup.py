"""Copies of a journal while it is written, and the way back.

Invariants: a backup is the journal as of one moment, in one file, or there is none: it gets its name last, and never one that is
taken. A restore takes nothing away: what stood in its place is moved aside. Neither goes on where a check of the copy fails.
Source: SQLite's page on its online backup API. The snapshot is held meanwhile, or each commit would begin the copy anew; so the WAL
grows by what is committed while it lasts.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..clock import Epoch, Seconds, utc
from .anchor import sync_directory
from .changes import last_checkpoint, reading
from .checkpoints import Checkpoint
from .ownership import take_lock
from .verify import verify

PAGES = 256
"""Copied at once: a MiB."""


class BackupRefused(RuntimeError):
    """A backup was not made, or not restored; nothing was changed. The message names the remedy."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied. `last`: the newest checkpoint in it, None for a journal without one."""

    path: Path
    size: int
    """Bytes."""
    last: Checkpoint | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands in the journal's place now, and what was moved aside for it."""

    path: Path
    moved_aside: tuple[Path, ...]


def backup(path: Path, target: Path, *, bytes_per_second: int = 50 * 1024 * 1024) -> Backup:
    """Copy the journal `path` to the new file `target`; the gateway goes on meanwhile. Blocks; call it in a thread.

    `bytes_per_second`: the most that is copied, on the average of a few steps; what is left of the disk's time is the gateway's.

    Raises: BackupRefused.
    """
    if target.exists():
        raise BackupRefused(f"{target} is there already: name a new file, a backup replaces nothing")
    partial = target.with_name(target.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        last = _copy(path, partial, pause=Seconds(PAGES * 4096 / bytes_per_second))
        _sync(partial)
        target.hardlink_to(partial)  # unlike a rename it never replaces
        partial.unlink()
        sync_directory(target.parent)
    except (OSError, sqlite3.Error) as error:
        partial.unlink(missing_ok=True)
        raise BackupRefused(f"{path} cannot be copied to {target}: {error}") from error
    return Backup(target, target.stat().st_size, last)


def _copy(path: Path, partial: Path, *, pause: Seconds) -> Checkpoint | None:
    """`pause`: after each step, so that others have the disk meanwhile. SQLite's own `sleep` is for a file that is busy only.

    Raises: sqlite3.Error, also when what was copied is broken.
    """

    def leave_room(_status: int, remaining: int, _total: int) -> None:
        if remaining:
            time.sleep(pause)  # in the thread that copies, which does nothing else

    with reading(path) as source, closing(sqlite3.connect(partial, isolation_level=None)) as copy:
        source.execute("BEGIN")
        last = last_checkpoint(source)  # reads, and so takes the snapshot
        source.backup(copy, pages=PAGES, progress=leave_room)
        source.execute("COMMIT")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL beside it
        (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise sqlite3.DatabaseError(f"what was copied is broken: {said}")
        return last


def restore(source: Path, path: Path, *, now: Epoch, anchor: Path | None = None) -> Restored:
    """Put the backup `source` in the place of the journal `path`, whose gateway must be stopped.

    `anchor`: moved aside too, since it knows more than the backup does; the journal begins another one.
    Raises: BackupRefused; SagaStartError while a gateway owns the journal.
    """
    found = verify(source)
    if not found.is_intact:
        raise BackupRefused(f"{source} is not restored, it is no intact journal: {found.problems[0]}")
    lock = take_lock(path)
    try:
        partial = path.with_name(path.name + ".partial")
        shutil.copyfile(source, partial)
        partial.chmod(0o600)
        _sync(partial)
        moved = tuple(_moved_aside([path, *_companions(path), *([] if anchor is None else [anchor])], now=now))
        partial.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise BackupRefused(f"{source} cannot be put in the place of {path}: {error}") from error
    finally:
        os.close(lock)
    return Restored(path, moved)


def _companions(path: Path) -> Iterator[Path]:
    """What SQLite keeps beside the file; an older WAL beside another file would be folded into it."""
    for suffix in ("-wal", "-shm"):
        yield path.with_name(path.name + suffix)


def _moved_aside(paths: list[Path], *, now: Epoch) -> Iterator[Path]:
    """The same names with an instant behind: `journal.sqlite3.20261125T120000Z`, and `-wal` after that."""
    stamp = utc(now).strftime("%Y%m%dT%H%M%SZ")
    for path in paths:
        if path.exists():
            yield path.rename(_aside(path, stamp))


def _aside(path: Path, stamp: str) -> Path:
    for suffix in ("-wal", "-shm"):
        if path.name.endswith(suffix):
            return path.with_name(f"{path.name.removesuffix(suffix)}.{stamp}{suffix}")
    return path.with_name(f"{path.name}.{stamp}")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
