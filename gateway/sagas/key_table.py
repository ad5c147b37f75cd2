"""The table of wrapped data keys in the journal's file: one row for each saga with secrets that has not ended.

Invariant: a row is written with its saga and deleted in the transaction that ends it. SQLite overwrites what is deleted
(`secure_delete`); copies in the write-ahead log last until that is folded back, and in backups as long as these: all are wrapped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .journal import SagaRecord

_TABLE = "CREATE TABLE IF NOT EXISTS saga_keys (saga_id TEXT PRIMARY KEY, wrapped BLOB NOT NULL) WITHOUT ROWID"

_SOME = "SELECT saga_id, wrapped FROM saga_keys WHERE saga_id IN ({})"


def prepare(connection: sqlite3.Connection) -> None:
    """Once, for the connection that writes."""
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(_TABLE)


def put(connection: sqlite3.Connection, record: SagaRecord) -> None:
    if record.secret_key is not None:
        connection.execute("INSERT INTO saga_keys VALUES (?, ?)", (record.id, record.secret_key))


def destroy(connection: sqlite3.Connection, saga_id: str) -> None:
    """Nobody opens the saga's secrets any more."""
    connection.execute("DELETE FROM saga_keys WHERE saga_id = ?", (saga_id,))


def keys_of(connection: sqlite3.Connection, saga_ids: Sequence[str]) -> dict[str, bytes]:
    """Of those that have one, by saga."""
    marks = ", ".join("?" * len(saga_ids))
    return dict(connection.execute(_SOME.format(marks), saga_ids).fetchall())


def all_keys(connection: sqlite3.Connection) -> dict[str, bytes]:
    """By saga. Cost: the number of sagas with secrets that have not ended."""
    return dict(connection.execute("SELECT saga_id, wrapped FROM saga_keys").fetchall())
