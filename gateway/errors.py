"""The one taxonomy of what can go wrong: code, blame, retryable, HTTP status.

Invariant: whatever a client reads in `errors[].extensions.code` is a code of a class below; policies branch on `retryable`,
never on class names. A foreign exception is translated once, where it crosses our border, with `raise ... from`.
A business refusal is not here: it is data, a member of a mutation's payload union.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple


class Blame(StrEnum):
    """Whose move it is when this error appears."""

    CLIENT = "client"
    GATEWAY = "gateway"
    SERVICE = "service"


class GatewayError(Exception):
    """Root of the taxonomy. `message` is written for the client: it never holds a secret, an address or a foreign text."""

    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"
    blame: ClassVar[Blame] = Blame.GATEWAY
    retryable: ClassVar[bool] = False
    status: ClassVar[int] = 500
    meaning: ClassVar[str] = ""
    """One sentence for the table of errors in the README."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def extensions(self) -> dict[str, Any]:
        """What stands beside the message in `errors[].extensions`."""
        return {"code": self.code, "retryable": self.retryable}


# -- the client's requests ---------------------------------------------------------------------------------------------


class RequestError(GatewayError):
    """The client must change the request; sending it again cannot help."""

    code = "BAD_REQUEST"
    blame = Blame.CLIENT
    status = 400
    meaning = "The HTTP request is not GraphQL over HTTP: its body, headers or parameters are malformed."


class PayloadTooLarge(RequestError):
    code = "PAYLOAD_TOO_LARGE"
    status = 413
    meaning = "The request's body is larger than `server.max_body`."


class ParseFailed(RequestError):
    code = "GRAPHQL_PARSE_FAILED"
    meaning = "The document is not GraphQL; `locations` says where."


class ValidationFailed(RequestError):
    code = "GRAPHQL_VALIDATION_FAILED"
    meaning = "The document does not fit the schema; nothing was executed."


class PersistedDocumentNotFound(RequestError):
    code = "PERSISTED_DOCUMENT_NOT_FOUND"
    status = 404
    meaning = "No trusted document has the `documentId`; nothing was executed."


class PersistedQueryNotFound(RequestError):
    code = "PERSISTED_QUERY_NOT_FOUND"
    status = 404
    meaning = "The hash of `extensions.persistedQuery` is not known here (any more): send the text with it."


class PersistedQueryNotSupported(RequestError):
    code = "PERSISTED_QUERY_NOT_SUPPORTED"
    meaning = "Clients cannot have texts kept here (`operation.persisted`): send the text alone."


class DocumentNotTrusted(RequestError):
    code = "DOCUMENT_NOT_TRUSTED"
    status = 403
    meaning = "Only trusted documents are served here, and this is none of them."


class OperationTooExpensive(RequestError):
    code = "OPERATION_TOO_EXPENSIVE"
    meaning = (
        "The operation is estimated to cost more than `operation.max_cost`; nothing was called. Ask for less at once."
    )

    def __init__(self, *, estimated: int, limit: int) -> None:
        super().__init__(
            f"the operation is estimated to cost {estimated}, and {limit} is the most that is taken here: "
            "ask for shorter lists, or for less below them"
        )
        self.estimated, self.limit = estimated, limit

    def extensions(self) -> dict[str, Any]:
        return super().extensions() | {"cost": {"estimated": self.estimated, "limit": self.limit}}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken domain rule. `path` starts at the field's argument: ("input", "lines", 0, "quantity")."""

    path: tuple[str | int, ...]
    message: str
    rule: str

    def as_json(self) -> dict[str, Any]:
        return {"path": list(self.path), "message": self.message, "rule": self.rule}


class BadUserInput(RequestError):
    """A value fits its GraphQL type and still breaks a rule; all violations at once."""

    code = "BAD_USER_INPUT"
    status = 200
    meaning = "A value breaks a domain rule or names nothing; `extensions.violations` lists all of them with paths."

    def __init__(self, message: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.violations = tuple(violations)

    def extensions(self) -> dict[str, Any]:
        extensions = super().extensions()
        if self.violations:
            extensions["violations"] = [violation.as_json() for violation in self.violations]
        return extensions


class Unauthenticated(RequestError):
    code = "UNAUTHENTICATED"
    status = 401
    meaning = "The field needs a caller who is known, or the token sent is not valid."


class Forbidden(RequestError):
    code = "FORBIDDEN"
    status = 403
    meaning = "The caller is known and may not have this."


# -- admission ---------------------------------------------------------------------------------------------------------


class AdmissionError(GatewayError):
    """We refuse on purpose, before any work; the same request may pass later: in `retry_after` whole seconds."""

    retryable = True
    status = 503

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(AdmissionError):
    """`retry_after` is a little different for each, so that those who are refused together do not come back together."""

    code = "OVERLOADED"
    meaning = "The gateway already runs as many operations as it may; try after `Retry-After`."


class Draining(AdmissionError):
    code = "DRAINING"
    meaning = "This gateway is shutting down; another instance, or the same one a moment later, will answer."


class AuthenticationUnavailable(AdmissionError):
    code = "AUTHENTICATION_UNAVAILABLE"
    meaning = "The token may be good, and cannot be verified now: its issuer's keys are not to be had."


class Quota(NamedTuple):
    """What a client may take and has left, in points of cost and whole seconds."""

    policy: str
    burst: int
    window: int
    """Seconds in which a whole burst is there again."""
    remaining: int
    reset: int
    """Seconds until it is."""


class LimitReached(AdmissionError):
    """A limit of one client, and not of the gateway."""

    blame = Blame.CLIENT
    status = 429

    def extensions(self) -> dict[str, Any]:
        return super().extensions() | {"retryAfter": self.retry_after}


class RateLimited(LimitReached):
    code = "RATE_LIMITED"
    meaning = "The client has taken what its rate limit allows, by cost; there is enough again after `Retry-After`."

    def __init__(self, message: str, *, retry_after: int, quota: Quota) -> None:
        super().__init__(message, retry_after=retry_after)
        self.quota = quota


class TooManyOperations(LimitReached):
    code = "TOO_MANY_OPERATIONS"
    meaning = "The client has as many operations under way as it may have at once: wait for one to end."


class TooManySubscriptions(LimitReached):
    code = "TOO_MANY_SUBSCRIPTIONS"
    meaning = (
        "The client has as many subscriptions as it may have at once: end one, or wait until a lost one is noticed."
    )


class RateLimitUnavailable(AdmissionError):
    code = "RATE_LIMIT_UNAVAILABLE"
    meaning = (
        "What the client has taken cannot be found out now, and nothing is served without "
        "(`limits.when_unreachable` is closed)."
    )


class DeadlineExceeded(GatewayError):
    """The operation's own deadline passed; what was ready is in the answer. `service`: whom it was waiting for, if anybody."""

    code = "DEADLINE_EXCEEDED"
    retryable = True
    status = 504
    meaning = "The operation's deadline passed before this field was ready; the rest of the answer stands."

    def __init__(self, message: str, *, service: str | None = None) -> None:
        super().__init__(message)
        self.service = service

    def extensions(self) -> dict[str, Any]:
        return super().extensions() | ({"service": self.service} if self.service else {})


# -- services ----------------------------------------------------------------------------------------------------------


class ServiceError(GatewayError):
    """A service did not give what was asked of it.

    `applied` tells a saga what it must assume: False means that the service certainly did nothing (refused before the request
    was sent, or a definite answer); None means that nobody here can tell.
    """

    code = "SERVICE_UNAVAILABLE"
    blame = Blame.SERVICE
    retryable = True
    status = 502

    def __init__(self, message: str, *, service: str, applied: bool | None = None) -> None:
        super().__init__(message)
        self.service = service
        self.applied = applied

    def extensions(self) -> dict[str, Any]:
        return {**super().extensions(), "service": self.service}


class ServiceUnavailable(ServiceError):
    """Connection refused or reset, or an answer that says "not now" (5xx, 429); `http_status` where there was one."""

    meaning = "The service could not be reached, or answered 5xx or 429."

    def __init__(
        self,
        message: str,
        *,
        service: str,
        applied: bool | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, service=service, applied=applied)
        self.http_status = http_status
        self.retry_after = retry_after


class ServiceTimeout(ServiceError):
    code = "SERVICE_TIMEOUT"
    status = 504
    meaning = "The service did not answer within its attempt timeout."


class ServiceRefused(ServiceError):
    """A definite 4xx. `reason` is the service's own machine-readable code, where it gave one."""

    code = "SERVICE_REFUSED"
    retryable = False
    meaning = "The service refused the request (4xx): the gateway and the service disagree."

    def __init__(self, message: str, *, service: str, http_status: int, reason: str | None = None) -> None:
        super().__init__(message, service=service, applied=False)
        self.http_status = http_status
        self.reason = reason


class ServiceContractBroken(ServiceError):
    code = "SERVICE_CONTRACT_BROKEN"
    retryable = False
    meaning = "The service's answer does not have the shape that was agreed; none of it was used."


class ServiceBreakerOpen(ServiceError):
    code = "SERVICE_BREAKER_OPEN"
    status = 503
    meaning = "The service failed so often that it is left alone for a moment; nothing was sent."


class ServiceBulkheadFull(ServiceError):
    code = "SERVICE_BULKHEAD_FULL"
    status = 503
    meaning = "Too many calls to this service are under way; nothing was sent."


class SourcesUndecided(ServiceError):
    """Several services tell one fact, and the declared rule cannot say who is right. `service` is the first of them."""

    code = "SERVICE_SOURCES_UNDECIDED"
    meaning = "Services disagree about this field and its rule cannot decide, or its authority did not answer."

    def __init__(self, message: str, *, services: Sequence[str]) -> None:
        super().__init__(message, service=services[0])
        self.services = tuple(services)

    def extensions(self) -> dict[str, Any]:
        return {**super().extensions(), "services": list(self.services)}


# -- sagas -------------------------------------------------------------------------------------------------------------


class SagaError(GatewayError):
    """The saga engine cannot take this now."""

    status = 503


class SagasUnavailable(SagaError):
    code = "SAGAS_UNAVAILABLE"
    retryable = True
    meaning = "The journal cannot be written, so nothing was begun; queries go on."


class SagaNotFound(SagaError):
    code = "SAGA_NOT_FOUND"
    blame = Blame.CLIENT
    status = 404
    meaning = "There is no such saga, or it is not yours to see."


# -- us ----------------------------------------------------------------------------------------------------------------


class InternalError(GatewayError):
    """Our own bug, masked: the client reads a trace id, the log has the rest."""

    meaning = "A bug of ours; the message is masked, and `extensions.traceId` finds it in the logs."


def taxonomy() -> Iterator[type[GatewayError]]:
    """Every class that carries a code of its own, in the order of this file."""
    yield from _with_meaning(GatewayError)


def _with_meaning(parent: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for child in parent.__subclasses__():
        if "meaning" in vars(child):
            yield child
        yield from _with_meaning(child)


def as_extensions(error: GatewayError, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`errors[].extensions` of `error`, with `extra` (a trace id) beside it."""
    return {**error.extensions(), **(extra or {})}
