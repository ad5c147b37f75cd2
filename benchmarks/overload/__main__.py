"""`python -m benchmarks.overload`: what a gateway still does when it is offered ten times what it can, and while it is restarted.

The gateway has one core; the crowd and the stand-in services have the other. Peak is what it serves to as many as it can; then ten
clients offer ten times that, for a minute, one of them most of it. OVERLOAD_FOR=10 is a shorter minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import httpx
import uvloop

from benchmarks.figures import Figure, at_least, at_most, run
from benchmarks.overload.crowd import Client, posted
from benchmarks.overload.world import (
    BUYER,
    CROWD_CPU,
    HONEST,
    NAMES,
    balancer,
    gateway,
    resident,
    services,
)
from benchmarks.processes import ended, free_port

TIMES, GREED = 10, 0.7
"""How much more is offered than can be served, and how much of it by one client."""
WARM_FOR, PEAK_FOR, RECOVERY = 2.0, 8.0, 5.0
OVERLOAD_FOR = float(os.environ.get("OVERLOAD_FOR", "60"))
"""Seconds."""
BUYS = 10.0
"""Critical mutations a second."""
RESTARTED_AT = 30.0
"""Queries a second while gateways are restarted."""

PAGE = json.dumps(
    {
        "query": "query B($first: Int!) { products(first: $first) { id name reviews { id stars body author { id name } } } }",
        "variables": {"first": 200},
    }
).encode()
BUY = "mutation Buy($name: String!) { buy(input: {sku: $name}, idempotencyKey: $name) { __typename } }"


@dataclass
class Phase:
    """What all were told in a stretch of time."""

    lasted: float
    served: dict[str, int] = field(default_factory=dict[str, int])
    offered: dict[str, int] = field(default_factory=dict[str, int])
    others: Counter[str] = field(default_factory=Counter[str])
    waits: list[float] = field(default_factory=list[float])
    refused: int = 0
    degraded: int = 0

    def rate(self, names: list[str] = NAMES) -> float:
        return sum(self.served.get(name, 0) for name in names) / self.lasted

    def share_served(self) -> float:
        return sum(self.served.values()) / sum(self.offered.values())


def asking(name: str) -> Callable[[], bytes]:
    request = posted(PAGE, token=name)
    return lambda: request


def buying() -> Callable[[], bytes]:
    numbers = count()

    def request() -> bytes:
        body = json.dumps({"query": BUY, "variables": {"name": f"thing-{next(numbers)}"}}).encode()
        return posted(body, token=BUYER, extra=b"x-request-priority: critical\r\n")

    return request


def gathered(clients: list[Client], lasted: float) -> Phase:
    phase = Phase(lasted)
    for client in clients:
        told = client.look()
        phase.served[client.name], phase.offered[client.name] = told.served, told.offered
        phase.refused += told.refused
        phase.degraded += told.degraded
        phase.others += told.others
        phase.waits += told.waits
    return phase


def tell(name: str, phase: Phase) -> None:
    waits = sorted(phase.waits) or [0.0]
    print(
        f"  {name}: {sum(phase.served.values()) / phase.lasted:.0f} served/s of {sum(phase.offered.values()) / phase.lasted:.0f} "
        f"offered, p50 {median(waits) * 1e3:.0f} ms, p99 {waits[int(len(waits) * 0.99) - 1] * 1e3:.0f} ms, {phase.refused} "
        f"refused, {phase.degraded} degraded; else {dict(phase.others.most_common(3))}",
        flush=True,
    )


async def offered(clients: list[Client], rates: list[float], seconds: float) -> Phase:
    until = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(*(client.send(rate, until) for client, rate in zip(clients, rates, strict=True)))
    await asyncio.sleep(1.0)  # what is still under way
    return gathered(clients, seconds)


async def peak_of(port: int, random: Random) -> float:
    """Queries a second that one client is served which never has less than sixteen under way."""
    client = Client(NAMES[1], port, asking(NAMES[1]), connections=16, random=random)
    await client.connect()
    loop = asyncio.get_running_loop()
    await client.keep_asking(loop.time() + WARM_FOR)
    client.look()
    await client.keep_asking(loop.time() + PEAK_FOR)
    phase = gathered([client], PEAK_FOR)
    tell("peak", phase)
    client.close()
    return phase.rate()


async def overloaded(port: int, pid: int, charged: Callable[[], dict[str, int]]) -> list[Figure]:
    random = Random(7)
    clients = [
        Client(name, port, asking(name), connections=200 if name == NAMES[0] else 60, random=random) for name in NAMES
    ]
    buyer = Client(BUYER, port, buying(), connections=50, random=random)
    peak = await peak_of(port, random)
    before = resident(pid)
    for client in (*clients, buyer):
        await client.connect()
    rates = [TIMES * peak * GREED, *([TIMES * peak * (1 - GREED) / HONEST] * HONEST)]
    storm = await offered([*clients, buyer], [*rates, BUYS], OVERLOAD_FOR)
    tell("ten times as much", storm)
    print(f"    by client and second: {[round(storm.served[name] / storm.lasted, 1) for name in NAMES]}", flush=True)
    held = resident(pid) - before
    calm = [peak / 2 / len(NAMES)] * len(NAMES)
    tell("half of peak, just after", await offered(clients, calm, RECOVERY - 1.0))
    after = await offered(clients, calm, PEAK_FOR)
    tell("half of peak, 5 s after", after)
    for client in (*clients, buyer):
        client.close()
    bought = charged()
    shares = [storm.served[name] for name in NAMES]
    return [
        at_least("goodput at ten times the load, of peak", 0.9, storm.rate() / peak),
        at_least("critical mutations served", 0.999, storm.served[BUYER] / storm.offered[BUYER]),
        at_most(
            "of those, not charged exactly once",
            0,
            sum(each != 1 for each in bought.values()) + _missing(storm, bought),
        ),
        at_least("fairness among ten clients, one greedy (Jain)", 0.95, jain(shares)),
        at_most("memory that the minute took", 64, held, unit=" MiB"),
        at_least("served 5 s later, at half of peak", 0.999, after.share_served()),
    ]


def _missing(storm: Phase, bought: dict[str, int]) -> int:
    return max(0, storm.served[BUYER] - len(bought))


def jain(shares: list[int]) -> float:
    """1 where all have as much."""
    return sum(shares) ** 2 / (len(shares) * sum(each**2 for each in shares) or 1)


def of_overload() -> Iterator[Figure]:
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        services() as behind,
        gateway(Path(folder), port, services=behind) as serving,
    ):
        yield from uvloop.run(overloaded(port, serving.pid, lambda: charges(behind)))


def charges(port: int) -> dict[str, int]:
    found: dict[str, int] = httpx.get(f"http://127.0.0.1:{port}/charged").json()
    return found


def of_restarts() -> Iterator[Figure]:
    """Two gateways behind a balancer that retries; each is told to leave, and started again, under load."""
    ports = [free_port(), free_port()]
    with tempfile.TemporaryDirectory() as root, services() as behind, balancer(Path(root), ports) as port:
        places = [Path(root) / name for name in ("one", "two")]
        phase = uvloop.run(_restarting(port, places, ports, behind))
        bought = charges(behind)
    tell("while both are restarted, twice", phase)
    yield at_most("requests that failed", 0, sum(phase.offered.values()) - sum(phase.served.values()))
    yield at_most(
        "orders not charged exactly once", 0, sum(each != 1 for each in bought.values()) + _missing(phase, bought)
    )


async def _restarting(port: int, places: list[Path], ports: list[int], behind: int) -> Phase:
    random = Random(7)
    clients = [
        Client(NAMES[1], port, asking(NAMES[1]), connections=60, random=random),
        Client(BUYER, port, buying(), connections=60, random=random),
    ]
    both = list(zip(places, ports, strict=True))
    running: list[tuple[Any, Any]] = [_begun(place, at, behind) for place, at in both]
    try:
        for client in clients:
            await client.connect()
        sending = asyncio.ensure_future(offered(clients, [RESTARTED_AT, BUYS], 20.0))
        for number in (0, 1, 0, 1):
            await asyncio.sleep(1.0)
            await asyncio.to_thread(ended, running[number][1])
            running[number][0].__exit__(None, None, None)
            running[number] = await asyncio.to_thread(_begun, *both[number], behind)
        return await sending
    finally:
        for block, _ in running:
            block.__exit__(None, None, None)


def _begun(place: Path, port: int, behind: int) -> tuple[Any, Any]:
    block = gateway(place, port, services=behind)
    return block, block.__enter__()


if __name__ == "__main__":
    os.sched_setaffinity(0, {CROWD_CPU})
    raise SystemExit(run("overload", {"overload": of_overload, "restarts": of_restarts}))
