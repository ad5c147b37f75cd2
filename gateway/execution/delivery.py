"""A plan's answer in parts: the first one when all that is not deferred is there, then what is ready, object by object.

Source: GraphQL's "Incremental Delivery". Invariants: what is announced is completed; what is deferred within something deferred is
announced when all of that is delivered, and not at all when it fails; a part that several fragments want is delivered once, with
the first of them that is there; an object that has no place in the answer has no part of it either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Container, Iterable, Iterator
from itertools import count

from graphql import GraphQLError
from graphql.execution import (
    CompletedResult,
    IncrementalDeferResult,
    IncrementalStreamResult,
    InitialIncrementalExecutionResult,
    PendingResult,
    SubsequentIncrementalExecutionResult,
)

from .group import Group, climbed, path_of
from .layer import Layer
from .parts import Payload
from .plan import Fragment
from .run import Run


async def in_parts(run: Run) -> AsyncGenerator[Payload]:
    """All of it, or the first part and those that follow."""
    delivery = _Delivery()
    try:
        done = await run.first()
        pending = delivery.begun(run.groups)
        if not pending:
            yield done
            return
        yield InitialIncrementalExecutionResult(done.data, list(done.errors) or None, pending=pending, has_next=True)
        while delivery.is_open:
            yield await delivery.next()
    finally:
        await run.close()


class _Wish:
    """What one fragment wants of the object that it stands on. It is delivered as a whole, or fails.

    State: `id` once announced; its `parts` that are not delivered, how many of these are not there yet; whether it is over.
    """

    __slots__ = ("errors", "id", "inner", "is_over", "label", "missing", "parts", "path")

    def __init__(self, label: str | None, path: list[str | int]) -> None:
        self.label = label
        self.path = path
        self.id: str | None = None
        self.parts: dict[_Part, None] = {}
        self.missing = 0
        self.errors: list[GraphQLError] | None = None
        """Of the first part that has failed."""
        self.inner: list[_Wish] = []
        self.is_over = False

    @property
    def is_announced(self) -> bool:
        return self.id is not None and not self.is_over

    def abandon(self) -> None:
        """It is not delivered, nor is what stands in it."""
        self.is_over = True
        for each in self.inner:
            each.abandon()


class _Part:
    """A part of an object, and the wishes that it fulfils."""

    __slots__ = ("errors", "group", "index", "wishes")

    def __init__(self, group: Group, index: int) -> None:
        self.group = group
        self.index = index
        self.wishes: list[_Wish] = []
        self.errors: list[GraphQLError] | None = None

    @property
    def is_wanted(self) -> bool:
        return any(not wish.is_over for wish in self.wishes)

    def delivered(self, wish: _Wish) -> IncrementalDeferResult:
        """For the wish; told by the deepest of those that were announced."""
        told = max((wish, *(each for each in self.wishes if each.is_announced)), key=lambda each: len(each.path))
        below = path_of(self.group.base, self.index)[len(told.path) :]
        for each in self.wishes:
            each.parts.pop(self, None)
        return IncrementalDeferResult(self.group.part(self.index), str(told.id), below or None, self.errors)


class _Payload:
    """What the next result tells, while it is collected."""

    def __init__(self) -> None:
        self.pending: list[PendingResult] = []
        self.incremental: list[IncrementalDeferResult | IncrementalStreamResult] = []
        self.completed: list[CompletedResult] = []

    def result(self, *, has_next: bool) -> SubsequentIncrementalExecutionResult:
        return SubsequentIncrementalExecutionResult(
            has_next=has_next,
            pending=self.pending or None,
            incremental=self.incremental or None,
            completed=self.completed,
        )


class _Delivery:
    """State: the wishes that are known; the groups under way, with their parts; the wishes to look at next."""

    def __init__(self) -> None:
        self._ids = count()
        self._wishes: dict[tuple[Fragment, Layer, int], _Wish] = {}
        self._under_way: dict[Group, list[_Part]] = {}
        self._open = 0
        self._touched: dict[_Wish, None] = {}

    @property
    def is_open(self) -> bool:
        """Whether anything is announced that is not completed."""
        return self._open > 0

    def begun(self, groups: Iterable[Group]) -> list[PendingResult]:
        """What is pending after the first result."""
        return [*self._announced(self._found(groups, within=(0,)))]

    async def next(self) -> SubsequentIncrementalExecutionResult:
        """What is ready, as soon as anything is. Raises: what went wrong with us."""
        while not (payload := self._ready()).completed:
            await asyncio.wait([group.ended for group in self._under_way], return_when=asyncio.FIRST_COMPLETED)
        return payload.result(has_next=self.is_open)

    def _ready(self) -> _Payload:
        payload = _Payload()
        for group in [group for group in self._under_way if group.ended.done()]:
            self._settle(group, self._under_way.pop(group))
        touched, self._touched = [wish for wish in self._touched if wish.is_announced], {}
        for wish in touched:
            if wish.errors is not None:
                self._fail(wish, wish.errors, payload)
        for wish in touched:
            if not wish.is_over and not wish.missing:
                self._deliver(wish, payload)
        return payload

    # -- what is found -------------------------------------------------------------------------------------------------

    def _found(self, groups: Iterable[Group], *, within: Container[int]) -> list[_Wish]:
        """The wishes for parts of these groups that stand in no other wish. `within`: parts of the outer group that are wanted."""
        outermost: list[_Wish] = []
        for group in groups:
            parts = [_Part(group, index) for index, outer in group.standing() if outer in within]
            for part in parts:
                self._wish_for(part, outermost)
            wanted = [part for part in parts if part.wishes]
            if wanted:
                self._under_way[group] = wanted
        return outermost

    def _wish_for(self, part: _Part, outermost: list[_Wish]) -> None:
        for fragment, steps in part.group.deferred.fragments:
            wish = self._wish(fragment, *climbed(part.group.base, part.index, steps), outermost)
            if not wish.is_over:
                wish.parts[part] = None
                wish.missing += 1
                part.wishes.append(wish)

    def _wish(self, fragment: Fragment, layer: Layer, index: int, outermost: list[_Wish]) -> _Wish:
        known = self._wishes.get((fragment, layer, index))
        if known is not None:
            return known
        wish = self._wishes[fragment, layer, index] = _Wish(fragment.label, path_of(layer, index))
        if fragment.parent is None:
            outermost.append(wish)
        else:
            outer = self._wish(fragment.parent, *climbed(layer, index, fragment.steps), outermost)
            outer.inner.append(wish)
            wish.is_over = outer.is_over
        return wish

    def _announced(self, wishes: Iterable[_Wish]) -> Iterator[PendingResult]:
        """Those that want anything; of the others what stands in them."""
        for wish in wishes:
            if not wish.parts:
                wish.is_over = True
                yield from self._announced(wish.inner)
                continue
            wish.id = str(next(self._ids))
            self._open += 1
            self._touched[wish] = None
            yield PendingResult(wish.id, wish.path, wish.label)

    # -- what is there -------------------------------------------------------------------------------------------------

    def _settle(self, group: Group, parts: Iterable[_Part]) -> None:
        """The group has ended: its parts are there, or have failed."""
        group.ended.result()
        errors = group.errors()
        there: set[int] = set()
        for part in [part for part in parts if part.is_wanted]:
            if errors:
                part.errors = errors.get(tuple(path_of(group.base, part.index)))
            if group.part(part.index) is not None:
                there.add(part.index)
            for wish in part.wishes:
                if group.part(part.index) is not None:
                    wish.missing -= 1
                elif wish.errors is None:
                    wish.errors = part.errors or []
                self._touched[wish] = None
        self._found(group.run.groups, within=there)

    def _fail(self, wish: _Wish, errors: list[GraphQLError], payload: _Payload) -> None:
        payload.completed.append(CompletedResult(str(wish.id), errors))
        self._open -= 1
        wish.abandon()

    def _deliver(self, wish: _Wish, payload: _Payload) -> None:
        payload.incremental += [part.delivered(wish) for part in list(wish.parts)]
        payload.completed.append(CompletedResult(str(wish.id)))
        self._open -= 1
        wish.is_over = True
        payload.pending += self._announced(wish.inner)
