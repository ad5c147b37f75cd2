"""Where workers and the saga process meet: a Unix socket beside the journal, for this user alone.

Invariants: whoever listens there owns the journal, since it takes the journal's lock first; the folder is 0700 and the socket
0600. The place follows from the journal's path, so that whoever knows the settings finds it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from .host import SagaStartError

LONGEST = 100
"""Bytes of a socket's path that every system takes (Linux 107, macOS 103)."""


def meeting_place(journal: Path) -> Path:
    """The socket's path: in a folder beside the journal, or, where that would be too long, in the system's temporary one."""
    beside = journal.absolute().parent / f"{journal.name}.run" / "sagas"
    if len(os.fsencode(beside)) <= LONGEST:
        return beside
    digest = hashlib.sha256(os.fsencode(journal.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sagaql-{os.geteuid()}-{digest}" / "sagas"


def listen_at(place: Path) -> socket.socket:
    """A listening socket there, in place of one that a dead process left. Only for the owner of the journal.

    Raises: SagaStartError naming the remedy.
    """
    require_own_folder(place.parent)
    with suppress(FileNotFoundError):
        place.unlink()
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(os.fspath(place))
        place.chmod(0o600)  # until then the folder keeps others out
        listening.listen()
    except OSError as error:
        listening.close()
        raise SagaStartError(f"the saga process cannot listen at {place} ({error.strerror or error})") from error
    listening.setblocking(False)
    return listening


def require_own_folder(folder: Path) -> None:
    """Make the folder, or see that nobody else can put anything into it. Raises: SagaStartError naming the remedy."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SagaStartError(f"the folder {folder} cannot be made ({error.strerror or error})") from error
    if not is_own(folder):
        raise SagaStartError(f"the folder {folder} is open to others: remove it, or chmod 700 it if it is yours")


def is_own(folder: Path) -> bool:
    """Whether it is a folder of this user's that nobody else may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
