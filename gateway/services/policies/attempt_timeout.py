"""The attempt timeout: how long one try may take, and whose fault it is when it takes longer.

Invariant: no attempt outlives its operation's deadline. If the deadline cut it, the operation is over
(DeadlineExceeded, not worth a retry); if the timeout did, the service was slow (ServiceTimeout, worth one). A
cancellation from outside is neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...clock import Clock, Instant, Seconds
from ...errors import DeadlineExceeded, ServiceTimeout
from ..latency import Latencies
from ..outcome import DeadlineCut
from ..request import Handler, Policy, ServiceRequest, ServiceResponse


def attempt_timeout(
    service: str, latencies: Latencies, *, floor: Callable[[], Seconds], longest: Callable[[], Seconds], clock: Clock
) -> Policy:
    """Cut an attempt after its own timeout, the service's `longest`, or at the deadline: whichever comes first.

    `clock` must be the running loop's: the loop enforces the instant.
    """

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            began = clock.now()
            if began >= request.deadline.at:
                raise DeadlineExceeded(f"the deadline passed before {service} was called", service=service)
            timeout = longest() if request.attempt_timeout is None else request.attempt_timeout
            end = min(request.deadline.at, Instant(began + timeout))
            scope = asyncio.timeout_at(end)
            try:
                async with scope:
                    return await attempt(request)
            except TimeoutError as error:
                if not scope.expired():
                    raise
                if end == request.deadline.at:
                    waited = Seconds(end - began)
                    raise DeadlineCut(
                        f"the deadline passed {waited * 1000:.0f} ms into a call to {service}",
                        service=service,
                        waited=waited,
                    ) from error
                message = f"{service} did not answer within {timeout * 1000:.0f} ms"
                raise ServiceTimeout(message, service=service) from error

        return handle

    return policy
