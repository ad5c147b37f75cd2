"""The bulkhead: a limit on what one service may hold of us, with a short, bounded queue in front.

Who is let in first, and who is dropped first, is a matter of priority: a permit goes to the most important waiter; a full queue
drops its least important one; what is sheddable never waits and leaves a tenth of the permits to the others.

Invariants: permits held <= limit (after a limit was lowered, no new ones until that holds again); waiting <= queue, or four of
them where all of it is critical; first come, first served within a priority; a permit given is returned exactly once, whatever is
cancelled when. A permit passes from holder to waiter without becoming free in between, so nobody can overtake the queue.
State: per service and worker process.
Source: Nygard, Release It!; the hand-over from trio's CapacityLimiter; priorities from the SRE book's load shedding.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass, replace
from typing import ClassVar

from ...clock import Clock, Deadline, Instant, Seconds
from ...errors import ServiceBulkheadFull, ServiceTimeout
from ...telemetry import Telemetry
from ..limit import AdaptiveLimit
from ..outcome import AnsweredUnavailable, DeadlineCut, is_our_lateness
from ..request import Handler, Policy, Priority, ServiceRequest, ServiceResponse

_CRITICAL_QUEUES = 4
"""Queues of the usual length that critical attempts may fill: eight times the limit, unless `queue` says otherwise."""

_TOO_MANY = frozenset({429, 503})
"""What a service answers that is asked too much; other errors of its own say nothing about how much it bears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadSettings:
    """How much of us one service may hold."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    limit: int = 64
    """Attempts under way at once, of all processes of the machine. 64: 640 calls/s of a service that takes 100 ms."""
    queue: int | None = None
    """Attempts that may wait for a permit; twice the limit if not given. 0 refuses at once."""
    wait: Seconds = Seconds(0.1)
    """Longest wait in seconds. 100 ms: beyond, the queue is not a burst but an overload."""
    critical_wait: Seconds = Seconds(1.0)
    """Longest wait of what is critical. A second: as long as its client will still be there."""
    adaptive: bool = False
    """Whether the limit is learnt from how long attempts take; `limit` is then the most. Off: a service that bears 64
    should not be doubted because it is slow."""
    least: int = 4
    """The least that an adaptive limit falls to."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError(f"bulkhead.limit is {self.limit}: it must be at least 1")
        if self.longest_queue < 0 or self.wait < 0 or self.critical_wait < 0:
            raise ValueError(
                f"bulkhead.queue is {self.queue}, wait {self.wait}, critical_wait {self.critical_wait}: "
                "none may be negative"
            )
        if self.adaptive and not 1 <= self.least <= self.limit:
            raise ValueError(f"bulkhead.least is {self.least}, limit {self.limit}: 1 <= least <= limit must hold")

    def shared_by(self, processes: int) -> BulkheadSettings:
        """The share of one of so many processes: rounded up, so none is without a permit."""
        limit = math.ceil(self.limit / processes)
        queue = None if self.queue is None else math.ceil(self.queue / processes)
        return replace(self, limit=limit, queue=queue, least=min(self.least, limit))

    @property
    def longest_queue(self) -> int:
        return 2 * self.limit if self.queue is None else self.queue


class Bulkhead:
    """Permits of one service and the queue for them."""

    def __init__(self, settings: BulkheadSettings, service: str) -> None:
        self._service = service
        self._in_flight = 0
        self._queues: tuple[deque[asyncio.Future[bool]], ...] = tuple(deque() for _ in Priority)
        self._learnt: AdaptiveLimit | None = None
        self._settings = settings
        self.configure(settings)

    def configure(self, settings: BulkheadSettings) -> None:
        """Other settings from now on; permits given stay given, waiters stay in the queue."""
        self._settings = settings
        if not settings.adaptive:
            self._learnt = None
        elif self._learnt is None:
            self._learnt = AdaptiveLimit(least=settings.least, most=settings.limit)
        else:
            self._learnt.configure(least=settings.least, most=settings.limit)
        self._let_in()

    @property
    def limit(self) -> int:
        """Attempts that may be under way at once, now."""
        return self._settings.limit if self._learnt is None else self._learnt.value

    @property
    def is_adaptive(self) -> bool:
        return self._learnt is not None

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues))

    def __repr__(self) -> str:
        return f"<Bulkhead {self._service} {self._in_flight}/{self.limit} in flight, {self.waiting} waiting>"

    def acquire_now(self, priority: Priority) -> bool:
        """Hold a permit, if that needs no waiting."""
        limit = self.limit
        if priority is Priority.SHEDDABLE:
            limit -= limit // 10  # the last tenth is for those whom somebody waits for
        if self._in_flight >= limit:  # as long as one is free nobody waits: it goes to the queue first
            return False
        self._in_flight += 1
        return True

    async def acquire(self, deadline: Deadline, *, clock: Clock, priority: Priority = Priority.NORMAL) -> None:
        """Hold a permit, to be returned by `release`.

        Raises: ServiceBulkheadFull if the queue is full of what is as important, or no permit came in time.
        """
        if self.acquire_now(priority):
            return
        if priority is Priority.SHEDDABLE:
            raise self._full("and what is sheddable does not wait")
        if self.waiting >= self._longest_queue(priority) and not self._drop_below(priority):
            raise self._full(f"and {self.waiting} wait")
        longest = self._settings.critical_wait if priority is Priority.CRITICAL else self._settings.wait
        if not await self._wait_turn(self._queues[priority], Seconds(min(longest, deadline.remaining(clock)))):
            raise self._full("and no place came free in time")

    def release(self) -> None:
        """Give the permit back, or on to whoever is first in the queue."""
        self._in_flight -= 1
        self._let_in()

    def answered(self, took: Seconds, *, now: Instant) -> None:
        """An attempt was answered after that time. Told before its permit is released."""
        if self._learnt is not None:
            self._learnt.answered(took, in_flight=self._in_flight, now=now)

    def dropped(self, now: Instant) -> None:
        """The service refused an attempt as too many, or did not answer in time."""
        if self._learnt is not None:
            self._learnt.dropped(now)

    def _longest_queue(self, priority: Priority) -> int:
        """What is critical may wait longer, so more of it may wait."""
        return self._settings.longest_queue * (_CRITICAL_QUEUES if priority is Priority.CRITICAL else 1)

    def _let_in(self) -> None:
        """Hand what is free to those who wait, the most important first."""
        while self._in_flight < self.limit:
            turn = self._next()
            if turn is None:
                return
            self._in_flight += 1
            turn.set_result(True)

    def _next(self) -> asyncio.Future[bool] | None:
        for queue in reversed(self._queues):
            while queue:
                turn = queue.popleft()
                if not turn.done():  # done: cancelled in this very step of the loop, and not yet woken
                    return turn
        return None

    def _drop_below(self, priority: Priority) -> bool:
        """Whether somebody less important left the queue: of those the least important, and the last that came."""
        for queue in self._queues[:priority]:
            while queue:
                turn = queue.pop()
                if not turn.done():
                    turn.set_result(False)
                    return True
        return False

    async def _wait_turn(self, queue: deque[asyncio.Future[bool]], longest: Seconds) -> bool:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        queue.append(turn)
        timer = loop.call_later(longest, self._give_up, turn, queue)
        try:
            return await turn
        except asyncio.CancelledError:
            # Three cases: cancelled in the queue; cancelled there and already skipped by `_next`; or the permit came
            # first, and the cancellation before this task could run: then it must be passed on.
            if not turn.cancelled():
                if turn.result():
                    self.release()
            elif turn in queue:
                queue.remove(turn)
            raise
        finally:
            timer.cancel()

    def _give_up(self, turn: asyncio.Future[bool], queue: deque[asyncio.Future[bool]]) -> None:
        if not turn.done():
            queue.remove(turn)
            turn.set_result(False)

    def _full(self, why: str) -> ServiceBulkheadFull:
        return ServiceBulkheadFull(
            f"{self._in_flight} calls to {self._service} are under way {why}", service=self._service, applied=False
        )


def bulkhead(state: Bulkhead, service: str, *, telemetry: Telemetry, clock: Clock) -> Policy:
    """Hold a permit of `state` for the time of the attempt."""
    telemetry.metrics.calls_in_flight.labels(service).set_function(lambda: state.in_flight)  # asked, not told: free
    telemetry.metrics.calls_waiting.labels(service).set_function(lambda: state.waiting)
    shed = {priority: telemetry.metrics.shed.labels(service, priority.word) for priority in Priority}

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            if not state.acquire_now(request.priority):
                began = clock.now()
                try:
                    await state.acquire(request.deadline, clock=clock, priority=request.priority)
                except ServiceBulkheadFull:
                    shed[request.priority].inc()
                    raise
                finally:
                    request.waited.append(Seconds(clock.now() - began))
            try:
                return await (learning(request) if state.is_adaptive else attempt(request))
            finally:
                state.release()

        async def learning(request: ServiceRequest) -> ServiceResponse:
            began = clock.now()
            try:
                response = await attempt(request)
            except AnsweredUnavailable as error:
                if error.http_status in _TOO_MANY:
                    state.dropped(clock.now())
                raise
            except (ServiceTimeout, DeadlineCut) as error:
                if not is_our_lateness(error):
                    state.dropped(clock.now())
                raise
            now = clock.now()
            state.answered(Seconds(now - began), now=now)
            return response

        return handle

    return policy
