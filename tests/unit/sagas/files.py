"""Journals in files, for tests: full of small sagas, of schema 1, and read as bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.clock import Epoch
from gateway.sagas import Owner, SagaState
from gateway.sagas.events import Event, SagaEnded, SagaStarted, StepDone, StepIntended, encode_event, kind_of
from gateway.sagas.journal import Journal, SagaRecord
from gateway.sagas.journal_file import COLUMNS, row_of

OWNER = Owner("shop", "ada")

SCHEMA_1 = """
CREATE TABLE sagas (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, subject TEXT NOT NULL, saga TEXT NOT NULL, version INTEGER NOT NULL,
    digest TEXT NOT NULL, idempotency_key TEXT NOT NULL, input_hash TEXT NOT NULL, hash_version INTEGER NOT NULL,
    input BLOB NOT NULL, state TEXT NOT NULL, trace TEXT NOT NULL, created_at REAL NOT NULL, ended_at REAL,
    deadline_at REAL NOT NULL, UNIQUE (tenant, subject, saga, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX sagas_not_ended ON sagas (state, created_at) WHERE ended_at IS NULL;
CREATE TABLE events (
    saga_id TEXT NOT NULL REFERENCES sagas (id), seq INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    payload BLOB NOT NULL, PRIMARY KEY (saga_id, seq)
) WITHOUT ROWID;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
"""As the first release made it."""


def record_of(name: str, *, at: float = 1.0, owner: Owner = OWNER, input_value: bytes = b'{"sku":"a"}') -> SagaRecord:
    return SagaRecord(
        id=name,
        owner=owner,
        saga="PlaceOrder",
        version=1,
        digest="d",
        key=name,
        input_hash="h",
        input=input_value,
        state=SagaState.RUNNING,
        trace={"traceparent": "00-1-2-01"},
        created_at=Epoch(at),
        deadline_at=Epoch(at + 30),
    )


def beginning(at: float = 1.0) -> list[Event]:
    return [SagaStarted(at=Epoch(at), deadline_at=Epoch(at + 30)), StepIntended(at=Epoch(at), step="a", attempt=1)]


def ending(at: float = 2.0, state: SagaState = SagaState.COMPLETED) -> list[Event]:
    done = StepDone(at=Epoch(at), step="a", attempt=1, result=msgspec.Raw(b'{"card":"4242"}'))
    return [done, SagaEnded(at=Epoch(at), state=state)]


async def begin(journal: Journal, name: str, *, at: float = 1.0) -> None:
    await journal.begin(record_of(name, at=at), beginning(at))


async def end(journal: Journal, name: str, *, at: float = 2.0, state: SagaState = SagaState.COMPLETED) -> None:
    ended_at = Epoch(at) if state.is_final else None
    await journal.append(name, expected_seq=2, events=ending(at, state), state=state, ended_at=ended_at)


def write_schema_1(path: Path, sagas: Sequence[str]) -> None:
    """A file as the first release left it: each saga ended but the last."""
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA_1)
    marks = ", ".join("?" * 15)
    for name in sagas:
        is_open = name == sagas[-1]
        connection.execute(f"INSERT INTO sagas ({COLUMNS}) VALUES ({marks})", row_of(record_of(name)))
        for seq, event in enumerate([*beginning(), *([] if is_open else ending())]):
            row = (name, seq, event.at, kind_of(event), encode_event(event))
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
        if not is_open:
            connection.execute("UPDATE sagas SET state = 'COMPLETED', ended_at = 2.0 WHERE id = ?", (name,))
    connection.commit()
    connection.close()


def rows(path: Path, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def change(path: Path, statement: str, values: Sequence[object] = ()) -> int:
    """What a person with an editor does to the file. Returns: rows changed."""
    connection = sqlite3.connect(path)
    try:
        changed = connection.execute(statement, values).rowcount
        connection.commit()
        return changed
    finally:
        connection.close()
