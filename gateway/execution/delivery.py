"""A plan's answer in parts: the first one when all that is not deferred is there, then each group when it is ready.

Source: GraphQL's "Incremental Delivery". Invariants: what is announced is completed; what is deferred within something deferred is
announced when that is delivered; an object that has no place in the answer has no part of it either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from itertools import count

from graphql.execution import (
    CompletedResult,
    IncrementalDeferResult,
    IncrementalStreamResult,
    InitialIncrementalExecutionResult,
    PendingResult,
    SubsequentIncrementalExecutionResult,
)

from .group import Group
from .parts import Payload
from .run import Run


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


class _Delivery:
    """State: which groups are announced, and under which ids their objects' parts."""

    def __init__(self) -> None:
        self._ids = count()
        self._open: dict[Group, dict[int, str]] = {}

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def announced(self, groups: Iterable[Group]) -> list[PendingResult]:
        """Their parts, but for those of objects that have no place in the answer."""
        pending: list[PendingResult] = []
        for group in groups:
            ids = {index: str(next(self._ids)) for index in group.standing()}
            pending += [PendingResult(id_, group.path(index), group.deferred.label) for index, id_ in ids.items()]
            if ids:
                self._open[group] = ids
        return pending

    async def next(self) -> SubsequentIncrementalExecutionResult:
        """What is ready, as soon as anything is. Raises: what went wrong with us."""
        await asyncio.wait([group.ended for group in self._open], return_when=asyncio.FIRST_COMPLETED)
        ready = [group for group in self._open if group.ended.done()]
        pending: list[PendingResult] = []
        incremental: list[IncrementalDeferResult | IncrementalStreamResult] = []
        completed: list[CompletedResult] = []
        for group in ready:
            group.ended.result()
            errors = group.errors()
            for index, id_ in self._open.pop(group).items():
                part, wrong = group.part(index), errors.get(tuple(group.path(index)))
                if part is not None:
                    incremental.append(IncrementalDeferResult(part, id_, errors=wrong))
                completed.append(CompletedResult(id_, wrong if part is None else None))
            pending += self.announced(group.run.groups)
        return SubsequentIncrementalExecutionResult(
            has_next=self.is_open, pending=pending or None, incremental=incremental or None, completed=completed
        )
