"""For how long, and for whom, an answer may be kept by caches on its way: what the least fresh of its reads allows.

Invariants: only what loaders and listings declare as fresh is ever kept, for no longer than what is left of it; an answer with an
error, a degradation or anything else to be told, with a call by `ctx.http`, a strong read, or Python behind a field that names
nothing it reads, is kept by nobody; everybody shares only what was read as public for a caller who is nobody
(docs/decisions/0025 says why).
State: what is known of each operation, for as long as its document is kept; of each function, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    visit,
)
from strawberry.types.field import StrawberryField

from ..clock import Instant
from ..graph import JoinField
from ..graph.batched import BatchedField
from ..graph.methods import attribute_of, is_node_id
from ..graph.resolver import ColumnField
from ..graph.schema import DEFINITION
from ..identity import Identity
from ..loading import Loader, Pages, Read, Recording
from ..services import Sharing
from .document import Operation
from .explaining.named import named_in


class Freshness(msgspec.Struct, frozen=True):
    """Of an answer that may be kept."""

    seconds: int
    """Above zero."""
    is_public: bool
    """Whether one caller's answer is everybody's."""


class Freshnesses:
    """Judges the answers of one application."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._told_by_code: dict[Any, bool] = {}
        self._told: WeakKeyDictionary[Operation, bool] = WeakKeyDictionary()

    def of(self, operation: Operation, recording: Recording, *, identity: Identity, now: Instant) -> Freshness | None:
        """Of an answer to which nothing else is to be said; None where nobody may keep it."""
        reads = recording.reads
        if not reads or recording.beyond or not all(_is_keepable(each) for each in reads):
            return None
        seconds = int(min(each.fresh - each.oldest - (now - each.began) for each in reads))
        if seconds < 1 or not self._tells_only_what_it_reads(operation):
            return None
        is_public = identity.is_anonymous and all(each.sharing is Sharing.PUBLIC for each in reads)
        return Freshness(seconds, is_public)

    def _tells_only_what_it_reads(self, operation: Operation) -> bool:
        known = self._told.get(operation)
        if known is None:
            known = self._told[operation] = all(map(self._reads, _fields_of(operation, self._schema)))
        return known

    def _reads(self, field: GraphQLField) -> bool:
        """Whether the field's value is a part of what was read, or of what its own code reads."""
        definition = field.extensions.get(DEFINITION)
        match definition:
            case JoinField():
                return True
            case BatchedField(method=method):
                return self._code_reads(method, definition.origin)
            case StrawberryField(extensions=[_, *_]):
                return False  # whatever stands round its resolver is code too
            case StrawberryField(base_resolver=resolver) if resolver is not None:
                return is_node_id(definition) or self._code_reads(resolver.wrapped_func, definition.origin)
            case ColumnField():
                return True  # whoever is refused it gets an error, and an answer with one is kept by nobody
            case StrawberryField():
                return attribute_of(definition) is not None
            case _:
                return False

    def _code_reads(self, function: Any, owner: Any) -> bool:
        known = self._told_by_code.get(function)
        if known is None:
            named = named_in(function, owner=owner)
            known = any(isinstance(each.declaration, Loader | Pages) for each in named)
            self._told_by_code[function] = known
        return known


def _is_keepable(read: Read) -> bool:
    return read.kind != "http" and read.outcome == "ok"


def _fields_of(operation: Operation, schema: GraphQLSchema) -> Sequence[GraphQLField]:
    """All that the document asks of any type; of an interface's field those of its types. Cost: as the document is long."""
    asked = _Asked(schema)
    visit(operation.document, TypeInfoVisitor(asked.types, asked))
    return list(asked.fields.values())


class _Asked(Visitor):
    def __init__(self, schema: GraphQLSchema) -> None:
        super().__init__()
        self.types = TypeInfo(schema)
        self.fields: dict[int, GraphQLField] = {}
        """By identity: they have no hash."""
        self._schema = schema

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        name = node.name.value
        if not name.startswith("__"):
            for field in (each.fields[name] for each in self._kinds() if name in each.fields):
                self.fields[id(field)] = field

    def _kinds(self) -> Iterable[GraphQLObjectType]:
        kind = self.types.get_parent_type()
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            return self._schema.get_possible_types(kind)
        return [kind] if isinstance(kind, GraphQLObjectType) else []
