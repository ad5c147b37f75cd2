"""The cache of one loader: fresh answers are served again, slightly older ones while they are asked for anew, and still older
ones only when the service fails.

Invariants: a failure is never stored; an entry is found only under the sharing scope that it was fetched for; what was asked for
before a write is never served as fresh after it, though it may still stand in when the service fails; at most `max_entries`
entries, the least recently used leave first.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from ..clock import NEVER, Instant, Seconds


@dataclass(frozen=True, slots=True)
class Found:
    """A cached row and how old it is."""

    row: Any
    age: Seconds
    is_due: bool = False
    """It may be served, and somebody should ask for it anew."""


class LoaderCache:
    """Scope, arguments and key -> row. `keep` is how long an entry may still be of use to somebody.

    State: the entries, each with the instant at which it was *asked for* (an answer is as old as its question), and the instant of
    the last write that made older ones doubtful.
    """

    def __init__(self, *, fresh: Seconds, keep: Seconds, max_entries: int, revalidate: Seconds = NEVER) -> None:
        self._fresh = fresh
        self._served = Seconds(fresh + revalidate)
        self._keep = max(self._served, keep)
        self._entries: LRUCache[Hashable, tuple[Any, Instant]] = LRUCache(max_entries)
        self._trusted_from = Instant(float("-inf"))
        self.generation = 0
        """Grows with each write: a question asked before it is never shared with one asked after it."""

    @property
    def serves_again(self) -> bool:
        """Whether an answer is ever served twice while the service is well."""
        return self._served > 0

    @property
    def keeps(self) -> bool:
        """Whether an answer is of use to anybody later."""
        return self._keep > 0

    def fresh(self, key: Hashable, *, now: Instant) -> Found | None:
        """The row under `key` if it may be served without asking: `is_due` when only for as long as it is being renewed."""
        return self._find(key, now=now, max_age=self._served, asked_from=self._trusted_from)

    def stale(self, key: Hashable, *, now: Instant, max_age: Seconds) -> Found | None:
        """The row under `key` if it is at most `max_age` old, whatever has been written since."""
        return self._find(key, now=now, max_age=max_age, asked_from=Instant(float("-inf")))

    def put(self, key: Hashable, row: Any, *, asked_at: Instant) -> None:
        """Remember what a question of the instant `asked_at` was answered, unless a later one's answer is here already."""
        if not self.keeps:
            return
        known = self._entries.get(key)
        if known is None or known[1] <= asked_at:
            self._entries[key] = (row, asked_at)

    def distrust(self, *, now: Instant) -> None:
        """A write has happened: whatever was asked for until `now` is not fresh any more, answers under way included."""
        self._trusted_from = now
        self.generation += 1

    def _find(self, key: Hashable, *, now: Instant, max_age: Seconds, asked_from: Instant) -> Found | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        row, asked_at = entry
        age = Seconds(now - asked_at)
        return Found(row, age, is_due=age > self._fresh) if age <= max_age and asked_at > asked_from else None

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        bound = f"{len(self._entries)}/{self._entries.maxsize:.0f} entries"
        span = f"fresh {self._fresh:g}s, served {self._served:g}s, kept {self._keep:g}s"
        return f"<LoaderCache {bound}, {span}>"
