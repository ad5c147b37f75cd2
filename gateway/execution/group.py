"""What fragments with @defer want of the objects of one layer: a run of its own, whose objects are parts of theirs.

Invariants: an error in a part nulls no more than the part of its object; a part's path is that of the object that it belongs to;
all parts of a group are ready together, since what they wait for is asked for all of them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from graphql import GraphQLError, GraphQLField, GraphQLObjectType, GraphQLString
from graphql.pyutils import Path

from .layer import Layer, Trail
from .plan import Deferred, Items, Leaf, PlannedField, Resolved, Selection
from .stage import stage_of
from .tasks import cancelled


class Running(Protocol):
    """What a group needs of its run."""

    @property
    def errors(self) -> Sequence[GraphQLError]: ...
    @property
    def groups(self) -> Sequence[Group]:
        """What is deferred within."""
        ...

    def begin(self, group: Group) -> None: ...
    async def end(self) -> None: ...
    async def close(self) -> None: ...


class Group:
    """`base`: the layer that its objects are of. Begun by whoever makes it, in the same tick."""

    def __init__(self, run: Running, base: Layer, deferred: Deferred) -> None:
        self.run = run
        self.base = base
        self.deferred = deferred
        self.holder = Holder(base)
        self.ended = asyncio.create_task(run.end())

    def standing(self) -> Iterator[tuple[int, int]]:
        """Objects that may have a part, each with the part of the outer group that it stands in; of the first result it is 0."""
        for index in range(len(self.base.outs)):
            outer = _stands_in(self.base, index)
            if outer is not None:
                yield index, outer

    def part(self, index: int) -> Any:
        """Of the object; None where an error has nulled it."""
        return self.holder.parts[index]

    def errors(self) -> dict[tuple[str | int, ...], list[GraphQLError]]:
        """By the path of the object in whose part they are."""
        found: dict[tuple[str | int, ...], list[GraphQLError]] = {}
        for error in self.run.errors:
            path = error.path or []
            found.setdefault(tuple(path[: self._depth]), []).append(error)
        return found

    async def close(self) -> None:
        await cancelled([self.ended])
        if not self.ended.cancelled():
            self.ended.exception()  # whoever wanted to know has been told
        await self.run.close()

    @property
    def _depth(self) -> int:
        """How long the paths of the objects are: equally long, as they were found at one field."""
        return next((len(path_of(self.base, index)) for index, _ in self.standing()), 0)


class Holder(Layer):
    """Stands above the parts of a group, so that what nulls one of them stops here."""

    __slots__ = ("base",)

    held = PlannedField(
        name="parts",
        nodes=[],
        definition=GraphQLField(GraphQLString),
        parent=GraphQLObjectType("Holder", {}),
        source=Resolved(lambda *_: None),
        shape=Items(Leaf(GraphQLString, is_nullable=True), is_nullable=True),
    )
    """Where the parts stand. Nobody asks for it."""

    def __init__(self, base: Layer) -> None:
        super().__init__(_STAGE, [None], up=None, field=None)
        self.base = base
        self.outs = _STAGE.write(1)

    def hold(self, parts: Sequence[Any]) -> None:
        self.put(self.held, (0,), list(parts))

    @property
    def parts(self) -> list[Any]:
        found: list[Any] = getattr(self.outs[0], self.stage.places[self.held])
        return found

    def path_below(self, field: PlannedField, trail: Trail) -> Path | None:
        """That of the object whose part it is."""
        return self.base.path(trail[1])


_STAGE = stage_of(Selection(Holder.held.parent, (Holder.held,)))


def path_of(layer: Layer, index: int) -> list[str | int]:
    """Of an object that stands in the answer."""
    path = layer.path(index)
    return [] if path is None else path.as_list()


def climbed(layer: Layer, index: int, steps: int) -> tuple[Layer, int]:
    """So many layers up from the object; a part is where its object is. Raises: LookupError where it stands nowhere any more."""
    while steps or isinstance(layer.up, Holder):
        place = layer.place(index)
        if layer.up is None or place is None:
            raise LookupError("it stands in what became null")
        if isinstance(layer.up, Holder):
            layer, index = layer.up.base, place[1]
        else:
            layer, index, steps = layer.up, place[0], steps - 1
    return layer, index


def _stands_in(layer: Layer, index: int) -> int | None:
    """Which part of its run's the object stands in; None where an error has nulled that, or what is between."""
    while layer.up is not None:
        place = layer.place(index)
        if place is None:
            return None
        if isinstance(layer.up, Holder):
            return place[1]
        layer, index = layer.up, place[0]
    return None if index in layer.dead else index
