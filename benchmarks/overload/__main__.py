"""`python -m benchmarks.overload`: what a gateway still does when it is offered ten times what it can, and while it is restarted.

The gateway has one core; the crowd and the stand-in services have the other. Peak is what it serves to as many as it can; then ten
clients offer ten times that, for a minute, one of them most of it. OVERLOAD_FOR=10 is a shorter minute.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import httpx

from benchmarks.figures import Figure, at_least, at_most, run
from benchmarks.overload.crowd import Client, Crowd, posted
from benchmarks.overload.world import (
    BUYER,
    CROWD_CPU,
    HONEST,
    NAMES,
    Took,
    balancer,
    gateway,
    resident,
    services,
    taken,
)
from benchmarks.processes import ended, free_port

TIMES, GREED = 10, 0.7
"""How much more is offered than can be served, and how much of it by one client."""
WARM_FOR, PEAK_FOR, RECOVERY, WHOLE_FOR = 2.0, 8.0, 5.0, 20.0
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
    processors: dict[str, Took] = field(default_factory=dict[str, Took])
    """What each process had and waited for, in parts of the time: how full the cores were."""

    def rate(self, names: list[str] = NAMES) -> float:
        return sum(self.served.get(name, 0) for name in names) / self.lasted

    def share_served(self) -> float:
        return sum(self.served.values()) / sum(self.offered.values())


def asking(name: str) -> Callable[[], bytes]:
    page = posted(PAGE, token=name)
    return lambda: page


def buying() -> Callable[[], bytes]:
    numbers = count()

    def request() -> bytes:
        body = json.dumps({"query": BUY, "variables": {"name": f"thing-{next(numbers)}"}}).encode()
        return posted(body, token=BUYER, extra=b"x-request-priority: critical\r\n")

    return request


def gathered(clients: Sequence[Client], lasted: float) -> Phase:
    phase = Phase(lasted)
    for client in clients:
        told = client.look()
        phase.served[client.name], phase.offered[client.name] = told.served, told.offered
        phase.refused += told.refused
        phase.degraded += told.degraded
        phase.others += told.others
        phase.waits += told.waits
    return phase


class Watch:
    """What each of some processes takes of a processor, between two looks."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._before = {name: taken(pid) for name, pid in pids.items()}
        self._at = time.perf_counter()

    def look(self) -> dict[str, Took]:
        before, at = self._before, self._at
        self._before, self._at = {name: taken(pid) for name, pid in self._pids.items()}, time.perf_counter()
        return {name: (now - before[name]) / (self._at - at) for name, now in self._before.items()}


def tell(name: str, phase: Phase) -> None:
    waits = sorted(phase.waits) or [0.0]
    print(
        f"  {name}: {sum(phase.served.values()) / phase.lasted:.0f} served/s of {sum(phase.offered.values()) / phase.lasted:.0f} "
        f"offered, p50 {median(waits) * 1e3:.0f} ms, p99 {waits[int(len(waits) * 0.99) - 1] * 1e3:.0f} ms, {phase.refused} "
        f"refused, {phase.degraded} degraded; else {dict(phase.others.most_common(3))}",
        flush=True,
    )
    if phase.processors:
        shares = (f"{each} {took.had:.2f} (waited {took.waited:.2f})" for each, took in phase.processors.items())
        print(f"    processors: {', '.join(shares)}", flush=True)


def offered(crowd: Crowd, rates: list[float], seconds: float, watch: Watch) -> Phase:
    watch.look()
    crowd.send(rates, seconds)
    processors = watch.look()
    crowd.wait(1.0)  # for what is still under way
    phase = gathered(crowd.clients, seconds)
    phase.processors = processors
    return phase


def peak_of(port: int, random: Random, watch: Watch) -> float:
    """Queries that one client is served which never has less than sixteen under way, for each second that the gateway had its core:
    what a neighbour takes of it is no part of what the gateway can. A storm is judged by the clock."""
    with closing(Crowd([Client(NAMES[1], asking(NAMES[1]), connections=16)], port, random)) as crowd:
        crowd.keep_asking(WARM_FOR)
        gathered(crowd.clients, WARM_FOR)
        watch.look()
        crowd.keep_asking(PEAK_FOR)
        phase = gathered(crowd.clients, PEAK_FOR)
        phase.processors = watch.look()
    tell("peak", phase)
    return phase.rate() / phase.processors["gateway"].had


def everybody() -> list[Client]:
    clients = [Client(name, asking(name), connections=200 if name == NAMES[0] else 60) for name in NAMES]
    return [*clients, Client(BUYER, buying(), connections=50)]


def rates_of(peak: float) -> list[float]:
    """Of the greedy one, the honest ones, and the buyer."""
    return [TIMES * peak * GREED, *([TIMES * peak * (1 - GREED) / HONEST] * HONEST), BUYS]


def overloaded(port: int, serving: int, standing_in: int, charged: Callable[[], dict[str, int]]) -> list[Figure]:
    """`serving`, `standing_in`: the processes of the gateway and of the services."""
    random, watch = Random(7), Watch({"gateway": serving, "services": standing_in, "crowd": os.getpid()})
    peak = peak_of(port, random, watch)
    before = resident(serving)
    calm = [peak / 2 / len(NAMES)] * len(NAMES)
    with closing(Crowd(everybody(), port, random)) as crowd:
        storm = offered(crowd, rates_of(peak), OVERLOAD_FOR, watch)
        tell("ten times as much", storm)
        print(
            f"    by client and second: {[round(storm.served[name] / storm.lasted, 1) for name in NAMES]}", flush=True
        )
        held = resident(serving) - before
        tell("half of peak, just after", offered(crowd, calm, RECOVERY - 1.0, watch))
        after = offered(crowd, calm, PEAK_FOR, watch)
        tell("half of peak, 5 s after", after)
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
        services() as (standing_in, behind),
        gateway(Path(folder), port, services=behind) as serving,
    ):
        yield from overloaded(port, serving.pid, standing_in.pid, lambda: charges(behind))


def of_whole_answers() -> Iterator[Figure]:
    """The same where optional joins are asked for: refusing has to be paid for by whole answers."""
    port, random = free_port(), Random(7)
    with (
        tempfile.TemporaryDirectory() as folder,
        services() as (standing_in, behind),
        gateway(Path(folder), port, services=behind, more="[overload]\nshed_optional = false\n") as serving,
    ):
        watch = Watch({"gateway": serving.pid, "services": standing_in.pid, "crowd": os.getpid()})
        peak = peak_of(port, random, watch)
        with closing(Crowd(everybody(), port, random)) as crowd:
            storm = offered(crowd, rates_of(peak), min(WHOLE_FOR, OVERLOAD_FOR), watch)
    tell("ten times as much, nothing left out", storm)
    yield at_least("goodput when nothing is left out, of peak", 0.9, storm.rate() / peak)


def charges(port: int) -> dict[str, int]:
    found: dict[str, int] = httpx.get(f"http://127.0.0.1:{port}/charged").json()
    return found


def of_restarts() -> Iterator[Figure]:
    """Two gateways behind a balancer that retries; each is told to leave, and started again, under load."""
    ports = [free_port(), free_port()]
    with tempfile.TemporaryDirectory() as root, services() as (_, behind), balancer(Path(root), ports) as port:
        places = [Path(root) / name for name in ("one", "two")]
        phase = _restarting(port, places, ports, behind)
        bought = charges(behind)
    tell("while both are restarted, twice", phase)
    yield at_most("requests that failed", 0, sum(phase.offered.values()) - sum(phase.served.values()))
    yield at_most(
        "orders not charged exactly once", 0, sum(each != 1 for each in bought.values()) + _missing(phase, bought)
    )


def _restarting(port: int, places: list[Path], ports: list[int], behind: int) -> Phase:
    clients = [Client(NAMES[1], asking(NAMES[1]), connections=60), Client(BUYER, buying(), connections=60)]
    both = list(zip(places, ports, strict=True))
    running: list[tuple[Any, Any]] = [_begun(place, at, behind) for place, at in both]
    try:
        with closing(Crowd(clients, port, Random(7))) as crowd, ThreadPoolExecutor(1) as beside:
            sending = beside.submit(offered, crowd, [RESTARTED_AT, BUYS], 20.0, Watch({}))
            for number in (0, 1, 0, 1):
                time.sleep(1.0)  # the load goes on: there is nothing to be woken by
                ended(running[number][1])
                running[number][0].__exit__(None, None, None)
                running[number] = _begun(*both[number], behind)
            return sending.result()
    finally:
        for block, _ in running:
            block.__exit__(None, None, None)


def _begun(place: Path, port: int, behind: int) -> tuple[Any, Any]:
    block = gateway(place, port, services=behind)
    return block, block.__enter__()


if __name__ == "__main__":
    os.sched_setaffinity(0, {CROWD_CPU})
    raise SystemExit(run("overload", {"overload": of_overload, "whole": of_whole_answers, "restarts": of_restarts}))
