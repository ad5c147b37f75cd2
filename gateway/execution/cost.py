"""What an operation costs, as a value: estimated before any call, or counted afterwards, in the same units.

A msgspec Struct: one is made at the end of each operation, and a frozen dataclass takes ten times as long to make.
"""

from __future__ import annotations

import msgspec

CALL = 10
"""Of a call to a service: sending, waiting for and reading one costs the gateway as much CPU as making ten objects."""
OBJECT = 1
MOST = 10**12
"""No cost is larger, so that it is a number for everybody who reads it."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one operation."""

    calls: int = 0
    """To services, by reads."""
    saga_calls: int = 0
    """To services, by the steps of sagas."""
    objects: int = 0
    declared: int = 0
    """What the graph's author said that fields cost besides (`cost=`), each as often as it is made."""

    @property
    def total(self) -> int:
        """The number that is bounded, and charged."""
        return min(MOST, (self.calls + self.saga_calls) * CALL + self.objects * OBJECT + self.declared)
