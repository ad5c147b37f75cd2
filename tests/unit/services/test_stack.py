"""The order of the policies: each test fails when its neighbours are swapped."""

import asyncio

import pytest

from gateway.clock import Seconds
from gateway.errors import ServiceBreakerOpen, ServiceBulkheadFull, ServiceTimeout, ServiceUnavailable
from gateway.services import Handler, Policy, Retry, ServiceRequest, ServiceResponse
from gateway.services.policies import BreakerSettings, BulkheadSettings
from gateway.services.stack import compose
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import STOCK, broken_off, catalog, elapsed, measured, quiet

ATTEMPTS = "sagaql_service_attempt_duration_seconds"
SOLO = BulkheadSettings(limit=1)


@in_virtual_time
async def test_retry_then_breaker_the_breaker_sees_every_attempt() -> None:
    wire = ScriptedWire(otherwise=broken_off)
    client = catalog(wire, retry=Retry(attempts=3), breaker=BreakerSettings(consecutive=2))
    with pytest.raises(ServiceBreakerOpen):
        await client.call(STOCK)
    assert len(wire.sent) == 2


@in_virtual_time
async def test_retry_then_bulkhead_no_permit_is_held_during_back_off() -> None:
    wire = ScriptedWire(broken_off, otherwise=answer())
    client = catalog(wire, retry=Retry(base=Seconds(1.0)), bulkhead=SOLO)
    retrying = asyncio.create_task(client.call(STOCK))
    await asyncio.sleep(0.1)
    assert client.in_flight == 0
    await client.call(STOCK)
    assert elapsed() == pytest.approx(0.1)
    await retrying


@in_virtual_time
async def test_breaker_then_bulkhead_a_refused_call_does_not_queue() -> None:
    wire = ScriptedWire(after(5, answer()), after(1, broken_off), otherwise=after(5, answer()))
    client = catalog(
        wire,
        breaker=BreakerSettings(consecutive=1),
        bulkhead=BulkheadSettings(limit=2, wait=Seconds(3.0)),
        attempt_timeout=9,
    )
    calls = [asyncio.create_task(client.call(STOCK)) for _ in range(3)]  # holds, fails after 1 s, waits for its permit
    await asyncio.sleep(1.1)
    assert (client.in_flight, client.is_breaker_open) == (2, True)
    with pytest.raises(ServiceBreakerOpen):
        await client.call(STOCK)
    assert elapsed() == pytest.approx(1.1)
    assert client.waiting == 0
    await asyncio.gather(*calls, return_exceptions=True)


@in_virtual_time
async def test_breaker_then_bulkhead_our_own_fullness_does_not_open_the_breaker() -> None:
    wire = ScriptedWire(after(0.5, answer()))
    client = catalog(wire, breaker=BreakerSettings(consecutive=1), bulkhead=BulkheadSettings(limit=1, queue=0))
    holder = asyncio.create_task(client.call(STOCK))
    await asyncio.sleep(0)
    for _ in range(5):
        with pytest.raises(ServiceBulkheadFull):
            await client.call(STOCK)
    assert not client.is_breaker_open
    await holder


@in_virtual_time
async def test_bulkhead_then_observe_waiting_for_a_permit_is_in_no_measurement() -> None:
    telemetry = quiet()
    client = catalog(ScriptedWire(otherwise=after(0.05, answer())), bulkhead=SOLO, telemetry=telemetry)
    await asyncio.gather(client.call(STOCK), client.call(STOCK))
    labels = {"service": "catalog", "endpoint": "GET /stock", "outcome": "ok"}
    assert measured(telemetry, f"{ATTEMPTS}_sum", labels) == pytest.approx(0.1)  # not 0.15


@in_virtual_time
async def test_bulkhead_then_observe_a_refusal_is_no_attempt() -> None:
    telemetry = quiet()
    client = catalog(ScriptedWire(hang), bulkhead=BulkheadSettings(limit=1, queue=0), telemetry=telemetry)
    holder = asyncio.create_task(client.call(STOCK))
    await asyncio.sleep(0)
    with pytest.raises(ServiceBulkheadFull):
        await client.call(STOCK)
    refused = {"service": "catalog", "endpoint": "GET /stock", "outcome": "SERVICE_BULKHEAD_FULL"}
    assert measured(telemetry, f"{ATTEMPTS}_count", refused) is None
    with pytest.raises(ServiceTimeout):
        await holder


@in_virtual_time
async def test_bulkhead_then_attempt_timeout_waiting_does_not_use_up_the_attempt() -> None:
    client = catalog(ScriptedWire(otherwise=after(0.08, answer())), bulkhead=SOLO, attempt_timeout=0.1)
    both = await asyncio.gather(client.call(STOCK), client.call(STOCK))
    assert [response.status for response in both] == [200, 200]
    assert elapsed() == pytest.approx(0.16)


@in_virtual_time
async def test_observe_then_attempt_timeout_a_timeout_is_seen_as_one() -> None:
    telemetry = quiet()
    with pytest.raises(ServiceTimeout):
        await catalog(ScriptedWire(hang), telemetry=telemetry).call(STOCK)
    labels = {"service": "catalog", "endpoint": "GET /stock", "outcome": "SERVICE_TIMEOUT"}
    assert measured(telemetry, f"{ATTEMPTS}_count", labels) == 1


@in_virtual_time
async def test_the_breaker_sees_timeouts_and_not_now_answers_alike() -> None:
    wire = ScriptedWire(hang, answer(status=503))
    client = catalog(wire, breaker=BreakerSettings(consecutive=2))
    with pytest.raises(ServiceTimeout):
        await client.call(STOCK)
    with pytest.raises(ServiceUnavailable):
        await client.call(STOCK)
    assert client.is_breaker_open


@in_virtual_time
async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    wire, telemetry = ScriptedWire(hang), quiet()
    client = catalog(wire, retry=Retry(), telemetry=telemetry)
    call = asyncio.create_task(client.call(STOCK))
    await asyncio.sleep(0.1)
    assert repr(client) == "<ServiceClient catalog breaker=closed 1/64 in flight, 0 waiting>"
    assert measured(telemetry, "sagaql_service_calls_in_flight", {"service": "catalog"}) == 1
    call.cancel()
    await asyncio.wait([call])
    assert repr(client) == "<ServiceClient catalog breaker=closed 0/64 in flight, 0 waiting>"
    assert measured(telemetry, "sagaql_service_calls_in_flight", {"service": "catalog"}) == 0
    assert wire.in_flight == 0


@in_virtual_time
async def test_the_limit_holds_under_a_crowd() -> None:
    wire = ScriptedWire(otherwise=after(0.01, answer()))
    client = catalog(wire, bulkhead=BulkheadSettings(limit=4, queue=100, wait=Seconds(10)))
    await asyncio.gather(*(client.call(STOCK) for _ in range(50)))
    assert (wire.peak, len(wire.sent)) == (4, 50)


@in_virtual_time
async def test_compose_puts_the_first_policy_outermost() -> None:
    order: list[str] = []

    async def wire(_: ServiceRequest) -> ServiceResponse:
        return answer(order)

    def named(name: str) -> Policy:
        def policy(attempt: Handler) -> Handler:
            async def handle(request: ServiceRequest) -> ServiceResponse:
                order.append(name)
                return await attempt(request)

            return handle

        return policy

    await compose([named("outer"), named("inner")], wire)(STOCK)
    assert order == ["outer", "inner"]
