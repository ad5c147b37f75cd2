"""Idempotent writes: one key, one effect, one answer, however often it is sent.

Invariant: the effect, its ledger row and the record of its answer are one durable transaction, committed before the
answer leaves. A definite refusal is recorded too; a server error is not, to be tried again. A tombstoned key
never has an effect: whoever undoes a request that has not arrived yet must be sure that it will not arrive later.
Source: IETF draft-ietf-httpapi-idempotency-key-header; Helland, Life beyond Distributed Transactions, CIDR 2007.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from demo.kit.answers import Answer, Refusal
from demo.kit.database import attempt, transaction

SCHEMA = """
CREATE TABLE idempotency (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE tombstones (key TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID
"""

_TOMBSTONED = Refusal(410, "TOMBSTONED", "this request was undone before it arrived; it has no effect").answer
_REUSED = Refusal(422, "IDEMPOTENCY_KEY_REUSED", "this Idempotency-Key belongs to another request").answer


@dataclass(frozen=True, slots=True)
class Keyed:
    """A write as it arrived: its key, and a fingerprint of everything else that matters."""

    key: str
    fingerprint: str
    at: str


def fingerprint(method: str, path: str, body: bytes) -> str:
    return sha256(b"\0".join((method.encode(), path.encode(), body))).hexdigest()


def perform(connection: sqlite3.Connection, request: Keyed, act: Callable[[], Answer]) -> Answer:
    """The answer of `act`, run at most once per key; committed before this returns."""
    with transaction(connection):
        if _is_tombstoned(connection, request.key):
            return _TOMBSTONED
        recorded = _recorded(connection, request.key)
        if recorded is None:
            return _first(connection, request, act)
        known, answer = recorded
        return replace(answer, replayed=True) if known == request.fingerprint else _REUSED


def tombstone(connection: sqlite3.Connection, key: str, *, at: str) -> None:
    """From now on a request with this key is refused. Raises: Refusal if the key already had another effect."""
    recorded = _recorded(connection, key)
    if recorded is not None and recorded[1].status < 400:
        raise Refusal(422, "FORWARD_KEY_MISMATCH", "forwardKey names a request that this undo cannot undo")
    connection.execute("INSERT OR IGNORE INTO tombstones (key, at) VALUES (?, ?)", (key, at))


def _first(connection: sqlite3.Connection, request: Keyed, act: Callable[[], Answer]) -> Answer:
    try:
        with attempt(connection):
            answer = act()
    except Refusal as refusal:
        answer = refusal.answer
    if answer.is_definite:
        connection.execute(
            "INSERT INTO idempotency (key, fingerprint, status, body, at) VALUES (?, ?, ?, ?, ?)",
            (request.key, request.fingerprint, answer.status, answer.body, request.at),
        )
    return answer


def _recorded(connection: sqlite3.Connection, key: str) -> tuple[str, Answer] | None:
    row = connection.execute("SELECT fingerprint, status, body FROM idempotency WHERE key = ?", (key,)).fetchone()
    return None if row is None else (row[0], Answer(row[1], row[2]))


def _is_tombstoned(connection: sqlite3.Connection, key: str) -> bool:
    return connection.execute("SELECT 1 FROM tombstones WHERE key = ?", (key,)).fetchone() is not None
