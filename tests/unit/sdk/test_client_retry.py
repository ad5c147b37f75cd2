"""When the Python SDK tries again, and how long it waits: decided without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagaql_client import GraphError, NoAnswer, Retry
from sagaql_client.transport import read, seconds_of

RETRY = Retry(attempts=4, base=0.1, cap=3.0)


@given(failed=st.integers(1, 100), jitter=st.floats(0, 1, exclude_max=True), floor=st.floats(0, 60))
def test_a_wait_is_the_floor_and_full_jitter_below_a_cap_that_doubles(failed: int, jitter: float, floor: float) -> None:
    wait = RETRY.wait(failed, jitter=jitter, floor=floor)

    assert floor <= wait <= floor + min(3.0, 0.1 * 2.0 ** min(failed - 1, 64))


def test_those_who_were_sent_away_together_do_not_come_back_together() -> None:
    assert RETRY.wait(3, jitter=0.0, floor=1.0) == 1.0
    assert RETRY.wait(3, jitter=0.5, floor=1.0) == pytest.approx(1.2)


def test_a_wait_that_would_reach_the_deadline_is_none() -> None:
    assert RETRY.next_wait(1, jitter=0.5, floor=1.0, left=1.05, patient=True) is None
    assert RETRY.next_wait(1, jitter=0.5, floor=1.0, left=1.06, patient=True) == pytest.approx(1.05)


def test_only_who_is_patient_goes_on_after_the_last_attempt() -> None:
    assert RETRY.next_wait(4, jitter=0.5, floor=0, left=60, patient=False) is None
    assert RETRY.next_wait(4, jitter=0.5, floor=0, left=60, patient=True) == pytest.approx(0.4)


@pytest.mark.parametrize(("attempts", "base", "cap"), [(0, 0.1, 1.0), (3, 2.0, 1.0), (3, 0.0, 1.0)])
def test_a_policy_that_cannot_be_is_refused(attempts: int, base: float, cap: float) -> None:
    with pytest.raises(ValueError, match=r"must hold|at least 1"):
        Retry(attempts=attempts, base=base, cap=cap)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("3", 3.0),
        (" 3 ", 3.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float) -> None:
    assert seconds_of(header, now=60.0) == seconds


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_a_proxy_says_of_not_now_may_be_tried_again(status: int) -> None:
    with pytest.raises(NoAnswer) as told:
        read(status, b"<html>bad gateway</html>", retry_after="2")
    assert (told.value.retryable, told.value.retry_after, told.value.status) == (True, 2.0, status)


@pytest.mark.parametrize(("status", "content"), [(404, b"not found"), (200, b"[]"), (200, b'{"data": null}')])
def test_what_is_no_graphql_and_says_nothing_of_later_is_not_tried_again(status: int, content: bytes) -> None:
    with pytest.raises(NoAnswer) as told:
        read(status, content, retry_after=None)
    assert not told.value.retryable


def test_an_error_without_data_is_as_retryable_as_it_says() -> None:
    told = []
    for retryable in ("true", "false", "null"):
        body = (
            f'{{"data": null, "errors": [{{"message": "m", "extensions": {{"code": "X", "retryable": {retryable}}}}}]}}'
        )
        with pytest.raises(GraphError) as raised:
            read(200, body.encode(), retry_after=None)
        told.append(raised.value.retryable)
    assert told == [True, False, False]


def test_partial_data_is_an_answer() -> None:
    body = (
        b'{"data": {"a": null}, "errors": [{"message": "m", "path": ["a"], "extensions": {"code": "SERVICE_TIMEOUT"}}]}'
    )
    answer = read(200, body, retry_after=None)
    assert answer.data == {"a": None}
    assert [(each.code, each.path) for each in answer.errors] == [("SERVICE_TIMEOUT", ("a",))]
