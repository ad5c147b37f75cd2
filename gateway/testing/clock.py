"""Virtual time: an event loop that jumps to the next timer whenever nothing is ready.

Invariant: time moves only when every task waits, and then exactly to the next timer; so a test of an hour takes a
millisecond and the same order of events every time. Work in threads is waited for, and no time passes meanwhile.
Source: trio's MockClock and its autojump.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import wraps
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack

from ..clock import Epoch, Instant

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")

_Ready = list[tuple[selectors.SelectorKey, int]]

_THREAD_POLL = 1.0
"""Real seconds between two looks at threads; their end wakes the loop at once."""


class Deadlock(RuntimeError):
    """Every task waits, and nothing is scheduled that could wake one."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and moves by itself; sleeping costs nothing.

    Sockets work only between tasks of this loop and what is ready at once: for real servers use a real loop.
    """

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._threads = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        """Let time pass without running anything."""
        self._virtual_now += seconds

    @property
    def has_threads(self) -> bool:
        """Whether work in an executor is under way."""
        return self._threads > 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_is_done)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        self._threads += 1  # it joins the pool's threads from yet another one
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._threads -= 1

    def _thread_is_done(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1


class _JumpingSelector(selectors.SelectSelector):
    """Where a loop would wait: here it jumps instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> _Ready:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.has_threads:
            return super().select(_THREAD_POLL)
        if timeout is None:
            raise Deadlock(_who_waits(self._loop))
        self._loop.advance(timeout)
        return ready


def _who_waits(loop: VirtualLoop) -> str:
    tasks = sorted(f"{task.get_name()} ({_name(task)})" for task in asyncio.all_tasks(loop))
    return f"deadlock at {loop.time():.3f} s of virtual time: nothing is scheduled to wake {', '.join(tasks)}"


def _name(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


class VirtualClock:
    """A Clock for the virtual loop, whose wall clock moves with it from a fixed day, and can be made to jump."""

    def __init__(self, *, epoch: float = 1_750_000_000.0) -> None:
        self._epoch = epoch

    def now(self) -> Instant:
        return Instant(asyncio.get_running_loop().time())

    def wall(self) -> Epoch:
        return Epoch(self._epoch + self.now())

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back, without letting time pass: what NTP does to a server."""
        self._epoch += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """The result of `main`, run in virtual time on a loop of its own.

    Raises: Deadlock, naming the tasks that wait for ever; and whatever `main` raises.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorator: an `async def` test that runs in virtual time, with the fixtures that it asks for."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run
