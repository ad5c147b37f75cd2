"""Scalars and enums, a column at a time: what fits by its Python type alone is taken as it is, the rest is looked at one by one.

Invariant: a finisher answers what graphql-core's `coerce_output_value` answers for every value of the column, or None, which means
that somebody has to ask it. It never raises, and never decides that something is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from types import GeneratorType, NoneType
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)
from strawberry.schema.schema_converter import CustomGraphQLEnumType

from .plan import Leaf

Finish = Callable[[Sequence[Any]], Sequence[Any] | None]
"""The raw column -> as it stands in the answer; None: look at each value by itself."""


def finisher(leaf: Leaf) -> Finish:
    """The quickest correct way to finish columns of this type."""
    make = _MAKERS.get(leaf.type)
    if make is not None:
        return make(leaf.is_nullable)
    if type(leaf.type) is CustomGraphQLEnumType:
        return _enum(leaf.type, leaf.is_nullable)
    return _coerced(leaf.type, leaf.is_nullable)


def needs_a_look(kinds: Iterable[type[Any]]) -> bool:
    """Whether a value of one of these types may be an error, something to wait for, or nothing at all."""
    return any(
        issubclass(kind, Exception) or hasattr(kind, "__await__") or kind in (GeneratorType, type(Undefined))
        for kind in kinds
    )


def _kinds(kind: type[Any], is_nullable: bool) -> frozenset[type[Any]]:
    return frozenset((kind, NoneType)) if is_nullable else frozenset((kind,))


def _as_it_is(kind: type[Any]) -> Callable[[bool], Finish]:
    """A type whose own values are written as they are; those of subclasses are not trusted to be."""

    def make(is_nullable: bool) -> Finish:
        fitting = _kinds(kind, is_nullable)
        return lambda values: values if fitting.issuperset(map(type, values)) else None

    return make


def _int(is_nullable: bool) -> Finish:
    fitting = _kinds(int, is_nullable)

    def finish(values: Sequence[Any]) -> Sequence[Any] | None:
        kinds = set(map(type, values))
        if not fitting.issuperset(kinds):
            return None
        numbers = [value for value in values if value is not None] if NoneType in kinds else values
        in_range = not numbers or (min(numbers) >= GRAPHQL_MIN_INT and max(numbers) <= GRAPHQL_MAX_INT)
        return values if in_range else None

    return finish


def _float(is_nullable: bool) -> Finish:
    fitting = _kinds(float, is_nullable)

    def finish(values: Sequence[Any]) -> Sequence[Any] | None:
        kinds = set(map(type, values))
        if not fitting.issuperset(kinds):
            return None
        numbers = [value for value in values if value is not None] if NoneType in kinds else values
        return values if all(map(math.isfinite, numbers)) else None

    return finish


def _enum(kind: CustomGraphQLEnumType, is_nullable: bool) -> Finish:
    """Members of the enum's own class: each member's name is looked up once, when the plan is compiled."""
    members: Iterable[Any] = kind.wrapped_cls
    fitting = _kinds(kind.wrapped_cls, is_nullable)
    written: dict[Any, str | None] = {None: None}
    written.update((member, name) for member in members if (name := _name_of(kind, member)) is not None)

    def finish(values: Sequence[Any]) -> Sequence[Any] | None:
        if not fitting.issuperset(map(type, values)):
            return None
        try:
            return [written[value] for value in values]
        except KeyError:
            return None

    return finish


def _name_of(kind: GraphQLEnumType, member: Any) -> str | None:
    try:
        return kind.coerce_output_value(member)
    except Exception:  # a member that the schema does not have: whoever returns it is told by graphql-core
        return None


def _coerced(kind: GraphQLLeafType, is_nullable: bool) -> Finish:
    """Any other scalar, by its own function."""
    coerce = kind.coerce_output_value

    def finish(values: Sequence[Any]) -> Sequence[Any] | None:
        kinds = set(map(type, values))
        if needs_a_look(kinds) or (NoneType in kinds and not is_nullable):
            return None
        try:
            done = [None if value is None else coerce(value) for value in values]
        except Exception:  # which one, and what is wrong with it, is found out one by one
            return None
        is_whole = all(
            (after is None) is (before is None) and after is not Undefined
            for before, after in zip(values, done, strict=True)
        )
        return done if is_whole else None

    return finish


_MAKERS: dict[GraphQLLeafType, Callable[[bool], Finish]] = {
    GraphQLString: _as_it_is(str),
    GraphQLID: _as_it_is(str),
    GraphQLBoolean: _as_it_is(bool),
    GraphQLInt: _int,
    GraphQLFloat: _float,
}
