"""A service in virtual time: instances with workers, a queue and latencies of their own. The stack above it is the real one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from gateway.clock import Deadline, Seconds
from gateway.errors import ServiceUnavailable
from gateway.services import Priority, ServiceConfig, ServiceRequest, ServiceResponse
from gateway.services.stack import Stack
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock

CLOCK = VirtualClock()
READ = ServiceRequest(service="stock", path="/stock", endpoint="GET /stock")
ANSWER = ServiceResponse(200, {}, b"{}")

Latency = Callable[[], float]
"""Seconds that one attempt takes a worker."""


def lognormal(random: Random, *, median: float, sigma: float = 0.4) -> Latency:
    """The usual shape of service times: sigma 0.4 puts the p99 at 2.5 times the median."""
    return lambda: median * random.lognormvariate(0, sigma)


@dataclass
class Served:
    """One instance. What it does may be changed while it runs."""

    latency: Latency
    workers: int = 10_000
    error: float = 0.0
    """Share of attempts that are answered 503 at once."""
    is_down: bool = False
    """Connections are refused."""
    free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.free = asyncio.Semaphore(self.workers)


class SimulatedService:
    """A wire to simulated instances; counts what reached them."""

    def __init__(self, instances: dict[str, Served], random: Random) -> None:
        self.instances = instances
        self.attempts: Counter[str] = Counter()
        self._random = random

    async def send(self, request: ServiceRequest, *, timeout: Seconds) -> ServiceResponse:  # noqa: ASYNC109  (the protocol's)
        address = request.instance or next(iter(self.instances))
        self.attempts[address] += 1
        instance = self.instances[address]
        if instance.is_down:
            raise ServiceUnavailable("stock refused the connection", service="stock", applied=False)
        if self._random.random() < instance.error:
            return ServiceResponse(503, {}, b"")
        async with instance.free:
            await asyncio.sleep(instance.latency())
        return ANSWER

    def configure(self, config: ServiceConfig) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...


def stack_over(service: SimulatedService, *, seed: int, **settings: object) -> Stack:
    config = ServiceConfig(instances=tuple(service.instances), **settings)  # type: ignore[arg-type]
    return Stack(service, config, service="stock", telemetry=Telemetry(), clock=CLOCK, random=Random(seed))


@dataclass
class Tally:
    """What became of the calls of one class."""

    sent: int = 0
    served: int = 0
    latencies: list[float] = field(default_factory=list[float])

    @property
    def share(self) -> float:
        return self.served / self.sent if self.sent else 1.0

    def quantile(self, q: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


async def load(
    stack: Stack,
    *,
    rate: float,
    seconds: float,
    random: Random,
    deadline: float = 1.0,
    critical: float = 0.0,
    is_poisson: bool = True,
    during: Callable[[float], None] = lambda _: None,
) -> dict[Priority, Tally]:
    """An open loop: calls arrive at `rate` whatever becomes of them. `during` is told the time before each."""
    tallies = {priority: Tally() for priority in Priority}
    began = CLOCK.now()
    calls: list[asyncio.Task[None]] = []
    at = 0.0
    while True:
        at += random.expovariate(rate) if is_poisson else 1 / rate
        if at >= seconds:
            break
        await asyncio.sleep(max(0.0, began + at - CLOCK.now()))
        during(at)
        priority = Priority.CRITICAL if random.random() < critical else Priority.NORMAL
        calls.append(asyncio.ensure_future(_call(stack, priority, tallies[priority], deadline=deadline)))
    await asyncio.gather(*calls)
    return tallies


async def _call(stack: Stack, priority: Priority, tally: Tally, *, deadline: float) -> None:
    tally.sent += 1
    began = CLOCK.now()
    request = replace(READ, priority=priority, deadline=Deadline.after(deadline, clock=CLOCK), tried=[])
    try:
        await stack(request)
    except Exception:
        return
    finally:
        tally.latencies.append(CLOCK.now() - began)
    tally.served += 1
