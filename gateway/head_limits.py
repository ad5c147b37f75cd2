"""What a client may send, and how slowly, before it is known what it asks for: read by the server and by the settings."""

from __future__ import annotations

from dataclasses import dataclass

from .clock import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """Bounds of a connection, and of the head of each request on it: its line and its headers."""

    bytes: int = 32 * 1024
    count: int = 100
    """Headers."""
    within: Seconds = Seconds(10.0)
    """From the first byte, or from the connection's beginning, to the end of the head."""
    connections: int = 10_000
