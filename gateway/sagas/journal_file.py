"""The SQLite file of a journal: its tables, its rows, and how an older file becomes one of today.

Invariant: `position` grows with every event of the file and is never given twice, so "all up to here" is a number. A file of schema
1 had no hashes: it gets them at its migration, and its `origin` says so for ever.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..clock import Epoch
from .chain import event_hash, record_hash
from .host import SagaStartError
from .journal import SagaRecord
from .known import Owner
from .states import SagaState

SCHEMA_VERSION = 2

_SAGAS = """
CREATE TABLE sagas (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    saga TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    hash_version INTEGER NOT NULL,
    input BLOB NOT NULL,
    state TEXT NOT NULL,
    trace TEXT NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    deadline_at REAL NOT NULL,
    UNIQUE (tenant, subject, saga, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX sagas_not_ended ON sagas (state, created_at) WHERE ended_at IS NULL;
"""
_CHAINED = """
CREATE INDEX sagas_ended ON sagas (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sagas_by_age ON sagas (created_at, id);
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    saga_id TEXT NOT NULL REFERENCES sagas (id),
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    state TEXT,
    ended_at REAL,
    payload BLOB NOT NULL,
    hash BLOB NOT NULL
);
CREATE UNIQUE INDEX events_of_saga ON events (saga_id, seq);
CREATE TABLE origin (
    journal TEXT PRIMARY KEY,
    created_at REAL NOT NULL,
    migrated_from INTEGER,
    migrated_position INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    position INTEGER NOT NULL,
    sagas INTEGER NOT NULL,
    events INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    digest BLOB NOT NULL,
    prunings INTEGER NOT NULL,
    pruning BLOB NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    signer TEXT,
    signature BLOB
);
CREATE INDEX checkpoints_by_position ON checkpoints (position);
CREATE TABLE prunings (
    number INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    sagas INTEGER NOT NULL,
    digest BLOB NOT NULL,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    signer TEXT,
    signature BLOB
);
CREATE TABLE tombstones (
    saga_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    owner BLOB,
    pruning INTEGER NOT NULL,
    PRIMARY KEY (saga_id, position)
) WITHOUT ROWID;
CREATE INDEX tombstones_of_pruning ON tombstones (pruning);
"""

COLUMNS = (
    "id, tenant, subject, saga, version, digest, idempotency_key, input_hash, hash_version, input, state, trace, "
    "created_at, ended_at, deadline_at"
)
ADD_EVENT = (
    "INSERT INTO events (position, saga_id, seq, at, kind, state, ended_at, payload, hash) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_OLD_EVENTS = (
    f"SELECT {COLUMNS}, seq, at, kind, payload FROM events_1 JOIN sagas ON sagas.id = events_1.saga_id "  # noqa: S608
    "ORDER BY created_at, id, seq"
)


def migrate(connection: sqlite3.Connection, path: Path, *, now: Epoch) -> None:
    """Make the file one of today, in one transaction. Cost for one of schema 1: about 10 µs an event.

    Raises: SagaStartError for a file of a newer gateway.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise SagaStartError(
            f"the saga journal {path} has schema {version} and this gateway knows {SCHEMA_VERSION}: run the newer gateway"
        )
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version == 0:
            _run(connection, _SAGAS + _CHAINED)
        else:
            _run(connection, "ALTER TABLE events RENAME TO events_1;" + _CHAINED)
        position = 0 if version == 0 else _chain_old_events(connection)
        origin = (secrets.token_hex(16), now, version or None, position)
        connection.execute("INSERT INTO origin VALUES (?, ?, ?, ?)", origin)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, script: str) -> None:
    """`executescript` would commit first."""
    for statement in filter(str.strip, script.split(";")):
        connection.execute(statement)


def _chain_old_events(connection: sqlite3.Connection) -> int:
    """Hash what schema 1 holds. Returns: the position of the last event."""
    connection.executemany(ADD_EVENT, _chained(connection.execute(_OLD_EVENTS)))
    connection.execute("DROP TABLE events_1")
    (last,) = connection.execute("SELECT MAX(position) FROM events").fetchone()
    return int(last or 0)


def _chained(rows: Iterator[Sequence[Any]]) -> Iterator[tuple[object, ...]]:
    """The rows of today for those of schema 1, saga by saga. Only a saga's last event carries its state: it is all we know."""
    saga_id, previous = None, b""
    for position, row in enumerate(_with_next(rows), start=1):
        (record, seq, at, kind, payload), is_last = row
        if record.id != saga_id:
            saga_id, previous = record.id, record_hash(record, trace=trace_text(record))
        state = record.state.value if is_last else None
        ended_at = record.ended_at if is_last else None
        previous = event_hash(
            previous,
            saga_id=record.id,
            seq=seq,
            position=position,
            at=at,
            kind=kind,
            payload=payload,
            state=state,
            ended_at=ended_at,
        )
        yield position, record.id, seq, at, kind, state, ended_at, payload, previous


_OldEvent = tuple[SagaRecord, int, Epoch, str, bytes]


def _with_next(rows: Iterator[Sequence[Any]]) -> Iterator[tuple[_OldEvent, bool]]:
    """Each old event, and whether it is the last of its saga."""
    held: _OldEvent | None = None
    for row in rows:
        event = (record_of(row), row[15], Epoch(row[16]), row[17], row[18])
        if held is not None:
            yield held, held[0].id != event[0].id
        held = event
    if held is not None:
        yield held, True


def row_of(record: SagaRecord) -> tuple[object, ...]:
    """In the order of `COLUMNS`."""
    return (
        record.id,
        record.owner.tenant,
        record.owner.subject,
        record.saga,
        record.version,
        record.digest,
        record.key,
        record.input_hash,
        record.hash_version,
        record.input,
        record.state.value,
        trace_text(record),
        record.created_at,
        record.ended_at,
        record.deadline_at,
    )


def trace_text(record: SagaRecord) -> str:
    """The headers as they are stored, and hashed."""
    return msgspec.json.encode(dict(record.trace)).decode()


_TRACE = msgspec.json.Decoder(dict[str, str])


def record_of(row: Sequence[Any], *, secret_key: bytes | None = None) -> SagaRecord:
    """From columns in the order of `COLUMNS`. `secret_key`: what the table of keys has for it."""
    return SagaRecord(
        id=row[0],
        owner=Owner(row[1], row[2]),
        saga=row[3],
        version=row[4],
        digest=row[5],
        key=row[6],
        input_hash=row[7],
        hash_version=row[8],
        input=row[9],
        state=SagaState(row[10]),
        trace=_TRACE.decode(row[11]),
        created_at=Epoch(row[12]),
        ended_at=None if row[13] is None else Epoch(row[13]),
        deadline_at=Epoch(row[14]),
        secret_key=secret_key,
    )
