"""A join for all parents of a layer: each distinct key is asked for once, and every parent gets what it would have got alone.

Invariant: at each parent's place stands what `JoinField.get_result` gives that parent: a value, the exception it raises, or an
awaitable of either, where that parent has to wait longer than the others. All keys are asked for in the tick of the call.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from strawberry.types.info import Info

from ..errors import GatewayError
from ..loading.calls import Call, Wanted
from ..loading.records import origin_of
from .access import open_for
from .connection import Window, connection, window
from .context import Ctx
from .degradation import Alternative
from .fallback import Asked, instead, left_out, served_everywhere
from .join import JoinField
from .resolver import ensure_allowed
from .rules import checked


class Asking(NamedTuple):
    """What a layer asks of a field: `info(place)` is made only for the parents that need it."""

    ctx: Ctx
    arguments: Mapping[str, Any]
    info: Callable[[int], Info[Any, Any]]
    wanted: Wanted = None
    """The attributes that will be read of what is found; None: all of them."""


class Column(NamedTuple):
    """What has been asked for."""

    calls: Sequence[Call]
    """When the first of these has ended, there are values; without any there are now."""
    values: Callable[[], Sequence[Any]]
    """Called once, if it is waited for at all: whoever gives up before leaves nothing behind."""


def join_column(field: JoinField, parents: Sequence[Any], asking: Asking) -> Column:
    """What each of `parents` has at `field`, in their order: objects, or records that stand for them. Cost: one call a source and
    layer.

    A parent may be a record itself, unless the field asks the object (`attributes_read`).
    """
    if field.reconcile is not None:
        return _one_by_one(field, parents, asking)
    column, places = _guarded(field, parents, asking.ctx)
    if not places:
        return _at_once(column)
    try:
        wanted = _wanted(field, asking)
    except Exception as error:  # the client's arguments break a rule, for each parent alike
        return _at_once(_with(column, places, error))
    return _Loading(field, parents, asking, wanted, column).begin(places)


def attributes_read(field: JoinField) -> tuple[str, ...] | None:
    """What the join reads of its parents; None where it asks the object itself."""
    if field.allow is not None or field.reconcile is not None:
        return None
    others = (each.on or field.on for each in field.fallbacks if isinstance(each, Alternative))
    return tuple(dict.fromkeys((field.on, *others)))


def _one_by_one(field: JoinField, parents: Sequence[Any], asking: Asking) -> Column:
    """What several sources say is judged, counted and told for each parent by itself."""

    def one(place: int) -> Any:
        try:
            return field.get_result(parents[place], asking.info(place), [], {**asking.arguments})
        except Exception as error:  # that parent's own: it is no object of the graph
            return error

    return Column((), lambda: [one(place) for place in range(len(parents))])


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The arguments as they are sent, and the part of a list that a connection shows."""

    arguments: Mapping[str, Any]
    window: Window | None


def _wanted(field: JoinField, asking: Asking) -> _Wanted:
    """Raises: BadUserInput."""
    arguments = asking.arguments
    checked(field.checks, arguments)
    loader = field.loader
    if not loader.page:
        return _Wanted(arguments, None)
    asked = window(arguments["first"], arguments.get("after"), longest=loader.max_page)
    return _Wanted({**arguments, "first": asked.limit, "after": asked.cursor.page}, asked)


def _guarded(field: JoinField, parents: Sequence[Any], ctx: Ctx) -> tuple[list[Any], Sequence[int]]:
    """The column with what was given to parents when they were made and who is refused; and the places that are still open."""
    column: list[Any] = [None] * len(parents)
    allow = None if open_for(field.allow, ctx.identity) else field.allow
    if allow is None and all(origin_of(kind) is not None for kind in set(map(type, parents))):
        return column, range(len(parents))  # nobody gives anything to a record
    name = field.name
    places: list[int] = []
    for place, parent in enumerate(parents):
        try:
            given = vars(parent).get(name, dataclasses.MISSING)
            if allow is not None:
                ensure_allowed(allow, parent, ctx)
        except Exception as error:  # that parent's own: it is refused, or no object of the graph
            column[place] = error
            continue
        if given is dataclasses.MISSING:
            places.append(place)
        else:
            column[place] = given
    return column, places


class _Loading:
    """One join of one layer under way."""

    __slots__ = ("_asking", "_column", "_field", "_parents", "_wanted")

    def __init__(
        self, field: JoinField, parents: Sequence[Any], asking: Asking, wanted: _Wanted, column: list[Any]
    ) -> None:
        self._field = field
        self._parents = parents
        self._asking = asking
        self._wanted = wanted
        self._column = column

    def begin(self, places: Sequence[int]) -> Column:
        """Ask for the keys of the parents at `places`."""
        places, keys = self._keys(places)
        if not keys:
            return _at_once(self._column)
        if self._asking.ctx.sheds and self._field.is_optional:
            return self._left_out(places, keys)
        field, loads, distinct = self._field, self._asking.ctx.loads, [*dict.fromkeys(keys)]
        try:
            calls = loads.begin(
                field.loader,
                distinct,
                self._wanted.arguments,
                is_strong=field.consistency == "strong",
                wanted=self._asking.wanted,
            )
        except Exception as error:  # a loader that is not bound, or a key that is none: our own bug, at each place
            return _at_once(_with(self._column, places, error))
        by_key = {key: calls[key] for key in distinct}
        return Column((*dict.fromkeys(by_key.values()),), lambda: self._filled(places, keys, by_key))

    def _left_out(self, places: Sequence[int], keys: Sequence[Any]) -> Column:
        """Nobody is asked: each parent has what the declaration serves instead."""
        error, stands_in = left_out(), self._field.stands_in
        if stands_in is None:
            for place, key in zip(places, keys, strict=True):
                self._column[place] = self._instead(place, key, error)
        else:
            asked = self._asked(places[0], keys[0])
            values = served_everywhere(stands_in, error, asked, places=len(places))
            for place, value in zip(places, values, strict=True):
                self._column[place] = self._shown(value)
        return _at_once(self._column)

    def _keys(self, places: Sequence[int]) -> tuple[Sequence[int], list[Any]]:
        """The parents' keys, and where those stand that have one. A parent without one has nothing, and nobody is asked."""
        on, parents = self._field.on, self._parents
        with suppress(Exception):  # whose it is, is found out one by one
            keys = [getattr(parents[place], on) for place in places]
            if None not in set(keys):
                return places, keys
        return self._keys_one_by_one(places)

    def _keys_one_by_one(self, places: Sequence[int]) -> tuple[Sequence[int], list[Any]]:
        on, column, parents = self._field.on, self._column, self._parents
        found: list[tuple[int, Any]] = []
        for place in places:
            try:
                key = getattr(parents[place], on)
                hash(key)
            except Exception as error:  # that parent's own: its attribute raises, or is nothing that can be a key
                column[place] = error
                continue
            if key is None:
                column[place] = self._shown(self._field.loader.absent)
            else:
                found.append((place, key))
        return [place for place, _ in found], [key for _, key in found]

    def _filled(self, places: Sequence[int], keys: Sequence[Any], calls: Mapping[Any, Call]) -> list[Any]:
        """The column when the first call has ended; who has to wait longer stands in it as an awaitable."""
        column = self._column
        values = self._plain_values(calls)
        if values is None:
            for place, key in zip(places, keys, strict=True):
                call = calls[key]
                column[place] = (
                    self._outcome(place, key, call.values[key]) if call.has_ended else self._later(place, key, call)
                )
        elif len(places) == len(column):
            return [values[key] for key in keys]
        else:
            for place, key in zip(places, keys, strict=True):
                column[place] = values[key]
        return column

    def _plain_values(self, calls: Mapping[Any, Call]) -> dict[Any, Any] | None:
        """By key, where all are there and stand in the answer as they are."""
        if self._wanted.window is not None or not all(call.has_ended for call in set(calls.values())):
            return None
        values = {key: call.values[key] for key, call in calls.items()}
        is_any_wrong = any(issubclass(kind, GatewayError) for kind in set(map(type, values.values())))
        return None if is_any_wrong else values

    def _outcome(self, place: int, key: Any, value: Any) -> Any:
        """What stands at the place: the value, what is served instead of it, or a failure that is no service's."""
        return self._instead(place, key, value) if isinstance(value, GatewayError) else self._shown(value)

    async def _later(self, place: int, key: Any, call: Call) -> Any:
        await call.ended()
        value = self._outcome(place, key, call.values[key])
        if isinstance(value, Exception):
            raise value
        return await value if asyncio.iscoroutine(value) else value

    async def _instead(self, place: int, key: Any, error: GatewayError) -> Any:
        return self._shown(await instead(error, self._field, self._asked(place, key)))

    def _asked(self, place: int, key: Any) -> Asked:
        return Asked(
            parent=self._parents[place],
            key=key,
            arguments=self._wanted.arguments,
            ctx=self._asking.ctx,
            info=self._asking.info(place),
        )

    def _shown(self, value: Any) -> Any:
        """The value in the shape that clients know: a page as a connection of this parent's own."""
        asked = self._wanted.window
        return value if asked is None or isinstance(value, Exception) else connection(value, asked)


def _at_once(column: list[Any]) -> Column:
    return Column((), lambda: column)


def _with(column: list[Any], places: Sequence[int], error: Exception) -> list[Any]:
    for place in places:
        column[place] = error
    return column
