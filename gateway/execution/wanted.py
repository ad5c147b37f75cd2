"""What a plan reads of the records that loaders bring, so that the rest of a payload is skipped when it is decoded.

Invariant: whoever is brought less than all reads no more than that. So where anything but an attribute is asked for (a method, a
batch resolver, a rule of the author's, a type that is told apart by its object) all is wanted; and what several fields of a plan
load is read for all of them, since a request asks for a key once. A resolver that hands on a page's items as they are is no
asking; one that looks at them gets all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strawberry.types.base import StrawberryObjectDefinition

from ..graph.context import Expected
from ..graph.join_column import attributes_read
from ..loading import Loader
from ..loading.calls import Wanted, together
from ..loading.records import plain_fields
from .plan import (
    Attribute,
    Items,
    Joined,
    Leaf,
    Method,
    NodeId,
    OneOf,
    PlannedField,
    Selection,
    Shape,
    Single,
    TypeName,
)


def wanted(root: Selection) -> Mapping[Loader[Any], Wanted]:
    """By loader, for those of which not all is wanted."""
    found: dict[Loader[Any], Wanted] = {}
    for field in _fields(root):
        if isinstance(field.source, Joined):
            join = field.source.field
            for loader in join.sources:
                names = None if join.reconcile is not None else _of_loader(loader, field.shape)
                found[loader] = together(found.get(loader, ()), names)
    return {loader: names for loader, names in found.items() if names is not None}


def expected(root: Selection) -> Mapping[PlannedField, Expected]:
    """By field whose resolver yields a list, for those where not all of its items is wanted."""
    found: dict[PlannedField, Expected] = {}
    for field in _fields(root):
        inner = innermost(field.shape)
        if isinstance(field.source, Method) and isinstance(field.shape, Items) and isinstance(inner, Single):
            kind = _class_of(inner.selection)
            names = None if kind is None else _wanted_of(kind, inner.selection)
            if kind is not None and names is not None:
                found[field] = Expected(kind, names)
    return found


def read_by(field: PlannedField) -> tuple[str, ...] | None:
    """The attributes that a field reads of its parents; None where it asks the objects for more than that."""
    match field.source:
        case TypeName():
            return ()
        case Attribute(name):
            return (name,)
        case NodeId():
            return ("key",)
        case Joined(join):
            return attributes_read(join)
        case _:
            return None


def innermost(shape: Shape) -> Leaf | Single | OneOf:
    """What the items of lists are."""
    while isinstance(shape, Items):
        shape = shape.of
    return shape


def _of_loader(loader: Loader[Any], shape: Shape) -> Wanted:
    inner, into = innermost(shape), loader.shape.into
    if loader.page or loader.shape.record is not None or not isinstance(inner, Single):
        return None
    return _wanted_of(into, inner.selection) if _class_of(inner.selection) is into else None


def _class_of(selection: Selection) -> type[Any] | None:
    """The class that strawberry made the type of; None where an author's own check, which may look at anything, tells the type."""
    definition = selection.type.extensions.get("strawberry-definition")
    is_told = isinstance(definition, StrawberryObjectDefinition) and definition.is_type_of is None
    return definition.origin if is_told and isinstance(definition, StrawberryObjectDefinition) else None


def _wanted_of(kind: type[Any], selection: Selection) -> Wanted:
    """What the selection reads of objects of the class."""
    everything = {column.name for column in plain_fields(kind)}
    names: dict[str, None] = {}
    if selection.guard is not None and selection.guard.asks_parent:
        return None
    for field in selection.all_fields():
        read = read_by(field)
        if read is None or not everything.issuperset(read):
            return None
        names |= dict.fromkeys(read)
    return None if names.keys() == everything else tuple(names)


def _fields(selection: Selection) -> Iterator[PlannedField]:
    """All of a plan."""
    for field in selection.all_fields():
        yield field
        for below in _below(field.shape):
            yield from _fields(below)


def _below(shape: Shape) -> Iterator[Selection]:
    match innermost(shape):
        case Single(selection):
            yield selection
        case OneOf(selections=selections):
            yield from selections.values()
        case Leaf():
            pass
