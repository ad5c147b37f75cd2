"""Instants as text: UTC, milliseconds, one width, so that the order of the text is the order of time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


def iso(instant: datetime) -> str:
    """For example 2025-03-01T09:30:00.000Z; `instant` must be in UTC."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
