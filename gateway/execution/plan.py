"""The plan of an operation: what is read from where, layer by layer, as plain data. `planner.py` makes it, `run.py` follows it.

A selection is what is wanted of the objects of one type that stand in one layer. Each of its fields says where its values come
from (a source) and what is made of them (a shape). Invariants: a plan holds nothing of a request; fields stand in the order of the
answer; whether and how a value is nullable is written at every level. Inspired by Grafast's plans and graphql-jit.

A service that speaks GraphQL itself would be one more source beside `Joined`: it is asked once for a layer, and brings columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLLeafType,
    GraphQLObjectType,
    OperationDefinitionNode,
)
from strawberry.types.field import StrawberryField

from ..graph import JoinField
from ..graph.access import AccessRule
from ..graph.batched import BatchedField
from .gates import Gate

# -- where values come from --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypeName:
    """The name of the parent's type."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """Copied from the parent."""

    name: str


@dataclass(frozen=True, slots=True)
class Method:
    """A resolver that needs nothing but its parent, its arguments and the request's `Ctx`; called for each parent."""

    field: StrawberryField


@dataclass(frozen=True, slots=True)
class NodeId:
    """The id of a `Node`, made of its class and its key; for others of the type the resolver is called, as a `Method`."""

    field: StrawberryField


@dataclass(frozen=True, slots=True)
class Joined:
    """A join: one load for all parents of the layer."""

    field: JoinField


@dataclass(frozen=True, slots=True)
class Batched:
    """A batch resolver: one call for all parents of the layer."""

    field: BatchedField


@dataclass(frozen=True, slots=True)
class Resolved:
    """Anything else: called for each parent, with all that graphql-core tells a resolver."""

    resolve: Callable[..., Any]


Source = TypeName | Attribute | NodeId | Method | Joined | Batched | Resolved

# -- what is made of them ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or an enum."""

    type: GraphQLLeafType
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Items:
    """A list of what `of` says."""

    of: Shape
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Single:
    """Objects of one type: the next layer."""

    selection: Selection
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """Objects of several types, told apart one by one: a layer for each type that is there."""

    type: GraphQLAbstractType
    selections: Mapping[str, Selection]
    """By the name of the object's type; every possible type is there."""
    is_nullable: bool


Shape = Leaf | Items | Single | OneOf

# -- the plan ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PlannedField:
    """One member of the answer's objects. `name` is the client's, alias or not."""

    name: str
    nodes: list[FieldNode]
    """Everywhere in the document where the field stands; arguments are the first one's."""
    definition: GraphQLField
    parent: GraphQLObjectType
    source: Source
    shape: Shape
    gate: Gate | None = None
    """Who is let by before the source is asked; None: everybody."""

    @property
    def coordinate(self) -> str:
        """ "Type.field", as messages name it."""
        return f"{self.parent.name}.{self.nodes[0].name.value}"


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What is wanted of objects of one type."""

    type: GraphQLObjectType
    fields: tuple[PlannedField, ...]
    deferred: tuple[Deferred, ...] = ()
    """What is wanted of them later."""
    guard: AccessRule[Any] | None = None
    """Who may read them."""

    def all_fields(self) -> Iterator[PlannedField]:
        """What is wanted of the objects, now or later."""
        yield from self.fields
        for each in self.deferred:
            yield from each.selection.all_fields()


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A fragment with @defer, where it is met."""

    label: str | None
    parent: Fragment | None = None
    """The one that it stands in, and that it comes after."""
    steps: int = 0
    """How many layers above its own objects the parent's are."""


@dataclass(frozen=True, slots=True, eq=False)
class Deferred:
    """What these fragments want of the objects, and nobody else does: it comes with the first of them that is there."""

    fragments: tuple[tuple[Fragment, int], ...]
    """Each with how many layers above these objects those are that it stands on. 0: it is these."""
    selection: Selection


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A whole operation, under one setting of the variables that include and skip."""

    document: DocumentNode
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    root: Selection
    is_serial: bool
    """A mutation: its fields one after the other, each with all that is below it."""

    def __str__(self) -> str:
        return "\n".join((self.operation.operation.value, *_lines(self.root, depth=1)))


def _lines(selection: Selection, *, depth: int) -> Iterator[str]:
    """What a person reads: a line a field, below it what is made of its values."""
    for field in selection.fields:
        yield f"{'  ' * depth}{field.name}: {said_of(field.source)}"
        shape = field.shape
        while isinstance(shape, Items):
            shape = shape.of
        if isinstance(shape, Single):
            yield from _lines(shape.selection, depth=depth + 1)
        elif isinstance(shape, OneOf):
            for name, each in shape.selections.items():
                if each.fields:
                    yield f"{'  ' * (depth + 1)}on {name}"
                    yield from _lines(each, depth=depth + 2)
    for later in selection.deferred:
        labels = ", ".join(each.label for each, _ in later.fragments if each.label is not None)
        yield f"{'  ' * depth}later" + (f" ({labels})" if labels else "")
        yield from _lines(later.selection, depth=depth + 1)


def said_of(source: Source) -> str:
    """A source in words."""
    match source:
        case TypeName():
            return "the type's name"
        case Attribute(name):
            return f"copies {name}"
        case NodeId():
            return "makes the id of its key"
        case Method(field):
            return f"calls {field.python_name}"
        case Joined(field):
            return f"joins {', '.join(loader.name for loader in field.sources)} on {field.on}"
        case Batched(field):
            return f"calls {field.python_name} once a layer"
        case Resolved():
            return "resolves one by one"
