"""What goes to a service and what comes back, and the one shape that everything between them has.

Invariant: every policy is Handler → Handler and hands the request on unchanged or replaced, never mutated; so
policies stack in any order that the stack file declares, and know nothing of one another. One thing of a call grows
while it runs: `tried`. Both are msgspec Structs, because building and replacing one is on every call's path (0.2 µs;
a frozen dataclass takes ten times as long).
Source: tower's Service and Layer (Rust), httpcore's request and response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from enum import IntEnum, StrEnum

import msgspec

from ..clock import Deadline, Seconds

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NEVER = Deadline()


class Sharing(StrEnum):
    """With whom an answer may be shared by coalescing and caches."""

    PUBLIC = "public"
    """With everybody; identity headers are not sent, so sharing is safe by construction."""
    TENANT = "tenant"
    IDENTITY = "identity"


class Priority(IntEnum):
    """Who is dropped first when there is too much: the lowest. Travels with the call, from the client to the service."""

    SHEDDABLE = 0
    """Nobody waits for it: a prefetch, a refresh of a cache."""
    NORMAL = 1
    CRITICAL = 2
    """Money or a promise hangs on it: the steps of sagas, and what a client may call so."""

    @property
    def word(self) -> str:
        """As it stands in the header: "critical"."""
        return self.name.lower()


class ServiceRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    priority: Priority = Priority.NORMAL
    share: Hashable = None
    """What identical reads must also have in common to be answered by one call: the sharing scope, and whatever has been
    written since. None: this read is never coalesced with another."""
    may_hedge: bool = True
    """False where the answer must be the service's newest, or the author said so. Writes are never hedged."""
    is_personal: bool = False
    """It speaks for one caller (identity headers go with it): a 429 is then about them and says nothing of the service."""
    faults: str | None = None
    """Faults of a game day for this operation, already verified: what `faults` understands."""
    instance: str | None = None
    """The address that was picked for this attempt: scheme, host, port and perhaps a path. Set by `balance`."""
    tried: list[str] = msgspec.field(default_factory=list[str])
    """Addresses that this call has tried so far, oldest first: shared by its attempts and hedges, written by `balance`
    alone."""
    waited: list[Seconds] = msgspec.field(default_factory=list[Seconds])
    """How long its attempts waited for permits, of those that had to: shared in the same way, written by `bulkhead` alone."""

    def __repr__(self) -> str:
        """Nothing of what it carries: path, query, headers and body may hold secrets."""
        return f"<ServiceRequest {self.service} {self.endpoint}>"

    @property
    def is_safe(self) -> bool:
        """Whether it changes nothing, so that it may be asked of two instances at once."""
        return self.is_read or self.method in _SAFE_METHODS

    @property
    def is_retryable(self) -> bool:
        """Whether sending it twice is the same as sending it once."""
        return self.idempotency_key is not None or self.is_safe


class ServiceResponse(msgspec.Struct, frozen=True, gc=False):
    """A complete answer; `body` is decompressed."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def __repr__(self) -> str:
        """Nothing of what it says, which may repeat what it was asked."""
        return f"<ServiceResponse {self.status}, {len(self.body)} bytes>"

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a body raises that is not what was agreed: another shape or no JSON, text that is no UTF-8, nested too deep."""

Handler = Callable[[ServiceRequest], Awaitable[ServiceResponse]]
Policy = Callable[[Handler], Handler]
"""One that has nothing to do for a request returns the inner handler's awaitable as it is: no coroutine stands in between."""
