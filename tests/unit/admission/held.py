"""A clock that stands still until it is told to go on: for what awaits nothing."""

from __future__ import annotations

from gateway.clock import Epoch, Instant


class HeldClock:
    """A `Clock`."""

    def __init__(self) -> None:
        self.seconds = 1e6

    def now(self) -> Instant:
        return Instant(self.seconds)

    def wall(self) -> Epoch:
        return Epoch(self.seconds)

    def rest(self, seconds: float) -> None:
        self.seconds += seconds
