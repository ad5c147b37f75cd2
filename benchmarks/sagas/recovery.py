"""Ten thousand sagas whose process died in their third step: from the start of the next one until each goes on, and has ended."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import uvloop

from benchmarks.figures import Figure, at_most
from benchmarks.sagas.lag import Lag, watching
from benchmarks.sagas.world import OWNER, FourSteps, Instant, host, telemetry
from gateway.clock import Epoch, Seconds
from gateway.sagas import SagaState, SqliteJournal
from gateway.sagas.definition import definition_of
from gateway.sagas.events import Event, SagaStarted, StepDone, StepIntended
from gateway.sagas.journal import SagaRecord
from gateway.sagas.ledger import encoded
from gateway.sagas.ownership import open_ledger

OPEN = 10_000


def record_of(number: int, *, now: float) -> SagaRecord:
    return SagaRecord(
        id=f"open{number:06}-{'x' * 12}",
        owner=OWNER,
        saga="FourSteps",
        version=1,
        digest=definition_of(FourSteps).plan.digest,
        key=f"key{number}",
        input_hash="h",
        input=b'{"sku":"kettle","quantity":1}',
        state=SagaState.RUNNING,
        trace={},
        created_at=Epoch(now),
        deadline_at=Epoch(now + 600),
    )


def half_way(now: float) -> list[Event]:
    """Two steps done, the third in flight."""
    at = Epoch(now)
    events: list[Event] = [SagaStarted(at=at, deadline_at=Epoch(now + 600))]
    for step in ("reservation", "authorization"):
        events.append(StepIntended(at=at, step=step, attempt=1))
        events.append(StepDone(at=at, step=step, attempt=1, result=msgspec.Raw(b'{"key":"k"}')))
    return [*events, StepIntended(at=at, step="capture", attempt=1)]


def fill(path: Path) -> None:
    now = time.time()
    ledger = open_ledger(path, max_pages=None, now=Epoch(now))
    ledger.connection.execute("BEGIN")
    for number in range(OPEN):
        ledger.begin(record_of(number, now=now), encoded(half_way(now)))
    ledger.connection.execute("COMMIT")
    ledger.connection.close()


def ended_in(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (ended,) = connection.execute("SELECT COUNT(*) FROM sagas WHERE state = 'COMPLETED'").fetchone()
        return int(ended)
    finally:
        connection.close()


async def recover(path: Path, lag: Lag) -> tuple[float, float]:
    """Seconds until the host has started, and until all have ended."""
    told, services = telemetry(), Instant()
    engine = host(SqliteJournal(path, telemetry=told), told=told, sender=services)
    began = time.perf_counter()
    async with watching(lag):
        await engine.start()
        started = time.perf_counter() - began
        while engine.open_count:  # noqa: ASYNC110  (the host has no event for it)
            await asyncio.sleep(0.01)
    over = time.perf_counter() - began
    await engine.stop(Seconds(5.0))
    if services.calls != 2 * OPEN:
        raise AssertionError(f"{services.calls} calls instead of two for each saga")
    return started, over


def figures() -> Iterator[Figure]:
    lag = Lag()
    with TemporaryDirectory() as directory:
        path = Path(directory) / "journal.sqlite3"
        fill(path)
        started, over = uvloop.run(recover(path, lag))
        if ended_in(path) != OPEN:
            raise AssertionError("not all have ended")
    print(
        f"  serving again after {started:.2f} s, all ended after {over:.2f} s; loop late p99 {lag.percentile(0.99):.1f} ms"
    )
    yield at_most("10,000 open sagas: until the last has ended", 10, over, unit=" s")
    yield at_most("event loop late during recovery, p99", 20, lag.percentile(0.99), unit=" ms")
