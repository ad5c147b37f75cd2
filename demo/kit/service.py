"""What a service is: a name, tables, a seed, reads and writes. Everything else is the same for all seven.

Invariant: a Service is a frozen declaration; `kit.application` turns it into a running one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from demo.kit.answers import Answer
from demo.kit.query import Query
from demo.kit.seed import Shop
from demo.kit.work import Work

MAX_KEY_LENGTH = 255

Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_LENGTH)]
"""An Idempotency-Key, as a body names one."""

BodyT = TypeVar("BodyT", bound=msgspec.Struct)

Read = Callable[[sqlite3.Connection, Query], object]
"""A read answers 200 with its value as JSON, or raises a Refusal."""

Seed = Callable[[sqlite3.Connection, Shop], None]


@dataclass(frozen=True, slots=True)
class Write(Generic[BodyT]):
    """A POST: the shape of its body, and the handler that works inside one transaction."""

    body: type[BodyT]
    handle: Callable[[Work, BodyT], Answer]


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    schema: str
    seed: Seed
    reads: Mapping[str, Read]
    writes: Mapping[str, Write[Any]] = field(default_factory=dict[str, Write[Any]])

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(self.reads) | frozenset(self.writes)


class JsonObject(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An object that a service shows; an optional member that is None is left out."""


class Body(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An object that a service reads; a member it does not know is a mistake that the caller hears of."""
