"""The retry budget: how much a service may be asked beyond first attempts, by retries and hedges together.

Invariant: over any window, extra attempts <= ratio x first attempts + reserve x window. So retries cannot turn an outage into
a flood, however many callers retry. Time is counted in tenths of the window: what is looked back on is nine to ten of them.
State: per service and worker process; a share of the traffic, so N workers need not share it (the reserve is per worker).
Source: Finagle's RetryBudget; 9 % from simulation (20 % + 10/s multiplies a dead service's load by 1.3, none by 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

from ..clock import Instant, Seconds

_BUCKETS = 10
"""The window moves in tenths of itself: ten pairs of numbers, whatever the rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """How many extra attempts a service is sent."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    ratio: float = 0.09
    """Extra attempts for each first attempt in the window."""
    window: Seconds = Seconds(10.0)
    """Seconds that are looked back."""
    reserve: float = 0.1
    """Extra attempts a second that are granted whatever the traffic: else a service called once a minute never has one."""

    def __post_init__(self) -> None:
        if not (0 <= self.ratio <= 1 and self.window > 0 and isfinite(self.window) and self.reserve >= 0):
            raise ValueError(
                f"budget.ratio is {self.ratio}, window {self.window}, reserve {self.reserve}: "
                "0 <= ratio <= 1, a finite window > 0 and reserve >= 0 must hold"
            )


class RetryBudget:
    """The decision, pure: told of every first attempt, asked before every extra one. Instants must not go backwards."""

    def __init__(self, settings: BudgetSettings) -> None:
        self._settings = settings
        self._step = settings.window / _BUCKETS
        self._newest = 0
        self._moves_at = 0.0
        self._first = [0] * _BUCKETS
        self._extra = [0] * _BUCKETS
        self.spent = self.refused = 0
        """Extra attempts since the start: those that were sent, and those that were not granted."""

    def __repr__(self) -> str:
        return f"<RetryBudget {sum(self._extra)}/{self._granted():.1f} extra attempts in {self._settings.window:g} s>"

    def configure(self, settings: BudgetSettings) -> None:
        """Other settings from now on; what was counted and is within the new window stays counted."""
        self._settings = settings
        step = settings.window / _BUCKETS
        if step != self._step:
            self._count_in(step)

    def deposit(self, now: Instant) -> None:
        """A first attempt is being sent."""
        if now >= self._moves_at:
            self._move(now)
        self._first[self._newest % _BUCKETS] += 1

    def withdraw(self, now: Instant) -> bool:
        """Whether an extra attempt may be sent; if so it is counted."""
        self._move(now)
        if sum(self._extra) + 1 > self._granted():
            self.refused += 1
            return False
        self.spent += 1
        self._extra[self._newest % _BUCKETS] += 1
        return True

    def snapshot(self, now: Instant) -> dict[str, Any]:
        """For operators: extra attempts in the window beside what it grants, and all since the start."""
        self._move(now)
        return {
            "extra": sum(self._extra),
            "granted": round(self._granted(), 1),
            "windowSeconds": self._settings.window,
            "spent": self.spent,
            "refused": self.refused,
        }

    def _granted(self) -> float:
        """Extra attempts that the window's traffic allows."""
        return self._settings.ratio * sum(self._first) + self._settings.reserve * self._settings.window

    def _count_in(self, step: float) -> None:
        """Number the tenths anew, for a window of another length: each goes whole into the one in which it began."""
        first, extra = [0] * _BUCKETS, [0] * _BUCKETS
        newest = int(self._newest * self._step // step)
        for old in range(self._newest - _BUCKETS + 1, self._newest + 1):
            bucket = int(old * self._step // step)
            if newest - bucket < _BUCKETS:
                first[bucket % _BUCKETS] += self._first[old % _BUCKETS]
                extra[bucket % _BUCKETS] += self._extra[old % _BUCKETS]
        self._step, self._newest, self._first, self._extra = step, newest, first, extra
        self._moves_at = (newest + 1) * step

    def _move(self, now: Instant) -> None:
        """Forget what is older than the window. A ring: the slot of a tenth is its number modulo ten."""
        bucket = int(now // self._step)
        for passed in range(max(self._newest, bucket - _BUCKETS) + 1, bucket + 1):
            self._first[passed % _BUCKETS] = self._extra[passed % _BUCKETS] = 0
        self._newest = max(self._newest, bucket)
        self._moves_at = (self._newest + 1) * self._step
