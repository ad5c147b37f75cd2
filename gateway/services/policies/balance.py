"""Balance: which instance an attempt goes to.

Invariant: every attempt picks anew, avoiding what its call has tried; whatever becomes of it is told to `Instances`.
Source: power of two choices on peak EWMA (Finagle).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from ...clock import Clock, Seconds
from ..instances import Instances
from ..outcome import Outcome, outcome_of
from ..request import Handler, Policy, ServiceRequest, ServiceResponse


def balance(state: Instances, service: str, *, penalty: Callable[[], Seconds], clock: Clock) -> Policy:
    """Send the attempt to the instance that `state` picks; a failure counts as having taken at least `penalty`."""

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            began = clock.now()
            instance = state.pick(request.tried, now=began)
            request.tried.append(instance.address)
            outcome = Outcome.SUCCESS
            try:
                return await attempt(replace(request, instance=instance.address))
            except BaseException as error:
                outcome = outcome_of(error)
                raise
            finally:
                now = clock.now()
                state.finished(instance, outcome, elapsed=Seconds(now - began), penalty=penalty(), now=now)

        return handle

    return policy
