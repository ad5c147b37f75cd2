"""What it costs a worker to begin a saga in the saga process, and how many begins a second the process takes.

    .venv/bin/python -m benchmarks.saga_process --workers 4 --seconds 5

One saga process over a journal on disk, N worker processes with 32 begins under way each; sagas whose one step waits, so that
beginning is all that is measured. "A worker's CPU" is the CPU time of its process for each of its begins. Beside it, in the same
run: what the host takes when nobody is between it and whoever begins.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from gateway.clock import Deadline, LoopClock, Seconds
from gateway.sagas import Codec, CommandLike, EmbeddedHost, Host, Owner, Saga, SqliteJournal, StepCtx, step
from gateway.sagas.definition import definition_of
from gateway.sagas.hosting import Broadcast, SagaServer
from gateway.sagas.meeting import meeting_place
from gateway.sagas.remote import RemoteHost
from gateway.telemetry import Telemetry

AT_ONCE = 32


class Waiting(Saga[dict[str, str], int], version=1, deadline="1h"):
    """A saga that is begun and goes no further."""

    @step(undo=None, timeout="1h")
    async def never(self, ctx: StepCtx, order: dict[str, str]) -> int:
        await asyncio.Event().wait()
        return 0

    def result(self, never: int) -> int:
        return never


class Nobody:
    """Neither sends nor reads: no step asks."""

    async def send(self, command: CommandLike[Any], body: object, **_: Any) -> Any:
        raise NotImplementedError

    async def load(self, *_: Any, deadline: Deadline, **__: Any) -> Any:
        raise NotImplementedError

    async def load_many(self, *_: Any, deadline: Deadline, **__: Any) -> Any:
        raise NotImplementedError


def host_at(journal: Path, *, observer: Broadcast | None = None) -> EmbeddedHost:
    nobody: Any = Nobody()
    telemetry = Telemetry()
    return EmbeddedHost(
        [Waiting],
        SqliteJournal(journal, telemetry=telemetry),
        sender=nobody,
        reader=nobody,
        telemetry=telemetry,
        clock=LoopClock(),
        observer=observer,
        max_open=1_000_000,
    )


async def serve(journal: Path) -> None:
    """The saga process, until its standard input ends."""
    definitions = [definition_of(Waiting)]
    broadcast = Broadcast(definitions)
    host = host_at(journal, observer=broadcast)
    server = SagaServer(host, definitions, broadcast=broadcast, telemetry=Telemetry(), codec=Codec())
    await host.start()
    await server.start(meeting_place(journal))
    await asyncio.to_thread(sys.stdin.read)
    await host.stop(Seconds(0))
    await server.stop()


async def begin_all(host: Host, *, at_once: int, seconds: float) -> None:
    """Prints how many were begun, and the microseconds of this process's CPU for each."""
    begun, ends = 0, time.monotonic() + seconds
    order = {"sku": "SKU-0001", "quantity": "2", "street": "12 St James Square", "city": "London"}

    async def client() -> None:
        nonlocal begun
        while time.monotonic() < ends:
            await host.begin(Waiting, order, owner=Owner("shop", "ada"), key=None, input_hash="0" * 64, trace={})
            begun += 1

    await host.start()
    cpu = time.process_time()
    await asyncio.gather(*(client() for _ in range(at_once)))
    print(json.dumps({"begun": begun, "microseconds": (time.process_time() - cpu) / begun * 1e6}))
    await host.stop(Seconds(0))


def worker_at(journal: Path) -> RemoteHost:
    return RemoteHost([Waiting], meeting_place(journal), telemetry=Telemetry(), clock=LoopClock())


def measure(workers: int, *, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "journal.sqlite3"
        me = [sys.executable, "-m", "benchmarks.saga_process", "--journal", str(journal), "--seconds", str(seconds)]
        process = subprocess.Popen([*me, "--role", "sagas"], stdin=subprocess.PIPE)
        while not meeting_place(journal).exists():
            time.sleep(0.05)
        all_workers = [subprocess.Popen([*me, "--role", "worker"], stdout=subprocess.PIPE) for _ in range(workers)]
        told = [json.loads(each.communicate()[0]) for each in all_workers]
        process.communicate(b"")
        alone = subprocess.run(
            [*me, "--role", "embedded", "--workers", str(workers), "--journal", f"{folder}/alone.sqlite3"],
            capture_output=True,
            check=True,
        )
    embedded = json.loads(alone.stdout)
    rate = sum(each["begun"] for each in told) / seconds
    cost = sum(each["begun"] * each["microseconds"] for each in told) / sum(each["begun"] for each in told)
    print(f"embedded, {workers * AT_ONCE} begins under way: {embedded['begun'] / seconds:,.0f} starts/s")
    print(
        f"{workers} workers, {AT_ONCE} begins under way each: {rate:,.0f} starts/s, {cost:.0f} µs of a worker's CPU each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--role", choices=["measure", "sagas", "worker", "embedded"], default="measure")
    parser.add_argument("--journal", type=Path, default=None)
    given = parser.parse_args()
    if given.role == "sagas":
        uvloop.run(serve(given.journal))
    elif given.role == "worker":
        uvloop.run(begin_all(worker_at(given.journal), at_once=AT_ONCE, seconds=given.seconds))
    elif given.role == "embedded":
        at_once = given.workers * AT_ONCE
        uvloop.run(begin_all(host_at(given.journal), at_once=at_once, seconds=given.seconds))
    else:
        measure(given.workers, seconds=given.seconds)


if __name__ == "__main__":
    main()
