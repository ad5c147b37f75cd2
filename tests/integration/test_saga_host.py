"""The embedded host over a real file: many sagas at once, what they cost, and a disk that is full."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.clock import LoopClock, Seconds
from gateway.errors import SagasUnavailable
from gateway.sagas import SagaState, SagaView, SqliteJournal, Ticket

from ..unit.sagas.world import Chain, World, begin, host_of, quiet, settle, total


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


async def test_whatever_is_tried_again_in_real_time_is_however_short_the_delay(tmp_path: Path) -> None:
    """The serving loop counts milliseconds: a delay below half of one is none, and its handle no timer's."""
    lost = ("lost before", "lost after", "ok")
    world = World(lambda path, nth: "ok" if path.startswith("/undo") else lost[nth % 3])
    host = host_of(SqliteJournal(tmp_path / "sagas.db", telemetry=quiet()[0]), world, clock=LoopClock())
    await host.start()
    views = await asyncio.gather(*[settle(host, await begin(host, Chain, key=f"k{number}")) for number in range(60)])
    assert all(view.status.is_final for view in views)
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
