"""What a run waits for: calls of its joins, and tasks for all that is awaited.

Invariants: everything under way is known to the layer that it works for, which cancels it when it is dead; a run ends when nothing
is under way, and whoever ends it sooner cancels the tasks and waits until they have ended. A cancellation that nobody of us has
asked for is passed on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..loading.calls import Call
from .layer import Layer, Trail


class Work(NamedTuple):
    """What is left to do for a field of `layer`: some of it has to be awaited."""

    layer: Layer
    rest: Coroutine[Any, Any, None]


class Tasks:
    """What is under way. State: that, each with the layer that it works for; and what has gone wrong with our own code."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Future[None] | Expected, Layer] = {}
        self._failure: BaseException | None = None
        self._idle: asyncio.Future[None] | None = None

    def begin(self, works: Iterable[Work]) -> None:
        """Do all of them at once, but for those that nobody needs any more."""
        for layer, rest in works:
            if not layer.is_dead:
                task = asyncio.get_running_loop().create_task(rest)
                self._add(task, layer)
                task.add_done_callback(self._ended)

    def expect(self, layer: Layer, calls: Sequence[Call], then: Callable[[], None]) -> None:
        """Go on with `then` when one of the calls has ended, unless the layer is dead by then."""
        expected = Expected(self, then)
        self._add(expected, layer)
        for call in calls:
            call.future.add_done_callback(expected.ended)

    async def end(self) -> None:
        """Wait for all. Raises: what went wrong with us; CancelledError, where work was cancelled whose layer is not dead."""
        while self._open and self._failure is None:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        if self._failure is not None:
            raise self._failure

    async def cancel(self) -> None:
        """Whatever is still under way; nobody is told of it any more."""
        tasks = [each for each in self._open if isinstance(each, asyncio.Future)]
        for each in list(self._open):
            each.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

    def over(self, each: asyncio.Future[None] | Expected) -> Layer | None:
        """It is not under way any more."""
        layer = self._open.pop(each, None)
        if layer is not None:
            layer.tasks.discard(each)
        return layer

    def wake(self) -> None:
        """Whoever waits for the end looks whether it is there."""
        if (not self._open or self._failure is not None) and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _add(self, each: asyncio.Future[None] | Expected, layer: Layer) -> None:
        self._open[each] = layer
        layer.tasks.add(each)

    def _ended(self, task: asyncio.Future[None]) -> None:
        layer = self.over(task)
        if task.cancelled():
            if layer is not None and not layer.is_dead:
                self.fail(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.fail(error)
        self.wake()


class Expected:
    """Calls that are waited for without a task: what follows is done when the first of them has ended."""

    __slots__ = ("_is_over", "_tasks", "_then")

    def __init__(self, tasks: Tasks, then: Callable[[], None]) -> None:
        self._tasks = tasks
        self._then = then
        self._is_over = False

    def ended(self, call: asyncio.Future[None]) -> None:
        if self._is_over:
            return
        self._is_over = True
        try:
            call.result()  # a call that was cancelled by others has no values: that is passed on
            self._then()
        except BaseException as error:  # our own bug, or such a cancellation: the run is told
            self._tasks.fail(error)
        self._tasks.over(self)
        self._tasks.wake()

    def cancel(self) -> None:
        """Nobody needs it any more."""
        self._is_over = True
        self._tasks.over(self)
        self._tasks.wake()


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
