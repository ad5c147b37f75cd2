"""How many operations may run at once: learnt from how late the event loop is.

An operation that waits for services holds nothing but memory; one that has something to do holds the processor. When more have
something to do than the processor does, everything in the process is late by as much: that is what is measured, and so a slow
service does not look like an overloaded gateway. The limit falls by a part of itself while the loop is late, and grows by a part
while it is not and the limit is what holds operations back.

Invariant: least <= value <= most. State: one number. Pure: told of each window.
Source: additive increase, multiplicative decrease (Chiu and Jain, 1989), on queueing time as in DAGOR (Zhou and others, 2018).
"""

from __future__ import annotations

from math import ceil

from ..clock import Seconds

_FALLS, _FALLS_FAST = 0.9, 0.7
"""What is left of the limit after a window in which the loop was late, and in which it was by more than twice the target."""
_GROWS = 0.05
"""Of the limit, and by one at least."""


class LagLimit:
    """A limit that learns."""

    def __init__(self, *, least: int, most: int, target: Seconds) -> None:
        """`target`: how late the loop may be, in seconds."""
        self._least, self._most = min(least, most), most
        self._target = target
        self._value = float(most)

    def __repr__(self) -> str:
        return f"<LagLimit {self.value} of {self._least} to {self._most}>"

    @property
    def value(self) -> int:
        return int(self._value)

    @property
    def is_at_most(self) -> bool:
        """Whether nothing is held back that the settings allow."""
        return self.value >= self._most

    def tell(self, lag: Seconds, *, used: int) -> None:
        """A window has ended: the loop was `lag` late, and at most `used` operations ran."""
        if lag > self._target:
            # What ran is what made it late: a limit far above it says nothing until it is below.
            falls = _FALLS_FAST if lag > 2 * self._target else _FALLS
            self._value = max(float(self._least), min(self._value, float(used)) * falls)
        elif used >= self.value:
            self._value = min(float(self._most), self._value + max(1, ceil(self._value * _GROWS)))
        elif self._value < self._most and used < self.value / 2:
            self._value = min(float(self._most), self._value + 1)  # what was learnt under a load is forgotten after it
