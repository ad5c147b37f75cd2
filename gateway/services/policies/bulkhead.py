"""The bulkhead: a hard cap on what one service may hold of us, with a short, bounded queue in front.

Invariants: permits held <= limit; waiting <= queue; first come, first served; a permit given is returned exactly
once, whatever is cancelled when. A permit passes from holder to waiter without becoming free in between, so nobody
can overtake the queue.
State: per service and worker process.
Source: Nygard, Release It!; the hand-over from trio's CapacityLimiter.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from ...clock import Clock, Deadline, Seconds
from ...errors import ServiceBulkheadFull
from ...telemetry import Telemetry
from ..request import Handler, Policy, ServiceRequest, ServiceResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadSettings:
    """How much of us one service may hold."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    limit: int = 64
    """Attempts under way at once. 64: 640 calls/s of a service that takes 100 ms."""
    queue: int | None = None
    """Attempts that may wait for a permit; twice the limit if not given. 0 refuses at once."""
    wait: Seconds = Seconds(0.1)
    """Longest wait in seconds. 100 ms: beyond, the queue is not a burst but an overload."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"bulkhead.limit is {self.limit}: it must be at least 1")
        if self.longest_queue < 0 or self.wait < 0:
            raise ValueError(f"bulkhead.queue is {self.queue}, bulkhead.wait {self.wait}: neither may be negative")

    @property
    def longest_queue(self) -> int:
        return 2 * self.limit if self.queue is None else self.queue


class Bulkhead:
    """Permits of one service and the queue for them."""

    def __init__(self, settings: BulkheadSettings, service: str) -> None:
        self._settings = settings
        self._service = service
        self._in_flight = 0
        self._waiters: deque[asyncio.Future[bool]] = deque()

    def configure(self, settings: BulkheadSettings) -> None:
        """Other settings from now on; permits given stay given, waiters stay in the queue."""
        self._settings = settings

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def __repr__(self) -> str:
        return f"<Bulkhead {self._service} {self._in_flight}/{self._settings.limit} in flight, {self.waiting} waiting>"

    async def acquire(self, deadline: Deadline, *, clock: Clock) -> None:
        """Hold a permit, to be returned by `release`.

        Raises: ServiceBulkheadFull if the queue is full, or no permit came in time.
        """
        if self._in_flight < self._settings.limit:  # nobody waits then: a free permit goes to the queue first
            self._in_flight += 1
            return
        if self.waiting >= self._settings.longest_queue:
            raise self._full(f"and {self.waiting} wait")
        if not await self._wait_turn(Seconds(min(self._settings.wait, deadline.remaining(clock)))):
            raise self._full("and no place came free in time")

    def release(self) -> None:
        """Give the permit to the first in the queue that still wants it, or back."""
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():  # done: cancelled in this very step of the loop, and not yet woken
                turn.set_result(True)
                return
        self._in_flight -= 1

    async def _wait_turn(self, longest: Seconds) -> bool:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiters.append(turn)
        timer = loop.call_later(longest, self._give_up, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # Three cases: cancelled in the queue; cancelled there and already skipped by `release`; or the permit came
            # first, and the cancellation before this task could run: then it must be passed on.
            if not turn.cancelled():
                if turn.result():
                    self.release()
            elif turn in self._waiters:
                self._waiters.remove(turn)
            raise
        finally:
            timer.cancel()

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._waiters.remove(turn)
            turn.set_result(False)

    def _full(self, why: str) -> ServiceBulkheadFull:
        return ServiceBulkheadFull(
            f"{self._settings.limit} calls to {self._service} are under way {why}", service=self._service, applied=False
        )


def bulkhead(state: Bulkhead, service: str, *, telemetry: Telemetry, clock: Clock) -> Policy:
    """Hold a permit of `state` for the time of the attempt."""
    gauge = telemetry.metrics.calls_in_flight.labels(service)

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            await state.acquire(request.deadline, clock=clock)
            gauge.inc()
            try:
                return await attempt(request)
            finally:
                gauge.dec()
                state.release()

        return handle

    return policy
