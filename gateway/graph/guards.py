"""Where access rules stand in a schema: on fields, and on types, whose objects they guard wherever these appear.

A rule on a class holds for those that inherit from it, beside their own. Invariant: whoever executes finds the rules here, by the
schema alone; so no way of executing can forget to ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any, TypeVar

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
)
from strawberry.types.base import StrawberryObjectDefinition

from .access import AccessRule, Allow, rule_of
from .batched import BatchedField
from .join import JoinField
from .resolver import ColumnField, ResolverField

T = TypeVar("T")

_RULE = "__access_rule__"
_DEFINITION = "strawberry-definition"
_GUARDED = (JoinField, BatchedField, ResolverField, ColumnField)
_GUARD, _GUARDS = "access-rule", "access-rules"


@dataclass(frozen=True, slots=True)
class Guards:
    """What a schema has of rules."""

    reach: frozenset[str]
    """Names of the types at or below which there is one."""
    may_stop: bool
    """Whether one of them may refuse a whole operation."""


def guarded(allow: Allow) -> Callable[[type[T]], type[T]]:
    """A rule on a plain strawberry type, or an interface: `@guarded(scope("support"))` above it. An entity has `allow=`."""

    rule = rule_of(allow)

    def declare(declared: type[T]) -> type[T]:
        set_rule(declared, rule)
        return declared

    return declare


def set_rule(declared: type[Any], allow: Allow) -> None:
    setattr(declared, _RULE, rule_of(allow))


def rule_on(declared: type[Any]) -> AccessRule[Any] | None:
    """Of the class and of all that it inherits from."""
    rules: list[AccessRule[Any]] = [vars(base)[_RULE] for base in reversed(declared.__mro__) if _RULE in vars(base)]
    return reduce(and_, rules) if rules else None


def guard_of_type(kind: GraphQLNamedType) -> AccessRule[Any] | None:
    """Who may read its objects."""
    found: AccessRule[Any] | None = kind.extensions.get(_GUARD)
    return found


def guard_of_field(field: GraphQLField) -> AccessRule[Any] | None:
    """Who may have the field."""
    definition = field.extensions.get(_DEFINITION)
    allow = definition.allow if isinstance(definition, _GUARDED) else None
    return None if allow is None else rule_of(allow)


def guards_of(schema: GraphQLSchema) -> Guards | None:
    """None where there are no rules, and nobody needs to ask for one."""
    found: Guards | None = schema.extensions.get(_GUARDS)
    return found


def place_guards(schema: GraphQLSchema) -> None:
    """Find the rules of the author's classes, once the whole schema is there."""
    rules: list[AccessRule[Any]] = []
    for kind in _classes(schema):
        definition = kind.extensions.get(_DEFINITION)
        rule = rule_on(definition.origin) if isinstance(definition, StrawberryObjectDefinition) else None
        if rule is not None:
            kind.extensions[_GUARD] = rule
            rules.append(rule)
        rules += [found for field in kind.fields.values() if (found := guard_of_field(field)) is not None]
    if rules:
        schema.extensions[_GUARDS] = Guards(_reach(schema), any(rule.may_stop for rule in rules))


def problems_of_roots(schema: GraphQLSchema) -> Iterator[str]:
    """Rules that nobody could ask: a root is no object."""
    for kind in (schema.query_type, schema.mutation_type, schema.subscription_type):
        rule = None if kind is None else guard_of_type(kind)
        if kind is not None and rule is not None and rule.asks_parent:
            yield f"{kind.name}: its rule ({rule}) asks an object, and a root is none: put it on the fields that need it"


def possible_types(schema: GraphQLSchema, field: GraphQLField) -> list[GraphQLObjectType]:
    """Object types that the field's values may be of; none for a leaf."""
    kind = get_named_type(field.type)
    if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
        return list(schema.get_possible_types(kind))
    return [kind] if isinstance(kind, GraphQLObjectType) else []


def _classes(schema: GraphQLSchema) -> Iterator[GraphQLObjectType | GraphQLInterfaceType]:
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not name.startswith("__"):
            yield kind


def _reach(schema: GraphQLSchema) -> frozenset[str]:
    below: dict[str, set[str]] = {}
    reached: set[str] = set()
    for kind in _classes(schema):
        if not isinstance(kind, GraphQLObjectType):
            continue
        fields = kind.fields.values()
        below[kind.name] = {each.name for field in fields for each in possible_types(schema, field)}
        if guard_of_type(kind) is not None or any(guard_of_field(field) is not None for field in fields):
            reached.add(kind.name)
    is_growing = bool(reached)
    while is_growing:
        more = {name for name, found in below.items() if name not in reached and not found.isdisjoint(reached)}
        reached |= more
        is_growing = bool(more)
    return frozenset(reached)
