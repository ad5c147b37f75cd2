"""Many timers on one of the loop's: for those that are set on every attempt and hardly ever ring.

A timer of the loop costs about 15 µs to set and to take back where fifty calls are under way; one of these costs less than one,
because it is only put into a dict and taken out of it. The loop's own timer is set to the earliest that was ever set, whether that
is still wanted or not; when it rings, all that are set are looked through, for those that are due and for the next. A timeout is a
multiple of what calls take, so nearly all are gone by then and the loop's timer rings far seldomer than timers are set.

Invariant: a timer rings at its instant, not before, those of one instant in the order in which they were set; one that was taken
back never rings, and nothing of it is kept.
State: the timers of one service, on one event loop.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import Callable, Iterator
from itertools import count
from types import TracebackType
from typing import NewType, Self, cast

from ..clock import FOREVER, Instant

TimerId = NewType("TimerId", int)
"""What takes a timer back: a number of its `Timers`."""


class Timers:
    """Timers on the running loop; on another loop it begins anew."""

    def __init__(self) -> None:
        self._set_now: dict[TimerId, tuple[Instant, Callable[[], object]]] = {}
        self._ids = cast("Iterator[TimerId]", count())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._rings_at = float("inf")

    def __len__(self) -> int:
        return len(self._set_now)

    def at(self, instant: Instant, ring: Callable[[], object]) -> TimerId:
        """Call `ring` at the instant of the loop's clock."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._loop, self._handle, self._rings_at = loop, None, float("inf")
            self._set_now.clear()
        if instant < self._rings_at:
            self._ring_at(instant, loop)
        timer = next(self._ids)
        self._set_now[timer] = instant, ring
        return timer

    def cancel(self, timer: TimerId) -> None:
        """Take it back; nothing happens if it rang already, or was taken back."""
        self._set_now.pop(timer, None)

    def _ring_at(self, instant: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._rings_at = instant
        self._handle = loop.call_at(instant, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now = max(self._rings_at, loop.time())
        self._handle, self._rings_at = None, float("inf")
        due = sorted((instant, timer) for timer, (instant, _) in self._set_now.items() if instant <= now)
        for _, timer in due:
            _, ring = self._set_now.pop(timer, _TAKEN_BACK)  # perhaps by one that rang just now
            ring()
        earliest = min((instant for instant, _ in self._set_now.values()), default=None)
        if earliest is not None and earliest < self._rings_at:
            self._ring_at(earliest, loop)


_TAKEN_BACK: tuple[Instant, Callable[[], object]] = FOREVER, lambda: None


class Expiry:
    """`with Expiry(timers, at) as expiry:` is `asyncio.timeout_at(at)`, on these timers: its body is cancelled at the instant, and
    that cancellation becomes TimeoutError, unless somebody else has cancelled too. An instant of `FOREVER` never comes."""

    __slots__ = ("_at", "_cancelling", "_task", "_timer", "_timers", "has_expired")

    def __init__(self, timers: Timers, at: Instant) -> None:
        self._timers = timers
        self._at = at
        self.has_expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a task: call it from a coroutine that runs in one")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = None if self._at == FOREVER else self._timers.at(self._at, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timers.cancel(self._timer)
        if self.has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self.has_expired = True
        self._task.cancel()
