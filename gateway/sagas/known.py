"""What a step may know: of another step's outcome (`Done`, `NotDone`, `Unknown`) and of its own answer (`Reject`).

Invariant: an undo is told what is known, never more. `Unknown`: the step may have taken effect, or not, or not yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar, final

T_co = TypeVar("T_co", covariant=True)


@final
@dataclass(frozen=True, slots=True)
class Done(Generic[T_co]):
    """The step took effect and answered `value`."""

    value: T_co


@final
@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can tell whether the step took effect: its undo must hold in both cases, and if the request comes late."""


@final
@dataclass(frozen=True, slots=True)
class NotDone:
    """A lookup's answer: the step took no effect, and never will under this key."""


@final
class Reject(Exception):
    """The business said no, definitely: nothing took effect. `message` is written for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose saga it is. The same key of two owners names two sagas."""

    tenant: str
    subject: str
