"""Values become what stands in the answer: a column of one field at a time. Source: GraphQL's "Value Completion".

What fits is taken over in one sweep; where something may be wrong, each value is looked at by itself, with graphql-core's own words
for what is wrong. Errors are only noted here, since nothing has its place in the answer yet; `run.py` reports them when it has.
Invariant: as many come out as went in, in their order, null where there is an error or a wait.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from itertools import accumulate, chain, islice
from types import NoneType
from typing import Any, Protocol

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLUnionType,
    Undefined,
)
from graphql.execution.collect_fields import FieldDetails
from graphql.execution.executor import Executor, default_type_resolver, invalid_return_type_error
from graphql.pyutils import is_iterable
from graphql.pyutils.is_awaitable import is_async_iterable, is_awaitable
from strawberry.types.base import get_object_definition
from strawberry.types.cast import get_strawberry_type_cast

from ..graph.access import AccessRule, lets, refusal
from ..identity import Identity
from ..loading.calls import Wanted
from ..loading.records import Rows, objects_of
from .layer import Layer, Trail
from .leaves import Finish, needs_a_look
from .plan import Items, Leaf, OneOf, PlannedField, Selection, Shape, Single
from .stage import Stage
from .withheld import withheld

Where = Callable[[int], Trail]
"""A value's place in the column that is completed -> its trail."""


class Following(Protocol):
    """What completion needs of a run."""

    @property
    def identity(self) -> Identity:
        """The caller."""
        ...

    @property
    def executor(self) -> Executor[Any]:
        """graphql-core's, for its own checks and words."""
        ...

    def stage(self, selection: Selection) -> Stage: ...
    def finisher(self, leaf: Leaf) -> Finish: ...
    def wanted_of(self, field: PlannedField) -> Wanted:
        """What the plan reads of what the field's resolver hands on; None: all of it."""
        ...

    def info(self, layer: Layer, field: PlannedField, index: int) -> GraphQLResolveInfo[Any]: ...
    def open(self, stage: Stage, objects: Sequence[Any], *, up: Layer, field: PlannedField) -> Layer:
        """The layer of these objects, all that is known of them at once written."""
        ...


class Completion:
    """One column of `field` while it is completed: for the objects of `layer`, or for values that came later, at `trails`."""

    __slots__ = ("_trails", "failures", "field", "layer", "layers", "run", "waits")

    def __init__(
        self, run: Following, layer: Layer, field: PlannedField, trails: Sequence[Trail] | None = None
    ) -> None:
        """`trails`: all equally long. None: a value for each object of the layer."""
        self.run = run
        self.layer = layer
        self.field = field
        self._trails = trails
        self.failures: list[tuple[Trail, Exception]] = []
        self.waits: list[tuple[Trail, Awaitable[Any]]] = []
        """Values that are not there yet."""
        self.layers: list[Layer] = []
        """What was found."""

    def complete(self, values: Sequence[Any]) -> Sequence[Any]:
        """The column as it stands in the answer."""
        return self._of(self._shape(), values, self._where)

    def _shape(self) -> Shape:
        """What is made of the values: those of the field, or items of its lists."""
        shape = self.field.shape
        for _ in range(len(self._trails[0]) - 1 if self._trails else 0):
            assert isinstance(shape, Items)  # noqa: S101 - a trail is as long as there are lists
            shape = shape.of
        return shape

    def _where(self, index: int) -> Trail:
        return (index,) if self._trails is None else self._trails[index]

    def _of(self, shape: Shape, values: Sequence[Any], where: Where) -> Sequence[Any]:
        match shape:
            case Leaf():
                return self.leaves(shape, values, where)
            case Items():
                return self._lists(shape, values, where)
            case Single():
                return self._objects(shape.selection, values, where, is_nullable=shape.is_nullable)
            case OneOf():
                return self._objects_of_several_types(shape, values, where)

    # -- scalars and enums ---------------------------------------------------------------------------------------------

    def leaves(self, leaf: Leaf, values: Sequence[Any], where: Where | None = None) -> Sequence[Any]:
        done = self.run.finisher(leaf)(values)
        return self.leaves_one_by_one(leaf, values, where or self._where) if done is None else done

    def leaves_one_by_one(self, leaf: Leaf, values: Sequence[Any], where: Where | None = None) -> Sequence[Any]:
        """The slow way, taken where the fast one does not answer: finds which value is wrong."""
        where = where or self._where
        done = [*self._present(values, where, is_nullable=leaf.is_nullable)]
        for index, value in enumerate(done):
            if value is not None:
                try:
                    done[index] = Executor.complete_leaf_value(leaf.type, value)
                except Exception as error:  # the value's own
                    done[index] = None
                    self._failed(where(index), error)
        return done

    # -- lists ---------------------------------------------------------------------------------------------------------

    def _lists(self, shape: Items, values: Sequence[Any], where: Where) -> Sequence[Any]:
        lists = self._present([self._opened(value) for value in values], where, is_nullable=shape.is_nullable)
        lengths = [0 if each is None else len(each) for each in lists]
        flat = list(chain.from_iterable(each for each in lists if each is not None))
        done = iter(self._of(shape.of, flat, _within(where, lengths)))
        found = [
            None if each is None else list(islice(done, length)) for each, length in zip(lists, lengths, strict=True)
        ]
        for index, each in enumerate(lists):
            if type(each) is _Cut:  # after what is wrong with the items before
                self._failed(where(index), each.error)
                found[index] = None
        return found

    def _opened(self, value: Any) -> Any:
        """The value as a list, if it is one: an awaitable of it where its items come by and by."""
        if type(value) is list or type(value) is tuple or type(value) is _Cut:
            return value
        if type(value) is Rows:
            records = value.records(self.run.wanted_of(self.field))
            return _listed(value) if records is None else records
        if isinstance(value, Exception) or value is None or value is Undefined or is_awaitable(value):
            return value
        if is_async_iterable(value):
            return _collected(value)
        if not is_iterable(value):
            return GraphQLError(f"Expected Iterable, but did not find one for field '{self.field.coordinate}'.")
        return _listed(value)

    # -- objects -------------------------------------------------------------------------------------------------------

    def _objects(
        self, selection: Selection, values: Sequence[Any], where: Where, *, is_nullable: bool
    ) -> Sequence[Any]:
        stage = self.run.stage(selection)
        guard = selection.guard
        if guard is None and stage.trusts.objects(values):
            return self._opened_layer(stage, values)
        there = self._present(values, where, is_nullable=is_nullable)
        if not stage.trusts.objects([value for value in there if value is not None]):
            there = objects_of(there)
            if not stage.trusts.objects([value for value in there if value is not None]):
                there = self._of_type(selection.type, there, where)
        if guard is not None:
            there = self._readable(guard, there, where)
        outs = iter(self._opened_layer(stage, [value for value in there if value is not None]))
        return [None if value is None else next(outs) for value in there]

    def _readable(self, guard: AccessRule[Any], values: Sequence[Any], where: Where) -> Sequence[Any]:
        """The objects that the caller may read; the others fail, each by itself where it was asked."""
        identity = self.run.identity
        said = guard.known(identity)
        if said is True:
            return values
        done = list(objects_of(values))
        for index, value in enumerate(done):
            if value is not None:
                try:
                    if said is False:
                        raise withheld(identity)
                    if not lets(guard.asks, value, identity):
                        raise refusal(identity, "object")
                except Exception as error:  # the object's own: it is refused, or the rule fails
                    done[index] = None
                    self._failed(where(index), error)
        return done

    def _opened_layer(self, stage: Stage, objects: Sequence[Any]) -> list[Any]:
        layer = self.run.open(stage, objects, up=self.layer, field=self.field)
        if objects:
            self.layers.append(layer)
        return layer.outs

    def _of_type(self, kind: GraphQLObjectType, values: Sequence[Any], where: Where) -> Sequence[Any]:
        """The values that say they are of this type; the others fail."""
        is_type_of = kind.is_type_of
        if is_type_of is None:
            return values
        done = list(values)
        for index, value in enumerate(values):
            if value is not None:
                try:
                    if not _at_once(is_type_of(value, self._info(where(index)))):
                        raise invalid_return_type_error(kind, value, self._details())
                except Exception as error:  # the value's own
                    done[index] = None
                    self._failed(where(index), error)
        return done

    def _objects_of_several_types(self, shape: OneOf, values: Sequence[Any], where: Where) -> Sequence[Any]:
        places: dict[str, list[int]] = {}
        known: dict[type[Any], str] = {}
        values = objects_of(values)
        for index, value in enumerate(self._present(values, where, is_nullable=shape.is_nullable)):
            if value is not None:
                try:
                    places.setdefault(self._type_name(shape.type, value, where(index), known), []).append(index)
                except Exception as error:  # the value's own
                    self._failed(where(index), error)
        done: list[Any] = [None] * len(values)
        for name, indices in places.items():
            found = self._objects(
                shape.selections[name], [values[each] for each in indices], _chosen(where, indices), is_nullable=True
            )
            for index, out in zip(indices, found, strict=True):
                done[index] = out
        return done

    def _type_name(self, kind: GraphQLAbstractType, value: Any, trail: Trail, known: dict[type[Any], str]) -> str:
        """The name of the object's type. `known`: what was answered for a class, where it depends on nothing else."""
        its_class = type(value)
        if its_class in known and get_strawberry_type_cast(value) is None:
            return known[its_class]
        info = self._info(trail)
        resolve_type = kind.resolve_type or default_type_resolver
        named = _at_once(resolve_type(value, info, kind))
        name = self.run.executor.ensure_valid_runtime_type(named, kind, self._details(), info, value).name
        if _is_told_by_class(kind, value):
            known[its_class] = name
        return name

    # -- what is wrong -------------------------------------------------------------------------------------------------

    def _present(self, values: Sequence[Any], where: Where, *, is_nullable: bool) -> Sequence[Any]:
        """The values that are there, null for the others: nothing, an error, or something to wait for."""
        kinds = set(map(type, values))
        if not needs_a_look(kinds) and (is_nullable or NoneType not in kinds):
            return values
        return [self._one(value, where, index, is_nullable=is_nullable) for index, value in enumerate(values)]

    def _one(self, value: Any, where: Where, index: int, *, is_nullable: bool) -> Any:
        if isinstance(value, Exception):
            self._failed(where(index), value)
        elif is_awaitable(value):
            self.waits.append((where(index), value))
        elif value is not None and value is not Undefined:
            return value
        elif not is_nullable:
            self._failed(where(index), self._null())
        return None

    def _null(self) -> TypeError:
        return TypeError(f"Cannot return null for non-nullable field {self.field.coordinate}.")

    def _failed(self, trail: Trail, error: Exception) -> None:
        self.failures.append((trail, error))

    def _info(self, trail: Trail) -> GraphQLResolveInfo[Any]:
        return self.run.info(self.layer, self.field, trail[0])

    def _details(self) -> list[FieldDetails]:
        return [FieldDetails(node, None) for node in self.field.nodes]


class _Cut(list[Any]):
    """What an iterator gave until it failed. As graphql-core reads it: what came before is completed first, and fails first."""

    def __init__(self, items: Sequence[Any], error: Exception) -> None:
        super().__init__(items)
        self.error = error


def _listed(iterable: Iterable[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        items.extend(iterable)
    except Exception as error:  # the iterator's own, in the middle
        return _Cut(items, error)
    return items


async def _collected(iterable: AsyncIterable[Any]) -> list[Any]:
    items: list[Any] = []
    try:
        async for item in iterable:
            items.append(item)  # noqa: PERF401 - what came before a failure is kept
    except Exception as error:  # the iterator's own, in the middle
        return _Cut(items, error)
    return items


def _within(where: Where, lengths: Sequence[int]) -> Where:
    """Where the items of lists of these lengths stand, the lists themselves standing at `where`."""
    ends: list[int] = []

    def item(index: int) -> Trail:
        if not ends:
            ends.extend(accumulate(lengths))
        which = bisect_right(ends, index)
        return (*where(which), index - (ends[which] - lengths[which]))

    return item


def _chosen(where: Where, indices: Sequence[int]) -> Where:
    return lambda index: where(indices[index])


def _at_once(answer: Any) -> Any:
    """The answer of a type check. Raises: TypeError for one that has to be awaited; the planner refuses those it can tell."""
    if is_awaitable(answer):
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        raise TypeError("a type check that is awaited is not supported: declare it with async def, or answer at once")
    return answer


def _is_told_by_class(kind: GraphQLAbstractType, value: Any) -> bool:
    """Whether strawberry tells the object's type by its class alone: it is no generic, and nobody else decides."""
    definition = get_object_definition(value)
    of_kind = kind.extensions.get("strawberry-definition")
    is_own = isinstance(kind, GraphQLUnionType) or getattr(of_kind, "resolve_type", True) is None
    is_generic = definition is None or definition.is_graphql_generic or definition.concrete_of is not None
    return of_kind is not None and is_own and not is_generic and get_strawberry_type_cast(value) is None
