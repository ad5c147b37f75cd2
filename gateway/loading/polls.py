"""Values followed by asking again: for services that tell nobody when something changes.

All that is followed under one question (loader, arguments, with whom its answers may be shared) at one interval is asked for
together, once for all who follow it. Invariants: a value is told when it differs from the last one told; nothing is queued,
so a slow reader gets the newest value and misses those between; whatever nobody follows is not asked for. A failure ends those who
have no value yet, and is passed over by the others: the next interval asks again.
State: a task for each question that is followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from ..clock import Clock, Deadline, Seconds
from .batch import Loaders
from .loader import Loader
from .loads import Loads, frozen
from .reading import REFRESH_WITHIN, Reading

V = TypeVar("V")

SHORTEST = Seconds(0.1)
"""Between two questions. More often is no polling but a load test."""


class Polls:
    """Everything that is followed, for one application."""

    def __init__(self, loaders: Loaders, *, clock: Clock) -> None:
        self._loaders = loaders
        self._clock = clock
        self._polls: dict[Hashable, _Poll] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def follow(
        self, loader: Loader[V], key: str, arguments: Mapping[str, Any], *, reading: Reading, every: Seconds
    ) -> AsyncGenerator[V | None]:
        """The key's value now, and whenever it has changed; None while the service says that there is none.

        Raises: GatewayError, where the first question fails; ValueError for an interval that is too short.
        """
        if every < SHORTEST:
            raise ValueError(f"polling every {every:g} s is too often: the least is {SHORTEST:g} s")
        name = (loader, frozen(arguments), every, reading.faults, self._loaders.loader(loader).scope(reading))
        poll = self._polls.get(name)
        if poll is None:
            poll = self._polls[name] = _Poll(self, loader, arguments, reading=reading, every=every)
        watched = poll.join(key)
        seen = 0
        try:
            while True:
                seen = await watched.newer_than(seen)
                yield watched.value
        finally:
            poll.leave(key)
            if not poll.watched and self._polls.get(name) is poll:
                self._end(name)

    async def ask(
        self, loader: Loader[Any], keys: Sequence[str], arguments: Mapping[str, Any], reading: Reading
    ) -> list[Any]:
        """What each key has now: a value, or the exception that says why it has none."""
        deadline = Deadline.after(REFRESH_WITHIN, clock=self._clock)
        loads = Loads(self._loaders, replace(reading, deadline=deadline))
        try:
            asked = [loads.load(loader, key, arguments, is_strong=True) for key in keys]
            found: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
            return found
        finally:
            await loads.close()

    def _end(self, name: Hashable) -> None:
        task = self._polls.pop(name).task
        task.cancel()
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._polls):
            self._end(name)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Polls {len(self._polls)} questions, {sum(len(each.watched) for each in self._polls.values())} keys>"


class _Watched:
    """A key that somebody follows. State: its newest value and the number of it, and who waits for the next."""

    __slots__ = ("followers", "number", "value", "waiting")

    def __init__(self) -> None:
        self.followers = 0
        self.number = 0
        """0: nothing is known yet."""
        self.value: Any = None
        self.waiting: set[asyncio.Future[None]] = set()

    async def newer_than(self, number: int) -> int:
        """The number of the newest value. Raises: what the first question failed with."""
        if self.number <= number:
            waiter = asyncio.get_running_loop().create_future()
            self.waiting.add(waiter)
            try:
                await waiter
            finally:
                self.waiting.discard(waiter)
        return self.number

    def tell(self, found: Any) -> None:
        if isinstance(found, Exception):
            if not self.number:
                self._wake(found)
        elif not self.number or found != self.value:
            self.number, self.value = self.number + 1, found
            self._wake(None)

    def _wake(self, failure: Exception | None) -> None:
        for waiter in self.waiting:
            if waiter.done():
                continue
            if failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(failure)


class _Poll:
    """One question, asked again and again for the keys that are followed."""

    def __init__(
        self, polls: Polls, loader: Loader[Any], arguments: Mapping[str, Any], *, reading: Reading, every: Seconds
    ) -> None:
        self.watched: dict[str, _Watched] = {}
        self._polls = polls
        self._loader = loader
        self._arguments = arguments
        self._reading = reading
        self._every = every
        self._has_new = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def join(self, key: str) -> _Watched:
        watched = self.watched.get(key)
        if watched is None:
            watched = self.watched[key] = _Watched()
            self._has_new.set()
        watched.followers += 1
        return watched

    def leave(self, key: str) -> None:
        watched = self.watched[key]
        watched.followers -= 1
        if not watched.followers:
            del self.watched[key]

    async def _run(self) -> None:
        """Ask for all keys every interval, and for new ones at once."""
        loop = asyncio.get_running_loop()
        while True:
            await self._ask(list(self.watched))
            next_at = loop.time() + self._every
            while await self._is_joined_before(next_at):
                await self._ask([key for key, each in self.watched.items() if not each.number])

    async def _is_joined_before(self, instant: float) -> bool:
        try:
            async with asyncio.timeout_at(instant):
                await self._has_new.wait()
        except TimeoutError:
            return False
        return True

    async def _ask(self, keys: Sequence[str]) -> None:
        self._has_new.clear()
        for key, found in zip(
            keys, await self._polls.ask(self._loader, keys, self._arguments, self._reading), strict=True
        ):
            if key in self.watched:
                self.watched[key].tell(found)
