"""What a plan reads of the records that loaders bring, so that the rest of a payload is skipped when it is decoded.

Invariant: whoever is brought less than all reads no more than that. So where anything but an attribute is asked for (a method, a
batch resolver, a rule of the author's, a type that is told apart by its object) all is wanted; and what several fields of a plan
load is read for all of them, since a request asks for a key once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strawberry.types.base import StrawberryObjectDefinition

from ..graph.join_column import attributes_read
from ..loading import Loader
from ..loading.calls import Wanted
from ..loading.records import plain_fields
from .plan import Attribute, Items, Joined, Leaf, NodeId, OneOf, PlannedField, Selection, Shape, Single, TypeName


def wanted(root: Selection) -> Mapping[Loader[Any], Wanted]:
    """By loader, for those of which not all is wanted."""
    found: dict[Loader[Any], Wanted] = {}
    for join, shape in _joins(root):
        for loader in join.field.sources:
            names = None if join.field.reconcile is not None else _wanted_of(loader, shape)
            known = found.get(loader, frozenset())
            found[loader] = None if names is None or known is None else known | names
    return {loader: names for loader, names in found.items() if names is not None}


def read_by(field: PlannedField) -> frozenset[str] | None:
    """The attributes that a field reads of its parents; None where it asks the objects for more than that."""
    match field.source:
        case TypeName():
            return frozenset()
        case Attribute(name):
            return frozenset((name,))
        case NodeId():
            return frozenset(("key",))
        case Joined(join):
            return attributes_read(join)
        case _:
            return None


def innermost(shape: Shape) -> Leaf | Single | OneOf:
    """What the items of lists are."""
    while isinstance(shape, Items):
        shape = shape.of
    return shape


def _wanted_of(loader: Loader[Any], shape: Shape) -> Wanted:
    inner = innermost(shape)
    if loader.page or loader.shape.record is not None or not isinstance(inner, Single):
        return None
    definition = inner.selection.type.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryObjectDefinition) or definition.is_type_of is not None:
        return None  # an author's own check may look at anything
    everything = {column.name for column in plain_fields(loader.shape.into)}
    names: set[str] = set()
    for field in inner.selection.fields:
        read = read_by(field)
        if read is None or not read <= everything:
            return None
        names |= read
    return None if names == everything or definition.origin is not loader.shape.into else frozenset(names)


def _joins(selection: Selection) -> Iterator[tuple[Joined, Shape]]:
    for field in selection.fields:
        if isinstance(field.source, Joined):
            yield field.source, field.shape
        for below in _below(field.shape):
            yield from _joins(below)


def _below(shape: Shape) -> Iterator[Selection]:
    match innermost(shape):
        case Single(selection):
            yield selection
        case OneOf(selections=selections):
            yield from selections.values()
        case Leaf():
            pass
