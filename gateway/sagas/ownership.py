"""Opening a journal's file for writing: the lock of its owner, and a connection that is set for durability.

Invariant: one process owns a file, by an OS lock on the file with `.lock` at its end, which dies with its process.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path

from ..clock import Epoch
from . import key_table
from .host import SagaStartError
from .journal_file import migrate
from .ledger import Ledger

ROOM = 64 * 1024
"""Bytes that must fit, twice, before a journal that was full is written again: so that it does not fail at once."""


def take_lock(path: Path) -> int:
    """Raises: SagaStartError when another process owns the journal, or its directory cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SagaStartError(
            f"the saga journal {path} cannot be created ({error.strerror}): make its directory writable, or name another "
            "file in `sagas.journal`"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise SagaStartError(
            f"the saga journal {path} is owned by another process: stop that process, or give this gateway a file of its "
            "own in `sagas.journal`"
        ) from error
    return lock


def open_ledger(path: Path, *, max_pages: int | None, now: Epoch) -> Ledger:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with ExitStack() as unless_ready:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            unless_ready.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, path, now=now)
            key_table.prepare(connection)
            if max_pages is not None:
                connection.execute(f"PRAGMA max_page_count = {int(max_pages)}")
            ledger = Ledger(connection)
            unless_ready.pop_all()
    except (OSError, sqlite3.Error) as error:
        raise SagaStartError(
            f"the saga journal {path} cannot be opened for writing ({error}): check its permissions and the disk, or restore "
            "it from a backup"
        ) from error
    return ledger


def prove_room(connection: sqlite3.Connection) -> None:
    """Write, commit and remove `ROOM` bytes; the pages stay free for what comes. Raises: sqlite3.Error."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE IF NOT EXISTS room (bytes BLOB)")
        connection.execute("INSERT INTO room VALUES (zeroblob(?))", (ROOM,))
        connection.execute("COMMIT")
        connection.execute("DROP TABLE room")
    except sqlite3.Error:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        connection.close()
        raise
