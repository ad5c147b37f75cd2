"""Where the control socket is: a path that is ours alone, whatever an earlier process left there.

Invariants: who holds the lock beside it owns the path, so a socket file that is found there is stale and is removed; a file that is
no socket never is. Nobody can connect before the mode is 0600: until it listens a socket refuses everybody.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path

LONGEST = 103 if sys.platform == "darwin" else 107
"""Bytes of a Unix socket's path, by the kernel's own structure."""

_ONLY_ITS_OWNER = 0o600


class Unplaceable(Exception):
    """The socket cannot be there; the sentence says why, and what helps."""


class Place:
    """The path of a listening socket, and the lock that makes it ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def __repr__(self) -> str:
        return f"<Place {self.path}{'' if self._lock is None else ', ours'}>"

    def take(self) -> socket.socket:
        """A bound socket there, not listening yet, for its owner only. Raises: Unplaceable."""
        require_short(self.path)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(self.path)
            _remove_stale(self.path)
            return _bound(self.path)
        except OSError as error:
            self.give_up()
            raise Unplaceable(f"{self.path} cannot be a socket ({error.strerror}): set server.control") from error
        except Unplaceable:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Remove what is ours. Twice is once."""
        if self._lock is None:
            return
        with suppress(OSError, Unplaceable):
            _remove_stale(self.path)
        os.close(self._lock)
        self._lock = None


def require_short(path: Path) -> None:
    """Raises: Unplaceable for a path that is too long for a socket."""
    length = len(os.fsencode(path))
    if length > LONGEST:
        raise Unplaceable(
            f"{path} has {length} bytes, and the path of a Unix socket may have {LONGEST}: "
            "set server.control to a shorter one"
        )


def _locked(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    lock = os.open(path.with_name(path.name + ".lock"), flags, _ONLY_ITS_OWNER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Unplaceable(
            f"{path} is another gateway's: set server.control to a path of its own for each of them"
        ) from error
    return lock


def _remove_stale(path: Path) -> None:
    """Raises: Unplaceable for a file that is no socket: it is somebody's."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Unplaceable(f"{path} is there and is no socket: remove it, or set server.control to another path")
        path.unlink()


def _bound(path: Path) -> socket.socket:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(_ONLY_ITS_OWNER)
    except OSError:
        bound.close()
        raise
    return bound
