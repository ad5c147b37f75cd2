"""The other end of the control socket: what `sagaql services` and its kin say to a running gateway."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from .commands import Refused
from .message import DONE_WITHIN, MAX_ANSWER, SPEAKS_WITHIN, Request, answer, line
from .place import Unplaceable, require_short

_PIECE = 64 * 1024


class NotListening(Exception):
    """No gateway can be spoken to there; the sentence says why, and what helps."""


def ask(path: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """The command's result, as JSON. Blocks for at most its time and ours.

    Raises: NotListening; Refused with the gateway's own sentences.
    """
    said = _exchanged(path, line(Request(command, dict(arguments or {}))))
    try:
        found = answer(said)
    except ValueError as error:
        raise NotListening(f"what listens at {path} answered something that is no answer of a gateway") from error
    if found.problems:
        raise Refused(found.problems)
    return found.result


def _exchanged(path: Path, asked: bytes) -> bytes:
    try:
        require_short(path)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(DONE_WITHIN + 2 * SPEAKS_WITHIN)
            connection.connect(os.fspath(path))
            connection.sendall(asked)
            return _everything(connection)
    except Unplaceable as error:
        raise NotListening(str(error)) from error
    except PermissionError as error:
        raise NotListening(f"{path} is for the gateway's own user: speak as that one, or as root") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotListening(
            f"no gateway listens at {path}: start it with `sagaql serve`, or name its settings with --config"
        ) from error
    except OSError as error:  # a timeout too
        raise NotListening(f"the gateway at {path} did not answer: {error.strerror or error}") from error


def _everything(connection: socket.socket) -> bytes:
    said = bytearray()
    while piece := connection.recv(_PIECE):
        said += piece
        if len(said) > MAX_ANSWER:
            break
    return bytes(said)
