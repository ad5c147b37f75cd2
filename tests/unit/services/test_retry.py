"""What is repeated, when, and what never is."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.clock import Seconds
from gateway.errors import (
    DeadlineExceeded,
    ServiceBreakerOpen,
    ServiceBulkheadFull,
    ServiceContractBroken,
    ServiceTimeout,
    ServiceUnavailable,
)
from gateway.services import Retry
from gateway.services.policies import BreakerSettings
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import ORDER, STOCK, broken_off, catalog, due, elapsed, measured, quiet, unreachable

KEYED = replace(ORDER, idempotency_key="k-1")


@in_virtual_time
async def test_a_read_is_tried_three_times_with_growing_random_waits() -> None:
    wire, telemetry = ScriptedWire(broken_off, broken_off, answer()), quiet()
    response = await catalog(wire, retry=Retry(), jitter=0.5, telemetry=telemetry).call(STOCK)
    assert response.status == 200
    assert wire.instants == pytest.approx([0.0, 0.025, 0.075])  # half of 50 ms, then half of 100 ms
    assert measured(telemetry, "sagaql_service_retries_total", {"service": "catalog"}) == 2


@in_virtual_time
async def test_the_last_error_is_raised_when_the_attempts_are_spent() -> None:
    wire = ScriptedWire(otherwise=broken_off)
    with pytest.raises(ServiceUnavailable):
        await catalog(wire, retry=Retry()).call(STOCK)
    assert len(wire.sent) == 3


@in_virtual_time
async def test_a_write_without_a_key_is_sent_once() -> None:
    wire = ScriptedWire(broken_off)
    with pytest.raises(ServiceUnavailable):
        await catalog(wire, retry=Retry()).call(ORDER)
    assert len(wire.sent) == 1


@in_virtual_time
async def test_whoever_repeats_by_itself_is_not_repeated_for() -> None:
    wire = ScriptedWire(broken_off, broken_off)
    for request in (KEYED, STOCK):
        with pytest.raises(ServiceUnavailable):
            await catalog(wire, retry=Retry()).call(replace(request, may_retry=False))
    assert len(wire.sent) == 2


@in_virtual_time
async def test_a_write_with_a_key_is_repeated_under_the_same_key() -> None:
    wire = ScriptedWire(broken_off, answer())
    await catalog(wire, retry=Retry()).call(KEYED)
    assert [request.idempotency_key for request in wire.requests] == ["k-1", "k-1"]


@pytest.mark.parametrize(
    "error", [ServiceContractBroken("", service="catalog"), ValueError("a bug of ours")], ids=["contract", "bug"]
)
@in_virtual_time
async def test_what_cannot_get_better_is_not_repeated(error: Exception) -> None:
    wire = ScriptedWire(error)
    with pytest.raises(type(error)):
        await catalog(wire, retry=Retry()).call(STOCK)
    assert len(wire.sent) == 1


@in_virtual_time
async def test_a_4xx_is_an_answer_and_not_repeated() -> None:
    wire = ScriptedWire(answer(status=409))
    assert (await catalog(wire, retry=Retry()).call(STOCK)).status == 409


@pytest.mark.parametrize("refusal", [ServiceBreakerOpen, ServiceBulkheadFull])
@in_virtual_time
async def test_a_local_refusal_is_not_repeated(refusal: type[ServiceBreakerOpen]) -> None:
    wire = ScriptedWire(refusal("", service="catalog", applied=False))
    with pytest.raises(refusal):
        await catalog(wire, retry=Retry()).call(STOCK)
    assert len(wire.sent) == 1


@in_virtual_time
async def test_retry_after_is_a_floor() -> None:
    wire = ScriptedWire(answer(status=503, headers={"retry-after": "2"}), answer())
    await catalog(wire, retry=Retry()).call(STOCK)
    assert wire.instants == [0.0, 2.0]


@in_virtual_time
async def test_a_service_that_asks_for_too_long_is_not_waited_for() -> None:
    wire = ScriptedWire(answer(status=503, headers={"retry-after": "3600"}))
    with pytest.raises(ServiceUnavailable):
        await catalog(wire, retry=Retry()).call(STOCK)
    assert elapsed() == 0


@in_virtual_time
async def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    wire = ScriptedWire(otherwise=answer(status=503, headers={"retry-after": "2"}))
    with pytest.raises(ServiceUnavailable):
        await catalog(wire, retry=Retry()).call(due(2.0))
    assert elapsed() == 0


@in_virtual_time
async def test_an_attempt_cut_by_the_deadline_is_not_repeated() -> None:
    wire = ScriptedWire(hang)
    with pytest.raises(DeadlineExceeded):
        await catalog(wire, retry=Retry()).call(due(1.0))
    assert len(wire.sent) == 1


@in_virtual_time
async def test_the_deadline_covers_all_attempts() -> None:
    wire = ScriptedWire(otherwise=hang)
    with pytest.raises(DeadlineExceeded):
        await catalog(wire, retry=Retry(), attempt_timeout=2.0).call(due(3.0))
    assert len(wire.sent) == 2
    assert elapsed() == 3.0


@in_virtual_time
async def test_a_cancellation_during_the_wait_ends_the_call() -> None:
    wire = ScriptedWire(otherwise=broken_off)
    call = asyncio.create_task(catalog(wire, retry=Retry()).call(STOCK))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert len(wire.sent) == 1


@in_virtual_time
async def test_not_applied_becomes_unknown_when_an_earlier_attempt_left_it_open() -> None:
    wire = ScriptedWire(broken_off, unreachable, unreachable)
    with pytest.raises(ServiceUnavailable) as caught:
        await catalog(wire, retry=Retry()).call(KEYED)
    assert caught.value.applied is None


@in_virtual_time
async def test_not_applied_stays_so_when_every_attempt_says_it() -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await catalog(ScriptedWire(otherwise=unreachable), retry=Retry()).call(KEYED)
    assert caught.value.applied is False


@in_virtual_time
async def test_an_open_breaker_after_a_timeout_does_not_claim_that_nothing_happened() -> None:
    client = catalog(ScriptedWire(hang), retry=Retry(), breaker=BreakerSettings(consecutive=1))
    with pytest.raises(ServiceBreakerOpen) as caught:
        await client.call(KEYED)
    assert caught.value.applied is None


@in_virtual_time
async def test_a_slow_attempt_is_repeated_and_the_second_may_win() -> None:
    wire = ScriptedWire(hang, after(0.1, answer()))
    assert (await catalog(wire, retry=Retry(), attempt_timeout=1.0).call(STOCK)).status == 200


@in_virtual_time
async def test_only_the_first_attempt_may_be_hedged() -> None:
    wire = ScriptedWire(broken_off, broken_off, answer())
    await catalog(wire, retry=Retry()).call(STOCK)
    assert [request.may_hedge for request in wire.requests] == [True, False, False]


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True), st.floats(0, 100))
def test_a_wait_lies_between_the_floor_and_the_cap(failed: int, jitter: float, floor: float) -> None:
    wait = Retry().wait(failed, jitter=jitter, floor=Seconds(floor))
    assert floor <= wait <= max(floor, 1.0)


def test_a_timeout_is_worth_a_retry() -> None:
    error = ServiceTimeout("", service="catalog")
    assert Retry().next_wait(error, failed=1, remaining=Seconds(9), jitter=0.5) == pytest.approx(0.025)


@pytest.mark.parametrize("values", [{"attempts": 0}, {"base": 2.0}, {"base": -1.0}])
def test_impossible_settings_fail_when_built(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Retry(**values)  # type: ignore[arg-type]
