"""A layer: the objects that one step of a plan has found, and where each of them stands in the answer.

Where something stands is asked only when something is wrong, or when a resolver wants its path; until then a layer knows its
objects and the members that were written for them, and no more. Invariant: what stands in a nulled part of the answer has no
place any more, so nothing about it is reported twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from graphql.pyutils import Path

from .plan import PlannedField
from .stage import Stage

Trail = tuple[int, ...]
"""Where a value stands in the column of a field: the place of its object in the layer, then indices into lists."""


class Cancellable(Protocol):
    """Something under way."""

    def cancel(self) -> object: ...


class Layer:
    """Objects of one type, with what is written for each. `up` and `field`: where they were found; None at the root.

    State: the answer's objects, which fields fill in; which of them are dead, since they stand in what became null; the tasks
    that work for this layer.
    """

    __slots__ = ("_owners", "_paths", "_places", "children", "dead", "field", "objects", "outs", "stage", "tasks", "up")

    def __init__(
        self,
        stage: Stage,
        objects: Sequence[Any],
        *,
        up: Layer | None,
        field: PlannedField | None,
    ) -> None:
        self.stage = stage
        self.objects = objects
        self.outs: list[Any] = []
        self.up = up
        self.field = field
        self.children: list[Layer] = []
        self.dead: set[int] = set()
        self.tasks: set[Cancellable] = set()
        self._places: list[Trail | None] | None = None
        self._owners: dict[int, list[int]] | None = None
        self._paths: dict[int, Path | None] = {}
        if up is not None:
            up.children.append(self)

    @property
    def is_dead(self) -> bool:
        """Whether nothing that is found here can be in the answer."""
        return len(self.dead) == len(self.outs)

    def let_go(self) -> None:
        """Forget the layers below: without that ring everything dies with its run, and the collector of garbage finds nothing."""
        for child in self.children:
            child.let_go()
        self.children.clear()

    def place(self, index: int) -> Trail | None:
        """Where in the layer above the object stands; None where it stands nowhere any more."""
        if self._places is None:
            self._places = self._found()
        return None if index in self.dead else self._places[index]

    def path(self, index: int) -> Path | None:
        """The object's path; None is the root's. Raises: LookupError for an object that stands nowhere any more."""
        if self.up is None or self.field is None:
            return None
        if index not in self._paths:
            place = self.place(index)
            if place is None:
                raise LookupError("it stands in what became null")
            self._paths[index] = self.up.path_below(self.field, place)
        return self._paths[index]

    def path_below(self, field: PlannedField, trail: Trail) -> Path | None:
        """The path of an object that was found there. Raises: as `path`."""
        return self.path_at(field, trail)

    def path_at(self, field: PlannedField, trail: Trail) -> Path:
        """The path of a value of `field`. Raises: as `path`."""
        index, *within = trail
        path = Path(self.path(index), field.name, field.parent.name)
        for key in within:
            path = path.add_key(key)
        return path

    def put(self, field: PlannedField, trail: Trail, value: Any) -> None:
        """Let `value` stand at `trail`, unless what would hold it is null by now."""
        index, *within = trail
        place, owner = self.stage.places[field], self.outs[index]
        if not within:
            setattr(owner, place, value)
            return
        holder: Any = getattr(owner, place)
        for key in within[:-1]:
            if holder is None:
                return
            holder = holder[key]
        if holder is not None:
            holder[within[-1]] = value

    def below(self, index: int) -> Sequence[int]:
        """Objects of this layer that were found in the object `index` of the layer above."""
        if self._owners is None:
            self._owners = {}
            if self._places is None:
                self._places = self._found()
            for own, place in enumerate(self._places):
                if place is not None:
                    self._owners.setdefault(place[0], []).append(own)
        return self._owners.get(index, ())

    def _found(self) -> list[Trail | None]:
        """Every object's place, by looking for what was written for it."""
        if self.up is None or self.field is None:
            return [(0,)]
        place = self.up.stage.places[self.field]
        found = {
            id(out): (index, *within)
            for index, owner in enumerate(self.up.outs)
            for within, out in _objects_in(getattr(owner, place))
        }
        return [found.get(id(out)) for out in self.outs]

    def __repr__(self) -> str:
        return f"<Layer {self.stage.selection.type.name} {len(self.outs)} objects, {len(self.dead)} dead>"


def _objects_in(value: Any) -> Iterator[tuple[Trail, Any]]:
    """Every object in a value, with the indices of the lists it stands in."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            for within, out in _objects_in(item):
                yield (index, *within), out
    elif value is not None:
        yield (), value
