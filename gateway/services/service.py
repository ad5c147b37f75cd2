"""A service, as everything above sees it: a name, a way to call it, and how it is doing.

Invariant: every call goes through the stack; only health checks, which are no calls, go to the wire directly.
State: what the stack has learnt, and connections, per service and worker process. Its settings, instances included, may be
replaced while calls are under way.
"""

from __future__ import annotations

from functools import cached_property
from random import Random
from types import TracebackType
from typing import Any, Self

from msgspec.structs import replace

from ..clock import Clock, Seconds
from ..telemetry import Telemetry
from .config import ServiceConfig, changes
from .health import HealthChecks
from .http1_wire import Http1Wire
from .httpx_transport import HttpClient, OnBehalf, http_client
from .policies import BreakerState
from .request import Handler, ServiceRequest, ServiceResponse
from .stack import Stack
from .wire import Wire


class ServiceClient:
    """One service. Between `start` and `close` it belongs to one event loop."""

    def __init__(
        self,
        name: str,
        config: ServiceConfig,
        *,
        telemetry: Telemetry,
        clock: Clock,
        random: Random,
        wire: Wire | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._wire: Wire = wire or Http1Wire(name, config, telemetry=telemetry, clock=clock)
        self._stack = Stack(self._wire, config, service=name, telemetry=telemetry, clock=clock, random=random)
        self._health = HealthChecks(
            self._wire,
            self._stack.instances,
            lambda: self.config.health,
            name,
            telemetry=telemetry,
            clock=clock,
            random=random.random,
        )

    def __repr__(self) -> str:
        permits = self._stack.bulkhead
        return (
            f"<ServiceClient {self.name} breaker={self.breaker_state} "
            f"{permits.in_flight}/{permits.limit} in flight, {permits.waiting} waiting>"
        )

    async def call(
        self, request: ServiceRequest, *, tried: list[str] | None = None, waited: list[Seconds] | None = None
    ) -> ServiceResponse:
        """The answer, below 500 and not 429. `tried`, `waited`: where the addresses that it is sent to are written down, and its
        waits for permits.

        Raises: ServiceUnavailable, ServiceTimeout, ServiceContractBroken, ServiceBreakerOpen, ServiceBulkheadFull,
        DeadlineExceeded.
        """
        own = replace(request, tried=[] if tried is None else tried, waited=[] if waited is None else waited)
        return await self._stack.handle(own)

    @cached_property
    def http(self) -> HttpClient:
        """An httpx client whose transport is the stack; read `httpx_transport` for how deadlines and labels are
        given."""
        return http_client(self.name, self.call, clock=self._clock)

    def http_of(self, on_behalf: OnBehalf, *, call: Handler) -> HttpClient:
        """The same, for the calls of one operation, by its own way to `call`. Cost: about 35 µs."""
        return http_client(self.name, call, clock=self._clock, on_behalf=on_behalf)

    @property
    def config(self) -> ServiceConfig:
        return self._stack.config

    @property
    def stack(self) -> Stack:
        """The policies' state, for whoever shows it."""
        return self._stack

    def configure(self, config: ServiceConfig) -> list[str]:
        """Other settings from now on. What is under way goes on; what was learnt stays. Returns what changed, as sentences."""
        before, changed = self.config, changes(self.name, self.config, config)
        drained = self._stack.instances.counts()["drained"]
        self._stack.configure(config, now=self._clock.now())
        self._wire.configure(config)
        if config.health != before.health:  # else settings that change often would put off the next round for ever
            self._health.configure()
        if drained and not self._stack.instances.counts()["drained"]:
            changed.append(f"{self.name}: no instance is drained any more")
        return changed

    def drain(self, address: str) -> int:
        """Send nothing new to an instance, until `undrain` or until it is no longer in the settings. Returns how much it still
        has under way. Raises: LookupError, ValueError with a sentence."""
        return self._stack.instances.drain(address)

    def undrain(self, address: str) -> bool:
        """Use an instance again. Returns whether it was drained. Raises: LookupError with a sentence."""
        return self._stack.instances.undrain(address, now=self._clock.now())

    def snapshot(self) -> dict[str, Any]:
        """For operators, as JSON: how the service is doing, and each of its instances."""
        now, permits = self._clock.now(), self._stack.bulkhead
        return {
            "service": self.name,
            "breaker": self.breaker_state.value,
            "inFlight": permits.in_flight,
            "limit": permits.limit,
            "waiting": permits.waiting,
            "latencySeconds": self._stack.latencies.snapshot(now),
            "budget": self._stack.budget.snapshot(now),
            "instances": self._stack.instances.snapshot(now),
        }

    @property
    def is_breaker_open(self) -> bool:
        return self._stack.breaker.is_open

    @property
    def breaker_state(self) -> BreakerState:
        return self._stack.breaker.state

    @property
    def in_flight(self) -> int:
        """Permits held."""
        return self._stack.bulkhead.in_flight

    @property
    def waiting(self) -> int:
        """Attempts in the bulkhead's queue."""
        return self._stack.bulkhead.waiting

    async def start(self) -> None:
        await self._wire.start()
        await self._health.start()

    async def close(self) -> None:
        try:
            await self._health.close()
        finally:
            await self._wire.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
