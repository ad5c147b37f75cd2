"""How many of something each client holds at once: operations, or subscriptions.

Invariants: nobody holds more than was allowed when it took the last one; whoever holds nothing is not known, so what is known is
bounded by what is held. State: a count for each client, per process. Pure.
"""

from __future__ import annotations

from collections.abc import Hashable


class Holdings:
    """The counts."""

    def __init__(self) -> None:
        self._held: dict[Hashable, int] = {}

    def __repr__(self) -> str:
        return f"<Holdings {sum(self._held.values())} of {len(self._held)} clients>"

    def of(self, client: Hashable) -> int:
        return self._held.get(client, 0)

    def take(self, client: Hashable, *, limit: int) -> bool:
        """Whether there was room for one more, which the client now holds."""
        held = self._held.get(client, 0)
        if held >= limit:
            return False
        self._held[client] = held + 1
        return True

    def give_back(self, client: Hashable) -> None:
        """One of those that were taken. Raises: LookupError for a client that holds nothing: it was given back twice."""
        held = self._held[client] - 1
        if held:
            self._held[client] = held
        else:
            del self._held[client]
