"""The taxonomy: what a client reads of each error, and that codes are what they seem."""

from __future__ import annotations

from gateway.errors import (
    AdmissionError,
    BadUserInput,
    Blame,
    DeadlineExceeded,
    GatewayError,
    InternalError,
    LimitReached,
    RequestError,
    ServiceError,
    ServiceRefused,
    ServiceTimeout,
    Violation,
    as_extensions,
    taxonomy,
)

CODES = {
    "BAD_REQUEST",
    "PAYLOAD_TOO_LARGE",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "BAD_USER_INPUT",
    "UNAUTHENTICATED",
    "FORBIDDEN",
    "OVERLOADED",
    "DRAINING",
    "DEADLINE_EXCEEDED",
    "SERVICE_UNAVAILABLE",
    "SERVICE_TIMEOUT",
    "SERVICE_REFUSED",
    "SERVICE_CONTRACT_BROKEN",
    "SERVICE_BREAKER_OPEN",
    "SERVICE_BULKHEAD_FULL",
    "SAGAS_UNAVAILABLE",
    "SAGA_NOT_FOUND",
    "INTERNAL_SERVER_ERROR",
}


def test_the_table_has_each_code_once_with_its_meaning() -> None:
    codes = [each.code for each in taxonomy()]
    assert len(codes) == len(set(codes))
    assert set(codes) >= CODES
    assert all(each.meaning.endswith(".") for each in taxonomy())


def test_a_client_is_never_told_to_repeat_what_it_must_change() -> None:
    for each in taxonomy():
        if issubclass(each, RequestError):
            assert (each.blame, each.retryable) == (Blame.CLIENT, False)
        if issubclass(each, AdmissionError):
            assert (each.retryable, each.status) == (True, 429 if issubclass(each, LimitReached) else 503)


def test_extensions_say_code_and_whether_to_try_again() -> None:
    assert DeadlineExceeded("late").extensions() == {"code": "DEADLINE_EXCEEDED", "retryable": True}
    assert as_extensions(InternalError("x"), {"traceId": "t"}) == {
        "code": "INTERNAL_SERVER_ERROR",
        "retryable": False,
        "traceId": "t",
    }


def test_an_error_of_a_service_names_it() -> None:
    assert ServiceTimeout("slow", service="catalog").extensions()["service"] == "catalog"


def test_a_refusal_did_nothing_and_nobody_knows_of_a_timeout() -> None:
    assert ServiceRefused("no", service="s", http_status=404).applied is False
    assert ServiceTimeout("slow", service="s").applied is None


def test_violations_stand_in_the_extensions_only_if_there_are_any() -> None:
    violation = Violation(("input", "lines", 0), "must be even", "even")
    assert BadUserInput("x", violations=[violation]).extensions()["violations"] == [
        {"path": ["input", "lines", 0], "message": "must be even", "rule": "even"}
    ]
    assert "violations" not in BadUserInput("x").extensions()


def test_every_error_is_one_of_ours_and_carries_its_message() -> None:
    assert issubclass(ServiceError, GatewayError)
    assert (str(GatewayError("text")), GatewayError("text").message) == ("text", "text")
