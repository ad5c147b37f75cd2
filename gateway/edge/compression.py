"""Compressed answers: gzip, and zstd for who names it. Source: RFC 9110 sections 8.4 and 12.5.3, RFC 8878, RFC 9659.

Invariants: an answer is compressed only with what the client takes at least as gladly as the plain one; a coding is cheap before it
is small. State: none.

Levels: the first of either. The second half of a third saved by higher ones costs two to three times the time. Off the event loop
go bodies from `APART` on: handing work to a thread and back takes some 0.1 ms, which 256 KiB take ten times (gzip) or three times
(zstd); both let others run meanwhile. What is smaller would wait longer than it works.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import zstandard

from .negotiation import ranges_of

APART = 256 * 1024
"""Bytes from which a body is compressed in a thread."""


@dataclass(frozen=True, slots=True)
class Coding:
    """One way to compress."""

    name: str
    compress: Callable[[bytes], bytes]


def _gzip(body: bytes) -> bytes:
    stream = zlib.compressobj(level=1, wbits=31)
    return stream.compress(body) + stream.flush()


def _zstd(body: bytes) -> bytes:
    """A compressor of its own: one must not be used by two threads, and making it costs less than a tenth of a millisecond."""
    return zstandard.ZstdCompressor(level=1).compress(body)


GZIP, ZSTD = Coding("gzip", _gzip), Coding("zstd", _zstd)


@dataclass(frozen=True, slots=True)
class Compression:
    """For answers of one application."""

    above: int
    """Bytes of a body that is not worth it yet."""

    def coding(self, body: bytes, accept_encoding: str | None) -> Coding | None:
        """With what this body is to be compressed for this client, if at all."""
        return None if accept_encoding is None or len(body) <= self.above else coding_for(accept_encoding)


async def compressed(body: bytes, coding: Coding) -> bytes:
    """Large bodies in a thread."""
    return coding.compress(body) if len(body) < APART else await asyncio.to_thread(coding.compress, body)


def coding_for(accept_encoding: str) -> Coding | None:
    """The heaviest that the client takes; of equal ones zstd, which is faster and smaller. None: the body as it is."""
    return _USUAL[accept_encoding] if accept_encoding in _USUAL else _coding_for(accept_encoding)


def _coding_for(accept_encoding: str) -> Coding | None:
    weights = {each.media: each.weight for each in reversed(ranges_of(accept_encoding))}
    zstd, gzip = weights.get("zstd", 0.0), _weight_of_gzip(weights)
    best, weight = (ZSTD, zstd) if zstd >= gzip else (GZIP, gzip)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weight_of_gzip(weights: Mapping[str, float]) -> float:
    """A wildcard stands for it, and for it alone: who takes anything may not know what zstd is."""
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))


_USUAL = {
    accept: _coding_for(accept)
    for accept in (
        "gzip",
        "gzip, deflate",
        "gzip, deflate, br",
        "gzip, deflate, br, zstd",
        "gzip, deflate, zstd",
        "gzip,deflate",
        "gzip, br",
        "identity",
    )
}
"""What nearly all clients send: answered by a look-up."""
