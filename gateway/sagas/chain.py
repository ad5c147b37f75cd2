"""The chain of hashes through a saga's history, as pure functions: what a row's hash is computed over.

Invariant: an event's hash covers its saga, number, place in the file, instant, kind, payload, the state that it was written with,
and the hash before it; the hash before the first one covers every column of the record that never changes. So who changes, removes
or reorders any of it changes the last hash, the *head*. The bytes are those of `packed`, which no two lists of values share; a
stored format, versioned by `CHAIN_VERSION`.
Source: Haber and Stornetta, "How to Time-Stamp a Digital Document", 1991.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from ..clock import Epoch
from .journal import SagaRecord

CHAIN_VERSION = 1
"""First in every hash: bytes that were hashed in another way are never taken for these."""

Value = str | bytes | int | float | None

_EVENT = struct.Struct(">BHHHQQd?d")
_NUMBER, _FLOAT, _LENGTH = struct.Struct(">q"), struct.Struct(">d"), struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Head:
    """The last event of a saga, as of some moment."""

    saga_id: str
    seq: int
    hash: bytes


def event_hash(
    previous: bytes,
    *,
    saga_id: str,
    seq: int,
    position: int,
    at: Epoch,
    kind: str,
    payload: bytes,
    state: str | None = None,
    ended_at: Epoch | None = None,
) -> bytes:
    """32 bytes. `state` and `ended_at`: what the record was set to with this event, if it was. Cost: about 2 µs."""
    texts = (saga_id.encode(), kind.encode(), (state or "").encode())
    fixed = _EVENT.pack(
        CHAIN_VERSION, *map(len, texts), seq, position, at, ended_at is not None, 0.0 if ended_at is None else ended_at
    )
    return hashlib.sha256(b"".join((fixed, *texts, previous, payload))).digest()


def record_hash(record: SagaRecord, *, trace: str) -> bytes:
    """32 bytes over what never changes of a record: the hash before the first event. `trace` as it is stored."""
    return digest(
        "saga",
        record.id,
        record.owner.tenant,
        record.owner.subject,
        record.saga,
        record.version,
        record.digest,
        record.key,
        record.input_hash,
        record.hash_version,
        record.input,
        trace,
        float(record.created_at),
        float(record.deadline_at),
    )


def heads_digest(heads: Iterable[Head]) -> bytes:
    """32 bytes over heads, which come in the order of their sagas' ids. Memory: none."""
    running = Heads()
    for head in heads:
        running.add(head)
    return running.digest()


class Heads:
    """`heads_digest`, a head at a time."""

    __slots__ = ("_sha", "count")

    def __init__(self) -> None:
        self._sha = hashlib.sha256(packed("heads", CHAIN_VERSION))
        self.count = 0

    def add(self, head: Head) -> None:
        self._sha.update(packed(head.saga_id, head.seq, head.hash))
        self.count += 1

    def digest(self) -> bytes:
        return self._sha.digest()


def digest(what: str, *values: Value) -> bytes:
    """32 bytes over a list of values. `what` keeps one kind of thing from standing in for another."""
    return hashlib.sha256(packed(what, CHAIN_VERSION, *values)).digest()


def packed(*values: Value) -> bytes:
    """Each value as a letter, its length where it has one, and its bytes, big-endian: no two lists have the same bytes."""
    return b"".join(map(_packed, values))


def _packed(value: Value) -> bytes:
    match value:
        case None:
            return b"n"
        case int():
            return b"i" + _NUMBER.pack(value)
        case float():
            return b"f" + _FLOAT.pack(value)
        case str():
            text = value.encode()
            return b"s" + _LENGTH.pack(len(text)) + text
        case bytes():
            return b"b" + _LENGTH.pack(len(value)) + value
