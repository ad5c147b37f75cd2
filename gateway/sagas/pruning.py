"""Removing what has ended long ago, so that `verify` still closes.

Invariants: whole sagas, and only those that ended for good (NEEDS_ATTENTION never has) and that a checkpoint covers; in one
transaction with their tombstones. A tombstone keeps each hash of the saga that a checkpoint was made over, so every checkpoint
can still be computed; what the hashes stood for is gone. After that the same key begins a new saga.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from ..clock import Epoch
from .chain import CHAIN_VERSION, digest, packed
from .checkpoints import NOTHING, PRUNING_COLUMNS, Pruning, pruning_row, sealed
from .signing import SigningKey

_DUE = (
    "SELECT id, tenant, subject, saga, idempotency_key FROM sagas "
    "WHERE ended_at IS NOT NULL AND ended_at < ? AND state IN ('COMPLETED', 'COMPENSATED') ORDER BY ended_at LIMIT ?"
)
_COVERED = "SELECT COALESCE(MAX(position), 0) FROM checkpoints"
_EVENTS = (
    "SELECT position, seq, hash, (SELECT MIN(c.number) FROM checkpoints c WHERE c.position >= e.position) "
    "FROM events e WHERE saga_id = ? ORDER BY seq"
)
_LAST = "SELECT number, hash FROM prunings ORDER BY number DESC LIMIT 1"
_ADD = f"INSERT INTO prunings ({PRUNING_COLUMNS}) VALUES ({', '.join('?' * 9)})"  # noqa: S608
_ADD_TOMBSTONE = "INSERT INTO tombstones (saga_id, position, seq, hash, owner, pruning) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a saga: its head at one checkpoint."""

    saga_id: str
    position: int
    seq: int
    hash: bytes
    owner: bytes | None
    """With the last one: `owner_digest`, for who must tell whether a key was used."""


def owner_digest(tenant: str, subject: str, saga: str, key: str) -> bytes:
    """Who began it, and under which key, without saying so."""
    return digest("owner", tenant, subject, saga, key)


def tombstones_digest(tombstones: Iterable[Tombstone]) -> bytes:
    """32 bytes over tombstones, which come in the order of their sagas' ids and positions."""
    sha = hashlib.sha256(packed("tombstones", CHAIN_VERSION))
    for each in tombstones:
        sha.update(packed(each.saga_id, each.position, each.seq, each.hash, each.owner))
    return sha.digest()


def prune_batch(
    connection: sqlite3.Connection,
    *,
    ended_before: Epoch,
    limit: int,
    now: Epoch,
    reason: str,
    key: SigningKey | None,
) -> int:
    """Remove up to `limit` sagas, inside a transaction of the caller's. Returns: how many. Cost: about 0.2 ms each."""
    buried: list[Tombstone] = []
    (covered,) = connection.execute(_COVERED).fetchone()
    for saga_id, *owner in connection.execute(_DUE, (ended_before, limit)).fetchall():
        buried += _bury(connection, saga_id, owner=owner_digest(*owner), covered=covered)
    if not buried:
        return 0
    number, previous = connection.execute(_LAST).fetchone() or (0, NOTHING)
    buried.sort(key=lambda each: (each.saga_id, each.position))
    rows = [(each.saga_id, each.position, each.seq, each.hash, each.owner, number + 1) for each in buried]
    connection.executemany(_ADD_TOMBSTONE, rows)
    count = len({each.saga_id for each in buried})
    pruning = Pruning(
        number=number + 1, at=now, reason=reason, sagas=count, digest=tombstones_digest(buried), previous=previous
    )
    connection.execute(_ADD, pruning_row(sealed(pruning, key)))
    return count


def _bury(connection: sqlite3.Connection, saga_id: str, *, owner: bytes, covered: int) -> list[Tombstone]:
    """Take the saga out; its tombstones, or none where a checkpoint is still to be made over it."""
    last_of: dict[int, Tombstone] = {}
    position = 0
    for position, seq, hashed, checkpoint in connection.execute(_EVENTS, (saga_id,)).fetchall():
        last_of[checkpoint] = Tombstone(saga_id, position, seq, hashed, None)
    if not last_of or position > covered:
        return []
    connection.execute("DELETE FROM events WHERE saga_id = ?", (saga_id,))
    connection.execute("DELETE FROM sagas WHERE id = ?", (saga_id,))
    *earlier, last = last_of.values()
    return [*earlier, Tombstone(saga_id, last.position, last.seq, last.hash, owner)]
