"""Before the door: requests beyond a client's share are refused as soon as they are there, without being read.

Invariants: only GraphQL requests are judged, and only while more come than can be; who has not sent more than its share passes; a
request that calls itself critical passes, and is judged by who sent it. Whatever a request says of itself is believed here only as
far as to be read.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random
from typing import Protocol

from ..clock import Instant
from ..telemetry import Metrics

_MUTATION_SHARES = 4.0
"""A mutation passes as if its client had so many times its share: it is judged by its rank."""

_LOOKED_AT = 4096
"""Bytes of a body in which the word "mutation" is looked for."""

_BODY = (
    b'{"errors":[{"message":"more requests come than can be answered, and you send more than your share: try again in a '
    b'moment","extensions":{"code":"OVERLOADED","retryable":true}}]}'
)


class Shares(Protocol):
    """Who may be judged."""

    @property
    def is_on(self) -> bool: ...
    def passes(self, client: Hashable, *, now: Instant, dice: float, weight: float = 1.0) -> bool: ...


class Doorstep:
    """Judges requests by their bytes."""

    def __init__(self, shares: Shares, *, path: bytes, metrics: Metrics, random: Random) -> None:
        self._shares = shares
        self._path = path
        self._refused = metrics.requests_refused_early
        self._random = random

    @property
    def is_on(self) -> bool:
        """Whether requests have to be judged at all."""
        return self._shares.is_on

    def refusal(
        self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes, *, peer: str | None, now: Instant
    ) -> bytes | None:
        """The response to a POST, whole, if it is not to be read."""
        if url.partition(b"?")[0] != self._path:
            return None
        credentials = accept = b""
        for name, value in headers:
            if name == b"authorization":
                credentials = value
            elif name == b"accept":
                accept = value
            elif name == b"x-request-priority" and value.strip().lower() == b"critical":
                return None
        client = hash(credentials) if credentials else peer
        weight = _MUTATION_SHARES if b"mutation" in body[:_LOOKED_AT] else 1.0
        if self._shares.passes(client, now=now, dice=self._random.random(), weight=weight):
            return None
        self._refused.inc()
        return _response(accept, later=self._random.randint(1, 4))


def _response(accept: bytes, *, later: int) -> bytes:
    kind = b"application/graphql-response+json" if b"graphql-response" in accept else b"application/json"
    return (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: %s; charset=utf-8\r\ncache-control: no-store\r\n"
        b"x-content-type-options: nosniff\r\nretry-after: %d\r\ncontent-length: %d\r\n\r\n%s"
    ) % (kind, later, len(_BODY), _BODY)
