"""What caches between a client and us are told of an answer that may be kept. Source: RFC 9110 sections 8.8.3 and 13.1.2, RFC 9111.

Invariant: two answers have one tag only if they are the same bytes, of the same media type and in the same coding.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from ..execution.freshness import Freshness
from .compression import Coding

_TAG = re.compile(r'(?:W/)?("[^"]*")')


def cache_control(freshness: Freshness) -> bytes:
    return b"%s, max-age=%d" % (b"public" if freshness.is_public else b"private", freshness.seconds)


def tag_of(body: bytes, media_type: str, coding: Coding | None) -> bytes:
    """The strong tag of a body as it was before it was compressed."""
    digest = blake2b(body, digest_size=16, person=media_type[-16:].encode()).hexdigest()
    return f'"{digest}"'.encode() if coding is None else f'"{digest}-{coding.name}"'.encode()


def is_known(tag: bytes, if_none_match: str | None) -> bool:
    """Whether the client has it already."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag.decode() in _TAG.findall(if_none_match)
