"""Balance: which instance an attempt goes to.

Invariant: every attempt picks anew, avoiding what its call has tried; whatever becomes of it is told to `Instances`.
Source: power of two choices on peak EWMA (Finagle).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from ...clock import NEVER, Clock, Seconds
from ...telemetry import Telemetry
from ..instances import STATES, Instances
from ..outcome import SUCCESS, is_our_lateness, outcome_of
from ..request import Handler, Policy, ServiceRequest, ServiceResponse


def balance(
    state: Instances, service: str, *, penalty: Callable[[], Seconds], telemetry: Telemetry, clock: Clock
) -> Policy:
    """Send the attempt to the instance that `state` picks; a failure counts as having taken at least `penalty`."""
    for name in STATES:  # asked when somebody looks, not told: free
        telemetry.metrics.instances.labels(service, name).set_function(partial(_count, state, name))
    ejections = telemetry.metrics.ejections.labels(service)

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            began = clock.now()
            instance = state.pick(request.tried, now=began)
            request.tried.append(instance.address)
            try:
                response = await attempt(replace(request, instance=instance.address))
            except BaseException as error:
                now, before = clock.now(), state.ejections
                elapsed = NEVER if is_our_lateness(error) else Seconds(now - began)
                state.finished(instance, outcome_of(error), elapsed=elapsed, penalty=penalty(), now=now)
                if state.ejections > before:
                    ejections.inc()
                    telemetry.log.warning("instance left out", service=service, instance=instance.address)
                raise
            now = clock.now()
            state.finished(instance, SUCCESS, elapsed=Seconds(now - began), penalty=NEVER, now=now)
            return response

        return handle

    return policy


def _count(state: Instances, name: str) -> float:
    return state.counts()[name]
