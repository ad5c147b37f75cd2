"""How much a client may take in how much time: the generic cell rate algorithm (GCRA), weighted by cost.

Of a client one number is kept, the instant at which all that it may take at once is there again. A cost moves it on by the time
in which the rate brings as much back; what would move it further ahead than the burst is refused, and moves nothing.
Invariants: in any stretch of t seconds no more than `burst + rate * t` is taken; what is refused takes nothing; what is given back
never makes more than the burst; nobody owes more than one burst beyond it.
Pure: told the time. Source: ITU-T I.371 (GCRA, as virtual scheduling); `shared_rates.SCRIPT` is the same arithmetic in Lua.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor, isfinite
from typing import NamedTuple

from ..clock import Instant
from ..errors import Quota

SLACK = 1e-6
"""Seconds by which a sum of costs may be ahead of their burst: three thirds are one, whatever floating point says."""

LONGEST = 86_400
"""Seconds in which a burst must be there again: who has taken all of it is not locked out for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Of each client of one class."""

    name: str
    """Of the class: a label of metrics, and what clients read in RateLimit headers."""
    rate: float
    """Points of cost a second."""
    burst: int
    """Points that may be taken at once, after a rest."""
    window: float = field(init=False)
    """Seconds in which the rate brings a whole burst."""

    def __post_init__(self) -> None:
        if not (isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"rate is {self.rate:g}: it must be above zero; leave it out for no limit")
        if self.burst < 1:
            raise ValueError(f"burst is {self.burst}: it must be at least 1, else nothing is ever served")
        object.__setattr__(self, "window", self.burst / self.rate)
        if self.window > LONGEST:
            raise ValueError(
                f"burst is {self.burst} and rate {self.rate:g} a second: a client that has taken all would wait "
                f"{self.window:.0f} s, and {LONGEST} are the most; take a higher rate or a smaller burst"
            )

    def worth(self, points: float) -> float:
        """Seconds in which the rate brings so many points."""
        return points / self.rate

    def divided(self, among: int) -> RateLimit:
        """What one of so many has who do not know of one another. The burst is not divided: what is served at all must not depend
        on their number."""
        rate = max(self.rate / among, self.burst / LONGEST)
        return RateLimit(name=self.name, rate=rate, burst=self.burst)


class Verdict(NamedTuple):
    """Whether something was taken, and how things stand then. `ahead`: seconds until a whole burst is there again."""

    is_allowed: bool
    ahead: float
    wait: float = 0.0
    """Seconds after which the same is allowed, if nothing else is taken meanwhile."""

    def quota(self, limit: RateLimit) -> Quota:
        """As clients are told."""
        return Quota(
            policy=limit.name,
            burst=limit.burst,
            window=ceil(limit.window),
            remaining=max(0, floor((limit.window - self.ahead + SLACK) * limit.rate)),
            reset=ceil(self.ahead),
        )


def ahead_of(now: Instant, arrival: Instant | None, limit: RateLimit) -> float:
    """Seconds until a whole burst is there again. A clock that was set back, or a limit that was lowered, locks nobody out for
    longer than two."""
    return 0.0 if arrival is None else min(max(0.0, arrival - now), 2 * limit.window)


def taken(ahead: float, *, points: int, limit: RateLimit) -> Verdict:
    """Take so many points, if they are there."""
    then = ahead + limit.worth(points)
    if then <= limit.window + SLACK:
        return Verdict(True, then)
    return Verdict(False, ahead, then - limit.window)


def settled(ahead: float, *, points: int, limit: RateLimit) -> float:
    """Take so many points whether they are there or not; give them back, if they are below zero."""
    return min(max(0.0, ahead + limit.worth(points)), 2 * limit.window)


def later(now: Instant, ahead: float) -> Instant:
    """The instant that is kept."""
    return Instant(now + ahead)


def whole(seconds: float) -> int:
    """Rounded up, and one at least: as `Retry-After` says it."""
    return max(1, ceil(seconds))
