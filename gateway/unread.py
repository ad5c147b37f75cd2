"""Who does not read what it was sent: a client may be slow, but what waits for it is held in memory, and it may be one of many.

Invariant: whoever takes `PACE` bytes in `WITHIN`, or all there is, is never stuck; what is sent meanwhile begins the time anew.
"""

from __future__ import annotations

from .clock import Instant, Seconds

PACE = 16 * 1024
"""Bytes that are to be taken in `WITHIN`: half a kilobyte a second, less than any network that people use."""

WITHIN = Seconds(30.0)
"""As long as a stream may be stalled."""


class Unread:
    """What waits for one client. State: how much it was, and since when no less."""

    def __init__(self) -> None:
        self._mark: tuple[int, Instant] | None = None

    def is_stuck(self, size: int, *, now: Instant) -> bool:
        """Whether the client takes too little. `size`: bytes that wait for it now. Asked every second or so."""
        if size == 0:
            self._mark = None
            return False
        if self._mark is None or not self._mark[0] - PACE < size <= self._mark[0]:
            self._mark = size, now
        return now - self._mark[1] > WITHIN
