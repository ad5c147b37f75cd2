"""The stack: the ordered policies of one service, and the only place that knows their order.

Invariant: outermost first, each line for a reason. Who shares a call costs neither permit nor budget (coalesce); retry
holds nothing while it waits; a hedge is asked of the breaker like any attempt, and the breaker sees every one; the
bulkhead's wait is in no attempt's time; what waits for a permit has picked no instance yet; a span is one attempt at one
instance; whatever is timed is what the service did, or what a fault did in its place. Attempt timeout and classify alone
may be swapped: the latter awaits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from random import Random

from ..clock import Clock, Instant, Seconds
from ..telemetry import Telemetry
from .budget import RetryBudget
from .config import ServiceConfig
from .instances import Instances
from .latency import Latencies
from .policies import (
    Breakers,
    Bulkhead,
    Flights,
    attempt_timeout,
    balance,
    breaker,
    bulkhead,
    classify,
    coalesce,
    faults,
    hedge,
    observe,
    retry,
)
from .request import Handler, Policy, ServiceRequest, ServiceResponse
from .timers import Timers
from .wire import Wire


class Stack:
    """A Handler whose state can be looked at, and whose settings can change while calls are under way.

    What policies know is in the objects below, which stay; `config` is replaced as a whole, and read anew by each attempt.
    """

    def __init__(
        self, wire: Wire, config: ServiceConfig, *, service: str, telemetry: Telemetry, clock: Clock, random: Random
    ) -> None:
        self.config = config
        self.flights = Flights()
        self.budget = RetryBudget(config.budget)
        self.latencies = Latencies()
        self.timers = Timers()
        self.breaker = Breakers(config.breaker, random.random)
        self.bulkhead = Bulkhead(config.bulkhead, service)
        self.instances = Instances(config.instances, config.fallback, config.balance, random.random)
        policies = self.policies(service, telemetry=telemetry, clock=clock, random=random)
        self.handle: Handler = compose(policies, over(wire))

    async def __call__(self, request: ServiceRequest) -> ServiceResponse:
        return await self.handle(request)

    def configure(self, config: ServiceConfig, *, now: Instant) -> None:
        """Other settings from now on, for calls under way too; what was learnt stays."""
        self.config = config
        self.budget.configure(config.budget)
        self.breaker.configure(config.breaker)
        self.bulkhead.configure(config.bulkhead)
        self.instances.configure(config.instances, config.fallback, config.balance, now=now)

    def policies(self, service: str, *, telemetry: Telemetry, clock: Clock, random: Random) -> list[Policy]:
        """Outermost first."""
        return [
            coalesce(self.flights, service, enabled=lambda: self.config.coalesce, telemetry=telemetry),
            retry(
                lambda: self.config.retry,
                service,
                budget=self.budget,
                telemetry=telemetry,
                clock=clock,
                random=random,
            ),
            hedge(
                lambda: self.config.hedge,
                service,
                latencies=self.latencies,
                timers=self.timers,
                budget=self.budget,
                telemetry=telemetry,
                clock=clock,
            ),
            breaker(self.breaker, service, telemetry=telemetry, clock=clock),
            bulkhead(self.bulkhead, service, telemetry=telemetry, clock=clock),
            balance(
                self.instances, service, penalty=lambda: self.config.attempt_timeout, telemetry=telemetry, clock=clock
            ),
            observe(service, telemetry, clock=clock),
            attempt_timeout(
                service,
                self.latencies,
                self.timers,
                floor=lambda: self.config.attempt_timeout_floor,
                longest=lambda: self.config.attempt_timeout,
                clock=clock,
            ),
            classify(service, clock),
            faults(lambda: self.config.faults, service, telemetry=telemetry),
        ]


def compose(policies: Sequence[Policy], handler: Handler) -> Handler:
    """`policies`, outermost first, round `handler`."""
    return reduce(lambda inner, policy: policy(inner), reversed(policies), handler)


def over(wire: Wire) -> Handler:
    """The wire as the innermost Handler. It need not watch the time: the attempt timeout stands above it."""
    return partial(wire.send, timeout=_UNWATCHED)


_UNWATCHED = Seconds(float("inf"))
