"""The ledger: one row for every effect that happened, in order, written in the effect's own transaction.

Invariant: an effect without its row, or a row without its effect, cannot be read, not even after SIGKILL. Replays,
refusals and tombstones leave no row. It grows with the effects and is emptied by deleting the demo's data.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

SCHEMA = """
CREATE TABLE ledger (
    position INTEGER PRIMARY KEY, effect TEXT NOT NULL, key TEXT NOT NULL, subject TEXT NOT NULL,
    forward_key TEXT, at TEXT NOT NULL, details TEXT NOT NULL
);
CREATE INDEX ledger_by_key ON ledger (key, effect)
"""


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    effect: str
    key: str
    subject: str
    forward_key: str | None
    at: str
    details: dict[str, Any]


def append(connection: sqlite3.Connection, entry: Entry) -> None:
    connection.execute(
        "INSERT INTO ledger (effect, key, subject, forward_key, at, details) VALUES (?, ?, ?, ?, ?, ?)",
        (entry.effect, entry.key, entry.subject, entry.forward_key, entry.at, msgspec.json.encode(entry.details)),
    )


def entries(connection: sqlite3.Connection) -> list[Entry]:
    rows = connection.execute("SELECT effect, key, subject, forward_key, at, details FROM ledger ORDER BY position")
    return [_entry(*row) for row in rows]


def subject_of(connection: sqlite3.Connection, effect: str, *, key: str) -> str | None:
    """What the request with this key made; None if it made nothing."""
    row = connection.execute("SELECT subject FROM ledger WHERE key = ? AND effect = ?", (key, effect)).fetchone()
    return None if row is None else row[0]


def _entry(*row: Any) -> Entry:
    effect, key, subject, forward_key, at, details = row
    return Entry(effect, key, subject, forward_key, at, msgspec.json.decode(details))
