"""Coalescing: identical reads that are under way at the same time are one call.

The first caller makes the call, in its own task; whoever asks for the same meanwhile waits for its answer. If the first one leaves
(its client is gone, or its deadline is over) the next one makes the call anew and the others wait for that.

Invariants: the key holds everything that can change the answer, the sharing scope and all that has been written since included;
never a write; nobody waits past its own deadline; whoever shares a call costs no permit and no budget.
State: the calls under way, per service and worker process.
Source: Go's singleflight, with leaders that may leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from ...clock import Deadline
from ...errors import DeadlineExceeded, GatewayError
from ...telemetry import Telemetry
from ..request import Handler, Policy, ServiceRequest, ServiceResponse

_Ending = ServiceResponse | GatewayError | None
"""What a call came to; None: whoever made it left."""


class Flights:
    """The coalesced calls that are under way: for each the future that those wait for who share it, if there are any."""

    def __init__(self) -> None:
        self.under_way: dict[Hashable, asyncio.Future[_Ending] | None] = {}

    def __len__(self) -> int:
        return len(self.under_way)

    def __repr__(self) -> str:
        shared = sum(future is not None for future in self.under_way.values())
        return f"<Flights {len(self)} under way, {shared} shared>"

    async def lead(self, key: Hashable, call: Handler, request: ServiceRequest) -> ServiceResponse:
        """Make the call for all who ask for the same until it ends."""
        self.under_way[key] = None
        ending: _Ending = None
        try:
            response = ending = await call(request)
        except DeadlineExceeded:
            raise  # the deadline is this caller's; the others may have more time
        except GatewayError as error:
            ending = error
            raise
        finally:
            waited_for = self.under_way.pop(key)
            if waited_for is not None:
                waited_for.set_result(ending)
        return response

    async def wait(self, key: Hashable, deadline: Deadline) -> _Ending:
        """How the call under `key` ends. Raises: TimeoutError at the deadline."""
        future = self.under_way[key]
        if future is None:
            future = self.under_way[key] = asyncio.get_running_loop().create_future()
        async with deadline.scope():
            return await asyncio.shield(future)


def coalesce(state: Flights, service: str, *, enabled: Callable[[], bool], telemetry: Telemetry) -> Policy:
    """Let identical reads share one call."""
    coalesced = telemetry.metrics.coalesced.labels(service)

    def policy(call: Handler) -> Handler:
        def handle(request: ServiceRequest) -> Awaitable[ServiceResponse]:
            if request.share is None or not request.is_safe or request.faults is not None or not enabled():
                return call(request)
            return shared(request)

        async def shared(request: ServiceRequest) -> ServiceResponse:
            key = _key(request)
            while key in state.under_way:
                coalesced.inc()
                try:
                    ending = await state.wait(key, request.deadline)
                except TimeoutError as error:
                    raise _too_late(service) from error
                if isinstance(ending, GatewayError):
                    raise ending.with_traceback(None)  # one error is raised at many places
                if ending is not None:
                    return ending
            return await state.lead(key, call, request)

        return handle

    return policy


def _too_late(service: str) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the deadline passed while {service} was asked the same for somebody else", service=service
    )


def _key(request: ServiceRequest) -> Hashable:
    """Everything that can change the answer, or what becomes of the call."""
    return (
        request.share,
        request.method,
        request.path,
        request.query,
        request.headers,
        request.body,
        request.priority,
        request.may_hedge,
        request.may_retry,
    )
