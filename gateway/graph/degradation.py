"""What a join answers when its service fails: declared by the author, printed in the schema, reported in the answer.

Invariant: whatever a client gets instead of what was asked stands in `extensions.degraded`, with the reason. "There is none" is
never served in place of "we could not find out" without saying so. Fallbacks are tried in the order in which they are declared and
printed; the reason that is told is always the first failure's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

import strawberry
from strawberry.schema_directive import Location

from ..clock import Seconds, duration
from ..errors import DeadlineExceeded, GatewayError, ServiceError
from ..loading import Loader
from ..loading.loader import LazyLoader, resolved

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

MAX_NOTES = 1_000
"""Entries in one answer's `extensions.degraded`; further ones are only counted."""


@strawberry.enum(description="What a field answers when its service fails.")
class Degradation(Enum):
    NULL = strawberry.enum_value("NULL", description="Null, with an error at the field's path.")
    DEFAULT = strawberry.enum_value("DEFAULT", description="A declared value.")
    STALE = strawberry.enum_value(
        "STALE", description="The last known answer, if it is not older than `maxAge`; else null."
    )
    ALTERNATIVE = strawberry.enum_value(
        "ALTERNATIVE", description="What another service says; `servedBy` in the report names it."
    )
    PARTIAL = strawberry.enum_value(
        "PARTIAL", description="What the other sources of the field say, without the one that failed."
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How the field degrades when its service fails, in the order in which it is tried; what was served stands in "
    "`extensions.degraded`.",
    repeatable=True,
)
class Degrades:
    to: Degradation
    max_age: str | None = strawberry.UNSET


@dataclass(frozen=True, slots=True)
class Stale:
    """The last known answer, up to `max_age` seconds old."""

    text: str
    max_age: Seconds


@dataclass(frozen=True, slots=True)
class Default(Generic[V]):
    """A value that stands in."""

    value: V


@dataclass(frozen=True, slots=True)
class Alternative(Generic[V_co]):
    """What another loader finds under the parent's attribute `on`; None: under the join's own."""

    declared_loader: Loader[V_co] | LazyLoader
    on: str | None = None

    @property
    def loader(self) -> Loader[Any]:
        """The loader, found by name where it closes a cycle of modules."""
        return resolved(self.declared_loader)


Fallback = Stale | Alternative[Any] | Default[Any]
Otherwise = Fallback | tuple[Fallback, ...] | None
"""What `otherwise=` takes: one fallback, or several that are tried in order."""


def stale(age: str) -> Stale:
    """Serve the last known answer if it is at most `age` ("15m") old."""
    return Stale(age, duration(age))


def default(value: V) -> Default[V]:
    """Serve `value` instead. A list is copied for each parent."""
    return Default(value)


def alternative(loader: Loader[V], *, on: str | None = None) -> Alternative[V]:
    """Serve what `loader`, of another service, finds under the parent's attribute `on`; without it under the join's own.

    It gives values of the same type, and takes the join's arguments, if there are any. Cost: one call a layer, when needed.
    """
    return Alternative(loader, on)


def fallbacks_of(otherwise: Otherwise) -> tuple[Fallback, ...]:
    """In the order in which they are tried."""
    if otherwise is None:
        return ()
    return otherwise if isinstance(otherwise, tuple) else (otherwise,)


def directives_of(fallbacks: Sequence[Fallback], *, has_several_sources: bool) -> list[Degrades]:
    """The lines in the schema, in the order in which they are tried."""
    partial = [Degrades(to=Degradation.PARTIAL)] if has_several_sources else []
    return partial + ([_directive(each) for each in fallbacks] or [Degrades(to=Degradation.NULL)])


def _directive(fallback: Fallback) -> Degrades:
    match fallback:
        case Stale(text):
            return Degrades(to=Degradation.STALE, max_age=text)
        case Alternative():
            return Degrades(to=Degradation.ALTERNATIVE)
        case Default():
            return Degrades(to=Degradation.DEFAULT)


@dataclass(frozen=True, slots=True)
class Degraded:
    """One field that was answered with less than was asked."""

    path: Sequence[str | int]
    """Without places in lists, if it `is_everywhere`."""
    to: Degradation
    error: GatewayError
    age: Seconds | None = None
    served_by: str | None = None
    """The service whose answer stands in, if it is another's."""
    is_everywhere: bool = False
    """It holds for all places that have no entry of their own: told once."""

    @property
    def service(self) -> str | None:
        return self.error.service if isinstance(self.error, ServiceError | DeadlineExceeded) else None

    def as_json(self) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "path": list(self.path),
            "to": self.to.value,
            "code": self.error.code,
            "reason": self.error.message,
            "service": self.service,
            "retryable": self.error.retryable,
        }
        if self.age is not None:
            entry["ageSeconds"] = round(self.age, 3)
        if self.served_by is not None:
            entry["servedBy"] = self.served_by
        return entry


@dataclass(slots=True)
class Notes:
    """What was degraded in one answer, in the order in which it happened; how much of it is `beyond` what is told."""

    told: list[Degraded] = field(default_factory=list[Degraded])
    beyond: int = 0
    everywhere: set[tuple[str | int, ...]] = field(default_factory=set[tuple[str | int, ...]])
    """Paths of what is told once; at most the fields of the operation."""

    def add(self, degraded: Degraded) -> None:
        if degraded.is_everywhere:
            path = tuple(degraded.path)
            if path in self.everywhere:
                return
            self.everywhere.add(path)
        if len(self.told) < MAX_NOTES:
            self.told.append(degraded)
        else:
            self.beyond += 1
