"""An answer in one piece: its status, its headers, its bytes. Source: the GraphQL-over-HTTP specification (draft), "Response".

Invariant: a client that does not speak of `application/graphql-response+json` reads 200 for whatever is well-formed GraphQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import AdmissionError, RequestError, Unauthenticated
from ..execution import GraphQLResult
from .negotiation import GRAPHQL_RESPONSE, JSON
from .parameters import BodyTimeout

READING = frozenset({"GET", "HEAD"})
"""Methods that ask for queries only."""

ALLOWED = b"GET, HEAD, POST, OPTIONS"


class MethodNotAllowed(RequestError):
    status = 405


class Response(NamedTuple):
    """What is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def response_of(result: GraphQLResult, media_type: str, *, method: str) -> Response:
    """`method`: of the request. Raises: Unwritable."""
    body = result.encoded()
    headers = [*_headers(result, media_type, method=method), (b"content-length", b"%d" % len(body))]
    return Response(_status(result, media_type), headers, b"" if method == "HEAD" else body)


def _status(result: GraphQLResult, media_type: str) -> int:
    """Old clients get 200 for whatever is well-formed GraphQL, even if it is refused."""
    well_formed_but_wrong = result.is_request_error and result.code in _GRAPHQL_CODES
    return 200 if media_type == JSON and well_formed_but_wrong else result.status


_GRAPHQL_CODES = frozenset({"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"})


def _always(media_type: str) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"accept, authorization"),
    )


_ALWAYS = {media_type: _always(media_type) for media_type in (GRAPHQL_RESPONSE, JSON)}


def _headers(result: GraphQLResult, media_type: str, *, method: str) -> Iterator[tuple[bytes, bytes]]:
    yield from _ALWAYS[media_type]
    if result.status == AdmissionError.status:
        yield b"retry-after", b"1"
    if result.status == Unauthenticated.status:
        yield b"www-authenticate", b"Bearer"
    if result.status == MethodNotAllowed.status:
        yield b"allow", b"POST" if method in READING else ALLOWED
    if result.status == BodyTimeout.status:
        yield b"connection", b"close"  # what is still to come of the body is no request
