"""What the writer's thread does to the file: begin, append, and keep the chains.

Invariant: every method runs inside a transaction of its caller's and writes nothing when it refuses. `heads` holds the last hash of
sagas that are open here, so that most appends read nothing; after a rollback it is forgotten, and read again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from ..clock import Epoch
from . import key_table
from .chain import event_hash, record_hash
from .events import Event, encode_event, kind_of
from .journal import AlreadyThere, Begun, JournalConflict, SagaRecord
from .journal_file import ADD_EVENT, COLUMNS, record_of, row_of, trace_text
from .states import SagaState

BY_KEY = f"SELECT {COLUMNS} FROM sagas WHERE tenant = ? AND subject = ? AND saga = ? AND idempotency_key = ?"  # noqa: S608
_BEGIN = f"INSERT INTO sagas ({COLUMNS}) VALUES ({', '.join('?' * 15)}) ON CONFLICT DO NOTHING"  # noqa: S608
_SET_STATE = "UPDATE sagas SET state = ?, ended_at = ? WHERE id = ?"
_HEAD = "SELECT seq, hash FROM events WHERE saga_id = ? ORDER BY seq DESC LIMIT 1"
_LAST_POSITION = (
    "SELECT MAX((SELECT COALESCE(MAX(position), 0) FROM events), (SELECT COALESCE(MAX(position), 0) FROM checkpoints), "
    "(SELECT COALESCE(MAX(migrated_position), 0) FROM origin))"
)


class Encoded(NamedTuple):
    """An event as it is stored, ready before the writer's thread has it."""

    at: Epoch
    kind: str
    payload: bytes


def encoded(events: Sequence[Event]) -> list[Encoded]:
    return [Encoded(event.at, kind_of(event), encode_event(event)) for event in events]


class Ledger:
    """One writing connection, and where its chains stand."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._heads: dict[str, tuple[int, bytes]] = {}
        self._position: int | None = self._read_position()

    def __repr__(self) -> str:
        return f"<Ledger at {self._position}, {len(self._heads)} heads>"

    def forget(self) -> None:
        """After a rollback: what the file holds is what counts."""
        self._heads.clear()
        self._position = None

    @property
    def position(self) -> int:
        """Of the last event that was ever written."""
        if self._position is None:
            self._position = self._read_position()
        return self._position

    def _read_position(self) -> int:
        (position,) = self.connection.execute(_LAST_POSITION).fetchone()
        return int(position)

    def begin(self, record: SagaRecord, events: Sequence[Encoded]) -> Begun | AlreadyThere:
        """Raises: JournalConflict when the id is taken."""
        if self.connection.execute(_BEGIN, row_of(record)).rowcount != 1:
            return AlreadyThere(self._begun_by_key(record))
        start = record_hash(record, trace=trace_text(record))
        self._add(record.id, first=0, previous=start, events=events, state=record.state, ended_at=record.ended_at)
        key_table.put(self.connection, record)
        return Begun()

    def _begun_by_key(self, record: SagaRecord) -> SagaRecord:
        by_key = (record.owner.tenant, record.owner.subject, record.saga, record.key)
        found = self.connection.execute(BY_KEY, by_key).fetchone()
        if found is None:
            raise JournalConflict(f"the saga id {record.id} is taken")
        return record_of(found)

    def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Encoded],
        state: SagaState | None,
        ended_at: Epoch | None,
    ) -> None:
        """Raises: JournalConflict unless the saga has exactly `expected_seq` events."""
        seq, head = self._heads.get(saga_id) or self._read_head(saga_id)
        if seq != expected_seq - 1:
            raise JournalConflict(f"saga {saga_id} has {seq + 1} events, not {expected_seq}")
        self._add(saga_id, first=expected_seq, previous=head, events=events, state=state, ended_at=ended_at)
        if state is not None:
            self.connection.execute(_SET_STATE, (state.value, ended_at, saga_id))
        if ended_at is not None:
            key_table.destroy(self.connection, saga_id)

    def _read_head(self, saga_id: str) -> tuple[int, bytes]:
        found = self.connection.execute(_HEAD, (saga_id,)).fetchone()
        if found is None:
            raise JournalConflict(f"saga {saga_id} has no event to follow")
        return found[0], found[1]

    def _add(
        self,
        saga_id: str,
        *,
        first: int,
        previous: bytes,
        events: Sequence[Encoded],
        state: SagaState | None,
        ended_at: Epoch | None,
    ) -> None:
        """The last event carries what the record is set to; so the state has a hash although it changes."""
        position, rows, last = self.position, list[tuple[object, ...]](), len(events) - 1
        for offset, event in enumerate(events):
            carried = (state.value, ended_at) if state is not None and offset == last else (None, None)
            position += 1
            previous = event_hash(
                previous,
                saga_id=saga_id,
                seq=first + offset,
                position=position,
                at=event.at,
                kind=event.kind,
                payload=event.payload,
                state=carried[0],
                ended_at=carried[1],
            )
            rows.append((position, saga_id, first + offset, event.at, event.kind, *carried, event.payload, previous))
        self.connection.executemany(ADD_EVENT, rows)
        self._position = position
        self._keep_head(saga_id, first + last, previous, state=state)

    def _keep_head(self, saga_id: str, seq: int, head: bytes, *, state: SagaState | None) -> None:
        if state is not None and state.is_settled:
            self._heads.pop(saga_id, None)
        else:
            self._heads[saga_id] = seq, head
