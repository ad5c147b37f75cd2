"""What each client has taken, in the memory of one process.

Invariants: at most `MAX_CLIENTS` are known; the one that was seen longest ago is forgotten first, and being forgotten gives a
client no more than its burst once more; who has a whole burst is not kept at all.
State: an instant for each client, per process. Nothing here awaits, so nothing comes between a look and what follows from it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from ..clock import Clock, Instant
from .rate import RateLimit, Verdict, ahead_of, later, settled, taken

MAX_CLIENTS = 10_000
"""20 000 would be 4 MB; who comes from so many places at once is not one client any more."""


class MemoryRates:
    """A `Rates`. `among`: how many processes serve the same clients without knowing what the others were asked."""

    def __init__(self, clock: Clock, *, among: int = 1, max_clients: int = MAX_CLIENTS) -> None:
        self._clock = clock
        self._among = among
        self._max = max_clients
        self._parts: dict[RateLimit, RateLimit] = {}
        """As many as there are classes."""
        self._arrivals: OrderedDict[Hashable, Instant] = OrderedDict()

    def __len__(self) -> int:
        return len(self._arrivals)

    def __repr__(self) -> str:
        return f"<MemoryRates of {len(self)}/{self._max} clients>"

    def look(self, client: Hashable, limit: RateLimit) -> Verdict:
        """Whether the client has anything left. Takes nothing."""
        arrival = self._arrivals.get(client)
        if arrival is None:
            return Verdict(True, 0.0)
        limit = self._part(limit)
        ahead = ahead_of(self._clock.now(), arrival, limit)
        is_allowed, _, wait = taken(ahead, points=1, limit=limit)
        return Verdict(is_allowed, ahead, wait)

    async def take(self, client: Hashable, limit: RateLimit, *, points: int) -> Verdict:
        """Take so many points, if they are there."""
        return self.taken(client, limit, points=points)

    def taken(self, client: Hashable, limit: RateLimit, *, points: int) -> Verdict:
        """`take`, at once."""
        now, limit = self._clock.now(), self._part(limit)
        verdict = taken(ahead_of(now, self._arrivals.get(client), limit), points=points, limit=limit)
        self._keep(client, now, verdict.ahead)
        return verdict

    def settle(self, client: Hashable, limit: RateLimit, *, points: int) -> None:
        """Take so many points whether they are there or not; give them back, if they are below zero."""
        now, limit = self._clock.now(), self._part(limit)
        ahead = ahead_of(now, self._arrivals.get(client), limit)
        self._keep(client, now, settled(ahead, points=points, limit=limit))

    def believe(self, client: Hashable, ahead: float) -> None:
        """Somebody who knows better says how things stand."""
        self._keep(client, self._clock.now(), ahead)

    def _part(self, limit: RateLimit) -> RateLimit:
        """What this process has of it."""
        if self._among == 1:
            return limit
        part = self._parts.get(limit)
        if part is None:
            part = self._parts[limit] = limit.divided(self._among)
        return part

    def _keep(self, client: Hashable, now: Instant, ahead: float) -> None:
        if not ahead:
            self._arrivals.pop(client, None)
            return
        self._arrivals[client] = later(now, ahead)
        self._arrivals.move_to_end(client)
        if len(self._arrivals) > self._max:
            self._arrivals.popitem(last=False)
