"""Retry: the same request again, after a random wait. Decides, and waits for nothing.

Invariants: a wait that would reach the deadline is no wait; what the gateway asked for in `Retry-After` is a floor, and the jitter
comes on top of it, so that those who were sent away together do not come back together.
Source: Brooker, Exponential Backoff And Jitter, 2015 (full jitter).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How failed attempts are repeated."""

    attempts: int = 4
    """All attempts of a query, the first included. 4: the gateway retries its services itself, and every retry is load.
    A saga is tried until its deadline, since giving up sooner would only leave its outcome unknown."""
    base: float = 0.1
    """Seconds: upper end of the first wait; it doubles each time. 0.1: a restarted connection is back by then."""
    cap: float = 3.0
    """Seconds: upper end of any wait. 3: a gateway restarts in about as long."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}: the first attempt counts, so it is at least 1")
        if not 0 < self.base <= self.cap:
            raise ValueError(f"base is {self.base} and cap {self.cap}: 0 < base <= cap must hold")

    def wait(self, failed: int, *, jitter: float, floor: float = 0.0) -> float:
        """Seconds after the `failed`-th attempt (from 1) failed; `jitter` in [0, 1)."""
        upper = self.cap if failed > 64 else min(self.cap, self.base * 2.0 ** (failed - 1))
        return floor + upper * jitter

    def next_wait(self, failed: int, *, jitter: float, floor: float, left: float, patient: bool) -> float | None:
        """The wait before another attempt, or None to give up. `patient`: only the time that is `left` bounds the attempts."""
        if failed >= self.attempts and not patient:
            return None
        wait = self.wait(failed, jitter=jitter, floor=floor)
        return None if wait >= left else wait
