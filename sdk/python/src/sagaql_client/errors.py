"""What can go wrong, as classes: one for each code of the gateway's taxonomy, and those that only a client can meet.

Invariants: every code that a gateway tells has a class here (a test compares them), and a code of a newer gateway is a plain
`GraphError`; whether something may be tried again is what the answer says, never what a class is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class SagaQLError(Exception):
    """Root of all. `key`: of the mutation that it ended, if it was one; the same call with it can never do anything twice."""

    retryable: bool = False
    retry_after: float = 0.0
    """Seconds that the gateway asked to be left alone for."""
    key: str | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


# -- no answer ---------------------------------------------------------------------------------------------------------


class NoAnswer(SagaQLError):
    """Nothing came, or nothing that is GraphQL: refused, dropped, out of time; `status` if something else answered."""

    def __init__(self, message: str, *, status: int | None = None, retryable: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable


class NotSettled(SagaQLError):
    """The deadline passed before a saga's end was known; whatever was begun goes on. `__cause__` is the last failure.

    The same call with `key=error.key` finds out what became of it. `saga_id`: None if not even the beginning was confirmed.
    """

    retryable = True

    def __init__(self, message: str, *, key: str, saga_id: str | None) -> None:
        super().__init__(message)
        self.key = key
        self.saga_id = saga_id


# -- how a saga ended --------------------------------------------------------------------------------------------------


class SagaEnded(SagaQLError):
    """A mutation that was taken, and did not do what was asked."""

    def __init__(self, message: str, *, saga_id: str, status: str) -> None:
        super().__init__(message)
        self.saga_id = saga_id
        self.status = status


class Rejected(SagaEnded):
    """The business said no, as `code`; nothing of it remains."""

    def __init__(self, message: str, *, saga_id: str, status: str, code: str) -> None:
        super().__init__(message, saga_id=saga_id, status=status)
        self.code = code


class Failed(SagaEnded):
    """It did not work, and what had been done is undone: the steps `undone`."""

    def __init__(self, message: str, *, saga_id: str, status: str, code: str, undone: tuple[str, ...]) -> None:
        super().__init__(message, saga_id=saga_id, status=status)
        self.code = code
        self.undone = undone


class NeedsAttention(SagaEnded):
    """It waits for a person; nothing is lost. The same call with the same key tells later what became of it."""

    def __init__(self, message: str, *, saga_id: str, status: str, code: str) -> None:
        super().__init__(message, saga_id=saga_id, status=status)
        self.code = code


class Conflict(SagaEnded):
    """The key was used before with another input; nothing was begun. A new intent needs a new key."""


# -- errors[].extensions.code ------------------------------------------------------------------------------------------


class GraphError(SagaQLError):
    """One entry of `errors`. A code that this version does not know is of this very class."""

    codes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, entry: Mapping[str, Any]) -> None:
        super().__init__(str(entry.get("message", "")))
        extensions: Mapping[str, Any] = entry.get("extensions") or {}
        self.extensions = extensions
        self.code = str(extensions.get("code", ""))
        self.path: tuple[str | int, ...] = tuple(entry.get("path") or ())
        self.retryable = extensions.get("retryable") is True
        later = extensions.get("retryAfter")
        self.retry_after = float(later) if isinstance(later, int | float) else 0.0
        self.service: str | None = extensions.get("service")
        """Which service failed, where one did."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.code else self.message


class BadRequest(GraphError):
    """The request itself must be changed."""

    codes = ("BAD_REQUEST",)


class PayloadTooLarge(BadRequest):
    codes = ("PAYLOAD_TOO_LARGE",)


class ParseFailed(BadRequest):
    codes = ("GRAPHQL_PARSE_FAILED",)


class ValidationFailed(BadRequest):
    """The operation does not fit the gateway's schema: this client was generated from another one."""

    codes = ("GRAPHQL_VALIDATION_FAILED",)


class BadUserInput(BadRequest):
    """Values break rules; `violations` lists all of them: {"path", "message", "rule"}."""

    codes = ("BAD_USER_INPUT",)

    @property
    def violations(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.extensions.get("violations") or ())


class PersistedDocumentNotFound(BadRequest):
    codes = ("PERSISTED_DOCUMENT_NOT_FOUND",)


class PersistedQueryNotFound(BadRequest):
    codes = ("PERSISTED_QUERY_NOT_FOUND",)


class PersistedQueryNotSupported(BadRequest):
    codes = ("PERSISTED_QUERY_NOT_SUPPORTED",)


class DocumentNotTrusted(BadRequest):
    codes = ("DOCUMENT_NOT_TRUSTED",)


class OperationTooExpensive(BadRequest):
    codes = ("OPERATION_TOO_EXPENSIVE",)


class Unauthenticated(BadRequest):
    codes = ("UNAUTHENTICATED",)


class Forbidden(BadRequest):
    codes = ("FORBIDDEN",)


class Overloaded(GraphError):
    codes = ("OVERLOADED",)


class Draining(GraphError):
    codes = ("DRAINING",)


class AuthenticationUnavailable(GraphError):
    """The gateway cannot verify the token now; it may be good."""

    codes = ("AUTHENTICATION_UNAVAILABLE",)


class LimitReached(GraphError):
    """A limit of this client's, and not of the gateway; `retry_after` says when to come back."""


class RateLimited(LimitReached):
    codes = ("RATE_LIMITED",)


class TooManyOperations(LimitReached):
    codes = ("TOO_MANY_OPERATIONS",)


class TooManySubscriptions(LimitReached):
    codes = ("TOO_MANY_SUBSCRIPTIONS",)


class RateLimitUnavailable(GraphError):
    """The gateway cannot find out now what this client has taken."""

    codes = ("RATE_LIMIT_UNAVAILABLE",)


class DeadlineExceeded(GraphError):
    """The gateway ran out of the time that it was given."""

    codes = ("DEADLINE_EXCEEDED",)


class ServiceFailed(GraphError):
    """A service did not give what was asked of it; `service` names it."""


class ServiceUnavailable(ServiceFailed):
    codes = ("SERVICE_UNAVAILABLE",)


class ServiceTimeout(ServiceFailed):
    codes = ("SERVICE_TIMEOUT",)


class ServiceRefused(ServiceFailed):
    codes = ("SERVICE_REFUSED",)


class ServiceContractBroken(ServiceFailed):
    codes = ("SERVICE_CONTRACT_BROKEN",)


class ServiceBreakerOpen(ServiceFailed):
    codes = ("SERVICE_BREAKER_OPEN",)


class ServiceBulkheadFull(ServiceFailed):
    codes = ("SERVICE_BULKHEAD_FULL",)


class SourcesUndecided(ServiceFailed):
    """Services disagree; `services` names them."""

    codes = ("SERVICE_SOURCES_UNDECIDED",)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self.extensions.get("services") or ())


class SagasUnavailable(GraphError):
    """The journal cannot be written, so nothing was begun."""

    codes = ("SAGAS_UNAVAILABLE",)


class SagaNotFound(GraphError):
    codes = ("SAGA_NOT_FOUND",)


class InternalError(GraphError):
    """A bug of the gateway's; its operators find it by `trace_id`."""

    codes = ("INTERNAL_SERVER_ERROR",)

    @property
    def trace_id(self) -> str | None:
        trace_id: str | None = self.extensions.get("traceId")
        return trace_id


def graph_error(entry: Mapping[str, Any]) -> GraphError:
    """The entry as the class of its code."""
    code = (entry.get("extensions") or {}).get("code")
    return BY_CODE.get(code, GraphError)(entry)


def _all(parent: type[GraphError]) -> Iterator[type[GraphError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _all(child)


BY_CODE: Mapping[Any, type[GraphError]] = {
    code: each for each in _all(GraphError) for code in vars(each).get("codes", ())
}
