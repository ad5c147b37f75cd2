"""What the gateways of a fleet have in common, in a store beside them; and the guard that keeps its troubles away from requests.

Invariants: nobody waits for the store longer than `timeout`, nor at all while the breaker is open; whatever happens there is
`StoreUnavailable` here, and what that means is the caller's to say. At most `MAX_UNDER_WAY` commands are under way, and none of
them longer than `GIVEN_UP_AFTER`.
A command goes on when nobody waits for it any more: else a connection whose making takes longer than `timeout` would never be
made, and an answer that comes late would be another question's.
State: a breaker and the commands under way, per process. What is in the store belongs to the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any, Protocol, TypeVar

from ..clock import Clock, Seconds
from ..services import BreakerSettings
from ..services.outcome import FAILURE, IGNORED, SUCCESS, Outcome
from ..services.policies.breaker import Breaker, BreakerState, Permit
from ..telemetry import Telemetry

T = TypeVar("T")

MAX_UNDER_WAY = 64
"""Commands at once; more are refused. 64: at half a millisecond each more than 100 000 a second, so only a store that is slow
has as many. One that nobody waits for counts twice: who is answered later goes first."""
GIVEN_UP_AFTER = Seconds(2.0)
"""Seconds after which a command is ended that nobody waits for any more. 2 s: time for a connection with TLS over an ocean."""
BREAKER = BreakerSettings(consecutive=5, probes=1, successes=1, ramp=0)
"""A store is no service: half of it is of no use, and one answer shows that it is back. It is left alone for 1 s, later 10 s."""


class StoreUnavailable(Exception):
    """The store did not do it, or not in time; or it was not asked. It may be done nevertheless."""


class Script:
    """What the store is to do as one step, in Lua. It is sent once, and then called by the hash of its text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha1 = sha1(text.encode(), usedforsecurity=False).hexdigest()  # the name that the server gives it


class StoreClient(Protocol):
    """A connection to a store, and what it can do. Whatever these raise is the store's failure."""

    async def ping(self) -> None: ...

    async def get(self, key: str, *, at_most: int, keep: Seconds) -> bytes | None:
        """The first `at_most` bytes of the value, which now stays for another `keep`."""
        ...

    async def set(self, key: str, value: bytes, *, keep: Seconds) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def run(self, script: Script, key: str, *arguments: str) -> Sequence[int | bytes]:
        """What the script returns for the one key that it may touch."""
        ...

    async def close(self) -> None: ...


Command = Callable[[StoreClient], Coroutine[Any, Any, T]]


class SharedStore:
    """The store as the floors above use it."""

    def __init__(
        self,
        client: StoreClient,
        *,
        timeout: Seconds,
        prefix: str,
        telemetry: Telemetry,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """`prefix`: how every key begins, so that others may use the same store."""
        self.prefix = prefix
        self._client = client
        self.timeout = timeout
        self._clock = clock
        self._breaker = Breaker(BREAKER, jitter)
        self._log = telemetry.log
        self._calls = telemetry.metrics.shared_store_calls
        self._under_way: set[asyncio.Task[Any]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        telemetry.metrics.shared_store_breaker_open.set_function(lambda: self._breaker.is_open)

    def __repr__(self) -> str:
        return f"<SharedStore {len(self._under_way)}/{MAX_UNDER_WAY} under way, {self._breaker!r}>"

    @property
    def is_left_alone(self) -> bool:
        """Whether it failed so often that it is not asked for a moment."""
        return self._breaker.is_open

    def start(self) -> None:
        """Say hello while nobody waits, so that a wrong password is told at the start. A store that is dead stops nobody."""
        self.later("ping", lambda client: client.ping())

    async def close(self) -> None:
        """Nothing is under way when this returns: what was to be done later has had its time."""
        self._is_closed = True
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=self.timeout)
        for task in (*self._waiting, *self._under_way):
            task.cancel()
        await asyncio.gather(*self._waiting, *self._under_way, return_exceptions=True)
        with suppress(Exception):  # it is over, whatever the store makes of it
            async with asyncio.timeout(GIVEN_UP_AFTER):
                await self._client.close()

    async def ask(self, name: str, command: Command[T]) -> T:
        """What the store answers to `command`. `name`: of its kind, for the metrics. Raises: StoreUnavailable."""
        return await self._asked(self._permit(), name, command)

    def later(self, name: str, command: Command[object]) -> None:
        """Have it done while nobody waits, if the store can be asked now. Whether it was done, nobody is told."""
        with suppress(StoreUnavailable):
            permit = self._permit()
            _held(self._waiting, self._ignored(self._asked(permit, name, command)))

    def _permit(self) -> Permit:
        """Raises: StoreUnavailable."""
        if self._is_closed:
            raise StoreUnavailable("the gateway is leaving")
        if len(self._under_way) + len(self._waiting) >= MAX_UNDER_WAY:
            raise StoreUnavailable(f"{MAX_UNDER_WAY} commands are under way")
        permit = self._breaker.ask(self._clock.now())
        if permit is None:
            raise StoreUnavailable("the shared store failed too often and is left alone for a moment")
        return permit

    async def _ignored(self, asking: Coroutine[Any, Any, object]) -> None:
        with suppress(StoreUnavailable):
            await asking

    async def _asked(self, permit: Permit, name: str, command: Command[T]) -> T:
        began = self._clock.now()
        outcome, word, reason = IGNORED, "cancelled", ""
        work = _held(self._under_way, self._work(command))
        try:
            await asyncio.wait({work}, timeout=self.timeout)
            if work.cancelled():
                raise StoreUnavailable("the gateway is leaving")
            failure = work.exception() if work.done() else TimeoutError()
            if failure is not None:
                outcome, word = FAILURE, "failed" if work.done() else "timeout"
                reason = type(failure).__name__
                raise StoreUnavailable(f"the shared store failed: {reason}") from failure
            outcome, word = SUCCESS, "ok"
            return work.result()
        finally:
            self._tell(permit, outcome, reason=reason)
            self._calls.labels(name, word).observe(self._clock.now() - began)

    async def _work(self, command: Command[T]) -> T:
        async with asyncio.timeout(GIVEN_UP_AFTER):
            return await command(self._client)

    def _tell(self, permit: Permit, outcome: Outcome, *, reason: str) -> None:
        """`reason` is a type's name: messages may hold what must not leave the process."""
        was_closed = self._breaker.state is BreakerState.CLOSED
        self._breaker.tell(permit, outcome, now=self._clock.now())
        is_closed = self._breaker.state is BreakerState.CLOSED
        if was_closed and not is_closed:
            self._log.warning("shared store left alone, each process goes by its own memory", reason=reason)
        elif is_closed and not was_closed:
            self._log.info("shared store is back")


def _held(by: set[asyncio.Task[Any]], work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that somebody holds until it is done, and whose failure was heard of even where nobody waits any more."""
    task = asyncio.get_running_loop().create_task(work)
    by.add(task)
    task.add_done_callback(by.discard)
    task.add_done_callback(_heard)
    return task


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
