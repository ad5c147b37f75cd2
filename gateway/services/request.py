"""What goes to a service and what comes back, and the one shape that everything between them has.

Invariant: every policy is Handler → Handler and hands the request on unchanged or replaced, never mutated; so
policies stack in any order that the stack file declares, and know nothing of one another.
Source: tower's Service and Layer (Rust), httpcore's request and response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..clock import Deadline, Seconds

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NEVER = Deadline()


class Sharing(StrEnum):
    """With whom an answer may be shared by coalescing and caches."""

    PUBLIC = "public"
    """With everybody; identity headers are not sent, so sharing is safe by construction."""
    TENANT = "tenant"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRequest:
    """One request to a service, before anybody knows how many attempts it will take."""

    service: str
    method: str = "GET"
    path: str
    """Starts with a slash. Foreign text in it is percent-encoded by whoever put it there; `?` and `#` are sent
    encoded."""
    endpoint: str
    """The template, "GET /stock/{sku}": a metric label and the span's name, so it never holds an id."""
    query: tuple[tuple[str, str], ...] = ()
    """Decoded pairs, in the order in which they are sent."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    """Taken as JSON unless `headers` holds a Content-Type."""
    deadline: Deadline = _NEVER
    """Covers all attempts and the waits between them."""
    idempotency_key: str | None = None
    is_read: bool = False
    """A POST that changes nothing, such as a batch of keys too long for a URL."""
    may_retry: bool = True
    """False where whoever calls repeats by itself, as a saga does: two loops of retries would multiply."""
    attempt_timeout: Seconds | None = None
    """Overrides the service's own for this request; the deadline cuts it shorter, never longer."""

    @property
    def is_retryable(self) -> bool:
        """Whether sending it twice is the same as sending it once."""
        return self.is_read or self.idempotency_key is not None or self.method in _SAFE_METHODS


@dataclass(frozen=True, slots=True)
class ServiceResponse:
    """A complete answer; `body` is decompressed."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


Handler = Callable[[ServiceRequest], Awaitable[ServiceResponse]]
Policy = Callable[[Handler], Handler]
