"""Whether checkpoints, prunings and an anchor fit one another. Pure: told the rows, and what was computed from the sagas.

Invariant: a seal is its row's hash; a chain of them is whole when each names the hash before it and numbers leave no gap.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .anchor import AnchorInvalid, read_anchor
from .chain import Heads
from .checkpoints import NOTHING, Checkpoint, Origin, Pruning, vouched
from .signing import PublicKey
from .verification import Problem, named


@dataclass(slots=True)
class Moved:
    """What was computed of the events that one checkpoint covers."""

    heads: Heads
    begun: int = 0
    events: int = 0


def checkpoint_problems(
    checkpoints: Sequence[Checkpoint],
    *,
    origin: Origin,
    moved: Sequence[Moved],
    prunings: Mapping[int, Pruning],
    keys: Collection[PublicKey],
) -> Iterator[Problem]:
    """`moved`: one for each checkpoint, in their order."""
    before: Checkpoint | None = None
    for checkpoint, what in zip(checkpoints, moved, strict=True):
        name = named(checkpoint)
        yield from _seal_problems(checkpoint, before=before, origin=origin, keys=keys)
        if what.heads.digest() != checkpoint.digest:
            yield Problem("changed", f"the sagas are not what they were at {name}")
        counted = (
            what.begun + (before.sagas if before else 0),
            what.events + (before.events if before else 0),
            what.heads.count,
        )
        if counted != (checkpoint.sagas, checkpoint.events, checkpoint.changed):
            said = f"{checkpoint.sagas} sagas and {checkpoint.events} events"
            yield Problem("missing", f"{name} counts {said}, the file {counted[0]} and {counted[1]}")
        if not _knows(prunings, checkpoint):
            yield Problem("missing", f"{name} knows pruning {checkpoint.prunings}, and the file has another or none")
        before = checkpoint
    if keys and checkpoints and checkpoints[-1].signature is None:
        yield Problem("forged", f"{named(checkpoints[-1])} is not signed, though a key was given to check it with")


def _seal_problems(
    checkpoint: Checkpoint, *, before: Checkpoint | None, origin: Origin, keys: Collection[PublicKey]
) -> Iterator[Problem]:
    name = named(checkpoint)
    number, previous, position = (
        (1, origin.hash(), 0)
        if before is None
        else (
            before.number + 1,
            before.hash,
            before.position,
        )
    )
    if checkpoint.number != number:
        yield Problem("missing", f"checkpoint {number} is gone: {name} follows")
    elif checkpoint.previous != previous:
        yield Problem("changed", f"{name} does not follow what stands before it")
    if checkpoint.position < position:
        yield Problem("reordered", f"{name} covers less than the one before it")
    if checkpoint.computed_hash() != checkpoint.hash:
        yield Problem("changed", f"{name} is not what was written: its hash does not fit")
    if vouched(checkpoint.hash, signer=checkpoint.signer, signature=checkpoint.signature, keys=keys) == "forged":
        yield Problem("forged", f"{name} has a signature of none of the given keys")


def _knows(prunings: Mapping[int, Pruning], checkpoint: Checkpoint) -> bool:
    if checkpoint.prunings == 0:
        return checkpoint.pruning == NOTHING
    found = prunings.get(checkpoint.prunings)
    return found is not None and found.hash == checkpoint.pruning


@dataclass(frozen=True, slots=True)
class Buried:
    """What was computed of the tombstones of one pruning."""

    digest: bytes
    sagas: int


def pruning_problems(
    prunings: Sequence[Pruning], *, buried: Mapping[int, Buried], keys: Collection[PublicKey]
) -> Iterator[Problem]:
    previous = NOTHING
    for number, pruning in enumerate(prunings, start=1):
        name = f"pruning {pruning.number}"
        if pruning.number != number:
            yield Problem("missing", f"pruning {number} is gone: {name} follows")
            return
        if pruning.previous != previous:
            yield Problem("changed", f"{name} does not follow what stands before it")
        if pruning.computed_hash() != pruning.hash:
            yield Problem("changed", f"{name} is not what was written: its hash does not fit")
        if vouched(pruning.hash, signer=pruning.signer, signature=pruning.signature, keys=keys) == "forged":
            yield Problem("forged", f"{name} has a signature of none of the given keys")
        if buried.get(number) != Buried(pruning.digest, pruning.sagas):
            yield Problem("changed", f"the tombstones of {name} are not what was written")
        previous = pruning.hash
    for number in sorted(buried.keys() - {pruning.number for pruning in prunings}):
        yield Problem("changed", f"there are tombstones of a pruning {number} that the file does not have")


@dataclass(frozen=True, slots=True)
class Anchored:
    """What comparing with an anchor came to. `last`: the newest checkpoint that both have."""

    problems: tuple[Problem, ...]
    last: Checkpoint | None


def anchor_compared(anchor: Path, checkpoints: Sequence[Checkpoint], *, origin: Origin) -> Anchored:
    """Raises: OSError when the anchor cannot be read."""
    problems: list[Problem] = []
    by_number = {checkpoint.number: checkpoint for checkpoint in checkpoints}
    last, newest = None, None
    try:
        for journal, anchored in read_anchor(anchor):
            if journal != origin.journal:
                problems.append(
                    Problem("another journal", f"the anchor is of journal {journal}, the file is {origin.journal}")
                )
                break
            newest, found = anchored, by_number.get(anchored.number)
            if found == anchored:
                last = found
            elif found is not None:
                problems.append(Problem("changed", f"{named(anchored)} is another in the file than in the anchor"))
    except AnchorInvalid as error:
        problems.append(Problem("unreadable", str(error)))
    if newest is not None and newest.number not in by_number:
        ends = named(checkpoints[-1]) if checkpoints else "no checkpoint at all"
        problems.append(Problem("rolled back", f"the anchor knows {named(newest)}, the file ends with {ends}"))
    return Anchored(tuple(problems), last)
