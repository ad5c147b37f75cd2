"""Sagas as JSON lines, for people and other systems: one line a saga, its whole history in it.

Invariant: a stored format, whose fields are added to, never changed; streamed in the order in which sagas began, a few at a time in
short transactions, so neither memory nor the WAL grows with the journal. Secrets are the business of `redact`, which sees each line
before anybody else does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..clock import Epoch
from .changes import reading
from .events import FindIntended, StepIntended, UndoIntended, decode_event
from .journal import SagaRecord
from .journal_file import COLUMNS, record_of
from .states import SagaState

FORMAT = 1

CHUNK = 100
"""Sagas read in one transaction."""

_HISTORY = "SELECT payload, hash FROM events WHERE saga_id = ? ORDER BY seq"


class ExportedSaga(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line. Instants are seconds since 1970, UTC."""

    format: int = FORMAT
    id: str
    saga: str
    version: int
    digest: str
    tenant: str
    subject: str
    key: str
    state: SagaState
    created_at: Epoch
    deadline_at: Epoch
    ended_at: Epoch | None
    input: msgspec.Raw
    """As the author's type was journalled."""
    events: list[msgspec.Raw]
    """In order, as they were journalled: `kind`, `at`, and what else the kind has."""
    keys: list[str]
    """Idempotency keys that services may have seen: what to look for on their side."""
    head: str
    """Hash of the last event, hex."""


Redact = Callable[[ExportedSaga], ExportedSaga]


def as_it_is(saga: ExportedSaga) -> ExportedSaga:
    """Redacts nothing."""
    return saga


def export(
    path: Path,
    *,
    saga_id: str | None = None,
    saga: str | None = None,
    states: Collection[SagaState] = (),
    begun_from: Epoch | None = None,
    begun_before: Epoch | None = None,
    redact: Redact = as_it_is,
) -> Iterator[bytes]:
    """Lines, their ends included, of the sagas that fit all that is given. Also beside a running gateway.

    Raises: sqlite3.Error when the file cannot be read.
    """
    where, values = _chosen(saga_id=saga_id, saga=saga, states=states, begun_from=begun_from, begun_before=begun_before)
    after: tuple[float, str] | None = None
    with reading(path) as connection:
        while chunk := _read_chunk(connection, where, values, after=after):
            for record, history in chunk:
                yield msgspec.json.encode(redact(_exported(record, history))) + b"\n"
            last = chunk[-1][0]
            after = (last.created_at, last.id)


def _chosen(
    *,
    saga_id: str | None,
    saga: str | None,
    states: Collection[SagaState],
    begun_from: Epoch | None,
    begun_before: Epoch | None,
) -> tuple[list[str], list[Any]]:
    """Conditions and their values. What is asked for becomes values, never text."""
    where, values = ["1"], list[Any]()
    named = (("id = ?", saga_id), ("saga = ?", saga), ("created_at >= ?", begun_from), ("created_at < ?", begun_before))
    for condition, value in named:
        if value is not None:
            where.append(condition)
            values.append(value)
    if states:
        where.append(f"state IN ({', '.join('?' * len(states))})")
        values += sorted(state.value for state in states)
    return where, values


_Stored = tuple[SagaRecord, list[tuple[bytes, bytes]]]


def _read_chunk(
    connection: sqlite3.Connection, where: Sequence[str], values: Sequence[Any], *, after: tuple[float, str] | None
) -> list[_Stored]:
    conditions = [*where, "(created_at, id) > (?, ?)"] if after is not None else where
    statement = f"SELECT {COLUMNS} FROM sagas WHERE {' AND '.join(conditions)} ORDER BY created_at, id LIMIT ?"  # noqa: S608
    connection.execute("BEGIN")
    try:
        records = [record_of(row) for row in connection.execute(statement, (*values, *(after or ()), CHUNK)).fetchall()]
        return [(record, connection.execute(_HISTORY, (record.id,)).fetchall()) for record in records]
    finally:
        connection.execute("COMMIT")


def _exported(record: SagaRecord, history: Sequence[tuple[bytes, bytes]]) -> ExportedSaga:
    return ExportedSaga(
        id=record.id,
        saga=record.saga,
        version=record.version,
        digest=record.digest,
        tenant=record.owner.tenant,
        subject=record.owner.subject,
        key=record.key,
        state=record.state,
        created_at=record.created_at,
        deadline_at=record.deadline_at,
        ended_at=record.ended_at,
        input=msgspec.Raw(record.input),
        events=[msgspec.Raw(payload) for payload, _ in history],
        keys=keys_sent(record.id, [payload for payload, _ in history]),
        head=history[-1][1].hex() if history else "",
    )


def keys_sent(saga_id: str, payloads: Sequence[bytes]) -> list[str]:
    """The idempotency keys under which services may have been called, in the order of their first intention."""
    keys: dict[str, None] = {}
    for payload in payloads:
        match decode_event(payload):
            case StepIntended(step=step) | FindIntended(step=step):
                keys[f"{saga_id}:{step}"] = None
            case UndoIntended(step=step):
                keys[f"{saga_id}:{step}:undo"] = None
            case _:
                pass
    return list(keys)
