"""Sagas a second, CPU of each and how late the loop is: 64 at once, four steps without a network; checkpoints and pruning go on.

Beside them, for reading the figures: how many times a second this disk syncs, and what ten million additions take here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.sagas.lag import Lag, watching
from benchmarks.sagas.world import host, one, telemetry
from gateway.clock import Seconds
from gateway.sagas import EmbeddedHost, SqliteJournal
from gateway.sagas.keeping import Keeping
from gateway.sagas.signing import SigningKey
from gateway.sagas.verify import verify

CONCURRENT = 64
SAGAS = 3_000
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of sagas took."""

    seconds: float
    cpu: float
    sagas: int

    @property
    def rate(self) -> float:
        return self.sagas / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU for each, both threads and the kernel's share."""
        return self.cpu / self.sagas * 1e3


async def drive(engine: EmbeddedHost, keys: Iterator[int], sagas: int) -> Round:
    left = iter(range(sagas))

    async def client() -> None:
        for _ in left:
            await one(engine, f"k{next(keys)}")

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(CONCURRENT)))
    return Round(time.perf_counter() - started, time.process_time() - cpu, sagas)


async def rounds(directory: Path, lag: Lag) -> list[Round]:
    """Each second a signed checkpoint with its line in an anchor; what is older than a second is pruned."""
    told = telemetry()
    keeping = Keeping(
        every=Seconds(1.0), retention=Seconds(1.0), anchor=directory / "anchor.jsonl", key=SigningKey.generate()
    )
    journal = SqliteJournal(directory / "journal.sqlite3", telemetry=told, keeping=keeping)
    engine, keys = host(journal, told=told), count()
    await engine.start()
    await drive(engine, keys, 500)  # warm
    async with watching(lag):
        measured = [await drive(engine, keys, SAGAS) for _ in range(ROUNDS)]
    await engine.stop(Seconds(5.0))
    return measured


async def plain_rounds(directory: Path) -> list[Round]:
    """The same without checkpoints and pruning."""
    told = telemetry()
    engine, keys = host(SqliteJournal(directory / "plain.sqlite3", telemetry=told), told=told), count()
    await engine.start()
    await drive(engine, keys, 500)
    measured = [await drive(engine, keys, SAGAS) for _ in range(ROUNDS)]
    await engine.stop(Seconds(5.0))
    return measured


def syncs_per_second(directory: Path, *, seconds: float = 2.0) -> float:
    """Writes of 4 KiB, each with its fdatasync, one after another."""
    descriptor = os.open(directory / "syncs", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        syncs, ends = 0, time.perf_counter() + seconds
        while time.perf_counter() < ends:
            os.write(descriptor, bytes(4096))
            os.fdatasync(descriptor)
            syncs += 1
        return syncs / seconds
    finally:
        os.close(descriptor)


def additions() -> float:
    """Seconds of CPU for ten million: what a figure in milliseconds is worth on this machine, today."""
    cpu, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - cpu


def figures() -> Iterator[Figure]:
    lag = Lag()
    with TemporaryDirectory() as name:
        directory = Path(name)
        print(
            f"  this disk syncs {syncs_per_second(directory):.0f} times a second; 10 M additions take {additions():.2f} s"
        )
        plain = uvloop.run(plain_rounds(directory))
        kept = uvloop.run(rounds(directory, lag))
        found = verify(directory / "journal.sqlite3", directory / "anchor.jsonl")
    for title, measured in (("plain", plain), ("kept", kept)):
        for each in measured:
            print(f"  {title}: {each.rate:7.0f} sagas/s  {each.cpu_ms:.3f} ms CPU each")
    print(f"  afterwards: {found.text().splitlines()[0]}")
    if not found.is_intact:
        raise AssertionError(found.text())
    yield at_least("sagas a second, 64 at once", 500, median(each.rate for each in kept), unit="/s")
    yield at_most("CPU of a saga", 1.0, median(each.cpu_ms for each in plain), unit=" ms")
    yield at_most("event loop late under load, p99", 20, lag.percentile(0.99), unit=" ms")
