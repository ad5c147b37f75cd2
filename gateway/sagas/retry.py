"""When to try again: a policy and a pure function of it.

Invariant: the delay depends on (policy, attempt, saga id, step) alone, so a recovered saga waits for the same instant.
Source: full jitter, Brooker, "Exponential Backoff and Jitter", 2015; the randomness is a hash instead of a generator.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..clock import Seconds, duration

_TOP = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a step is tried, and how far apart. Durations are written "100ms", "2s" or as seconds."""

    attempts: int | None = 3
    """Attempts in all; None never gives up. An attempt cut by a crash does not count."""
    base: str | float = "100ms"
    """Upper bound of the first delay; doubles with each attempt."""
    cap: str | float = "10s"
    """No delay is longer."""

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 1:
            raise ValueError(f"Retry(attempts={self.attempts}): at least one attempt, or None for no end")
        if duration(self.base) > duration(self.cap):
            raise ValueError(f"Retry(base={self.base!r}, cap={self.cap!r}): the base must not exceed the cap")

    def is_spent(self, attempts: int) -> bool:
        """True when `attempts` are all there may be."""
        return self.attempts is not None and attempts >= self.attempts

    def delay(self, *, attempt: int, saga_id: str, step: str) -> Seconds:
        """Wait after the 1-based `attempt`: in [0, min(cap, base * 2 ** (attempt - 1)))."""
        bound = min(duration(self.cap), duration(self.base) * 2.0 ** min(attempt - 1, 62))
        return Seconds(bound * _fraction(f"{saga_id}:{step}:{attempt}"))


UNTIL_DONE = Retry(attempts=None, cap="30s")
"""For what must happen after the pivot."""

UNDO = Retry(attempts=50, base="100ms", cap="30s")
"""Every undo; spent means UNDO_STUCK."""

PIVOT_UNKNOWN = Retry(attempts=50, base="100ms", cap="30s")
"""A pivot of unknown outcome is asked again under the same key; spent means NEEDS_ATTENTION."""

FIND_OUT = Retry(attempts=50, base="100ms", cap="30s")
"""Finding out whether a step took effect, before its undo; spent means UNDO_STUCK."""


def _fraction(text: str) -> float:
    """A number in [0, 1), spread evenly over texts."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / _TOP
