"""A cap on operations in flight: beyond it the gateway refuses at once rather than queue what it cannot finish.

Invariant: as many permits come back as were given, whatever ends the operation. State: two counts per application.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..errors import Draining, Overloaded
from ..telemetry import Telemetry


class Admission:
    """Gives a permit to an operation, or says no."""

    def __init__(self, limit: int, *, telemetry: Telemetry, max_streams: int = 1_000) -> None:
        self.limit = limit
        self.max_streams = max_streams
        self.in_flight = 0
        self.streams = 0
        self.is_draining = False
        telemetry.metrics.operations_in_flight.set_function(lambda: self.in_flight)  # asked, not told: free
        telemetry.metrics.subscriptions.set_function(lambda: self.streams)

    @contextmanager
    def permit(self) -> Generator[None]:
        """Hold a permit for the body. Raises: Overloaded, Draining; the body is not entered then."""
        if self.is_draining:
            raise Draining("this gateway is shutting down: send the request again")
        if self.in_flight >= self.limit:
            raise Overloaded(
                f"{self.in_flight} operations are under way, the limit is {self.limit}: try again in a moment"
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @contextmanager
    def stream(self) -> Generator[None]:
        """Hold a place for a subscription, which takes no permit while it waits for events. Raises: Overloaded, Draining."""
        if self.is_draining:
            raise Draining("this gateway is shutting down: subscribe again")
        if self.streams >= self.max_streams:
            raise Overloaded(f"{self.streams} subscriptions are under way, which is the limit: try again in a moment")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def __repr__(self) -> str:
        return f"<Admission {self.in_flight}/{self.limit} in flight{', draining' if self.is_draining else ''}>"
