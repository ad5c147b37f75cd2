"""How many operations may run at once: learnt from how late the event loop is.

An operation that waits for services holds nothing but memory; one that has something to do holds the processor. When more have
something to do than the processor does, everything in the process is late by as much: that is what is measured, and so a slow
service does not look like an overloaded gateway. The limit falls by a part of itself while the loop is late, and grows by a part
while it is not, the limit is what holds operations back, and the processor could do more. What is not used is not kept: a door that
stands wide open lets in all of a sudden crowd, before anything can be learnt of it, and each then takes as long as all together.

Invariant: least <= value <= most. State: one number. Pure: told of each window.
Source: additive increase, multiplicative decrease (Chiu and Jain, 1989), on queueing time as in DAGOR (Zhou and others, 2018).
"""

from __future__ import annotations

from math import ceil

from ..clock import Seconds

_FALLS, _FALLS_FAST = 0.9, 0.7
"""What is left of the limit after a window in which the loop was late, and in which it was by more than twice the target."""
_GROWS, _GROWS_FAST = 0.05, 0.2
"""Of the limit, and by one at least; and where the processor had hardly anything to do: then operations wait for slow services."""
_HARDLY, _FULL = 0.5, 0.9
"""Of the processor. A full one does no more for more at once than in the beginning: they are only all under way for longer."""
_FORGETS = 0.05
"""Of the limit, in a window in which less than half of it was used: what was learnt under a load is forgotten after it."""


class LagLimit:
    """A limit that learns."""

    def __init__(self, *, least: int, most: int, target: Seconds) -> None:
        """`target`: how late the loop may be, in seconds."""
        self._least, self._most = min(least, most), most
        self._start = most
        self._target = target
        self._value = float(most)

    def __repr__(self) -> str:
        return f"<LagLimit {self.value} of {self._least} to {self._most}>"

    @property
    def value(self) -> int:
        return int(self._value)

    @property
    def knows_nothing(self) -> bool:
        """Whether it stands where it began."""
        return self.value == self._start

    def begin(self, start: int) -> None:
        """It will be told from now on; until then it was all that is allowed. `start`: the limit while nothing is known."""
        self._start = max(self._least, min(start, self._most))
        self._value = float(self._start)

    def tell(self, lag: Seconds, *, used: int, held_back: bool = False, utilisation: float = 0.0) -> None:
        """A window has ended: the loop was `lag` late, and at most `used` operations ran. `held_back`: the limit let some wait.
        `utilisation`: the part of a processor that the process had.
        """
        if lag > self._target:
            # What ran is what made it late: a limit far above it says nothing until it is below.
            falls = _FALLS_FAST if lag > 2 * self._target else _FALLS
            self._value = max(float(self._least), min(self._value, float(used)) * falls)
        elif held_back:
            if utilisation <= _FULL or self._value < self._start:
                grows = _GROWS_FAST if utilisation < _HARDLY else _GROWS
                self._value = min(float(self._most), self._value + max(1, ceil(self._value * grows)))
        elif used < self.value / 2:
            by = max(1.0, self._value * _FORGETS)
            if self._value < self._start:
                self._value = min(float(self._start), self._value + by)
            else:
                self._value = max(float(self._start), self._value - by)
