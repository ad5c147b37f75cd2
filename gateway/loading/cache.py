"""The cache of one loader: fresh answers are served again, older ones only when the service fails.

Invariants: a failure is never stored; an entry is found only under the sharing scope that it was fetched for; at most
`max_entries` entries, the least recently used leave first.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from ..clock import Instant, Seconds


@dataclass(frozen=True, slots=True)
class Found:
    """A cached row and how old it is."""

    row: Any
    age: Seconds


class LoaderCache:
    """Scope, arguments and key -> row. `keep` is how long an entry may still be of use to somebody."""

    def __init__(self, *, fresh: Seconds, keep: Seconds, max_entries: int) -> None:
        self.fresh = fresh
        self.keep = max(fresh, keep)
        self._entries: LRUCache[Hashable, tuple[Any, Instant]] = LRUCache(max_entries)

    @property
    def is_on(self) -> bool:
        return self.keep > 0

    def get(self, key: Hashable, *, now: Instant, max_age: Seconds) -> Found | None:
        """The row under `key` if it is at most `max_age` old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        row, stored_at = entry
        age = Seconds(now - stored_at)
        return Found(row, age) if age <= max_age else None

    def put(self, key: Hashable, row: Any, *, now: Instant) -> None:
        if self.is_on:
            self._entries[key] = (row, now)

    def clear(self) -> None:
        """Forget everything: what was read before a write may be wrong now."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<LoaderCache {len(self._entries)}/{self._entries.maxsize:.0f} entries, fresh {self.fresh:g}s, kept {self.keep:g}s>"
