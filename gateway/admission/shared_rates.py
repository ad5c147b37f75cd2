"""What each client has taken, in a store that all processes and gateways share: one script, one round trip.

Invariants: the time is the store's, so that workers' clocks do not matter; a key is gone when a whole burst is there again; who a
client is does not stand in the store in plain, though whoever can read it can find out an address by trying all; whoever can write
there can give a client more, and nothing worse.
While the store cannot be reached each process goes by its own memory, from what was last known of a client, or refuses: as it is
declared. State: that memory, and how many ask at once, per process; the rest belongs to the fleet.
"""

from __future__ import annotations

import asyncio
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
"""Questions under way; the next wait, as long as for the store itself. Half of what the store takes: the rest is for documents."""

SCRIPT = Script(
    f"""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local worth, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = tonumber(redis.call('GET', KEYS[1])) or 0
local ahead = math.min(math.max(0, arrival - now), 2 * window)
if ARGV[3] == 'take' and ahead + worth > window + {SLACK:.9f} then
  return {{0, string.format('%.17g', ahead)}}
end
ahead = math.min(math.max(0, ahead + worth), 2 * window)
if ahead > 0 then
  redis.call('SET', KEYS[1], string.format('%.17g', now + ahead), 'PX', string.format('%.0f', math.ceil(ahead * 1000)))
else
  redis.call('DEL', KEYS[1])
end
return {{1, string.format('%.17g', ahead)}}
"""
)
"""KEYS: of the client. ARGV: what the points are worth and what the burst is, in seconds; "take", or "settle" which never refuses.
Returns whether it was taken, and how far ahead the client then is. As in `rate.py`, which says why."""


class SharedRates:
    """A `Rates`."""

    def __init__(
        self, store: SharedStore, *, when_unreachable: WhenUnreachable, among: int, clock: Clock, telemetry: Telemetry
    ) -> None:
        """`among`: the workers of this machine, each of which has a part of the rate while it goes by its own memory."""
        self._store = store
        self._is_closed = when_unreachable == "closed"
        self._clock = clock
        self._known = MemoryRates(clock)
        self._own = MemoryRates(clock, among=among)
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._outcomes = Children(telemetry.metrics.client_limits)

    def __repr__(self) -> str:
        return f"<SharedRates of {len(self._known)}/{MAX_CLIENTS} clients, {self._store!r}>"

    def look(self, client: Hashable, limit: RateLimit) -> Verdict:
        """Whether the client had anything left when this process was last told. Asks nobody: who is refused costs the store
        nothing. What others have given back since is not known here: a client may wait as long as it was told, and no longer."""
        return self._known.look(client, limit)

    async def take(self, client: Hashable, limit: RateLimit, *, points: int) -> Verdict:
        """Take so many points, if they are there. Raises: RateLimitUnavailable."""
        try:
            is_taken, ahead = await self._asked(client, limit, points)
        except StoreUnavailable as error:
            return self._by_own_memory(client, limit, points=points, reason=error)
        self._known.believe(client, ahead)
        if is_taken:
            return Verdict(True, ahead)
        return Verdict(False, ahead, ahead + limit.worth(points) - limit.window)

    def settle(self, client: Hashable, limit: RateLimit, *, points: int) -> None:
        """While nobody waits; if the store cannot be asked, what was too much or too little is forgotten."""
        self._known.settle(client, limit, points=points)
        key, arguments = self._key(client), _arguments(limit, points)
        self._store.later("settle", lambda to: to.run(SCRIPT, key, *arguments, "settle"))

    async def _asked(self, client: Hashable, limit: RateLimit, points: int) -> tuple[bool, float]:
        """Raises: StoreUnavailable."""
        key, arguments = self._key(client), _arguments(limit, points)
        try:
            async with asyncio.timeout(self._store.timeout):
                await self._asking.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"{AT_ONCE} questions are under way") from error
        try:
            said = await self._store.ask("take", lambda to: to.run(SCRIPT, key, *arguments, "take"))
        finally:
            self._asking.release()
        is_taken, ahead = said
        return bool(int(is_taken)), float(ahead)

    def _by_own_memory(self, client: Hashable, limit: RateLimit, *, points: int, reason: StoreUnavailable) -> Verdict:
        if self._is_closed:
            self._outcomes[limit.name, "unreachable_closed"].inc()
            raise RateLimitUnavailable(
                "what you have taken cannot be found out now, and nothing is served without: try again in a moment"
            ) from reason
        self._outcomes[limit.name, "unreachable_open"].inc()
        return self._own.taken(client, limit, points=points)

    def _key(self, client: Hashable) -> str:
        return f"{self._store.prefix}rate:{blake2b(repr(client).encode(), digest_size=16).hexdigest()}"


def _arguments(limit: RateLimit, points: int) -> tuple[str, str]:
    return repr(limit.worth(points)), repr(limit.window)
