"""A join for all parents of a layer: each distinct key is asked for once, and every parent gets what it would have got alone.

Invariant: at each parent's place stands what `JoinField.get_result` gives that parent: a value, the exception it raises, or an
awaitable of either, where that parent has to wait longer than the others. All keys are asked for in the tick of the call.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strawberry.types.info import Info

from ..errors import GatewayError
from ..loading.loads import Requested, said
from .connection import Window, connection, window
from .context import Ctx
from .fallback import Asked, instead
from .join import JoinField
from .resolver import ensure_allowed
from .rules import checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a layer asks of a field: `info(place)` is made only for the parents that need it."""

    ctx: Ctx
    arguments: Mapping[str, Any]
    info: Callable[[int], Info[Any, Any]]


Column = Callable[[], Awaitable[Sequence[Any]]]
"""What has been asked for: called once it is waited for, so whoever gives up before leaves nothing behind."""


def join_column(field: JoinField, parents: Sequence[Any], asking: Asking) -> Column:
    """What each of `parents` has at `field`, in their order. Cost: one call a source and layer."""
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


def _one_by_one(field: JoinField, parents: Sequence[Any], asking: Asking) -> Column:
    """What several sources say is judged, counted and told for each parent by itself."""

    def one(place: int) -> Any:
        try:
            return field.get_result(parents[place], asking.info(place), [], {**asking.arguments})
        except Exception as error:  # that parent's own: it is no object of the graph
            return error

    async def rest() -> list[Any]:
        return [one(place) for place in range(len(parents))]

    return rest


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


def _guarded(field: JoinField, parents: Sequence[Any], ctx: Ctx) -> tuple[list[Any], list[int]]:
    """The column with what was given to parents when they were made and who is refused; and the places that are still open."""
    name, allow = field.name, field.allow
    column: list[Any] = [None] * len(parents)
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
        by_key = self._by_key(places)
        field, loads = self._field, self._asking.ctx.loads
        try:
            asked = loads.begin(
                field.loader, [*by_key], self._wanted.arguments, is_strong=field.consistency == "strong"
            )
        except Exception as error:  # a loader that is not bound, or a key that is none: our own bug, at each place
            return _at_once(_with(self._column, [place for group in by_key.values() for place in group], error))
        return lambda: self._filled(by_key, asked)

    def _by_key(self, places: Sequence[int]) -> dict[Any, list[int]]:
        """Places by key. A parent without one has nothing, and nobody is asked."""
        on, column, parents = self._field.on, self._column, self._parents
        by_key: dict[Any, list[int]] = {}
        for place in places:
            try:
                key = getattr(parents[place], on)
                if key is None:
                    column[place] = self._shown(self._field.loader.absent)
                else:
                    by_key.setdefault(key, []).append(place)
            except Exception as error:  # that parent's own
                column[place] = error
        return by_key

    async def _filled(self, by_key: Mapping[Any, list[int]], asked: Requested) -> list[Any]:
        """The column when the first keys are there; who has to wait longer stands in it as an awaitable."""
        if asked.futures and not any(future.done() for future in asked.calls):
            await asyncio.wait(asked.calls, return_when=asyncio.FIRST_COMPLETED)
        column, is_page = self._column, self._wanted.window is not None
        for (key, places), future in zip(by_key.items(), asked.futures, strict=True):
            if not future.done():
                for place in places:
                    column[place] = self._later(place, key, future)
                continue
            value = said(future.result())
            if is_page or isinstance(value, GatewayError):
                for place in places:
                    column[place] = self._outcome(place, key, value)
            else:
                for place in places:
                    column[place] = value
        return column

    def _outcome(self, place: int, key: Any, value: Any) -> Any:
        """What stands at the place: the value, what is served instead of it, or a failure that is no service's."""
        return self._instead(place, key, value) if isinstance(value, GatewayError) else self._shown(value)

    async def _later(self, place: int, key: Any, future: asyncio.Future[Any]) -> Any:
        value = self._outcome(place, key, said(await asyncio.shield(future)))
        if isinstance(value, Exception):
            raise value
        return await value if asyncio.iscoroutine(value) else value

    async def _instead(self, place: int, key: Any, error: GatewayError) -> Any:
        asked = Asked(
            parent=self._parents[place],
            key=key,
            arguments=self._wanted.arguments,
            ctx=self._asking.ctx,
            info=self._asking.info(place),
        )
        return self._shown(await instead(error, self._field, asked))

    def _shown(self, value: Any) -> Any:
        """The value in the shape that clients know: a page as a connection of this parent's own."""
        asked = self._wanted.window
        return value if asked is None or isinstance(value, Exception) else connection(value, asked)


def _at_once(column: list[Any]) -> Column:
    async def rest() -> list[Any]:
        return column

    return rest


def _with(column: list[Any], places: Sequence[int], error: Exception) -> list[Any]:
    for place in places:
        column[place] = error
    return column
