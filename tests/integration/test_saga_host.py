"""A process that may die at any point: after every journal write, before and after every effect. Nothing is lost or doubled.

A dead process is one whose every further touch of the outside hangs: its journal is reopened by the next, as after SIGKILL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Epoch, LoopClock, Seconds
from gateway.errors import SagasUnavailable
from gateway.sagas import Journal, Owner, Saga, SagaState, SagaView, SqliteJournal, Ticket
from gateway.sagas.events import Event
from gateway.sagas.journal import AlreadyThere, Begun, SagaQuery, SagaRecord, StoredSaga
from gateway.testing import VirtualClock, run_virtual
from gateway.testing.journal import MemoryJournal

from ..unit.sagas.world import Chain, Fault, PlaceOrder, World, begin, host_of, quiet, settle, total

TELEMETRY, _ = quiet()


class Mortal:
    """Counts the points at which a process may die, and dies at one of them."""

    def __init__(self, dies_at: int | None) -> None:
        self.points = 0
        self.dies_at = dies_at
        self.dead = asyncio.Event()

    async def point(self, name: str) -> None:
        self.points += 1
        if self.points == self.dies_at:
            self.dead.set()
        if self.dead.is_set():
            await asyncio.get_running_loop().create_future()


class MortalJournal:
    """A journal that its process may not live to hear from."""

    def __init__(self, inner: Journal, mortal: Mortal) -> None:
        self.inner = inner
        self.mortal = mortal

    @property
    def is_healthy(self) -> bool:
        return self.inner.is_healthy

    async def open(self) -> None:
        await self.inner.open()

    async def close(self) -> None:
        await self.inner.close()

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        await self.mortal.point("before begin")
        answer = await self.inner.begin(record, events)
        await self.mortal.point("after begin")
        return answer

    async def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Event],
        state: SagaState | None = None,
        ended_at: Epoch | None = None,
    ) -> None:
        await self.mortal.point("before append")
        await self.inner.append(saga_id, expected_seq=expected_seq, events=events, state=state, ended_at=ended_at)
        await self.mortal.point("after append")

    async def find(self, saga_id: str) -> StoredSaga | None:
        return await self.inner.find(saga_id)

    async def find_by_key(self, owner: Owner, *, saga: str, key: str) -> SagaRecord | None:
        return await self.inner.find_by_key(owner, saga=saga, key=key)

    async def open_sagas(self) -> Sequence[SagaRecord]:
        return await self.inner.open_sagas()

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        return await self.inner.search(query)

    async def needing_attention(self) -> Mapping[str, int]:
        return await self.inner.needing_attention()


async def live(journal: Journal, world: World, saga: type[Saga[Any, Any]], *, dies_at: int | None) -> int | None:
    """One life of a process, in which an honest client (re)sends its begin; the points passed, or None if it died."""
    mortal = Mortal(dies_at)
    world.around = mortal.point
    clock = VirtualClock() if isinstance(journal, MemoryJournal) else LoopClock()
    host = host_of(MortalJournal(journal, mortal), world, sagas=[saga], clock=clock, telemetry=TELEMETRY)

    async def client() -> SagaView:
        await host.start()
        return await settle(host, await begin(host, saga))

    working = asyncio.create_task(client())
    dying = asyncio.create_task(mortal.dead.wait())
    await asyncio.wait((working, dying), return_when=asyncio.FIRST_COMPLETED)
    if mortal.dead.is_set():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await host.stop(Seconds(0))  # cancels what hangs; nothing more reaches journal or world
        return None
    dying.cancel()
    check(working.result(), world)
    await host.stop(Seconds(1))
    return mortal.points


def check(view: SagaView, world: World) -> None:
    assert view.status in (SagaState.COMPLETED, SagaState.COMPENSATED), view
    assert max(world.effects.values(), default=0) <= 1, "doubled"
    if view.status is SagaState.COMPLETED:
        assert world.balance() == {step.name: 1 for step in sorted(view.steps, key=lambda step: step.name)}, "lost"
    else:
        assert world.balance() == {}, "not undone"


def always(path: str, fault: str) -> Fault:
    return lambda called, nth: fault if called == path else "ok"


def once(path: str, fault: str) -> Fault:
    return lambda called, nth: fault if (called, nth) == (path, 1) else "ok"


STORIES: list[tuple[type[Saga[Any, Any]], Fault]] = [
    (saga, fault)
    for saga, paths in ((PlaceOrder, ("/reserve", "/capture", "/ship")), (Chain, ("/one", "/three")))
    for fault in (
        always("", "ok"),
        *(always(path, "reject") for path in paths if path != "/ship"),
        *(once(path, "lost after") for path in paths),
        *(once(path, "lost before") for path in paths),
    )
]


def named(value: object) -> str:
    return value.__name__ if isinstance(value, type) else ""


@pytest.mark.parametrize(("saga", "fault"), STORIES, ids=named)
def test_a_process_that_dies_twice_at_any_two_points_loses_and_doubles_nothing(
    saga: type[Saga[Any, Any]], fault: Fault
) -> None:
    async def story(first: int, second: int | None) -> bool:
        """Whether the first death came at all."""
        journal, world = MemoryJournal(), World(fault)
        if await live(journal, world, saga, dies_at=first) is not None:
            return False
        if second is not None and await live(journal, world, saga, dies_at=second) is not None:
            return True
        assert await live(journal, world, saga, dies_at=None) is not None
        return True

    first = 1
    while run_virtual(story(first, None)):
        for second in range(1, 12, 2):
            run_virtual(story(first, second))
        first += 1
    assert first > 5


@pytest.mark.parametrize(
    ("saga", "fault"),
    [(PlaceOrder, always("", "ok")), (PlaceOrder, always("/capture", "reject")), (Chain, once("/two", "lost after"))],
)
async def test_the_file_is_enough_to_go_on_from_wherever_the_process_died(
    saga: type[Saga[Any, Any]], fault: Fault, tmp_path: Path
) -> None:
    first = 1
    while True:
        path, world = tmp_path / f"{first}.db", World(fault)
        if await live(SqliteJournal(path, telemetry=TELEMETRY), world, saga, dies_at=first) is not None:
            break
        assert await live(SqliteJournal(path, telemetry=TELEMETRY), world, saga, dies_at=None) is not None
        first += 1
    assert first > 10


# -- the file under load -----------------------------------------------------------------------------------------------


async def test_many_sagas_at_once_share_commits_and_all_end(tmp_path: Path) -> None:
    telemetry, _ = quiet()
    world = World(lambda path, nth: "reject" if path == "/capture" and nth % 3 == 0 else "ok")
    host = host_of(
        SqliteJournal(tmp_path / "sagas.db", telemetry=telemetry), world, telemetry=telemetry, clock=LoopClock()
    )
    await host.start()

    async def one(number: int) -> SagaView:
        return await settle(host, await begin(host, key=f"k{number}"))

    views = await asyncio.gather(*(one(number) for number in range(90)))
    assert sum(view.status is SagaState.COMPLETED for view in views) == 60
    assert sum(view.status is SagaState.COMPENSATED for view in views) == 30
    assert sum(world.balance().values()) == 60 * 4
    operations, commits = (total(telemetry, f"sagaql_journal_commit_operations_{what}") for what in ("sum", "count"))
    assert operations > 2 * commits
    assert host.open_count == 0
    await host.stop(Seconds(5))


async def test_a_chain_of_n_steps_costs_n_plus_one_durable_writes(tmp_path: Path) -> None:
    telemetry, _ = quiet()
    host = host_of(
        SqliteJournal(tmp_path / "sagas.db", telemetry=telemetry), World(), telemetry=telemetry, clock=LoopClock()
    )
    await host.start()
    await settle(host, await begin(host, Chain))
    await host.stop(Seconds(5))
    assert total(telemetry, "sagaql_journal_commit_operations_sum") == 3 + 1


async def test_a_full_disk_stops_sagas_refuses_clearly_and_a_roomier_one_finishes_them(tmp_path: Path) -> None:
    path, world = tmp_path / "sagas.db", World()
    telemetry, _ = quiet()
    host = host_of(SqliteJournal(path, telemetry=telemetry, max_pages=40), world, max_open=10_000, clock=LoopClock())
    await host.start()
    tickets: list[Ticket] = []
    number = 0
    while host.is_healthy:
        with suppress(SagasUnavailable):
            tickets.append(await begin(host, Chain, key=f"k{number}"))
        number += 1
    with pytest.raises(SagasUnavailable):
        await begin(host, Chain, key="one more")
    assert not host.is_healthy
    seen = await host.view(tickets[0].saga_id)
    assert seen is not None
    await host.stop(Seconds(5))

    host = host_of(SqliteJournal(path, telemetry=telemetry), world, clock=LoopClock())
    await host.start()
    views = [await settle(host, ticket) for ticket in tickets]
    assert {view.status for view in views} == {SagaState.COMPLETED}
    assert sum(world.balance().values()) == 3 * len(tickets)
    assert max(world.effects.values()) == 1
    await host.stop(Seconds(5))
