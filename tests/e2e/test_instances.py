"""Three instances of a service, each a process, behind one gateway under steady load: what clients see when one of them goes wrong.

Counts are asserted with room for a machine that others use too; of durations only that no operation outlives its deadline.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx
import pytest

from .conftest import ROOT, free_ports, is_listening, wait_until

pytestmark = pytest.mark.e2e

GRAPH = '''
"""Stock from three instances."""

from gateway import Ctx, Service, entity, field, resolver


@entity
class Stock:
    """What is there."""

    quantity: int = field("Pieces.")


by_sku = Service("inventory").loader("/stock", keys="skus", key="sku", into=Stock)


@entity
class Query:
    """Where queries begin."""

    @resolver
    async def stock(self, ctx: Ctx, sku: str) -> Stock | None:
        """Of one product."""
        return await ctx.load(by_sku, sku)
'''
SETTINGS = """
graph.query = "three:Query"
graph.sdl = ""

[services.inventory]
instances = [{instances}]
attempt_timeout = "1s"
attempt_timeout_floor = "1s"   # nothing is learnt: on a machine that is busy with other things an instance is slow that is well
budget.ratio = 0.5             # by default 0.09; forty operations a second for two seconds earn hardly any
balance.eject_after = 1        # by default 5; but two choices avoid whom has failed at once, so that five in a row take a while
balance.eject_for = "1500ms"
balance.eject_cap = "1500ms"
balance.memory = "300ms"       # by default 10 s, and 10 s of slow start: whoever was broken in one test would hardly be asked in
balance.slow_start = "0s"      # the next one
breaker.open_for = "500ms"
breaker.open_cap = "1s"
"""
RATE = 40.0  # operations a second
DEADLINE = 4.0  # seconds
LATE = 3.0  # seconds beyond it in which a loaded machine may deliver an answer
RECOVERS_WITHIN = 20.0


@dataclass
class InstanceProcess:
    """One instance, and how it is told to misbehave."""

    port: int
    control: int
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-I",
            str(Path(__file__).with_name("instance.py")),
            str(self.port),
            str(self.control),
        ]
        self.process = subprocess.Popen(command)
        wait_until(lambda: is_listening(self.control), saying=f"an instance on {self.port}")

    def be(self, mood: str) -> int:
        """Requests that it has read so far."""
        with closing(socket.create_connection(("127.0.0.1", self.control), timeout=10)) as line:
            line.sendall(f"{mood}\n".encode())
            return int(line.makefile().readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@dataclass
class Answers:
    """What clients saw, in the order in which they asked."""

    degraded: list[bool] = field(default_factory=list[bool])
    longest: float = 0.0

    def __len__(self) -> int:
        return len(self.degraded)


@dataclass
class Gateway:
    process: subprocess.Popen[bytes]
    url: str
    _numbers: Iterator[int] = field(default_factory=count)

    def load(self, seconds: float, *, after: Callable[[], object] | None = None) -> Answers:
        """Steady load for that long, as an open loop: who is slow slows nobody down. `after`: what happens at a fifth of it."""
        return asyncio.run(self._load(seconds, after))

    async def _load(self, seconds: float, after: Callable[[], object] | None) -> Answers:
        answers, calls = Answers(), list[asyncio.Task[None]]()
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=DEADLINE + LATE + 10, limits=limits) as client:
            total = int(seconds * RATE)
            for number in range(total):
                if after is not None and number == total // 5:
                    await asyncio.to_thread(after)
                calls.append(asyncio.create_task(self._ask(client, answers)))
                await asyncio.sleep(1 / RATE)
            await asyncio.gather(*calls)
        return answers

    async def _ask(self, client: httpx.AsyncClient, answers: Answers) -> None:
        began = time.monotonic()
        query = {"query": f'{{ stock(sku: "sku-{next(self._numbers)}") {{ quantity }} }}'}
        headers = {"x-request-timeout-ms": str(int(DEADLINE * 1000))}
        answer = (await client.post(f"{self.url}/graphql", json=query, headers=headers)).json()
        answers.degraded.append(answer.get("data") != {"stock": {"quantity": 1}})
        answers.longest = max(answers.longest, time.monotonic() - began)

    def metric(self, name: str, **labels: str) -> float:
        """0 if it is not there yet."""
        wanted = {"service": "inventory", **labels}
        text = httpx.get(f"{self.url}/metrics", timeout=20).text
        for given, value in re.findall(rf"^{name}{{(.*?)}} (\S+)$", text, re.MULTILINE):
            if all(f'{label}="{what}"' in given for label, what in wanted.items()):
                return float(value)
        return 0.0

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@dataclass
class Fleet:
    gateway: Gateway
    instances: list[InstanceProcess]
    descriptors_at_first: int = 0
    """Of the gateway, when all was well and something had been asked."""

    def stand_up(self) -> None:
        """All instances run and are well, and the gateway knows it."""
        for each in self.instances:
            if each.process.poll() is not None:
                each.start()
            each.process.send_signal(signal.SIGCONT)
            each.be("well")
        wait_until(self._is_well, saying="the gateway uses all instances again", within=RECOVERS_WITHIN)

    def _is_well(self) -> bool:
        answers = self.gateway.load(0.5)
        instances = self.gateway.metric("sagaql_service_instances", state="well")
        is_closed = self.gateway.metric("sagaql_service_breaker_open") == 0
        return not any(answers.degraded) and instances == len(self.instances) and is_closed


@contextmanager
def fleet_in(folder: Path) -> Iterator[Fleet]:
    base = free_ports(7)
    instances = [InstanceProcess(base + 1 + 2 * number, base + 2 + 2 * number) for number in range(3)]
    (folder / "three.py").write_text(GRAPH, encoding="utf-8")
    addresses = ", ".join(f'"{each.address}"' for each in instances)
    (folder / "gateway.toml").write_text(SETTINGS.format(instances=addresses), encoding="utf-8")
    started = list[subprocess.Popen[bytes]]()
    try:
        for each in instances:
            each.start()
        with (folder / "output").open("wb") as output:
            config = str(folder / "gateway.toml")
            command = [sys.executable, "-m", "gateway", "serve", "--config", config, "--port", str(base)]
            started.append(subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT))
        wait_until(lambda: is_listening(base), saying="the gateway listens", within=60)
        fleet = Fleet(Gateway(started[0], f"http://127.0.0.1:{base}"), instances)
        fleet.gateway.load(1.5)  # what is usual is learnt
        fleet.descriptors_at_first = fleet.gateway.descriptors()
        yield fleet
    finally:
        for process in [*started, *(each.process for each in instances if hasattr(each, "process"))]:
            process.kill()
            process.wait(20)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_in(tmp_path_factory.mktemp("three")) as fleet:
        yield fleet


@pytest.fixture
def fleet(running: Fleet) -> Fleet:
    running.stand_up()
    return running


def test_an_instance_that_becomes_ten_times_slower_is_asked_less_and_no_client_notices(fleet: Fleet) -> None:
    slow, *others = fleet.instances
    before = [each.be("slow" if each is slow else "well") for each in (slow, *others)]

    answers = fleet.gateway.load(2.5)

    asked = [each.be("well") - known for each, known in zip((slow, *others), before, strict=True)]
    assert asked[0] < 0.27 * sum(asked)  # a third would be its share
    assert sum(answers.degraded) <= 1


BROKEN: dict[str, Callable[[InstanceProcess], object]] = {
    "is killed": lambda instance: instance.kill(),
    "is paused": lambda instance: instance.process.send_signal(signal.SIGSTOP),
    "resets connections": lambda instance: instance.be("resets"),
    "answers garbage": lambda instance: instance.be("garbage"),
    "answers 500": lambda instance: instance.be("fails"),
    "closes half-way": lambda instance: instance.be("half-closes"),
    "trickles": lambda instance: instance.be("trickles"),
    "refuses connections": lambda instance: instance.be("refuses"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_of_three_instances_one_may_break_and_hardly_a_client_notices(fleet: Fleet, how: str) -> None:
    gateway, bad = fleet.gateway, fleet.instances[1]
    before = gateway.metric("sagaql_service_ejections_total")

    answers = gateway.load(1.75, after=lambda: BROKEN[how](bad))

    after = gateway.load(0.5)  # by now it is left out
    assert gateway.metric("sagaql_service_ejections_total") > before
    assert gateway.metric("sagaql_service_breaker_open") == 0
    assert sum(answers.degraded) <= 0.05 * len(answers)
    assert sum(after.degraded) <= 1
    assert max(answers.longest, after.longest) <= DEADLINE + LATE


def test_when_all_are_down_clients_are_told_at_once_and_served_again_soon_after(fleet: Fleet) -> None:
    gateway = fleet.gateway
    for each in fleet.instances:
        each.kill()

    answers = gateway.load(1.5)

    assert all(answers.degraded[10:])
    assert answers.longest <= DEADLINE + LATE
    assert gateway.metric("sagaql_service_breaker_open") == 1
    attempts = gateway.metric("sagaql_service_attempt_duration_seconds_count", outcome="SERVICE_UNAVAILABLE")
    gateway.load(1.0)  # forty operations: nothing but a probe now and then gets through
    more = gateway.metric("sagaql_service_attempt_duration_seconds_count", outcome="SERVICE_UNAVAILABLE") - attempts
    assert more < 0.5 * RATE
    fleet.stand_up()


def test_no_permit_attempt_or_descriptor_is_left_of_all_that(fleet: Fleet) -> None:
    """By now some hundred exchanges have ended in every way there is; of none of them a connection is kept."""
    gateway = fleet.gateway
    for gauge in ("sagaql_service_calls_in_flight", "sagaql_service_calls_waiting"):
        wait_until(lambda gauge=gauge: gateway.metric(gauge) == 0, saying=f"{gauge} is 0")  # type: ignore[misc]
    few = fleet.descriptors_at_first + 25  # idle connections of the busiest moment are kept for a while
    wait_until(lambda: gateway.descriptors() <= few, saying=f"no more than {few} descriptors")
