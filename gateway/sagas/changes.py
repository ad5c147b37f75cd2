"""What has moved in a journal since its last checkpoint, read beside its writer.

Invariant: pure reading, in transactions of at most `CHUNK` events each, so that no long one keeps the WAL from being folded back.
The cost is of what moved, not of what there is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .chain import Head, heads_digest
from .checkpoints import CHECKPOINT_COLUMNS, NOTHING, Checkpoint, Origin, checkpoint_of

MAX_EVENTS = 100_000
"""Events under one checkpoint: bounds its memory to some 10 MB. What is more comes under the next."""

CHUNK = 10_000

_LAST_CHECKPOINT = f"SELECT {CHECKPOINT_COLUMNS} FROM checkpoints ORDER BY number DESC LIMIT 1"  # noqa: S608
_LAST_PRUNING = "SELECT number, hash FROM prunings ORDER BY number DESC LIMIT 1"
_CHUNK = "SELECT saga_id, seq, hash FROM events WHERE position > ? AND position <= ? ORDER BY position"
_NEWER = f"SELECT {CHECKPOINT_COLUMNS} FROM checkpoints WHERE number > ? ORDER BY number"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Everything that the next checkpoint says, but when."""

    last: Checkpoint | None
    previous: bytes
    position: int
    begun: int
    events: int
    changed: int
    digest: bytes
    prunings: int
    pruning: bytes

    @property
    def is_nothing(self) -> bool:
        """Whether the last checkpoint says it all already."""
        known = (0, 0) if self.last is None else (self.last.position, self.last.prunings)
        return (self.position, self.prunings) == known


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that cannot write. Raises: sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("PRAGMA query_only = ON")
        yield connection


def read_changes(path: Path) -> Changes:
    """Cost: about 2 µs an event that was written since. Raises: sqlite3.Error."""
    with reading(path) as connection:
        last = last_checkpoint(connection)
        low = 0 if last is None else last.position
        (newest,) = connection.execute("SELECT COALESCE(MAX(position), 0) FROM events").fetchone()
        high = max(low, min(newest, low + MAX_EVENTS))
        prunings, pruning = connection.execute(_LAST_PRUNING).fetchone() or (0, NOTHING)
        heads, begun, events = _heads_between(connection, low, high)
        return Changes(
            last=last,
            previous=origin_of(connection).hash() if last is None else last.hash,
            position=high,
            begun=begun,
            events=events,
            changed=len(heads),
            digest=heads_digest(heads[saga_id] for saga_id in sorted(heads)),
            prunings=prunings,
            pruning=pruning,
        )


def _heads_between(connection: sqlite3.Connection, low: int, high: int) -> tuple[dict[str, Head], int, int]:
    """The last event of each saga that moved, how many began, and how many events there were."""
    heads: dict[str, Head] = {}
    begun = events = 0
    for start in range(low, high, CHUNK):
        for saga_id, seq, hashed in connection.execute(_CHUNK, (start, min(start + CHUNK, high))).fetchall():
            heads[saga_id] = Head(saga_id, seq, hashed)
            events += 1
            begun += seq == 0
    return heads, begun, events


def last_checkpoint(connection: sqlite3.Connection) -> Checkpoint | None:
    row = connection.execute(_LAST_CHECKPOINT).fetchone()
    return None if row is None else checkpoint_of(row)


def checkpoints_after(connection: sqlite3.Connection, number: int) -> list[Checkpoint]:
    return [checkpoint_of(row) for row in connection.execute(_NEWER, (number,)).fetchall()]


def origin_of(connection: sqlite3.Connection) -> Origin:
    journal, created_at, migrated_from, position = connection.execute("SELECT * FROM origin").fetchone()
    return Origin(journal=journal, created_at=created_at, migrated_from=migrated_from, migrated_position=position)
