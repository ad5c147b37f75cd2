"""A saga journal in memory, that keeps its promises and can be made to break them at a chosen write.

Invariant: events pass through the stored format, so what this journal takes, a file takes. What survives a "crash" is the
`MemoryJournal` itself: open it again with another host.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..clock import Epoch
from ..errors import SagasUnavailable
from ..sagas.events import Event, decode_event, encode_event
from ..sagas.journal import AlreadyThere, Begun, JournalConflict, SagaQuery, SagaRecord, StoredSaga
from ..sagas.known import Owner
from ..sagas.states import SagaState


class MemoryJournal:
    """See `Journal`. `writes` counts durable writes; the one numbered `fail_at` (from 1), and all later ones, fail."""

    def __init__(self, *, fail_at: int | None = None) -> None:
        self.writes = 0
        self.fail_at = fail_at
        self._is_open = False
        self._records: dict[str, SagaRecord] = {}
        self._events: dict[str, list[bytes]] = {}
        self._keys: dict[tuple[Owner, str, str], str] = {}

    def __repr__(self) -> str:
        return f"<MemoryJournal {len(self._records)} sagas, {self.writes} writes>"

    @property
    def is_healthy(self) -> bool:
        return self._is_open and (self.fail_at is None or self.writes < self.fail_at)

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        key = (record.owner, record.saga, record.key)
        if key in self._keys:
            return AlreadyThere(self._records[self._keys[key]])
        self._count_write()
        self._keys[key] = record.id
        self._records[record.id] = record
        self._events[record.id] = [encode_event(event) for event in events]
        return Begun()

    async def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Event],
        state: SagaState | None = None,
        ended_at: Epoch | None = None,
    ) -> None:
        if len(self._events[saga_id]) != expected_seq:
            raise JournalConflict(f"saga {saga_id} has {len(self._events[saga_id])} events, not {expected_seq}")
        self._count_write()
        self._events[saga_id] += [encode_event(event) for event in events]
        if state is not None:
            record = self._records[saga_id]
            key = record.secret_key if ended_at is None else None
            self._records[saga_id] = replace(record, state=state, ended_at=ended_at, secret_key=key)

    async def find(self, saga_id: str) -> StoredSaga | None:
        record = self._records.get(saga_id)
        if record is None:
            return None
        return StoredSaga(record, tuple(decode_event(payload) for payload in self._events[saga_id]))

    async def find_by_key(self, owner: Owner, *, saga: str, key: str) -> SagaRecord | None:
        found = self._keys.get((owner, saga, key))
        return None if found is None else self._records[found]

    async def open_sagas(self) -> Sequence[SagaRecord]:
        return [record for record in self._records.values() if not record.state.is_settled]

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        found = [record for record in self._records.values() if _fits(record, query)]
        found.sort(key=lambda record: (record.created_at, record.id), reverse=True)
        return found[: query.limit]

    async def needing_attention(self) -> Mapping[str, int]:
        waiting = [record for record in self._records.values() if record.state is SagaState.NEEDS_ATTENTION]
        return Counter(record.saga for record in waiting)

    def _count_write(self) -> None:
        if not self._is_open:
            raise SagasUnavailable("The saga journal is closed; nothing was begun.")
        self.writes += 1
        if self.fail_at is not None and self.writes >= self.fail_at:
            raise SagasUnavailable("The saga journal cannot be written; nothing was begun.")


def _fits(record: SagaRecord, query: SagaQuery) -> bool:
    return (
        (not query.states or record.state in query.states)
        and query.saga in (None, record.saga)
        and query.owner in (None, record.owner)
        and (query.before is None or (record.created_at, record.id) < query.before)
    )
