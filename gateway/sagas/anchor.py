"""The anchor: checkpoints as lines of a file that is kept where the journal's writers cannot reach.

Invariant: lines are only added, each whole and on the disk before the next; a last line that a crash tore is not one. An anchor
that knows more than its journal, or otherwise, is evidence, and is never written to.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .checkpoints import Checkpoint, checkpoint_of_line, line_of

_TAIL = 4096
"""Bytes at the end that hold the last line, whatever it is."""


class AnchorInvalid(ValueError):
    """A line that is no checkpoint; the message names its number."""


def read_anchor(path: Path) -> Iterator[tuple[str, Checkpoint]]:
    """Journal's id and checkpoint of every line, in order. Memory: one line. Raises: AnchorInvalid, OSError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return  # torn by a crash
            try:
                yield checkpoint_of_line(line)
            except ValueError as error:
                raise AnchorInvalid(f"line {number} of the anchor {path} is no checkpoint: {error}") from error


def last_anchored(path: Path) -> tuple[str, Checkpoint] | None:
    """The last whole line; None for a file that has none, or is not there. Raises: AnchorInvalid."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        whole, newline, _ = file.read().rpartition(b"\n")
    if not newline:
        return None
    try:
        return checkpoint_of_line(whole.rpartition(b"\n")[2])
    except ValueError as error:
        raise AnchorInvalid(f"the last line of the anchor {path} is no checkpoint: {error}") from error


def append_to_anchor(path: Path, checkpoints: Sequence[Checkpoint], *, journal: str) -> None:
    """Add lines, and return when the disk has them. A torn last line is cut off first. Raises: OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("ab+") as file:
        _cut_torn_line(file.fileno())
        file.writelines(line_of(each, journal=journal) for each in checkpoints)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_directory(path.parent)


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL)
    tail = os.pread(descriptor, _TAIL, start)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(descriptor, start + tail.rfind(b"\n") + 1)


def sync_directory(directory: Path) -> None:
    """So that a name that was just made or replaced survives a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
