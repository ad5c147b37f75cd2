"""A selection made ready to run: its generated loops, its finishers, and which objects need no question about their type.

Invariant: a stage is made once a plan and holds nothing of a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any

from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.cast import get_strawberry_type_cast
from strawberry.types.field import StrawberryField

from ..graph.pricing import weight_of
from ..graph.schema import definition_of
from ..loading.records import Origin, origin_of
from .answer import Write, members_of, writer
from .declared import Declared
from .leaves import Finish, finisher, needs_a_look
from .plan import (
    Attribute,
    Deferred,
    Items,
    Leaf,
    Method,
    NodeId,
    PlannedField,
    Selection,
    Shape,
    Source,
    TypeName,
)
from .rows import Read, reader
from .wanted import innermost, read_by


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the answer's objects that is known as soon as the objects are."""

    field: PlannedField
    leaf: Leaf
    finish: Finish
    found: int | StrawberryField
    """Its place among what was read (of a `NodeId` its key's), or the resolver that is called."""


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
    deferred: tuple[Deferred, ...]
    """What comes later."""
    places: dict[PlannedField, str]
    """Under which attribute of the answer's objects a field's value stands."""
    levels: dict[PlannedField, tuple[bool, ...]]
    """Whether a field's value is nullable, then the items of its list, then theirs."""
    trusts: Trusted
    declared: Declared
    weight: int
    """What the fields are declared to cost for each object."""


class Trusted:
    """Which classes of objects are known to be of a type, so that nobody asks `is_type_of`: the ones strawberry made for it,
    and the records that stand for these, where the selection only copies attributes.

    State: what was found out about the classes that were met, at most `MAX_CLASSES`; it never changes for a class.
    """

    MAX_CLASSES = 64

    def __init__(self, selection: Selection) -> None:
        kind = selection.type
        self._selection = selection
        self._is_asked = kind.is_type_of is not None
        definition = kind.extensions.get("strawberry-definition")
        asks_as_made = isinstance(definition, StrawberryObjectDefinition) and definition.is_type_of is None
        self._origin: type[Any] | None = (
            definition.origin if asks_as_made and isinstance(definition, StrawberryObjectDefinition) else None
        )
        self._known: dict[type[Any], bool] = {NoneType: False}

    def objects(self, values: Sequence[Any]) -> bool:
        """Whether all of them are objects of the type or all records, and there."""
        kinds = set(map(type, values))
        if not self.classes(kinds):
            return False
        records = [origin_of(kind) is not None for kind in kinds]
        return all(records) or not (any(records) or (self._is_asked and _any_cast(values)))

    def entity(self, values: Sequence[Any]) -> type[Any] | None:
        """The class of the type, if all of them are of it or records of it."""
        is_all = all(kind is self._origin or _stands_for(kind, self._origin) for kind in set(map(type, values)))
        return self._origin if is_all else None

    def classes(self, kinds: Iterable[type[Any]]) -> bool:
        known = self._known
        return all(known[kind] if kind in known else self._learn(kind) for kind in kinds)

    def _learn(self, kind: type[Any]) -> bool:
        origin = origin_of(kind)
        if origin is None:
            is_known = not needs_a_look((kind,)) and (not self._is_asked or kind is self._origin)
        else:
            is_known = origin.into is self._origin and all(_reads(field, origin) for field in self._selection.fields)
        if len(self._known) < self.MAX_CLASSES:
            self._known[kind] = is_known
        return is_known


def _stands_for(kind: type[Any], entity: type[Any] | None) -> bool:
    origin = origin_of(kind)
    return origin is not None and origin.into is entity


def _reads(field: PlannedField, origin: Origin) -> bool:
    """Whether the field has of a record what it has of the object. Records in it are no leaves, where objects may be."""
    names = read_by(field)
    if names is None or not (origin.plain | origin.nested).issuperset(names):
        return False
    return origin.plain.issuperset(names) or not isinstance(innermost(field.shape), Leaf)


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
        deferred=selection.deferred,
        places=dict(zip(fields, members_of(names).values(), strict=True)),
        levels={field: tuple(_levels(field.shape)) for field in fields},
        trusts=Trusted(selection),
        declared=Declared(selection),
        weight=sum(weight_of(definition_of(field.definition)) for field in fields),
    )


def _attributes(selection: Selection) -> dict[str, int]:
    """Names of the attributes that are read, each once, with their places."""
    names = dict.fromkeys(name for field in selection.fields if (name := _read_by(field.source)) is not None)
    return {name: place for place, name in enumerate(names)}


_KEY = "key"
"""The attribute of an entity that its id is made of."""


def _read_by(source: Source) -> str | None:
    """The attribute that is copied from each object."""
    match source:
        case Attribute(name):
            return name
        case NodeId():
            return _KEY
        case _:
            return None


def _is_known_at_once(field: PlannedField) -> bool:
    """Whether the field's values are there with the objects. Not where arguments may ask where these stand: nobody knows yet; nor
    where somebody may be refused it."""
    if field.gate is not None:
        return False
    match field.source:
        case Attribute() | NodeId():
            return isinstance(field.shape, Leaf)
        case Method(declared):
            return isinstance(field.shape, Leaf) and not declared.arguments
        case _:
            return False


def _member(field: PlannedField, attributes: dict[str, int]) -> Member:
    assert isinstance(field.shape, Leaf)  # noqa: S101 - `_is_known_at_once`
    return Member(field, field.shape, finisher(field.shape), _found(field, attributes))


def _found(field: PlannedField, attributes: dict[str, int]) -> int | StrawberryField:
    if isinstance(field.source, Method):
        return field.source.field
    return attributes[field.source.name if isinstance(field.source, Attribute) else _KEY]


def _levels(shape: Shape) -> Iterable[bool]:
    while isinstance(shape, Items):
        yield shape.is_nullable
        shape = shape.of
    yield shape.is_nullable
