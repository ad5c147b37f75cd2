"""Many timers on one of the loop's: for those that are set on every attempt and hardly ever ring.

A timer of the loop costs about 15 µs to set and to take back where fifty calls are under way; one of these costs less than one.
What is taken back stays in the heap until its time comes, and the loop's own timer is set to the earliest, whether that still
wants to ring or not.

Invariant: a timer rings at its instant, not before; one that was taken back never rings. At most (attempts a second) x (longest
timeout) are kept.
State: the timers of one service, on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from types import TracebackType
from typing import Self

from ..clock import Instant


class Timer:
    """One that was set. `cancel` takes it back."""

    __slots__ = ("ring",)

    def __init__(self, ring: Callable[[], object]) -> None:
        self.ring: Callable[[], object] | None = ring

    def cancel(self) -> None:
        self.ring = None


class Timers:
    """Timers on the running loop; on another loop it begins anew."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._rings_at = float("inf")

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, instant: Instant, ring: Callable[[], object]) -> Timer:
        """Call `ring` at the instant of the loop's clock."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._heap, self._handle, self._rings_at = loop, [], None, float("inf")
        timer = Timer(ring)
        heappush(self._heap, (instant, next(self._numbers), timer))
        if instant < self._rings_at:
            self._set(loop, instant)
        return timer

    def _set(self, loop: asyncio.AbstractEventLoop, instant: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._rings_at = instant
        self._handle = loop.call_at(instant, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now, heap = max(self._rings_at, loop.time()), self._heap
        self._handle, self._rings_at = None, float("inf")
        while heap and (heap[0][0] <= now or heap[0][2].ring is None):
            timer = heappop(heap)[2]
            if timer.ring is not None:
                timer.ring()
        if heap and heap[0][0] < self._rings_at:
            self._set(loop, heap[0][0])


class Expiry:
    """`with Expiry(timers, at) as expiry:` is `asyncio.timeout_at(at)`, on these timers: its body is cancelled at the instant, and
    that cancellation becomes TimeoutError, unless somebody else has cancelled too."""

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
        self._timer = self._timers.at(self._at, self._expire)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self.has_expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self.has_expired = True
        self._task.cancel()
