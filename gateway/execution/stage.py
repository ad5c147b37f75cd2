"""A selection made ready to run: its generated loops, its finishers, and which objects need no question about their type.

Invariant: a stage is made once a plan and holds nothing of a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from graphql import GraphQLObjectType
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import get_strawberry_type_cast

from .answer import Write, members_of, writer
from .leaves import Finish, finisher, needs_a_look
from .plan import Attribute, Items, Leaf, Method, PlannedField, Selection, Shape, TypeName
from .rows import Read, reader


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the answer's objects that is known as soon as the objects are: `column` is its place among what was read."""

    field: PlannedField
    leaf: Leaf
    finish: Finish
    column: int | None
    """None: a `Method`, which is called."""


@dataclass(frozen=True, slots=True)
class Nested:
    """An attribute that holds what the next layers are made of."""

    field: PlannedField
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A selection, and what it takes to execute it."""

    selection: Selection
    attributes: tuple[str, ...]
    read: Read
    write: Write
    members: tuple[Member, ...]
    """In the order of the writer's columns."""
    nested: tuple[Nested, ...]
    later: tuple[PlannedField, ...]
    """Fields that are called, loaded, or waited for."""
    places: dict[PlannedField, str]
    """Under which attribute of the answer's objects a field's value stands."""
    levels: dict[PlannedField, tuple[bool, ...]]
    """Whether a field's value is nullable, then the items of its list, then theirs."""
    trusts: Trusted


class Trusted:
    """Which classes of objects are known to be of a type, so that nobody asks `is_type_of`: the ones strawberry made for it.

    State: what was found out about the classes that were met, at most `MAX_CLASSES`; it never changes for a class.
    """

    MAX_CLASSES = 64

    def __init__(self, kind: GraphQLObjectType) -> None:
        self._kind = kind
        self._is_asked = kind.is_type_of is not None
        definition = kind.extensions.get("strawberry-definition")
        asks_as_made = isinstance(definition, StrawberryObjectDefinition) and definition.is_type_of is None
        self._origin = (
            definition.origin if asks_as_made and isinstance(definition, StrawberryObjectDefinition) else None
        )
        self._known: dict[type[Any], bool] = {NoneType: False}

    def objects(self, values: Sequence[Any]) -> bool:
        """Whether all of them are objects of the type, and there."""
        return self.classes(set(map(type, values))) and not (self._is_asked and _any_cast(values))

    def classes(self, kinds: Iterable[type[Any]]) -> bool:
        known = self._known
        return all(known[kind] if kind in known else self._learn(kind) for kind in kinds)

    def _learn(self, kind: type[Any]) -> bool:
        is_known = not needs_a_look((kind,)) and (not self._is_asked or kind is self._origin)
        if len(self._known) < self.MAX_CLASSES:
            self._known[kind] = is_known
        return is_known


def _any_cast(values: Sequence[Any]) -> bool:
    """Whether `strawberry.cast` has said of one of them that it is something else. An entity's class has the mark for all."""
    try:
        return any([value.__as_strawberry_type__ for value in values])  # noqa: C419 - a list is twice as fast here
    except AttributeError:
        return any(get_strawberry_type_cast(value) for value in values)


def stage_of(selection: Selection) -> Stage:
    """Compile one selection. Cost: some 100 µs, mostly Python's own compiler."""
    attributes = _attributes(selection)
    fields = selection.fields
    names = [field.name for field in fields]
    members = [field for field in fields if _is_known_at_once(field)]
    constants: dict[str, str | None] = {
        field.name: selection.type.name if isinstance(field.source, TypeName) else None
        for field in fields
        if not _is_known_at_once(field)
    }
    return Stage(
        selection=selection,
        attributes=tuple(attributes),
        read=reader(tuple(attributes)),
        write=writer(names, constants=constants),
        members=tuple(_member(field, attributes) for field in members),
        nested=tuple(
            Nested(field, attributes[field.source.name])
            for field in fields
            if isinstance(field.source, Attribute) and not _is_known_at_once(field)
        ),
        later=tuple(
            field
            for field in fields
            if not isinstance(field.source, Attribute | TypeName) and not _is_known_at_once(field)
        ),
        places=dict(zip(fields, members_of(names).values(), strict=True)),
        levels={field: tuple(_levels(field.shape)) for field in fields},
        trusts=Trusted(selection.type),
    )


def _attributes(selection: Selection) -> dict[str, int]:
    """Names of the attributes that are read, each once, with their places."""
    names = dict.fromkeys(field.source.name for field in selection.fields if isinstance(field.source, Attribute))
    return {name: place for place, name in enumerate(names)}


def _is_known_at_once(field: PlannedField) -> bool:
    return isinstance(field.source, Attribute | Method) and isinstance(field.shape, Leaf)


def _member(field: PlannedField, attributes: dict[str, int]) -> Member:
    assert isinstance(field.shape, Leaf)  # noqa: S101 - `_is_known_at_once`
    column = attributes[field.source.name] if isinstance(field.source, Attribute) else None
    return Member(field, field.shape, finisher(field.shape), column)


def _levels(shape: Shape) -> Iterable[bool]:
    while isinstance(shape, Items):
        yield shape.is_nullable
        shape = shape.of
    yield shape.is_nullable
