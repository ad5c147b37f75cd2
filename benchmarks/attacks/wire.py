"""Attacks below GraphQL: bytes on a connection that want to be held, or read, for longer than they are worth.

Invariant: each is bytes alone, no more of them than it takes (who closes a connection of which much is unread resets it, and its
last word may be lost), and ends with an answer that is told here. Read as `table` is: measured by `benchmarks.attacks`,
held by `tests/security`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.attacks.frames import CONTINUED, DEFLATE, PING, announced, deflated, frame, handshake
from benchmarks.attacks.table import honest

INIT = frame(b'{"type": "connection_init"}')
MIB = 1024 * 1024
CHUNKED = (
    b"POST /graphql HTTP/1.1\r\nhost: gateway.test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\n{}\r\n"
)
"""The beginning of a request whose body has no end yet."""
SUBSCRIBE = json.dumps({"type": "subscribe", "id": "a", "payload": {"query": "{ __typename }"}}).encode()


@dataclass(frozen=True)
class OnTheWire:
    """`sent`: after the handshake of a WebSocket, or instead of one. `ends`: the code of its close frame, or a status."""

    name: str
    sent: Callable[[], bytes]
    ends: int
    is_socket: bool = True
    headers: tuple[bytes, ...] = ()
    """Of the handshake."""
    then: bytes = b""
    """What follows when the first has been read."""


def honest_post(number: int) -> bytes:
    """A page that nobody has asked for yet, and the connection's last."""
    return post(honest(number), b"connection: close")


def post(body: bytes, *headers: bytes) -> bytes:
    lines = (
        b"POST /graphql HTTP/1.1",
        b"host: gateway.test",
        b"content-type: application/json",
        b"accept: application/graphql-response+json",
        b"content-length: %d" % len(body),
        *headers,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


ON_THE_WIRE: Iterable[OnTheWire] = (
    OnTheWire("a WebSocket that sends no UTF-8", lambda: INIT + frame(b"\xff\xfe"), 1007),
    OnTheWire(
        "a WebSocket's compressed bomb of 100 MB",
        lambda: INIT + frame(deflated(100 * MIB), compressed=True),
        1009,
        headers=(DEFLATE,),
    ),
    OnTheWire("a WebSocket's frame of 1 TB", lambda: INIT + announced(10**12), 1009),
    OnTheWire(
        "a WebSocket's message of more than a MiB in fragments",
        lambda: (
            INIT
            + frame(b"a", fin=False)
            + frame(b"a" * 60_000, opcode=CONTINUED, fin=False) * 17
            + announced(60_000, opcode=CONTINUED)
        ),
        1009,
    ),
    OnTheWire(
        "a WebSocket's fragments without end and content",
        lambda: INIT + frame(b"{", fin=False) + frame(b"", opcode=CONTINUED, fin=False) * 1_200,
        1009,
    ),
    OnTheWire("a flood of a WebSocket's pings", lambda: INIT + frame(b"", opcode=PING) * 200, 1008),
    OnTheWire("a WebSocket's frame without a mask", lambda: INIT + frame(b"{}", is_masked=False), 1002),
    OnTheWire("a WebSocket's frame of an unknown kind", lambda: INIT + frame(b"", opcode=3), 1002),
    OnTheWire("a WebSocket that asks before it is known", lambda: frame(SUBSCRIBE), 4401),
    OnTheWire("a WebSocket that is introduced twice", lambda: INIT + INIT, 4429),
    OnTheWire(
        "two subscriptions of one id",
        lambda: INIT + frame(SUBSCRIBE) + frame(SUBSCRIBE),
        4409,
    ),
    OnTheWire("a WebSocket's message of 300,000 lists", lambda: INIT + frame(b"[" + b"[]," * 300_000 + b"1]"), 4400),
    OnTheWire("a handshake with a header of 9 kB", lambda: handshake(b"cookie: " + b"a" * 9_000), 431, is_socket=False),
    OnTheWire(
        "a compressed body",
        lambda: post(
            gzip.compress(b'{"query": "' + b"#" * 10 * MIB + b'"}'), b"content-encoding: gzip", b"connection: close"
        ),
        415,
        is_socket=False,
    ),
    OnTheWire("trailers without end", lambda: CHUNKED, 431, is_socket=False, then=b"0\r\n" + b"a: b\r\n" * 6_000),
    OnTheWire("one trailer without end", lambda: CHUNKED, 431, is_socket=False, then=b"0\r\na: " + b"b" * 35_000),
    OnTheWire("a chunk's extension without end", lambda: CHUNKED, 431, is_socket=False, then=b"2;" + b"a" * 35_000),
    OnTheWire(
        "1,000 requests in one packet", lambda: b"GET /livez HTTP/1.1\r\nhost: h\r\n\r\n" * 1_000, 200, is_socket=False
    ),
)
