"""What the declaration of a record has made certain already, so that nobody looks at each value again.

msgspec has checked every value that it decoded. Invariant: a field is certain only where any value that its record may hold stands
in the answer as it is; whole numbers may be too great for GraphQL, so these are looked at. A default of the author's is no value
that was decoded, and is looked at too unless it is of the type.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from graphql import GraphQLBoolean, GraphQLFloat, GraphQLID, GraphQLInt, GraphQLLeafType, GraphQLString

from ..loading.records import origin_of
from .answer import record_of
from .leaves import finisher
from .plan import Attribute, Leaf, PlannedField, Selection, TypeName
from .rows import copier, reader

Copy = Callable[[Sequence[Any]], list[Any] | None]
"""Records -> the answer's objects; None where something has to be looked at."""


@dataclass(frozen=True, slots=True)
class Certain:
    """Of the records of one class. `copy`: where the answer's objects hold nothing else."""

    fields: frozenset[PlannedField]
    copy: Copy | None


_NOTHING = Certain(frozenset(), None)


class Declared:
    """What is certain for one selection. State: by class of records, at most `MAX_CLASSES`."""

    MAX_CLASSES = 64

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._known: dict[type[Any], Certain] = {}

    def of(self, objects: Sequence[Any]) -> Certain:
        """Nothing, unless all are records of one class."""
        kinds = set(map(type, objects))
        if len(kinds) != 1:
            return _NOTHING
        (kind,) = kinds
        found = self._known.get(kind)
        if found is None:
            found = _certain(self._selection, kind)
            if len(self._known) < self.MAX_CLASSES:
                self._known[kind] = found
        return found


def _certain(selection: Selection, kind: type[Any]) -> Certain:
    if origin_of(kind) is None:
        return _NOTHING
    columns = {column.name: column for column in msgspec.structs.fields(kind)}
    attributes = [
        (field, columns[field.source.name], field.shape)
        for field in selection.fields
        if isinstance(field.source, Attribute) and isinstance(field.shape, Leaf) and field.source.name in columns
    ]
    fields = frozenset(field for field, column, leaf in attributes if _holds_only(column, _TEXTS, leaf))
    numbers = [(column.name, leaf) for _, column, leaf in attributes if _holds_only(column, _NUMBERS, leaf)]
    constants = [field for field in selection.fields if isinstance(field.source, TypeName)]
    is_whole = len(fields) + len(numbers) + len(constants) == len(selection.fields) and bool(fields or numbers)
    is_whole = (
        is_whole and not selection.deferred
    )  # where an object stands is found by it, so that none stands in two places
    return Certain(fields, _copy(selection, kind, numbers) if is_whole else None)


_TEXTS: dict[GraphQLLeafType, type[Any]] = {
    GraphQLString: str,
    GraphQLID: str,
    GraphQLBoolean: bool,
    GraphQLFloat: float,  # JSON has no number that is none, and msgspec refuses those beyond a double
}
_NUMBERS: dict[GraphQLLeafType, type[Any]] = {GraphQLInt: int}


def _holds_only(column: msgspec.structs.FieldInfo, kinds: dict[GraphQLLeafType, type[Any]], leaf: Leaf) -> bool:
    """Whether the attribute holds nothing but what `kinds` has for the leaf, or null where that may stand."""
    kind = kinds.get(leaf.type)
    if kind is None or column.default_factory is not msgspec.NODEFAULT:
        return False
    fitting = {kind, types.NoneType} if leaf.is_nullable else {kind}
    has_fitting_default = column.default is msgspec.NODEFAULT or type(column.default) in fitting
    return has_fitting_default and _types_of(column.type) <= fitting


def _types_of(declared: Any) -> set[Any]:
    is_union = typing.get_origin(declared) in (typing.Union, types.UnionType)
    members = typing.get_args(declared) if is_union else (declared,)
    return {getattr(member, "__supertype__", member) for member in members}


def _copy(selection: Selection, kind: type[Any], numbers: Sequence[tuple[str, Leaf]]) -> Copy:
    """The answer's objects for records of the class. It may be these themselves: nobody changes either."""
    names = [field.name for field in selection.fields]
    sources = [field.source.name if isinstance(field.source, Attribute) else None for field in selection.fields]
    columns = msgspec.structs.fields(kind)
    if sources == [column.name for column in columns] and names == [column.encode_name for column in columns]:
        copy: Callable[[Sequence[Any]], list[Any]] = list  # the records have the answer's members, and no others
    else:
        copy = copier(record_of(names), sources, constant=selection.type.name)
    read = reader([name for name, _ in numbers])
    finish = [finisher(leaf) for _, leaf in numbers]

    def checked(records: Sequence[Any]) -> list[Any] | None:
        columns = zip(finish, read(records), strict=True)
        return None if any(looked(column) is None for looked, column in columns) else copy(records)

    return checked if numbers else copy
