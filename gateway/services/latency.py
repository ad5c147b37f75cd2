"""How long attempts take, per endpoint: the quantiles from which the attempt timeout and the hedge's delay are learnt.

Invariants: an attempt that was cut counts as at least the time it was given, or a service that becomes slow could never be
learnt; endpoints come from declarations, and there is a bound to them all the same.
State: per service and worker process.
"""

from __future__ import annotations

from ..clock import Instant, Seconds


class Latencies:
    """Quantiles over a recent window of attempts."""

    def record(self, endpoint: str, seconds: Seconds, *, now: Instant) -> None:
        """An attempt of `endpoint` took that long, or was cut after it."""

    def quantile(self, endpoint: str, q: float) -> Seconds | None:
        """The time that a share `q` of recent attempts stayed below; None while too few are known to say."""
        return None
