"""What a client of WebSocket sends, byte by byte: also what no library would send. Source: RFC 6455, 5.2 and 7.4.1; RFC 7692."""

from __future__ import annotations

import struct
import zlib

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x11\x22\x33\x44"
DEFLATE = b"sec-websocket-extensions: permessage-deflate"
"""Of a handshake: messages may be compressed, in both directions."""

WINDOW = 12
"""Bits of what the gateway's compression looks back at."""


def frame(
    payload: bytes, *, opcode: int = TEXT, fin: bool = True, compressed: bool = False, is_masked: bool = True
) -> bytes:
    """As a client sends it."""
    first = (0x80 if fin else 0) | (0x40 if compressed else 0) | opcode
    flag, size = (0x80 if is_masked else 0), len(payload)
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    if not is_masked:
        return head + payload
    mask = (MASK * (size // 4 + 1))[:size]
    return head + MASK + (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")


def announced(size: int, *, opcode: int = TEXT) -> bytes:
    """The head of a frame whose content never comes."""
    return struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size) + MASK


def deflated(size: int) -> bytes:
    """A message that is a thousandth of what it becomes."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -WINDOW)
    return (deflater.compress(b"a" * size) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def handshake(*headers: bytes) -> bytes:
    lines = (
        b"GET /graphql HTTP/1.1",
        b"host: gateway.test",
        b"upgrade: websocket",
        b"connection: Upgrade",
        b"sec-websocket-version: 13",
        b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        b"sec-websocket-protocol: graphql-transport-ws",
    )
    return b"\r\n".join((*lines, *headers)) + b"\r\n\r\n"
