"""An answer in one piece: its status, its headers, its bytes. Source: the GraphQL-over-HTTP specification (draft), "Response".

Invariant: a client that does not speak of `application/graphql-response+json` reads 200 for whatever is well-formed GraphQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import AdmissionError, LimitReached, Quota, RequestError, Unauthenticated
from ..execution import GraphQLResult
from ..execution.freshness import Freshness
from .caching import cache_control, is_known, tag_of
from .compression import Compression, compressed
from .negotiation import GRAPHQL_RESPONSE, JSON
from .parameters import BodyTimeout

READING = frozenset({"GET", "HEAD"})
"""Methods that ask for queries only."""

ALLOWED = b"GET, HEAD, POST, OPTIONS"

OK = 200
NOT_MODIFIED = 304
PARTIAL = 294
"""The specification's word for data with errors beside it."""


class MethodNotAllowed(RequestError):
    status = 405


class Response(NamedTuple):
    """What is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Responses:
    """Makes them for one application."""

    def __init__(
        self, *, partial: int = OK, compression: Compression | None = None, varies: Sequence[bytes] = ()
    ) -> None:
        """`partial`: the status of data with errors beside it, for who speaks of `application/graphql-response+json`. `varies`: the
        headers that say who is calling, besides Authorization.
        """
        self._partial = partial
        self._compression = compression
        codings = [] if compression is None else [b"accept-encoding"]
        told = b", ".join([b"accept", *codings, b"authorization", *varies])
        self._always = {media_type: _always(media_type, told) for media_type in (GRAPHQL_RESPONSE, JSON)}

    async def of(self, result: GraphQLResult, media_type: str, *, method: str, headers: Mapping[str, str]) -> Response:
        """`method`, `headers`: of the request. Raises: Unwritable."""
        body, status = result.encoded(), self._status(result, media_type)
        coding = None
        if self._compression is not None:
            coding = self._compression.coding(body, headers.get("accept-encoding"))
        told = [*self._always[media_type]]
        if status >= 400:
            told += refusal(result.status, method, headers, later=result.retry_after)
            told += quota_headers(result.quota)
        elif result.freshness is not None and method in READING:
            tag = tag_of(body, media_type, coding)
            told = self._kept(result.freshness, media_type, tag)
            if is_known(tag, headers.get("if-none-match")):
                return Response(NOT_MODIFIED, told, b"")
        else:  # what may be kept is told to others, too
            told += quota_headers(result.quota)
        if coding is not None:
            told.append((b"content-encoding", coding.name.encode()))
            body = await compressed(body, coding)
        told.append((b"content-length", b"%d" % len(body)))
        return Response(status, told, b"" if method == "HEAD" else body)

    def _kept(self, freshness: Freshness, media_type: str, tag: bytes) -> list[tuple[bytes, bytes]]:
        """Cookies are among what it varies by: an authenticator may read them."""
        told = dict(self._always[media_type])
        told[b"cache-control"] = cache_control(freshness)
        told[b"vary"] += b", cookie"
        told[b"etag"] = tag
        return list(told.items())

    def _status(self, result: GraphQLResult, media_type: str) -> int:
        """Old clients get 200 for whatever is well-formed GraphQL, even if it is refused."""
        if not result.errors:
            return result.status
        if media_type == JSON:
            return OK if result.is_request_error and result.code in _GRAPHQL_CODES else result.status
        return self._partial if result.tree is not None and result.status == OK else result.status


_LATER = frozenset({AdmissionError.status, LimitReached.status})
"""Statuses that say when to come back."""

_GRAPHQL_CODES = frozenset(
    {
        "BAD_USER_INPUT",
        "GRAPHQL_PARSE_FAILED",
        "GRAPHQL_VALIDATION_FAILED",
        "PERSISTED_DOCUMENT_NOT_FOUND",
        "PERSISTED_QUERY_NOT_FOUND",
        "PERSISTED_QUERY_NOT_SUPPORTED",
    }
)


def _always(media_type: str, varies: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", varies),
    )


def quota_headers(quota: Quota | None) -> list[tuple[bytes, bytes]]:
    """What a client may take and has left. Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4."""
    if quota is None:
        return []
    name = quota.policy.encode()
    return [
        (b"ratelimit-policy", b'"%s";q=%d;w=%d' % (name, quota.burst, quota.window)),
        (b"ratelimit", b'"%s";r=%d;t=%d' % (name, quota.remaining, quota.reset)),
    ]


def refusal(status: int, method: str, headers: Mapping[str, str], *, later: int = 1) -> Iterator[tuple[bytes, bytes]]:
    """What a client can do about it. Source of the challenge: RFC 6750, 3: an error is named to those only who showed a token."""
    if status in _LATER:
        yield b"retry-after", b"%d" % later
    if status == Unauthenticated.status:
        yield b"www-authenticate", b'Bearer error="invalid_token"' if "authorization" in headers else b"Bearer"
    if status == MethodNotAllowed.status:
        yield b"allow", b"POST" if method in READING else ALLOWED
    if status == BodyTimeout.status:
        yield b"connection", b"close"  # what is still to come of the body is no request
