"""A plan's answer in parts: the first one when all that is not deferred is there, then each group when it is ready.

Source: GraphQL's "Incremental Delivery". Invariants: what is announced is completed; what is deferred within something deferred is
announced when all of that is delivered; an object that has no place in the answer has no part of it either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
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

from .group import Group, path_of
from .layer import Layer
from .parts import Payload
from .plan import Fragment
from .run import Run

_Incremental = IncrementalDeferResult | IncrementalStreamResult


async def in_parts(run: Run) -> AsyncGenerator[Payload]:
    """All of it, or the first part and those that follow."""
    delivery = _Delivery()
    try:
        done = await run.first()
        pending = delivery.announced(run.groups)
        if not pending:
            yield done
            return
        yield InitialIncrementalExecutionResult(done.data, list(done.errors) or None, pending=pending, has_next=True)
        while delivery.is_open:
            yield await delivery.next()
    finally:
        await run.close()


class _Parts:
    """What a fragment wants of the objects of the layer that it stands on. Complete as a whole."""

    def __init__(self, fragment: Fragment, layer: Layer) -> None:
        self.fragment = fragment
        self.layer = layer
        self.ids: dict[int, str] = {}
        """By the object that the fragment stands on."""
        self.groups: dict[Group, dict[int, int]] = {}
        """Each with its objects; which of those of the layer they are, or stand in."""

    @property
    def are_ready(self) -> bool:
        return all(group.ended.done() for group in self.groups)

    def pending(self) -> Iterator[PendingResult]:
        for index, id_ in self.ids.items():
            yield PendingResult(id_, path_of(self.layer, index), self.fragment.label)

    def delivered(self) -> tuple[list[_Incremental], list[CompletedResult]]:
        """Where a part of an object has failed, none of them is, and the first failure is told. Raises: what went wrong with us."""
        incremental: list[_Incremental] = []
        failed: dict[int, list[GraphQLError]] = {}
        for group, index, owner, errors in self._each():
            if group.part(index) is None:
                failed.setdefault(owner, errors)
        for group, index, owner, errors in self._each():
            if owner in failed:
                group.drop(index)
            else:
                below = path_of(group.base, index)[len(path_of(self.layer, owner)) :]
                part = IncrementalDeferResult(group.part(index), self.ids[owner], below or None, errors or None)
                incremental.append(part)
        return incremental, [CompletedResult(id_, failed.get(owner)) for owner, id_ in self.ids.items()]

    def _each(self) -> Iterator[tuple[Group, int, int, list[GraphQLError]]]:
        for group, owners in self.groups.items():
            group.ended.result()
            errors = group.errors()
            for index, owner in owners.items():
                yield group, index, owner, errors.get(tuple(path_of(group.base, index)), [])


class _Delivery:
    """State: what is announced and not there yet."""

    def __init__(self) -> None:
        self._ids = count()
        self._open: list[_Parts] = []

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def announced(self, groups: Iterable[Group]) -> list[PendingResult]:
        """Their parts, but for those of objects that have no place in the answer."""
        new: dict[tuple[Fragment, Layer], _Parts] = {}
        for group in groups:
            for index in group.standing():
                layer, owner = group.owner(index)
                fragment = group.deferred.fragment
                if (fragment, layer) not in new:
                    new[fragment, layer] = _Parts(fragment, layer)
                parts = new[fragment, layer]
                parts.groups.setdefault(group, {})[index] = owner
                if owner not in parts.ids:
                    parts.ids[owner] = str(next(self._ids))
        self._open += new.values()
        return [each for parts in new.values() for each in parts.pending()]

    async def next(self) -> SubsequentIncrementalExecutionResult:
        """What is ready, as soon as anything is. Raises: what went wrong with us."""
        while not (ready := [parts for parts in self._open if parts.are_ready]):
            ended = {group.ended for parts in self._open for group in parts.groups if not group.ended.done()}
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        pending: list[PendingResult] = []
        incremental: list[_Incremental] = []
        completed: list[CompletedResult] = []
        for parts in ready:
            self._open.remove(parts)
            found, done = parts.delivered()
            incremental += found
            completed += done
            pending += self.announced(within for group in parts.groups for within in group.run.groups)
        return SubsequentIncrementalExecutionResult(
            has_next=self.is_open, pending=pending or None, incremental=incremental or None, completed=completed
        )
