"""What a join answers when its service fails: declared by the author, printed in the schema, reported in the answer.

Invariant: whatever a client gets instead of what was asked stands in `extensions.degraded`, with the reason. "There is none" is
never served in place of "we could not find out" without saying so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import strawberry
from strawberry.schema_directive import Location

from ..clock import Seconds, duration
from ..errors import DeadlineExceeded, GatewayError, ServiceError

V = TypeVar("V")

MAX_NOTES = 1_000
"""Entries in one answer's `extensions.degraded`; further ones are only counted."""


@strawberry.enum(description="What a field answers when its service fails.")
class Degradation(Enum):
    NULL = strawberry.enum_value("NULL", description="Null, with an error at the field's path.")
    DEFAULT = strawberry.enum_value("DEFAULT", description="A declared value.")
    STALE = strawberry.enum_value(
        "STALE", description="The last known answer, if it is not older than `maxAge`; else null."
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How the field degrades when its service fails; what was served stands in `extensions.degraded`.",
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


Otherwise = Stale | Default[Any] | None


def stale(age: str) -> Stale:
    """Serve the last known answer if it is at most `age` ("15m") old."""
    return Stale(age, duration(age))


def default(value: V) -> Default[V]:
    """Serve `value` instead. A list is copied for each parent."""
    return Default(value)


def directive_of(otherwise: Otherwise) -> Degrades:
    """The line in the schema."""
    if isinstance(otherwise, Stale):
        return Degrades(to=Degradation.STALE, max_age=otherwise.text)
    return Degrades(to=Degradation.DEFAULT if isinstance(otherwise, Default) else Degradation.NULL)


@dataclass(frozen=True, slots=True)
class Degraded:
    """One field that was answered with less than was asked."""

    path: Sequence[str | int]
    to: Degradation
    error: GatewayError
    age: Seconds | None = None

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
        return entry
