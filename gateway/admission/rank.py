"""Who goes first when not all can: the rank of an operation."""

from __future__ import annotations

from enum import IntEnum


class Rank(IntEnum):
    """Of an operation. A higher one takes the next permit, and lower ones leave room for it."""

    BACKGROUND = 0
    """Nobody waits for it: the client said so (`X-Request-Priority: sheddable`)."""
    QUERY = 1
    MUTATION = 2
    CRITICAL = 3
    """Operators, and whom a scope allows to call an operation critical."""

    @property
    def word(self) -> str:
        """As a label: "query"."""
        return self.name.lower()
