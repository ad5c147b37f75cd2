"""An answer as its caller reads it: the data, what is missing of it, and what stands in for something better.

Invariant: partial data is data. Nothing is raised for a field that is null with an error; both are here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from .errors import GraphError

D = TypeVar("D")

Degradation = Literal["NULL", "DEFAULT", "STALE", "ALTERNATIVE", "PARTIAL"]
"""What was answered in place of what was asked; the schema's enum of this name says what each means."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """One field that was answered with less than was asked, as the schema's `@degrades` announces."""

    path: tuple[str | int, ...]
    """As in `errors`: names of the answer, and places in lists, without which OVERLOADED holds for all."""
    to: Degradation
    code: str
    """Of the failure behind it; the codes are those of `errors`."""
    reason: str
    service: str | None
    retryable: bool
    age: float | None
    """Seconds, of a `STALE` answer."""
    served_by: str | None
    """Of an `ALTERNATIVE`: whose answer it is."""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Degraded:
        """An entry of `extensions.degraded`."""
        return cls(
            path=tuple(entry["path"]),
            to=entry["to"],
            code=entry["code"],
            reason=entry["reason"],
            service=entry.get("service"),
            retryable=entry.get("retryable") is True,
            age=entry.get("ageSeconds"),
            served_by=entry.get("servedBy"),
        )


@dataclass(frozen=True, slots=True)
class Result(Generic[D]):
    """What a query, or a mutation that is done, answers."""

    data: D
    errors: Sequence[GraphError] = ()
    """Of fields that are null because something failed."""
    degraded: Sequence[Degraded] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was asked for."""
        return not self.errors and not self.degraded

    def whole(self) -> D:
        """The data, for callers who can use nothing but all of it. Raises: the first of `errors`."""
        for error in self.errors:
            raise error
        return self.data
