"""How a saga ended, in the words that a client is told.

Invariant: only a settled saga has an outcome, and it never says more than the journal knows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Completed:
    """Every step is done."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The business said no, and whatever had been done is undone."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not work (`code` of the error, DEADLINE_EXCEEDED or CANCELLED), and whatever had been done is undone."""

    code: str
    undone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NeedsAttention:
    """It can neither go on nor back by itself; it waits for a person."""

    code: str


Outcome = Completed | Rejected | Failed | NeedsAttention
