"""The stack: the ordered policies of one service, and the only place that knows their order.

Invariant: outermost first, each line for a reason: retry holds nothing while it waits; the breaker sees every
attempt; the bulkhead's wait is in no attempt's time; a span is one attempt; whatever is timed is what the service
did. Attempt timeout and classify alone may be swapped: the latter awaits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from random import Random

from ..clock import Clock
from ..telemetry import Telemetry
from .config import ServiceConfig
from .policies import (
    Breaker,
    Bulkhead,
    attempt_timeout,
    breaker,
    bulkhead,
    classify,
    observe,
    retry,
)
from .request import Handler, Policy, ServiceRequest, ServiceResponse
from .wire import Wire


@dataclass(frozen=True, slots=True)
class Stack:
    """A Handler whose state can be looked at."""

    handle: Handler
    breaker: Breaker
    bulkhead: Bulkhead

    async def __call__(self, request: ServiceRequest) -> ServiceResponse:
        return await self.handle(request)


def build_stack(
    wire: Wire, config: ServiceConfig, *, service: str, telemetry: Telemetry, clock: Clock, random: Random
) -> Stack:
    """The policies of `service` over its wire, with state of their own."""
    gate = Breaker(config.breaker, random.random)
    permits = Bulkhead(config.bulkhead, service)
    handle = compose(
        [
            retry(config.retry, service, telemetry=telemetry, clock=clock, random=random),
            breaker(gate, service, telemetry=telemetry, clock=clock),
            bulkhead(permits, service, telemetry=telemetry, clock=clock),
            observe(service, telemetry, clock=clock),
            attempt_timeout(service, config.attempt_timeout, clock=clock),
            classify(service, clock),
        ],
        over(wire, config),
    )
    return Stack(handle, gate, permits)


def compose(policies: Sequence[Policy], handler: Handler) -> Handler:
    """`policies`, outermost first, round `handler`."""
    return reduce(lambda inner, policy: policy(inner), reversed(policies), handler)


def over(wire: Wire, config: ServiceConfig) -> Handler:
    """The wire as the innermost Handler; the timeout it is told is a second line behind the policy's."""

    async def handle(request: ServiceRequest) -> ServiceResponse:
        return await wire.send(request, timeout=request.attempt_timeout or config.attempt_timeout)

    return handle
