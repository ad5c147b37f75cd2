"""What a caller is refused before anything is asked for: read off an operation and its rules, without any data.

A field is shut to a caller whom its own rule refuses, or the rule of its type; and where it can only come to nothing, since what
has to stand in its objects is refused, or all that is selected of them. So nobody is called for what would be thrown away, and
the caller is told once, at the field. Invariants: a gate holds nothing of a request; where there is none everybody is let by, and
the rules are asked later, field by field and object by object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError, GraphQLField, GraphQLObjectType, GraphQLSchema, is_list_type, is_non_null_type
from graphql.execution.collect_fields import FieldDetails

from ..graph.access import AccessRule, refusal
from ..graph.guards import guard_of_field, guard_of_type, guards_of, possible_types
from ..identity import Identity
from .on_error import OnError

Collect = Callable[[GraphQLObjectType, list[FieldDetails]], Mapping[str, list[FieldDetails]]]
"""What is selected of objects of a type that stand at a field, as graphql-core collects it."""

Lets = Callable[[Identity], bool]

MAX_GATES = 5_000
"""Fields of one operation that are looked at. What is beyond is refused later."""


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Who is let by to a field."""

    itself: Lets | None
    """By its own rule and that of its type; None: everybody."""
    below: Lets | None
    """By what is selected below it."""
    is_write: bool = False

    def lets(self, identity: Identity, on_error: OnError = OnError.PROPAGATE) -> bool:
        """Where an error nulls nothing but its field, an object stands whatever is refused in it."""
        if self.itself is not None and not self.itself(identity):
            return False
        stands = on_error is OnError.NULL and not self.is_write
        return stands or self.below is None or self.below(identity)

    def refusal(self, identity: Identity) -> Exception:
        """What the caller is told who is not let by."""
        return refusal(identity, "mutation" if self.is_write else "field")


class Gates:
    """The gates of one operation. State: those that were asked for, at most `MAX_GATES`."""

    def __init__(self, schema: GraphQLSchema, collect: Collect) -> None:
        guards = guards_of(schema)
        self._schema = schema
        self._collect = collect
        self._reach = frozenset[str]() if guards is None else guards.reach
        self._roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
        self._known: dict[tuple[str, int], tuple[list[FieldDetails], Gate | None]] = {}

    def of(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Gate | None:
        """Of a field of `kind`, selected as `details` say. None where it is open to everybody, as far as can be told.

        Known by the list itself, which is kept: so whoever collects the same twice should hand out the same lists.
        """
        if kind.name not in self._reach:
            return None
        key = kind.name, id(details)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MAX_GATES:
                return None
            found = self._known[key] = details, self._made(kind, details)
        return found[1]

    def _made(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Gate | None:
        field = self._schema.get_field(kind, details[0].node.name.value)
        if field is None or details[0].node.name.value.startswith("__"):
            return None
        is_write = kind is self._schema.mutation_type
        root = guard_of_type(kind) if kind in self._roots else None
        kinds = possible_types(self._schema, field)
        of_types = [_lets(guard_of_type(each)) for each in kinds]
        itself = _all([_lets(root, surely=True), _lets(guard_of_field(field)), _any(of_types)])
        selected = [self._object(each, field, details, is_write=is_write) for each in kinds]
        objects = [_all(both) for both in zip(of_types, selected, strict=True)]
        # A write is not begun where what comes of it may be refused: whether it was done would not be told.
        below = _all(objects) if is_write else _any(objects)
        return None if itself is None and below is None else Gate(itself, below, is_write)

    def _object(
        self, kind: GraphQLObjectType, field: GraphQLField, details: list[FieldDetails], *, is_write: bool
    ) -> Lets | None:
        """Whom an object of the type may stand for at the field: none of what it must have is refused, nor all that it has."""
        if kind.name not in self._reach:
            return None
        try:
            selected = self._collect(kind, details)
        except GraphQLError:  # a condition that is null: execution tells, and nothing of this is asked for
            return None
        members = [
            (self.of(kind, each), self._schema.get_field(kind, name))
            for each in selected.values()
            if (name := each[0].node.name.value) != "__typename"
        ]
        gates = [None if gate is None else _all([gate.itself, gate.below]) for gate, _ in members]
        needed = [
            lets
            for lets, (_, member) in zip(gates, members, strict=True)
            if member is not None and is_non_null_type(member.type)
        ]
        comes_to_nothing = not is_write and bool(gates) and not is_non_null_type(field.type)
        return _all([_all(needed) if _falls_as_a_whole(field) else None, _any(gates) if comes_to_nothing else None])


def _falls_as_a_whole(field: GraphQLField) -> bool:
    """Whether the field may be null where one of its objects can not be: it is nullable, or nothing in it is."""
    kind: Any = field.type
    if not is_non_null_type(kind):
        return True
    while is_non_null_type(kind) or is_list_type(kind):
        inner = kind.of_type
        if is_list_type(kind) and not is_non_null_type(inner):
            return False
        kind = inner
    return True


def _lets(rule: AccessRule[Any] | None, *, surely: bool = False) -> Lets | None:
    """Whom the rule may let, or surely lets."""
    if rule is None or not (rule.refuses_alone or surely):
        return None
    known = rule.known
    return (lambda identity: known(identity) is True) if surely else (lambda identity: known(identity) is not False)


def _all(lets: Iterable[Lets | None]) -> Lets | None:
    needed = [each for each in lets if each is not None]
    if len(needed) < 2:
        return needed[0] if needed else None
    return lambda identity: all(each(identity) for each in needed)


def _any(lets: Sequence[Lets | None]) -> Lets | None:
    """Nobody is kept out where one of them lets everybody, or where there is none."""
    choices = [each for each in lets if each is not None]
    if len(choices) < len(lets) or not choices:
        return None
    return lambda identity: any(each(identity) for each in choices)
