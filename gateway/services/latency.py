"""How long attempts take, per endpoint: the quantiles from which the attempt timeout and the hedge's delay are learnt.

Invariants: an attempt that was cut counts as having taken the time it was given, or a service that becomes slow could never be
learnt; endpoints come from declarations, and there is a bound to them all the same.
State: per service and worker process: two histograms an endpoint, this half minute's and the last one's.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from operator import add
from typing import Any

from ..clock import Instant, Seconds

MAX_ENDPOINTS = 256
"""Endpoints with a histogram of their own; further ones share one."""

ENOUGH = 50
"""Attempts below which no quantile is told: a p99 of fewer is the slowest of them."""

HALF = Seconds(30.0)
"""A quantile looks back between one and two of these."""

_UPPER = [0.0005 * 1.1**step for step in range(124)]
"""Upper ends of the buckets: from 0.5 ms to about a minute, each a tenth longer, so a quantile errs by a tenth at most."""

_EVERY = 16
"""A quantile is computed anew after so many attempts, or a sixty-fourth of those in the window if that is more: it costs 10 µs, and
the more attempts it is of, the slower it moves."""


class Latencies:
    """Quantiles over a recent window of attempts. Instants must not go backwards."""

    def __init__(self) -> None:
        self._endpoints: dict[str, _Recent] = {}
        self._others = _Recent()

    def __repr__(self) -> str:
        return f"<Latencies of {len(self._endpoints)} endpoints>"

    def record(self, endpoint: str, seconds: Seconds, *, now: Instant) -> None:
        """An attempt of `endpoint` took that long, or was cut after it."""
        recent = self._endpoints.get(endpoint)
        if recent is None:
            recent = self._others
            if len(self._endpoints) < MAX_ENDPOINTS:
                recent = self._endpoints[endpoint] = _Recent()
        recent.record(seconds, now)

    def quantile(self, endpoint: str, q: float, *, now: Instant) -> Seconds | None:
        """The time that a share `q` of recent attempts stayed below; None while too few are known to say."""
        return self._endpoints.get(endpoint, self._others).quantile(q, now)

    def snapshot(self, now: Instant) -> dict[str, Any]:
        """For operators: recent attempts of all endpoints that were answered or cut, and quantiles in seconds; None of none."""
        together = _Recent()
        for recent in (*self._endpoints.values(), self._others):
            recent.add_to(together, now)
        told = {f"p{q * 100:.0f}": together.of_all(q) for q in (0.5, 0.95, 0.99)}
        return {"attempts": together.count, **{name: None if q is None else round(q, 4) for name, q in told.items()}}


class _Recent:
    """The attempts of one endpoint."""

    def __init__(self) -> None:
        self._this = [0] * len(_UPPER)
        self._last = [0] * len(_UPPER)
        self._count = self._count_last = 0
        self._renew_at = _EVERY
        self._ends = 0.0
        self._known: dict[float, Seconds | None] = {}

    def record(self, seconds: float, now: float) -> None:
        if now >= self._ends:
            self._turn(now)
        self._this[min(bisect_left(_UPPER, seconds), len(_UPPER) - 1)] += 1
        self._count += 1
        if self._count >= self._renew_at:
            self._renew()

    def quantile(self, q: float, now: float) -> Seconds | None:
        if now >= self._ends:  # asked after a pause: what was known before it may be too old
            self._turn(now)
        if q not in self._known:
            self._known[q] = self._quantile(q) if self.count >= ENOUGH else None
        return self._known[q]

    @property
    def count(self) -> int:
        return self._count + self._count_last

    def add_to(self, other: _Recent, now: float) -> None:
        """Count what is recent here there too."""
        if now >= self._ends:
            self._turn(now)
        other._this = [sum(three) for three in zip(other._this, self._this, self._last, strict=True)]
        other._count += self.count

    def of_all(self, q: float) -> Seconds | None:
        """The quantile, however few attempts there are; None where there is none."""
        return self._quantile(q) if self.count else None

    def _quantile(self, q: float) -> Seconds:
        up_to = list(accumulate(map(add, self._this, self._last)))
        return Seconds(_UPPER[min(bisect_left(up_to, q * self.count), len(_UPPER) - 1)])

    def _turn(self, now: float) -> None:
        """A new half begins; after a pause longer than one, what was known is too old."""
        is_recent = now < self._ends + HALF
        self._last, self._count_last = (self._this, self._count) if is_recent else ([0] * len(_UPPER), 0)
        self._this, self._count = [0] * len(_UPPER), 0
        self._ends = now + HALF
        self._renew()

    def _renew(self) -> None:
        """What is known of this window is computed anew when it is asked for."""
        self._known.clear()
        self._renew_at = self._count + max(_EVERY, self.count // 64)
