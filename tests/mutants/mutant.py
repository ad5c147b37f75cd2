"""A mutant: a fault that a tired engineer could make, and the tests that must notice.

Invariant: what is replaced is there exactly once, so a mutant is either the fault that it says or an error of the table; it never
quietly becomes nothing when the code moves on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Outdated(AssertionError):
    """The code has moved on: the table has to follow."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one file."""

    file: str
    """Below `gateway`."""
    fault: str
    """What is wrong then, as a sentence without its full stop."""
    old: str
    new: str
    tests: tuple[str, ...]
    """Files that must notice, the one that notices first in front."""

    def __str__(self) -> str:
        return f"{self.file}: {self.fault}"

    @property
    def module(self) -> str:
        return "gateway." + self.file.removesuffix(".py").replace("/", ".")

    @property
    def path(self) -> Path:
        return ROOT / "gateway" / self.file

    def applied(self, text: str) -> str:
        """`text` with the fault. Raises: Outdated unless what it replaces is there exactly once."""
        found = text.count(self.old)
        if found != 1:
            raise Outdated(f"{self}: what it replaces is there {found} times, not once")
        return text.replace(self.old, self.new)


Faults = tuple[tuple[str, str, str], ...]
"""(what is wrong, what was there, what is there instead), for one file."""


def mutants_of(file: str, tests: tuple[str, ...], faults: Faults) -> list[Mutant]:
    return [Mutant(file, fault, old, new, tests) for fault, old, new in faults]
