"""How long a start takes with a million finished sagas in the file, against one with a thousand.

The file is filled in bulk, its hashes are random: nobody verifies it. Ten sagas in it are open.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.figures import Figure, at_most
from benchmarks.sagas.recovery import half_way, record_of
from benchmarks.sagas.world import host, telemetry
from gateway.clock import Epoch, Seconds
from gateway.sagas import SqliteJournal
from gateway.sagas.journal_file import ADD_EVENT, COLUMNS
from gateway.sagas.ledger import encoded
from gateway.sagas.ownership import open_ledger

FINISHED = 1_000_000
EVENTS = 4
"""Of each: enough for a file of a gigabyte."""

STARTS = 5


def fill(path: Path, sagas: int) -> None:
    """Indices last: ten times as fast. Then ten open sagas by the ledger, as the engine writes them."""
    now = time.time()
    ledger = open_ledger(path, max_pages=None, now=Epoch(now))
    connection = ledger.connection
    indices = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("PRAGMA synchronous = OFF")
    for index, _ in indices:
        connection.execute(f"DROP INDEX {index}")
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO sagas ({COLUMNS}) VALUES ({', '.join('?' * 15)})", _records(sagas, now=now))
    connection.executemany(ADD_EVENT, _events(sagas, now=now))
    connection.execute("COMMIT")
    for _, statement in indices:
        connection.execute(statement)
    ledger.forget()
    connection.execute("BEGIN")
    for number in range(10):
        ledger.begin(record_of(number, now=now), encoded(half_way(now)))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _records(sagas: int, *, now: float) -> Iterator[tuple[object, ...]]:
    body = ("FourSteps", 1, "d" * 64)
    for number in range(sagas):
        name = f"{number:09}-finished"
        at = now - sagas + number
        yield (name, "shop", "ada", *body, name, "h" * 64, 1, b"{}", "COMPLETED", "{}", at, at + 1, at + 600)


def _events(sagas: int, *, now: float) -> Iterator[tuple[object, ...]]:
    payload = b'{"kind":"StepDone","at":1.0,"step":"reservation","attempt":1,"result":{"key":"0123456789"}}'
    position = 0
    for number in range(sagas):
        hashed = os.urandom(32)
        for seq in range(EVENTS):
            position += 1
            yield position, f"{number:09}-finished", seq, now, "StepDone", None, None, payload, hashed


async def start(path: Path) -> float:
    """Seconds until the host serves."""
    told = telemetry()
    engine = host(SqliteJournal(path, telemetry=told), told=told)
    began = time.perf_counter()
    await engine.start()
    took = time.perf_counter() - began
    await engine.stop(Seconds(5.0))
    return took


def reopen(path: Path) -> None:
    """Open the ten again that the start before has ended."""
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM events WHERE saga_id LIKE 'open%' AND seq > 5")
    connection.execute("UPDATE sagas SET state = 'RUNNING', ended_at = NULL WHERE id LIKE 'open%'")
    connection.commit()
    connection.close()


def starts(path: Path) -> float:
    """The median of several."""
    taken: list[float] = []
    for _ in range(STARTS):
        reopen(path)
        taken.append(uvloop.run(start(path)))
    return median(taken)


def figures() -> Iterator[Figure]:
    with TemporaryDirectory() as name:
        taken: dict[int, float] = {}
        for sagas in (1_000, FINISHED):
            path, began = Path(name) / f"{sagas}.sqlite3", time.perf_counter()
            fill(path, sagas)
            filled = time.perf_counter() - began
            taken[sagas] = starts(path)
            megabytes = path.stat().st_size / 1e6
            print(
                f"  {sagas} finished, {megabytes:.0f} MB (filled in {filled:.0f} s): {taken[sagas] * 1e3:.1f} ms to start"
            )
    yield at_most("start with 1,000,000 finished sagas / with 1,000", 1.5, taken[FINISHED] / taken[1_000], unit=" x")
