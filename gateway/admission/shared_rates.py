"""What each client has taken, in a store that all processes and gateways share: one script, one round trip an operation.

Invariants: the time is the store's, so that workers' clocks do not matter; a key is gone when a whole burst is there again; who a
client is does not stand in the store in plain, though whoever can read it can find out an address by trying all; whoever can write
there can give a client more, and nothing worse.
What an operation cost more or less than was taken goes with the client's next one, so that it costs no question of its own: the
store is behind by one operation a process. While it cannot be reached each process goes by its own memory, or refuses: as declared.
State, per process: what was last known of clients, what they owe, how many ask at once; the rest belongs to the fleet.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from hashlib import blake2b
from typing import Literal

from ..clock import Clock
from ..errors import RateLimitUnavailable
from ..shared import Script, SharedStore, StoreUnavailable
from ..telemetry import Children, Telemetry
from .memory_rates import MAX_CLIENTS, MemoryRates
from .rate import SLACK, RateLimit, Verdict

WhenUnreachable = Literal["open", "closed"]

AT_ONCE = 32
"""Questions under way; the next ones wait, as long as for the store itself. Half of what the store takes: the rest is for
documents."""

SCRIPT = Script(
    f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local worth, window, owed = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local arrival = tonumber(redis.call('GET', KEYS[1])) or 0
local function within(ahead) return math.min(math.max(0, ahead), 2 * window) end
local ahead = within(within(arrival - now) + owed)
local taken = ahead + worth <= window + {SLACK:.9f}
if taken then ahead = ahead + worth end
if ahead > 0 and (taken or owed ~= 0) then
  redis.call('SET', KEYS[1], string.format('%.17g', now + ahead), 'PX', string.format('%.0f', math.ceil(ahead * 1000)))
elseif ahead == 0 then
  redis.call('DEL', KEYS[1])
end
return {{taken and 1 or 0, string.format('%.17g', ahead)}}
"""
)
"""KEYS: of the client. ARGV, in seconds: what the points are worth, the burst, and what is owed or given back besides.
Returns whether they were taken, and how far ahead the client then is. As in `rate.py`, which says why."""


class SharedRates:
    """A `Rates`."""

    def __init__(
        self, store: SharedStore, *, when_unreachable: WhenUnreachable, among: int, clock: Clock, telemetry: Telemetry
    ) -> None:
        """`among`: the workers of this machine, each of which has a part of the rate while it goes by its own memory."""
        self._store = store
        self._is_closed = when_unreachable == "closed"
        self._known = MemoryRates(clock)
        self._own = MemoryRates(clock, among=among)
        self._owed: OrderedDict[Hashable, int] = OrderedDict()
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._outcomes = Children(telemetry.metrics.client_limits)

    def __repr__(self) -> str:
        return f"<SharedRates, {self._known!r} known, {self._own!r} without the store>"

    def look(self, client: Hashable, limit: RateLimit) -> Verdict:
        """Whether the client had anything left when this process was last told. Asks nobody: who is refused costs the store
        nothing. What others have given back since is not known here: a client may wait as long as it was told, and no longer."""
        return self._known.look(client, limit)

    async def take(self, client: Hashable, limit: RateLimit, *, points: int) -> Verdict:
        """Take so many points, if they are there. Raises: RateLimitUnavailable."""
        owed = self._owed.pop(client, 0)
        try:
            is_taken, ahead = await self._asked(client, limit, points=points, owed=owed)
        except StoreUnavailable as error:
            self._own.settle(client, limit, points=owed)
            return self._without(client, limit, points=points, reason=error)
        except asyncio.CancelledError:
            if (
                owed > 0
            ):  # else leaving would be a way not to pay; the store may have heard of it, and then it is paid twice
                self._owe(client, owed)
            raise
        self._known.believe(client, ahead)
        if client in self._owed:  # since it was asked
            self._known.settle(client, limit, points=self._owed[client])
        return Verdict(is_taken, ahead, 0.0 if is_taken else ahead + limit.worth(points) - limit.window)

    def settle(self, client: Hashable, limit: RateLimit, *, points: int) -> None:
        """Take so many points whether they are there or not; give them back, if they are below zero. The store hears of it with the
        client's next question from here."""
        self._known.settle(client, limit, points=points)
        self._owe(client, points)

    def _owe(self, client: Hashable, points: int) -> None:
        self._owed[client] = self._owed.get(client, 0) + points
        self._owed.move_to_end(client)
        if len(self._owed) > MAX_CLIENTS:
            self._owed.popitem(last=False)

    async def _asked(self, client: Hashable, limit: RateLimit, *, points: int, owed: int) -> tuple[bool, float]:
        """Raises: StoreUnavailable."""
        key, arguments = (
            self._key(client),
            [repr(each) for each in (limit.worth(points), limit.window, limit.worth(owed))],
        )
        try:
            async with asyncio.timeout(self._store.timeout):
                await self._asking.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"{AT_ONCE} questions are under way") from error
        try:
            is_taken, ahead = await self._store.ask("take", lambda to: to.run(SCRIPT, key, *arguments))
        finally:
            self._asking.release()
        return bool(int(is_taken)), float(ahead)

    def _without(self, client: Hashable, limit: RateLimit, *, points: int, reason: StoreUnavailable) -> Verdict:
        """The store could not be asked. Raises: RateLimitUnavailable."""
        if self._is_closed:
            self._outcomes[limit.name, "unreachable_closed"].inc()
            raise RateLimitUnavailable(
                "what you have taken cannot be found out now, and nothing is served without: try again in a moment"
            ) from reason
        self._outcomes[limit.name, "unreachable_open"].inc()
        return self._own.taken(client, limit, points=points)

    def _key(self, client: Hashable) -> str:
        return f"{self._store.prefix}rate:{blake2b(repr(client).encode(), digest_size=16).hexdigest()}"
