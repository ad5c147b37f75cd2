"""Which answers mean "not now", and how long the service asks for."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.services import AnsweredUnavailable, Outcome
from gateway.services.outcome import outcome_of
from gateway.services.policies.classify import classify, retry_after
from gateway.services.stack import over
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .calling import CLOCK, STOCK

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
@in_virtual_time
async def test_a_not_now_is_an_error_that_keeps_the_answer(status: int) -> None:
    wire = ScriptedWire(answer({"why": "busy"}, status=status, headers={"retry-after": "7"}))
    handle = classify("catalog", CLOCK)(over(wire))

    with pytest.raises(AnsweredUnavailable) as caught:
        await handle(STOCK)

    assert (caught.value.http_status, caught.value.retry_after, caught.value.applied) == (status, 7.0, None)
    assert caught.value.response.body == b'{"why":"busy"}'


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 409, 422, 499])
@in_virtual_time
async def test_every_other_answer_passes_as_an_answer(status: int) -> None:
    wire = ScriptedWire(answer(status=status))
    response = await classify("catalog", CLOCK)(over(wire))(STOCK)
    assert response.status == status


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("Thu, 01 Jan 2026 12:00:30 -0000", None),
        ("1.5", None),
        ("9" * 400, None),
        ("", None),
        ("Thu, 01 Jan 99999999999 12:00:00 GMT", None),
        ("Thu, 99999999999999999999 Jan 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_and_nonsense_is_nothing(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=NOON) == seconds


@given(st.lists(st.sampled_from(["Thu,", "01", "Jan", "2026", "12:00:00", "GMT", "-9999", "9" * 20, "99:99", ",", ""])))
def test_no_retry_after_whatever_it_says_becomes_another_exception(words: list[str]) -> None:
    seconds = retry_after(" ".join(words), now=NOON)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("status", "is_personal", "outcome"),
    [
        (429, True, Outcome.IGNORED),
        (429, False, Outcome.FAILURE),
        (503, True, Outcome.FAILURE),
        (503, False, Outcome.FAILURE),
    ],
)
@in_virtual_time
async def test_only_a_caller_s_own_quota_says_nothing_of_the_service(
    status: int, is_personal: bool, outcome: Outcome
) -> None:
    handle = classify("catalog", CLOCK)(over(ScriptedWire(answer(status=status))))
    with pytest.raises(AnsweredUnavailable) as caught:
        await handle(replace(STOCK, is_personal=is_personal))
    assert outcome_of(caught.value) is outcome
