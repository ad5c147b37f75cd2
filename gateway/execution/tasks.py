"""The tasks of a run: works of layers, and values that come one by one.

Invariants: a task is known to the layer that it works for, which cancels it when it is dead; whoever begins a task waits for its
end, or cancels it and waits until it has ended. A cancellation that nobody of us has asked for is passed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from .layer import Layer, Trail


class Work(NamedTuple):
    """What is left to do for a field of `layer`: some of it has to be waited for."""

    layer: Layer
    rest: Coroutine[Any, Any, None]


class Tasks:
    """Works under way, each in a task that its layer knows."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Future[None], Layer] = {}

    def begin(self, works: Iterable[Work]) -> None:
        for layer, rest in works:
            task = asyncio.ensure_future(rest)
            self._tasks[task] = layer
            layer.tasks.add(task)

    async def end(self) -> None:
        """Wait for all. Raises: what one of them raises, which is our own bug; CancelledError, unless its layer is dead."""
        if not self._tasks:
            return
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()
        if any(task.cancelled() and not layer.is_dead for task, layer in self._tasks.items()):
            raise asyncio.CancelledError

    async def cancel(self) -> None:
        """Those that are not done; nobody is told of them any more."""
        for task, layer in self._tasks.items():
            layer.tasks.discard(task)
        await cancelled(self._tasks)


class Arrivals:
    """What several awaitables come to, in the order in which they are there, those of one tick together."""

    def __init__(self, layer: Layer, waits: Sequence[tuple[Trail, Awaitable[Any]]]) -> None:
        self._layer = layer
        self._ready: list[tuple[Trail, asyncio.Future[Any]]] = []
        self._bell = asyncio.Event()
        self._left = len(waits)
        self.tasks: set[asyncio.Future[Any]] = set()
        for trail, awaitable in waits:
            task = asyncio.ensure_future(awaitable)
            self.tasks.add(task)
            task.add_done_callback(partial(self._ring, trail))

    def _ring(self, trail: Trail, task: asyncio.Future[Any]) -> None:
        self._ready.append((trail, task))
        self._bell.set()

    def __aiter__(self) -> Arrivals:
        return self

    async def __anext__(self) -> list[tuple[Trail, Any]]:
        """Values or exceptions, until the layer is dead. Raises: CancelledError where one was cancelled by others."""
        if self._left and not self._layer.is_dead:
            await self._bell.wait()
        if not self._left or self._layer.is_dead:
            raise StopAsyncIteration
        self._bell.clear()
        ready, self._ready = self._ready, []
        self._left -= len(ready)
        return [(trail, await outcome(task)) for trail, task in ready]


def by_length(arrived: Sequence[tuple[Trail, Any]]) -> Iterable[list[tuple[Trail, Any]]]:
    """Values of lists and of their items are completed apart."""
    groups: dict[int, list[tuple[Trail, Any]]] = {}
    for each in arrived:
        groups.setdefault(len(each[0]), []).append(each)
    return groups.values()


async def outcome(awaitable: Awaitable[Any]) -> Any | Exception:
    """What it comes to: a value, or the exception that it raises."""
    try:
        return await awaitable
    except Exception as error:  # the field's own
        return error


async def cancelled(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel those that are not done, and wait until they are."""
    open_tasks = [task for task in tasks if not task.done()]
    for task in open_tasks:
        task.cancel()
    if open_tasks:
        await asyncio.gather(*open_tasks, return_exceptions=True)
