"""Time is handed in, never looked up.

Two clocks, never mixed: a request's deadline lives on the event loop's monotonic clock (so a virtual loop moves it), a saga's
instants are UTC and survive restarts.
"""

from __future__ import annotations

import asyncio
import re
import time
from asyncio import get_running_loop
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType, Protocol

Seconds = NewType("Seconds", float)
"""A duration."""

Instant = NewType("Instant", float)
"""A point on the monotonic clock of the running event loop, in seconds. Meaningless in another process."""

Epoch = NewType("Epoch", float)
"""A point of wall-clock time: seconds since 1970-01-01T00:00:00Z. Survives restarts; may jump."""

FOREVER = Instant(float("inf"))
NEVER = Seconds(0.0)
"""As a span of freshness: an answer is never served again."""

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Clock(Protocol):
    """What the engine may know of time."""

    def now(self) -> Instant:
        """Monotonic: for deadlines, back-off, breakers, freshness."""
        ...

    def wall(self) -> Epoch:
        """UTC: for what is written down and read after a restart."""
        ...


class LoopClock:
    """The event loop's clock, so that whoever moves the loop moves time; and the system's wall clock."""

    def now(self) -> Instant:
        return get_running_loop().time()  # type: ignore[return-value]  # an Instant: the call that says so costs as much

    def wall(self) -> Epoch:
        return Epoch(time.time())


@dataclass(frozen=True, slots=True, order=True)
class Deadline:
    """An instant after which the answer is of no use to whoever asked."""

    at: Instant = FOREVER

    @classmethod
    def after(cls, seconds: float, *, clock: Clock) -> Deadline:
        return cls(Instant(clock.now() + seconds))

    def remaining(self, clock: Clock) -> Seconds:
        """Seconds left, never below zero; `inf` for a deadline that never comes."""
        return Seconds(max(0.0, self.at - clock.now()))

    def has_passed(self, clock: Clock) -> bool:
        return clock.now() >= self.at

    def scope(self) -> asyncio.Timeout:
        """`async with deadline.scope():` cancels its body at the instant and raises TimeoutError."""
        return asyncio.timeout_at(None if self.at == FOREVER else self.at)


def duration(text: str | float) -> Seconds:
    """Seconds of "250ms", "2s", "15m", "1h" or "7d"; a number is taken as seconds.

    Raises: ValueError that names the accepted units.
    """
    if isinstance(text, int | float):
        return _not_negative(float(text), text)
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write a number and a unit, as in 250ms, 2s, 15m, 1h or 7d")
    return _not_negative(float(match["number"]) * _UNITS[match["unit"]], text)


def _not_negative(seconds: float, text: object) -> Seconds:
    if not seconds >= 0:
        raise ValueError(f"{text!r} is not a duration: it must not be negative")
    return Seconds(seconds)


def utc(epoch: Epoch | float) -> datetime:
    """The instant as an aware UTC datetime, for people and for GraphQL."""
    return datetime.fromtimestamp(epoch, UTC)
