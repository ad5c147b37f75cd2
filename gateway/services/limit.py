"""An adaptive concurrency limit: how many attempts a service bears at once, learnt from how long they take.

The limit is a number that learns; the bulkhead enforces it. From the time that attempts take when nothing queues, and the time
that they take now, follows how many of them queue at the service (Little's law); the limit is steered so that few do. The time
without a queue is measured anew every ten seconds, by holding back half for two round trips: a mean would forget it.

Invariant: least <= limit <= most; it grows only while it is used; it backs off at most once in the time of an attempt.
State: per service and worker process.
Source: TCP Vegas as in Netflix concurrency-limits, with the probe of BBR (Cardwell and others, ACM Queue 2016).
Gradient2 was tried: its long mean learns the queue as if it were the service's own time, and with 40 workers it let 150 in.
"""

from __future__ import annotations

from math import inf, sqrt

from ..clock import Instant, Seconds

_FIRST = 20
"""The limit before anything is known."""

_FEW, _MANY = 0.5, 1.5
"""Of the limit's square root: with fewer attempts queueing it grows, with more it falls."""

_EPOCH = Seconds(10.0)
"""Between two measurements of the time without a queue. At a round trip of 50 ms they cost half a percent."""

_BACK_OFF = 0.9
"""What is left of the limit after an attempt that the service refused or did not answer."""

_LEAST_SAMPLES = 8


class AdaptiveLimit:
    """The decision, pure: told of every attempt that ended. Instants must not go backwards."""

    def __init__(self, *, least: int, most: int) -> None:
        self._least, self._most = least, most
        self._steered = float(min(most, max(least, _FIRST)))
        self._fastest = self._fastest_before = inf
        self._epoch_ends = Instant(0.0)
        self._probe = 0  # round trips that are still held back
        self._backed_off = Instant(-inf)
        self._usual = 0.0
        self._count = self._used = 0
        self._total = 0.0

    def __repr__(self) -> str:
        return f"<AdaptiveLimit {self.value} of {self._least} to {self._most}, usual {self._usual * 1000:.0f} ms>"

    @property
    def value(self) -> int:
        return max(self._least, int(self._steered / 2 if self._probe else self._steered))

    def configure(self, *, least: int, most: int) -> None:
        """Other bounds from now on."""
        self._least, self._most = least, most
        self._steer(0.0)

    def answered(self, took: Seconds, *, in_flight: int, now: Instant) -> None:
        """An attempt was answered; `in_flight` were under way with it."""
        self._count += 1
        self._total += took
        self._used = max(self._used, in_flight)
        if self._count >= max(_LEAST_SAMPLES, self.value):
            self._end_round(self._total / self._count, now)

    def dropped(self, now: Instant) -> None:
        """The service refused an attempt as too many, or did not answer it in time."""
        if now - self._backed_off < self._usual:
            return  # one burst of refusals is one sign
        self._backed_off = now
        self._steer(self._steered * (_BACK_OFF - 1))

    def _begin_round(self) -> None:
        self._count = self._used = 0
        self._total = 0.0

    def _end_round(self, took: float, now: Instant) -> None:
        """About as many attempts as the limit have ended: a round trip."""
        self._usual = took
        self._fastest = min(self._fastest, took)
        if self._probe:
            self._probe -= 1
        elif self._used * 2 >= self._steered:  # else it is not what holds anybody back, and nothing was learnt of it
            self._learn(took)
        if now >= self._epoch_ends:
            self._epoch_ends = Instant(now + _EPOCH)
            self._fastest_before, self._fastest = self._fastest, inf
            self._probe = 2  # one drains the queue, the other is measured
        self._begin_round()

    def _learn(self, took: float) -> None:
        fastest, root = min(self._fastest, self._fastest_before), sqrt(self._steered)
        queueing = self._steered * (1 - fastest / took) if took > 0 else 0.0
        if queueing < _FEW * root:
            self._steer(root)
        elif queueing > _MANY * root:
            self._steer(-root)

    def _steer(self, by: float) -> None:
        self._steered = min(float(self._most), max(float(self._least), self._steered + by))
