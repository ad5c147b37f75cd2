"""What a verification says: what is wrong, what is proven, and what is not.

Invariant: nothing is called proven that an adversary who can write the file, and has neither the anchor nor the signing key, could
have changed unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..clock import utc
from .checkpoints import Checkpoint

ProblemKind = Literal[
    "unreadable", "changed", "missing", "reordered", "not of this gateway", "forged", "rolled back", "another journal"
]
"""
- unreadable: SQLite, or this gateway, cannot read it
- changed: a hash does not fit what it stands for
- missing: something is gone that what is left still counts
- reordered: it stands in another place than it was written
- not of this gateway: an event of a kind, or in a form, that this version does not know
- forged: a signature that the key did not make, or none where there must be one
- rolled back: the anchor knows more than the file
- another journal: the anchor is of another file
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `saga_id` where it is about one saga."""

    kind: ProblemKind
    message: str
    saga_id: str | None = None

    def __str__(self) -> str:
        where = "" if self.saga_id is None else f"saga {self.saga_id}: "
        return f"{self.kind}: {where}{self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The answer of `verify`."""

    problems: tuple[Problem, ...]
    """At most MAX_PROBLEMS of them."""
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    sagas: int
    events: int
    pruned: int
    """Sagas of which tombstones are left."""
    last: Checkpoint | None
    """The newest checkpoint of the file."""

    @property
    def is_intact(self) -> bool:
        return not self.problems

    def text(self) -> str:
        """For people: a verdict, then a line each."""
        verdict = "nothing wrong was found" if self.is_intact else f"{len(self.problems)} problems were found"
        lines = [f"{self.sagas} sagas, {self.events} events, {self.pruned} pruned: {verdict}"]
        lines += [f"  WRONG       {problem}" for problem in self.problems]
        lines += [f"  proven      {sentence}" for sentence in self.proven]
        lines += [f"  not proven  {sentence}" for sentence in self.not_proven]
        return "\n".join(lines)


MAX_PROBLEMS = 1_000
"""More than anybody reads; a file full of them is one problem."""


def named(checkpoint: Checkpoint) -> str:
    """For people."""
    return f"checkpoint {checkpoint.number} of {utc(checkpoint.at).isoformat(timespec='seconds')}"
