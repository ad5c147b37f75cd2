"""Checkpoints: what all sagas of a journal were at a moment, in one hash that can be kept elsewhere. Prunings are sealed likewise.

A checkpoint covers the events after its predecessor's `position` up to its own. Its `digest` is over the heads that moved in there;
its `hash` over all of it and the predecessor's hash, the first one over the journal's `origin`. So nobody need hash a million heads
every few minutes, and the newest hash still vouches for every one.
Invariant: who holds a checkpoint can tell whether a file still holds everything up to it, unchanged. Without a signature that is
true of the checkpoints that were kept elsewhere, and says nothing of those that only the file has.
Source: Crosby and Wallach, "Efficient Data Structures for Tamper-Evident Logging", 2009; a chain does where a verifier reads all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import msgspec

from ..clock import Epoch
from .chain import digest
from .signing import PublicKey, SigningKey

NOTHING = bytes(32)
"""The hash before the first pruning."""

CHECKPOINT_COLUMNS = (
    "number, at, position, sagas, events, changed, digest, prunings, pruning, previous, hash, signer, signature"
)
PRUNING_COLUMNS = "number, at, reason, sagas, digest, previous, hash, signer, signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a file comes from. `migrated_position`: events up to there had no hashes when they were written."""

    journal: str
    created_at: Epoch
    migrated_from: int | None
    migrated_position: int

    def hash(self) -> bytes:
        """32 bytes: what the first checkpoint follows."""
        return digest("origin", self.journal, float(self.created_at), self.migrated_from, self.migrated_position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One row. `sagas` and `events` count all that were ever written up to here; `changed` the heads in `digest`."""

    number: int
    at: Epoch
    position: int
    sagas: int
    events: int
    changed: int
    digest: bytes
    prunings: int
    """Number of the last pruning before it, 0 for none, and in `pruning` its hash."""
    pruning: bytes
    previous: bytes
    hash: bytes = b""
    signer: str | None = None
    """Id of the key that signed `hash`; None: nobody did."""
    signature: bytes | None = None

    def computed_hash(self) -> bytes:
        """What `hash` must be."""
        return digest(
            "checkpoint",
            self.number,
            float(self.at),
            self.position,
            self.sagas,
            self.events,
            self.changed,
            self.digest,
            self.prunings,
            self.pruning,
            self.previous,
            self.signer,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """One batch of sagas that was removed on purpose. `digest` is over their tombstones."""

    number: int
    at: Epoch
    reason: str
    sagas: int
    digest: bytes
    previous: bytes
    hash: bytes = b""
    signer: str | None = None
    signature: bytes | None = None

    def computed_hash(self) -> bytes:
        """What `hash` must be."""
        return digest(
            "pruning", self.number, float(self.at), self.reason, self.sagas, self.digest, self.previous, self.signer
        )


Sealed = TypeVar("Sealed", Checkpoint, Pruning)


def sealed(what: Sealed, key: SigningKey | None) -> Sealed:
    """With its hash, and its signature where there is a key. The hash says who signs, so no signature is taken away unseen."""
    signer = replace(what, signer=None if key is None else key.public.id)
    hashed = signer.computed_hash()
    return replace(signer, hash=hashed, signature=None if key is None else key.sign(hashed))


Vouched = Literal["signed", "unsigned", "not checked", "forged"]


def vouched(hashed: bytes, *, signer: str | None, signature: bytes | None, keys: Collection[PublicKey]) -> Vouched:
    """Who stands for a hash. "not checked": there is a signature, and no key was given to check it with.

    With keys given, a signature of any other key is "forged"; one that is not there, though somebody is named, always is.
    """
    if signer is None:
        return "unsigned"
    if signature is None:
        return "forged"
    if not keys:
        return "not checked"
    fits = any(key.id == signer and key.signed(signature, hashed) for key in keys)
    return "signed" if fits else "forged"


def checkpoint_row(checkpoint: Checkpoint) -> tuple[object, ...]:
    """In the order of CHECKPOINT_COLUMNS."""
    return tuple(getattr(checkpoint, name) for name in CHECKPOINT_COLUMNS.split(", "))


def checkpoint_of(row: Sequence[Any]) -> Checkpoint:
    return Checkpoint(**dict(zip(CHECKPOINT_COLUMNS.split(", "), row, strict=True)))


def pruning_row(pruning: Pruning) -> tuple[object, ...]:
    """In the order of PRUNING_COLUMNS."""
    return tuple(getattr(pruning, name) for name in PRUNING_COLUMNS.split(", "))


def pruning_of(row: Sequence[Any]) -> Pruning:
    return Pruning(**dict(zip(PRUNING_COLUMNS.split(", "), row, strict=True)))


# -- as a line of an anchor --------------------------------------------------------------------------------------------


class AnchoredLine(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as JSON; bytes are hex. A stored format: fields are added to, never changed."""

    journal: str
    number: int
    at: float
    position: int
    sagas: int
    events: int
    changed: int
    digest: str
    prunings: int
    pruning: str
    previous: str
    hash: str
    signer: str | None = None
    signature: str | None = None


def line_of(checkpoint: Checkpoint, *, journal: str) -> bytes:
    """One line, its end included."""
    fields = {name: getattr(checkpoint, name) for name in CHECKPOINT_COLUMNS.split(", ")}
    as_text = {name: value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
    return msgspec.json.encode({"journal": journal, **as_text}) + b"\n"


def checkpoint_of_line(line: bytes) -> tuple[str, Checkpoint]:
    """The journal's id, and the checkpoint. Raises: ValueError for a line that is none."""
    read = msgspec.json.decode(line, type=AnchoredLine)
    return read.journal, Checkpoint(
        number=read.number,
        at=Epoch(read.at),
        position=read.position,
        sagas=read.sagas,
        events=read.events,
        changed=read.changed,
        digest=bytes.fromhex(read.digest),
        prunings=read.prunings,
        pruning=bytes.fromhex(read.pruning),
        previous=bytes.fromhex(read.previous),
        hash=bytes.fromhex(read.hash),
        signer=read.signer,
        signature=None if read.signature is None else bytes.fromhex(read.signature),
    )
