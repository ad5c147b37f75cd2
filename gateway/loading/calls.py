"""Keys that are asked for in the same tick travel together: in one call, or as many as the service's limit makes of them.

Source: DataLoader (Lee Byron, Facebook). Its future for each key is left out: who reads a layer asks for all keys of it at
once, waits for a call, and finds each key's value in what the call brought. Invariants: a key is asked for once, unless nothing
is remembered; a call that was told to begin has an end, and its failure is a value, so a call that nobody waits for warns
nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Wanted = tuple[str, ...] | None
"""The attributes of records that somebody will read, each once, in the order in which they are read; None: all of them."""


def together(one: Wanted, other: Wanted) -> Wanted:
    """What both want."""
    return None if one is None or other is None else tuple(dict.fromkeys((*one, *other)))


def covers(read: Wanted, wanted: Wanted) -> bool:
    """Whether nothing is wanted but what was read."""
    return read is None or (wanted is not None and set(wanted) <= set(read))


class Loaded(NamedTuple):
    """What a call brought."""

    values: Mapping[Any, Any]
    """By key: a value, or the exception that says why it has none."""
    whole: Callable[[], Mapping[Any, Any]] | None = None
    """Where only what was wanted was read of the values: all that they say, from what is there. Called once at most."""


Read = Callable[[list[Any], Wanted], Coroutine[Any, Any, Loaded]]
"""Distinct keys, and what is wanted of each -> what they have."""


class Call:
    """Keys on their way to a service, and what they brought. State: the keys, until it is sent; then `values`, once it has
    ended.
    """

    __slots__ = ("_whole", "future", "keys", "objects", "values", "wanted")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.keys: list[Any] = []
        self.wanted: Wanted = ()
        """By all who have asked for one of the keys until it was sent."""
        self.values: Mapping[Any, Any] = {}
        """By key: a value, or an exception."""
        self.objects: dict[Any, Any] = {}
        """By key: what was made of its value for somebody, so that all who ask for it have the same."""
        self._whole: Callable[[], Mapping[Any, Any]] | None = None
        self.future = future
        """Done when the call has ended. Shared by all who wait: never cancelled by one of them."""

    @property
    def has_ended(self) -> bool:
        return self.future.done()

    async def ended(self) -> None:
        """Wait for the end. Whoever waits may be cancelled: the call goes on for the others."""
        if self.future.done():
            return
        waiter: asyncio.Future[None] = self.future.get_loop().create_future()

        def wake(ended: asyncio.Future[None]) -> None:
            if ended.cancelled():
                waiter.cancel()
            elif not waiter.done():
                waiter.set_result(None)

        self.future.add_done_callback(wake)  # as `asyncio.shield`, which takes twice as long
        try:
            await waiter
        finally:
            self.future.remove_done_callback(wake)

    async def value(self, key: Any, wanted: Wanted = None) -> Any:
        """What the key has, with all of it that is wanted. Raises: the key's own failure."""
        await self.ended()
        if self._whole is not None and not covers(self.wanted, wanted):
            self.values, self.wanted, self._whole = self._whole(), None, None
        value = self.values[key]
        if isinstance(value, Exception):
            raise value.with_traceback(None)  # one error may be raised at a thousand places
        return value

    def end(self, loaded: Loaded) -> None:
        self.values, self._whole = loaded.values, loaded.whole
        if not self.future.done():
            self.future.set_result(None)

    def cancel(self) -> None:
        self.future.cancel()

    def __repr__(self) -> str:
        return f"<Call for {len(self.keys)} keys, {'ended' if self.has_ended else 'under way'}>"


class UnderWay:
    """The tasks of a request's loads. Once it is closed none is begun, and those that were are cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_closed = False

    def begin(self, call: Call, read: Read) -> None:
        if self.is_closed:  # it was gathered in the tick in which the request ended: nobody waits for it
            call.cancel()
        else:
            self.add(asyncio.get_running_loop().create_task(_made(call, read)))

    def add(self, task: asyncio.Task[Any]) -> None:
        """Of somebody else's making: it too ends with the request."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self.is_closed = True
        if self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _made(call: Call, read: Read) -> None:
    try:
        call.end(await read(call.keys, call.wanted))
    except Exception as error:  # becomes each waiter's own failure
        call.end(Loaded(dict.fromkeys(call.keys, error)))
    finally:
        call.cancel()  # where it has no end: it was cancelled itself


class Batch:
    """The keys of one question, asked by many. State: which call each key travels in; the calls that are still to be sent."""

    def __init__(self, read: Read, under_way: UnderWay, *, max_batch: int | None, remembers: bool) -> None:
        """`remembers`: False where each tick asks anew."""
        self._read = read
        self._under_way = under_way
        self._max_batch = max_batch
        self._remembers = remembers
        self._calls: dict[Any, Call] = {}
        self._unsent: list[Call] = []

    def ask(self, keys: Sequence[Any], wanted: Wanted = None) -> Mapping[Any, Call]:
        """The call that each of these distinct keys travels in; those that are new travel in the order in which they are asked
        for.
        """
        known = self._calls
        new = [key for key in keys if key not in known] if known else keys
        if new:
            self._gather(new)
        for call in self._unsent:
            call.wanted = together(call.wanted, wanted)
        return self._calls

    def _gather(self, keys: Sequence[Any]) -> None:
        loop = asyncio.get_running_loop()
        if not self._unsent:
            loop.call_soon(loop.call_soon, self._send)  # so that whoever is woken in this tick may still join
        for keys_of_call, call in self._shared_out(keys, loop):
            call.keys += keys_of_call
            self._calls.update(dict.fromkeys(keys_of_call, call))

    def _shared_out(self, keys: Sequence[Any], loop: asyncio.AbstractEventLoop) -> Iterable[tuple[Sequence[Any], Call]]:
        """Fill up the last call that is not sent, then new ones."""
        at = 0
        while at < len(keys):
            if not self._unsent or len(self._unsent[-1].keys) == self._max_batch:
                self._unsent.append(Call(loop.create_future()))
            call = self._unsent[-1]
            room = len(keys) if self._max_batch is None else self._max_batch - len(call.keys)
            yield keys[at : at + room], call
            at += room

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self._remembers:
            self._calls = {}
        for call in unsent:
            self._under_way.begin(call, self._read)
