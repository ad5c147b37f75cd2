"""Which headers go to a service: the client's that it declares, and constants of its own.

Invariants: what is not declared is not sent; a header that concerns one connection, or that is written here, is never taken from
anybody else; credentials go on only where they are named, letter by letter; no value breaks the line it stands in. A service's
response headers never flow back: a GraphQL answer has its own.
Source: RFC 9110, 5.5 (what a value may hold) and 7.6.1 (Connection, and what a proxy must drop).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They concern one connection, so they end with it."""

WRITTEN_HERE = frozenset(
    {
        "accept-encoding",
        "content-length",
        "host",
        "idempotency-key",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-request-priority",
        "x-request-timeout-ms",
        "x-sagaql-faults",
    }
)
"""What the gateway says itself, or keeps to itself: a client's word in its place would be a lie."""

NEVER_GIVEN = HOP_BY_HOP | WRITTEN_HERE
"""What the wire takes from nobody."""

_OF_THIS_REQUEST = frozenset(
    {
        "accept",
        "accept-charset",
        "content-digest",
        "content-encoding",
        "content-language",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "digest",
        "expect",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "repr-digest",
    }
)
"""They describe the GraphQL request, or its answer: of a service's own they would say what is not so."""

CREDENTIALS = frozenset(
    {
        "api-key",
        "authorization",
        "cookie",
        "dpop",
        "x-access-token",
        "x-amz-security-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-forwarded-access-token",
        "x-goog-api-key",
        "x-goog-iap-jwt-assertion",
        "x-xsrf-token",
    }
)
"""Whoever has them can act as the client: no pattern matches them."""

_UNMATCHED = NEVER_GIVEN | _OF_THIS_REQUEST | CREDENTIALS

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_PATTERN = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]+-\*").fullmatch
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch


@dataclass(frozen=True, slots=True)
class SetHeader:
    """A constant that goes with every attempt. The value may be a secret: no text of ours shows it."""

    name: str
    """In lower case."""
    value: str = field(repr=False)

    def __str__(self) -> str:
        return self.name


def require_usable(name: str) -> None:
    """Raises: ValueError for a header, in lower case, that cannot say who is calling: it says something else already."""
    if not is_token(name) or name in _UNMATCHED:
        raise ValueError(f"{name!r} cannot say who is calling: take a name of your own, such as x-user-id")


def require_forwardable(patterns: Sequence[str]) -> None:
    """Raises: ValueError for a name or pattern, in lower case, that must not be forwarded to a service."""
    for pattern in patterns:
        if (problem := _problem(pattern)) is not None:
            raise ValueError(f"send_headers names {pattern!r}: {problem}")


def require_settable(headers: Sequence[SetHeader], *, forwarded: Sequence[str]) -> None:
    """Raises: ValueError for a constant that cannot be sent, or that a client's header would contradict. Shows no value."""
    matches = names_in(tuple(forwarded))
    seen: set[str] = set()
    for each in headers:
        if (problem := _set_problem(each, is_forwarded=matches(each.name), is_again=each.name in seen)) is not None:
            raise ValueError(f"set_headers names {each.name!r}: {problem}")
        seen.add(each.name)


@lru_cache(1024)
def names_in(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a name, in lower case, is one of `patterns`: a whole name, or `x-tenant-*` for all that begin so.

    A pattern matches no credentials and nothing that must not be forwarded.
    """
    exact = frozenset(each for each in patterns if not each.endswith("*"))
    prefixes = tuple(each.removesuffix("*") for each in patterns if each.endswith("*"))
    if not prefixes:
        return exact.__contains__
    return lambda name: name in exact or (name.startswith(prefixes) and name not in _UNMATCHED)


def named_by_connection(values: Sequence[str]) -> frozenset[str]:
    """The headers, in lower case, that Connection headers with these values bind to the client's connection to us."""
    return frozenset(name.strip().lower() for value in values for name in value.split(","))


def is_token(text: str) -> bool:
    """Whether a method, or a header's name, may be written so (RFC 9110, 5.6.2)."""
    return _TOKEN(text) is not None


def is_sendable(name: str, value: str) -> bool:
    """Whether name and value fit a header's line: nothing in them ends it."""
    return is_token(name) and _VALUE(value) is not None


def _problem(pattern: str) -> str | None:
    if "*" in pattern:
        if _PATTERN(pattern) is None:
            return "a pattern is a beginning that ends with a dash, and then *, as in x-tenant-*"
        return None
    if pattern in HOP_BY_HOP:
        return "it concerns the client's connection to us and ends there: leave it out"
    if pattern in WRITTEN_HERE:
        return "the gateway writes it itself, or keeps it: leave it out"
    if pattern in _OF_THIS_REQUEST:
        return "it describes the GraphQL request, and would be wrong of the service's: leave it out"
    return None if _TOKEN(pattern) else "that is not the name of a header"


def _set_problem(header: SetHeader, *, is_forwarded: bool, is_again: bool) -> str | None:
    if header.name in NEVER_GIVEN:
        return "the gateway writes it itself, or it concerns a connection: leave it out"
    if is_again:
        return "twice, once in other letters: names are the same in upper and lower case"
    if is_forwarded:
        return "send_headers forwards the client's of that name: only one of them can be sent"
    if not header.value:
        return "its value is empty: give it one, or leave it out"
    if not is_sendable(header.name, header.value):
        return "its name or value cannot stand in a header's line: no line break, no control character, Latin-1 only"
    return None
