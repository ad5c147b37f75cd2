"""The hosts that are held to one suite, and how each dies and comes again.

A `Home` is what outlives a process: a journal in memory, a file, an engine's store. `host()` is one life. A life that is given a
`point` calls it before and after everything that is to be durable; one whose point hangs is dead: nothing of it reaches the
home any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gateway.clock import Clock, Epoch
from gateway.sagas import EmbeddedHost, Host, Journal, Owner, Saga, SagaState, SqliteJournal
from gateway.sagas.events import Event
from gateway.sagas.journal import AlreadyThere, Begun, SagaQuery, SagaRecord, StoredSaga
from gateway.testing import MemoryJournal, VirtualLoop
from tests.unit.sagas.world import World, quiet

from .replaying import ReplayingHost, Store

T = TypeVar("T")

Point = Callable[[str], Awaitable[None]]
Sagas = Iterable[type[Saga[Any, Any]]]

TELEMETRY, _ = quiet()


class Home(Protocol):
    """See above. `fail_at`: the durable write, from 1, that fails, and all later ones with it; None heals it."""

    @property
    def writes(self) -> int: ...

    fail_at: int | None

    def host(
        self, world: World, *, sagas: Sagas, clock: Clock, max_open: int = 100, point: Point | None = None
    ) -> Host: ...


class _Guarded:
    """A journal whose writes pass points, can be made to fail, and keep a virtual loop from jumping while a thread works."""

    def __init__(self, inner: Journal, home: _JournalHome, point: Point | None) -> None:
        self.inner = inner
        self.home = home
        self.point = point

    @property
    def is_healthy(self) -> bool:
        return self.inner.is_healthy and not self.home.has_failed

    async def open(self) -> None:
        await _outside(self.inner.open())

    async def close(self) -> None:
        await _outside(self.inner.close())

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        return await self._write("begin", lambda: self.inner.begin(record, events))

    async def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Event],
        state: SagaState | None = None,
        ended_at: Epoch | None = None,
    ) -> None:
        await self._write(
            "append",
            lambda: self.inner.append(
                saga_id, expected_seq=expected_seq, events=events, state=state, ended_at=ended_at
            ),
        )

    async def _write(self, name: str, write: Callable[[], Awaitable[T]]) -> T:
        if self.point is not None:
            await self.point(f"before {name}")
        self.home.count()
        answer = await _outside(write())
        if self.point is not None:
            await self.point(f"after {name}")
        return answer

    async def find(self, saga_id: str) -> StoredSaga | None:
        return await _outside(self.inner.find(saga_id))

    async def find_by_key(self, owner: Owner, *, saga: str, key: str) -> SagaRecord | None:
        return await _outside(self.inner.find_by_key(owner, saga=saga, key=key))

    async def open_sagas(self) -> Sequence[SagaRecord]:
        return await _outside(self.inner.open_sagas())

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        return await _outside(self.inner.search(query))

    async def needing_attention(self) -> Mapping[str, int]:
        return await _outside(self.inner.needing_attention())


async def _outside(work: Awaitable[T]) -> T:
    """No virtual time passes meanwhile: the journal's thread answers when it does."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        return await work
    loop._threads += 1
    try:
        return await work
    finally:
        loop._threads -= 1


class _JournalHome:
    """An embedded host over a journal."""

    def __init__(self) -> None:
        self.writes = 0
        self.fail_at: int | None = None

    @property
    def has_failed(self) -> bool:
        return self.fail_at is not None and self.writes >= self.fail_at

    def count(self) -> None:
        from gateway.errors import SagasUnavailable

        self.writes += 1
        if self.has_failed:
            raise SagasUnavailable("The saga journal cannot be written; nothing was begun.")

    def journal(self) -> Journal:
        raise NotImplementedError

    def host(
        self, world: World, *, sagas: Sagas, clock: Clock, max_open: int = 100, point: Point | None = None
    ) -> Host:
        return EmbeddedHost(
            sagas,
            _Guarded(self.journal(), self, point),
            sender=world,
            reader=world,
            telemetry=TELEMETRY,
            clock=clock,
            max_open=max_open,
        )


class MemoryHome(_JournalHome):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._journal = MemoryJournal()

    def journal(self) -> Journal:
        return self._journal


class FileHome(_JournalHome):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path / "sagas.db"

    def journal(self) -> Journal:
        return SqliteJournal(self._path, telemetry=TELEMETRY)


class EngineHome:
    def __init__(self, path: Path) -> None:
        self._store = Store()

    @property
    def writes(self) -> int:
        return self._store.writes

    @property
    def fail_at(self) -> int | None:
        return self._store.fail_at

    @fail_at.setter
    def fail_at(self, fail_at: int | None) -> None:
        self._store.fail_at = fail_at

    def host(
        self, world: World, *, sagas: Sagas, clock: Clock, max_open: int = 100, point: Point | None = None
    ) -> Host:
        self._store.point = point
        return ReplayingHost(sagas, self._store, world=world, clock=clock, max_open=max_open)


HOMES: Mapping[str, Callable[[Path], Home]] = {
    "embedded in memory": MemoryHome,
    "embedded in a file": FileHome,
    "on an engine that replays": EngineHome,
}
