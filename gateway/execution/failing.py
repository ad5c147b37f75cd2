"""What an error does to the answer: it is located, collected, and nulls the nearest place above it that may be null.

Source: GraphQL's "Handling Field Errors"; a client may choose otherwise (`OnError`). Invariant: of errors whose null would stand
in a place that is null already, none is told: the collection is graphql-core's own. Everything here costs nothing until something
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphql import GraphQLError, located_error
from graphql.execution.executor import CollectedErrors

from .layer import Layer, Trail
from .on_error import OnError
from .plan import PlannedField
from .withheld import ToldOnce, Withheld

Position = tuple[Layer, PlannedField, Trail]
"""A place in the answer: in a member of an object, or in a list of it."""


class Failing:
    """The errors of one run."""

    def __init__(self, on_error: OnError = OnError.PROPAGATE) -> None:
        self._nulled = _NULLED[on_error]
        self._collected = CollectedErrors()
        self._withheld = ToldOnce()

    @property
    def errors(self) -> list[GraphQLError]:
        return self._collected.errors

    def fail(self, layer: Layer, field: PlannedField, trail: Trail, error: Exception) -> None:
        """Tell that there is no value at `trail`, and null what has to be null without it."""
        try:
            path = layer.path_at(field, trail)
            position = self._nulled(layer, field, trail)
        except LookupError:
            return  # it stands in what became null meanwhile
        count = len(self.errors)
        if isinstance(error, Withheld):
            path = layer.path_at(field, trail[:1])
        self._collected.add(located_error(error, field.nodes, path.as_list()), _path(position))
        if len(self.errors) == count:
            return
        if position != (layer, field, trail):
            _null(position, root=layer)
        if isinstance(error, Withheld):
            self._withheld.keep(self.errors)


def _path(position: Position | None) -> Any:
    return None if position is None else position[0].path_below(position[1], position[2])


def _nullable(layer: Layer, field: PlannedField, trail: Trail) -> Position | None:
    """The nearest place at or above `trail` that may be null; None where that is the whole answer. Raises: LookupError."""
    levels = layer.stage.levels[field]
    for depth in reversed(range(len(trail))):
        if levels[depth]:
            return layer, field, trail[: depth + 1]
    if layer.up is None or layer.field is None:
        return None
    place = layer.place(trail[0])
    if place is None:
        raise LookupError("it stands in what became null")
    return _nullable(layer.up, layer.field, place)


def _itself(layer: Layer, field: PlannedField, trail: Trail) -> Position:
    return layer, field, trail


def _everything(_: Layer, __: PlannedField, ___: Trail) -> None:
    return None


_NULLED: Mapping[OnError, Callable[[Layer, PlannedField, Trail], Position | None]] = {
    OnError.PROPAGATE: _nullable,
    OnError.NULL: _itself,
    OnError.HALT: _everything,
}
"""Which place an error makes null; None for the whole answer."""


def _null(position: Position | None, *, root: Layer) -> None:
    """Put null there; what stood there is dead, and so is whatever was found in it."""
    if position is None:
        while root.up is not None:
            root = root.up
        _end(root)
        return
    layer, field, trail = position
    for child in layer.children:
        if child.field is field:
            _bury(child, [each for each in child.below(trail[0]) if _is_within(child.place(each), trail)])
    layer.put(field, trail, None)


def _is_within(place: Trail | None, trail: Trail) -> bool:
    return place is not None and place[: len(trail)] == trail


def _bury(layer: Layer, indices: Iterable[int]) -> None:
    """These objects are dead: so is what was found in them. Who works for nobody else is cancelled."""
    newly = set(indices) - layer.dead
    layer.dead |= newly
    if layer.is_dead:
        _end(layer)
        return
    for child in layer.children:
        _bury(child, [each for index in newly for each in child.below(index)])


def _end(layer: Layer) -> None:
    layer.dead = set(range(len(layer.outs)))
    for task in list(layer.tasks):
        task.cancel()
    for child in layer.children:
        _end(child)
