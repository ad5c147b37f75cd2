"""The instances of a service: which one an attempt goes to. The decision, pure; `policies/balance.py` acts on it.

State: per service and worker process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..clock import Instant, Seconds
from .outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSettings:
    """How attempts are spread over several instances, and when one is left out."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    memory: Seconds = Seconds(10.0)
    """Time constant of the latency that is remembered of an instance (the tau of its peak EWMA)."""
    eject_after: int = 5
    """Failures in a row after which an instance is left out."""
    eject_for: Seconds = Seconds(5.0)
    """Seconds that the first ejection lasts; the n-th lasts n times as long."""
    eject_cap: Seconds = Seconds(120.0)
    """Seconds that any ejection lasts at most."""
    max_ejected: float = 0.5
    """Share of the instances that may be left out at once for their failures."""
    panic: float = 0.5
    """Share of healthy instances below which health is disbelieved and all are used."""
    slow_start: Seconds = Seconds(10.0)
    """Seconds over which an instance that is new, or back, is given its full share."""


class Instance:
    """One address of a service."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0


class Instances:
    """All instances of a service, those of the fallback region included."""

    def __init__(
        self, addresses: Sequence[str], fallback: Sequence[str], settings: BalanceSettings, random: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._random = random
        self._instances = [Instance(address) for address in (*addresses, *fallback)]

    def configure(
        self, addresses: Sequence[str], fallback: Sequence[str], settings: BalanceSettings, *, now: Instant
    ) -> None:
        """Other instances or settings from now on: those that stay keep what is known of them."""

    def pick(self, tried: Sequence[str], *, now: Instant) -> Instance:
        """The instance for the next attempt of a call that has `tried` some already; its attempt is counted as under way."""
        picked = self._instances[0]
        picked.in_flight += 1
        return picked

    def finished(
        self, instance: Instance, outcome: Outcome, *, elapsed: Seconds, penalty: Seconds, now: Instant
    ) -> None:
        """How the attempt ended. A failure counts as having taken at least `penalty`."""
        instance.in_flight -= 1
