"""What is said over the control socket: one line of JSON in, one line of JSON out, and the connection ends.

    {"command": "services drain", "arguments": {"service": "catalog", "instance": "http://10.0.0.7:8080"}}
    {"result": {"changed": ["catalog: http://10.0.0.7:8080 is drained; 3 under way"]}}
    {"problems": ["there is no service 'catlog': did you mean 'catalog'? …"]}

Invariants: a line is bounded, in bytes and in time; an answer has a result or problems, never both. Only the file's mode (0600)
says who may speak: whoever can open the socket is the gateway's own user, or root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..clock import Seconds

MAX_REQUEST = 64 * 1024
"""Bytes of a line in: a thousand assignments."""

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of a line out: the state of some ten thousand instances."""

SPEAKS_WITHIN = Seconds(5.0)
"""Seconds in which a whole line must have come, or gone."""

DONE_WITHIN = Seconds(45.0)
"""Seconds that a command may take. Longer than settings may take to be read, discovery included."""


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """A command by its name, and what it is given."""

    command: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class Answer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What came of it: JSON, or what stands in the way."""

    result: Any = None
    problems: Sequence[str] = ()


_requests, _answers = msgspec.json.Decoder(Request), msgspec.json.Decoder(Answer)


def line(message: Request | Answer) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def request(data: bytes) -> Request:
    """Raises: ValueError for a line that is no request."""
    return _requests.decode(data)


def answer(data: bytes) -> Answer:
    """Raises: ValueError for a line that is no answer."""
    return _answers.decode(data)
