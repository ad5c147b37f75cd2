"""Permits of operations: so many at once as the gateway bears, a short wait for the next, and a clear refusal beyond it.

Invariants: as many permits come back as were given, whatever ends the operation or its wait; a permit passes from who leaves to who
waits without becoming free in between, so nobody overtakes the queue; nobody waits longer than its rank may; what has expired is
dropped, not begun.
State: one count of permits, one of streams, and the queue, per application.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Hashable
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from random import Random

from ..clock import Clock, Deadline, Instant, Seconds
from ..errors import Draining, Overloaded
from ..overload_limits import OverloadLimits
from ..telemetry import Children, Telemetry
from .lag_limit import LagLimit
from .rank import Rank
from .waiting import Entry, WaitingRoom

Waiter = asyncio.Future[None]

_KEPT_FREE: dict[Rank, int] = {Rank.BACKGROUND: 2, Rank.QUERY: 10, Rank.MUTATION: 20}
"""One of so many permits is kept for higher ranks."""

_NO_DEADLINE, _USUAL = Deadline(), OverloadLimits()

_LATEST = 4
"""Seconds in which a refused client may come back; the soonest is one."""

_SWEEP = 0.01
"""Seconds between two looks for those who have waited too long."""


@dataclass(slots=True)
class Seen:
    """What has happened since somebody looked: permits given, operations refused, the most that ran at once, and whether any had to
    wait for a permit."""

    given: int = 0
    refused: int = 0
    most: int = 0
    held_back: bool = False


class _Permit(AbstractAsyncContextManager[None]):
    """As a generator would be one, at a tenth of the cost: every operation has it."""

    __slots__ = ("_admission", "_asked")

    def __init__(self, admission: Admission, *asked: *tuple[Rank, Hashable, Deadline]) -> None:
        self._admission = admission
        self._asked = asked

    async def __aenter__(self) -> None:
        await self._admission.enter(*self._asked)

    async def __aexit__(self, *_: object) -> None:
        self._admission.leave()


class Admission:
    """Gives a permit to an operation, lets it wait for one, or says no."""

    def __init__(
        self,
        limit: int,
        *,
        telemetry: Telemetry,
        clock: Clock,
        max_streams: int = 1_000,
        limits: OverloadLimits = _USUAL,
        random: Random,
    ) -> None:
        self.max_streams = max_streams
        self.in_flight = 0
        self.streams = 0
        self.is_leaving = False
        """Whether subscriptions are sent elsewhere; operations are admitted as before."""
        self.is_draining = False
        """Whether nothing is admitted any more."""
        self.learnt = LagLimit(least=limits.least, most=limit, target=limits.lag)
        self._limits = limits
        self._clock = clock
        self._random = random
        self._room: WaitingRoom[Waiter] = WaitingRoom(limits.queue)
        self._waits = {
            Rank.BACKGROUND: Seconds(0.0),
            Rank.QUERY: limits.wait,
            Rank.MUTATION: limits.mutation_wait,
            Rank.CRITICAL: limits.critical_wait,
        }
        self._timer: asyncio.TimerHandle | None = None
        self.seen = Seen()
        self.on_busy: Callable[[], None] | None = None
        """Called whenever an operation gets a permit, which may be the first for a while."""
        metrics = telemetry.metrics
        self._shed = Children(metrics.operations_shed)
        self._waited = metrics.operations_waited
        metrics.operations_in_flight.set_function(lambda: self.in_flight)  # asked, not told: free
        metrics.operations_waiting.set_function(lambda: len(self._room))
        metrics.operations_limit.set_function(lambda: self.limit)
        metrics.subscriptions.set_function(lambda: self.streams)

    @property
    def limit(self) -> int:
        """Operations that may be under way at once, now."""
        return self.learnt.value

    def limit_of(self, rank: Rank) -> int:
        """What operations of the rank may take of it."""
        limit = self.learnt.value
        share = _KEPT_FREE.get(rank)
        return limit if share is None else limit - limit // share

    @property
    def waiting(self) -> int:
        return len(self._room)

    def permit(
        self, rank: Rank = Rank.QUERY, *, client: Hashable = None, deadline: Deadline = _NO_DEADLINE
    ) -> AbstractAsyncContextManager[None]:
        """Hold a permit for the body, after a wait if need be. Raises: Overloaded, Draining; the body is not entered then."""
        return _Permit(self, rank, client, deadline)

    async def enter(self, rank: Rank, client: Hashable, deadline: Deadline) -> None:
        """Have a permit, which `leave` gives back. Raises: Overloaded, Draining."""
        if self.is_draining:
            raise Draining("this gateway is shutting down: send the request again")
        if self.in_flight >= self.limit_of(rank) or (self._room and self._goes_after_others(rank)):
            await self._turn(rank, client, deadline)
        else:
            self._give()

    def leave(self) -> None:
        """Give a permit back; whoever is next has it."""
        self.in_flight -= 1
        if self._room:
            self._pass_on()

    def _goes_after_others(self, rank: Rank) -> bool:
        top = self._room.top()
        return top is not None and top >= rank

    def look(self) -> Seen:
        """What has happened since the last look."""
        seen, self.seen = self.seen, Seen(most=self.in_flight, held_back=bool(self._room))
        return seen

    def _give(self) -> None:
        self.in_flight += 1
        self.seen.given += 1
        if self.on_busy is not None:
            self.on_busy()
        self.seen.most = max(self.seen.most, self.in_flight)

    async def _turn(self, rank: Rank, client: Hashable, deadline: Deadline) -> None:
        """Wait for a permit, and have it. Raises: Overloaded."""
        self.seen.held_back = True
        began = self._clock.now()
        expires = Instant(min(began + self._waits[rank], deadline.at))
        waiter: Waiter = asyncio.get_running_loop().create_future()
        entry = Entry(rank, client, expires, waiter)
        dropped = entry if expires <= began else self._room.put(entry)
        if dropped is not None:
            self._refuse(dropped)
        if self._timer is None and self._room:
            self._set_timer()
        try:
            await waiter
        except asyncio.CancelledError:
            if entry.is_waiting:
                self._room.remove(entry)
            elif not waiter.cancelled() and waiter.exception() is None:  # it was given the permit in the same tick
                self.leave()
            raise
        self._waited.observe(self._clock.now() - began)

    def _pass_on(self) -> None:
        """Give what is free to those whose turn it is."""
        while (rank := self._room.top()) is not None and self.in_flight < self.limit_of(rank):
            entry = self._room.take()
            if entry.waiter.done():
                continue
            if entry.expires <= self._clock.now():
                self._refuse(entry)
                continue
            self._give()
            entry.waiter.set_result(None)

    def _refuse(self, entry: Entry[Waiter]) -> None:
        self.seen.refused += 1
        self._shed[entry.rank.word,].inc()
        if not entry.waiter.done():
            entry.waiter.set_exception(
                Overloaded(
                    f"{self.in_flight} operations are under way and {len(self._room)} wait: try again in a moment",
                    retry_after=self._later(),
                )
            )

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        """While somebody waits: drop those who have waited long enough, and give out what a grown limit allows."""
        self._timer = None
        for entry in self._room.expired(self._clock.now()):
            self._refuse(entry)
        self._pass_on()
        if self._room:
            self._set_timer()

    @contextmanager
    def stream(self) -> Generator[None]:
        """Hold a place for a subscription, which takes no permit while it waits for events. Raises: Overloaded, Draining."""
        if self.is_leaving or self.is_draining:
            raise Draining("this gateway is shutting down: subscribe again")
        if self.streams >= self.max_streams:
            raise Overloaded(
                f"{self.streams} subscriptions are under way, which is the limit: try again in a moment",
                retry_after=self._later(),
            )
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def _later(self) -> int:
        """Seconds after which one of those who are refused may come back: not all of them together."""
        return self._random.randint(1, _LATEST)

    @property
    def _condition(self) -> str:
        if self.is_draining:
            return ", draining"
        return ", leaving" if self.is_leaving else ""

    def __repr__(self) -> str:
        waiting = f", {len(self._room)} waiting" if self._room else ""
        return f"<Admission {self.in_flight}/{self.limit} in flight{waiting}{self._condition}>"
