"""Each client's fair share of what can be judged at all: who sends more is refused the rest before it is read.

To judge a request costs a fifth of what a small one costs to answer, so a gateway that is asked ten times too much cannot judge
all. Requests of a client that sends at rate r pass with probability share / r; the share is steered so that as many pass in all as
the gateway can take. So a client within its share is never refused here, whatever the others send.

Invariants: while nothing is crowded everything passes and nothing is counted; what is known is bounded by `MAX_CLIENTS`.
State: the rate of each client that was seen lately, and the share. Pure: told the time and the dice.
Source: Core-Stateless Fair Queueing (Stoica, Shenker and Zhang, 1998), without its labels: edge and core are one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from math import exp, inf

from ..clock import Instant, Seconds

MAX_CLIENTS = 4_096
"""Whose rates are kept; beyond it the one that was seen longest ago is forgotten."""

_MEMORY = Seconds(0.5)
"""Of a rate: a burst counts as one for as long."""

_SLACK = 1.15
"""How much more passes than can be taken: what was judged must not be too little to choose from."""

_GROWS = 1.25
"""By how much the share grows in a window in which nobody was refused a permit."""

_LEARNS = 0.3
"""How much of what is thought of the capacity is the newest window's."""


_CORRECTS, _LEAST, _MOST = 0.2, 0.25, 1.5
"""How fast the share follows what has really passed, as a power of the ratio; and how far it goes."""


class _Rate:
    __slots__ = ("at", "value")

    def __init__(self, at: Instant) -> None:
        self.at = at
        self.value = 0.0

    def seen(self, now: Instant) -> float:
        """Once more: requests per second."""
        apart = max(now - self.at, 1e-6)
        kept = exp(-apart / _MEMORY)
        self.value = self.value * kept + (1 - kept) / apart
        self.at = now
        return self.value

    def by(self, now: Instant) -> float:
        """What is left of it."""
        return self.value * exp((self.at - now) / _MEMORY)


class FairShare:
    """The decision. `is_on`: whether it has to be asked at all."""

    def __init__(self) -> None:
        self.is_on = False
        self.share = inf
        self._rates: OrderedDict[Hashable, _Rate] = OrderedDict()
        self._capacity = 0.0
        self._passed = 0
        self._correction = 1.0

    def __repr__(self) -> str:
        return f"<FairShare {self.share:.0f} requests/s of {len(self._rates)} clients>"

    def passes(self, client: Hashable, *, now: Instant, dice: float, weight: float = 1.0) -> bool:
        """Whether a request may be judged. `dice`: in [0, 1). `weight`: how many shares its kind has."""
        rate = self._rates.get(client)
        if rate is None:
            rate = self._rates[client] = _Rate(Instant(now - _MEMORY))
            if len(self._rates) > MAX_CLIENTS:
                self._rates.popitem(last=False)
        else:
            self._rates.move_to_end(client)
        passes = dice * rate.seen(now) < self.share * weight
        self._passed += passes
        return passes

    def tell(self, *, is_crowded: bool, taken: int, window: Seconds, now: Instant) -> None:
        """A window has ended, of so many seconds: whether anybody was refused a permit, and how many permits were given."""
        passed, self._passed = self._passed / window, 0
        if self.is_on:
            self._correct(passed)
        if is_crowded:
            newest = taken / window
            if self.is_on:
                self._capacity = (1 - _LEARNS) * self._capacity + _LEARNS * newest
            else:
                self._capacity, self._correction, self.is_on = newest, 1.0, True
            self.share = self._fair(max(1.0, _SLACK * self._capacity * self._correction), now)
        elif self.is_on:
            self.share *= _GROWS
            if all(rate.by(now) < self.share for rate in self._rates.values()):
                self.is_on, self.share = False, inf
                self._rates.clear()

    def _correct(self, passed: float) -> None:
        """Rates are estimates, kinds have several shares, and what is judged in vain costs as much as some answers do."""
        ratio = _SLACK * self._capacity / max(passed, 1.0)
        self._correction = min(_MOST, max(_LEAST, self._correction * ratio**_CORRECTS))

    def _fair(self, capacity: float, now: Instant) -> float:
        """The share at which all rates, cut to it, add up to the capacity: who needs less leaves the rest to the others."""
        rates = sorted(rate.by(now) for rate in self._rates.values())
        for place, rate in enumerate(rates):
            share = capacity / (len(rates) - place)
            if rate >= share:
                return share
            capacity -= rate
        return inf
