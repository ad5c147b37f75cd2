"""The attempt timeout: how long one try may take, and whose fault it is when it takes longer.

Reads are cut after three times their endpoint's p99, learnt while they run. Writes are given the whole time that the service is
configured with: a read cut early is asked again, a write cut early is one of which nobody knows whether it happened.

Invariant: no attempt outlives its operation's deadline. If the deadline cut it, the operation is over (DeadlineExceeded, not
worth a retry); if the timeout did, the service was slow (ServiceTimeout, worth one). A cancellation from outside is neither.
Either that rings late says nothing of the service, and nothing is learnt from it: the loop was late, and an answer may lie unread.
"""

from __future__ import annotations

from collections.abc import Callable

from ...clock import Clock, Instant, Seconds
from ...errors import DeadlineExceeded, ServiceTimeout
from ..latency import Latencies
from ..outcome import DeadlineCut, LateTimeout, rang_late
from ..request import Handler, Policy, ServiceRequest, ServiceResponse
from ..timers import Expiry, Timers

_TIMES = 3
"""A timeout is that many times the p99: one read in a few thousand is cut although it would have come."""


def attempt_timeout(
    service: str,
    latencies: Latencies,
    timers: Timers,
    *,
    floor: Callable[[], Seconds],
    longest: Callable[[], Seconds],
    clock: Clock,
) -> Policy:
    """Cut an attempt after its own timeout, or what was learnt between `floor` and `longest`, or at the deadline: whichever
    comes first.

    `clock` must be the running loop's: the loop enforces the instant.
    """

    def timeout_of(request: ServiceRequest, now: Instant) -> Seconds:
        if request.attempt_timeout is not None:
            return request.attempt_timeout
        most = longest()
        if not request.is_safe:
            return most
        p99 = latencies.quantile(request.endpoint, 0.99, now=now)
        return most if p99 is None else Seconds(min(most, max(floor(), _TIMES * p99)))

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            began = clock.now()
            if began >= request.deadline.at:
                raise DeadlineExceeded(f"the deadline passed before {service} was called", service=service)
            timeout = timeout_of(request, began)
            end = min(request.deadline.at, Instant(began + timeout))
            expiry = Expiry(timers, end)
            try:
                with expiry:
                    response = await attempt(request)
            except TimeoutError as error:
                if not expiry.has_expired:
                    raise
                now, waited = clock.now(), Seconds(end - began)
                late = rang_late(Seconds(now - began), waited=waited)
                if end == request.deadline.at:
                    raise _cut(service, waited, is_late=late) from error
                if late:
                    raise _unread(service, timeout, by=Seconds(now - end)) from error
                latencies.record(request.endpoint, timeout, now=now)
                message = f"{service} did not answer within {timeout * 1000:.0f} ms"
                raise ServiceTimeout(message, service=service) from error
            now = clock.now()
            latencies.record(request.endpoint, Seconds(now - began), now=now)
            return response

        return handle

    return policy


def _cut(service: str, waited: Seconds, *, is_late: bool) -> DeadlineCut:
    message = f"the deadline passed {waited * 1000:.0f} ms into a call to {service}"
    return DeadlineCut(message, service=service, waited=waited, is_late=is_late)


def _unread(service: str, timeout: Seconds, *, by: Seconds) -> LateTimeout:
    return LateTimeout(
        f"no answer of {service} was read within {timeout * 1000:.0f} ms: the gateway was {by * 1000:.0f} ms late",
        service=service,
    )
