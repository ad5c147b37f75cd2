"""Beside a peer: the same four steps on DBOS over SQLite, as its documentation has them, in the same run on the same disk.

Both sync every commit (`synchronous` FULL); what DBOS does not share between workflows is the commit. The faster of its two ways to
run workflows at once counts; with SQLite's WAL, which it does not set itself, it is printed beside.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.figures import Figure, at_least
from benchmarks.sagas.throughput import CONCURRENT, Round, drive
from benchmarks.sagas.world import host, telemetry
from gateway.clock import Seconds
from gateway.sagas import SqliteJournal

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-dbos" / "bin" / "python"
SAGAS, PEER_SAGAS = 3_000, 300


def runs_of_peer(directory: Path, *mode: str) -> list[dict[str, Any]]:
    """One for each way, over a new file; `failed` where it did not get through. `mode`: "wal", or as DBOS has it."""
    script = Path(__file__).with_name("dbos_peer.py")
    directory.mkdir()
    done = subprocess.run(
        [str(PYTHON), str(script), str(directory), str(PEER_SAGAS), str(CONCURRENT), *mode],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:  # what it told before counts all the same
        print(f"  DBOS ended with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


async def ours(directory: Path) -> tuple[Round, dict[str, str]]:
    told = telemetry()
    journal = SqliteJournal(directory / "journal.sqlite3", telemetry=told)
    engine, keys = host(journal, told=told), count()
    await engine.start()
    await drive(engine, keys, 300)
    measured = await drive(engine, keys, SAGAS)
    pragmas = await journal.write(
        lambda ledger: {
            name: str(ledger.connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("synchronous", "journal_mode")
        }
    )
    await engine.stop(Seconds(5.0))
    return measured, pragmas


def figures() -> Iterator[Figure]:
    if not PYTHON.exists():
        print("  DBOS is not there to compare with: make .stamps/dbos")
        yield Figure("sagas a second / DBOS on SQLite", ">= 15 x", "not measured", ok=False)
        return
    with TemporaryDirectory() as name:
        measured, pragmas = uvloop.run(ours(Path(name)))
        print(f"  ours: {measured.rate:.0f}/s, {measured.cpu_ms:.2f} ms CPU each, {pragmas}")
        rates: list[float] = []
        for run in (*runs_of_peer(Path(name) / "as-it-comes"), *runs_of_peer(Path(name) / "wal", "wal")):
            if "failed" in run:
                print(f"  DBOS, {run['way']}: {run['failed']}")
                continue
            print(f"  DBOS, {run['way']}: {run['rate']:.1f}/s, {run['cpu_ms']:.1f} ms CPU each, {run['pragmas']}")
            if run["as_it_comes"]:
                rates.append(run["rate"])
    yield at_least("sagas a second / DBOS on SQLite", 15, measured.rate / max(rates), unit=" x")
