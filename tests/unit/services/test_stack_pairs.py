"""More neighbours of the stack: each test fails when the two are swapped. Those that were there first are in `test_stack.py`."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.clock import Instant, Seconds
from gateway.errors import GatewayError
from gateway.services import (
    BreakerSettings,
    BulkheadSettings,
    FaultSettings,
    HedgeSettings,
    Retry,
    ServiceClient,
    ServiceConfig,
    ServiceRequest,
    ServiceResponse,
)
from gateway.telemetry import Telemetry
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import CLOCK, NEVER_OPENS, PLENTY, STOCK, Dice, broken_off, measured, quiet, recording

A, B = "http://a", "http://b"
USUAL = 0.1
HEDGED = HedgeSettings(enabled=True, share=1.0)
SHARED = replace(STOCK, share="everybody")


def catalog(wire: ScriptedWire, telemetry: Telemetry | None = None, **settings: Any) -> ServiceClient:
    """A service whose reads usually take 0.1 s."""
    known = {"instances": (A,), "retry": Retry(attempts=1), "budget": PLENTY, "breaker": NEVER_OPENS, **settings}
    config = ServiceConfig(**known)
    client = ServiceClient("catalog", config, telemetry=telemetry or quiet(), clock=CLOCK, random=Dice(0.5), wire=wire)
    for _ in range(64):
        client.stack.latencies.record(STOCK.endpoint, Seconds(USUAL), now=Instant(0.0))
    return client


@in_virtual_time
async def test_coalesce_then_retry_those_who_share_a_call_share_its_retries_and_its_budget() -> None:
    telemetry, wire = quiet(), ScriptedWire(broken_off, otherwise=answer())
    client = catalog(wire, telemetry, retry=Retry(attempts=2))
    await asyncio.gather(*(client.call(SHARED) for _ in range(10)))
    assert measured(telemetry, "sagaql_service_retries_total", {"service": "catalog"}) == 1


@in_virtual_time
async def test_coalesce_then_bulkhead_who_shares_a_call_needs_no_permit() -> None:
    wire = ScriptedWire(otherwise=after(0.05, answer()))
    client = catalog(wire, bulkhead=BulkheadSettings(limit=1, queue=0))
    found = await asyncio.gather(*(client.call(SHARED) for _ in range(10)))
    assert [each.status for each in found] == [200] * 10


@in_virtual_time
async def test_retry_then_hedge_nothing_is_hedged_while_a_retry_waits() -> None:
    wire = ScriptedWire(broken_off, otherwise=answer())
    client = catalog(wire, retry=Retry(attempts=2, base=Seconds(1.0), cap=Seconds(1.0)), hedge=HEDGED)
    await client.call(STOCK)
    assert wire.instants == [0.0, 0.5]  # at 0.1 a hedge round the retries would have been sent


@in_virtual_time
async def test_hedge_then_breaker_the_breaker_sees_both_attempts() -> None:
    wire = ScriptedWire(otherwise=after(0.2, broken_off))
    client = catalog(wire, hedge=HEDGED, breaker=BreakerSettings(consecutive=2))
    with pytest.raises(GatewayError):
        await client.call(STOCK)
    assert client.is_breaker_open


@in_virtual_time
async def test_hedge_then_bulkhead_a_hedge_needs_a_permit_like_any_attempt() -> None:
    wire = ScriptedWire(otherwise=after(0.2, answer()))
    client = catalog(wire, hedge=HEDGED, bulkhead=BulkheadSettings(limit=1, queue=0))
    await client.call(STOCK)
    assert len(wire.sent) == 1


@in_virtual_time
async def test_bulkhead_then_balance_what_waits_for_a_permit_has_picked_no_instance_yet() -> None:
    wire = ScriptedWire(after(0.05, answer()), otherwise=answer())
    solo = BulkheadSettings(limit=1)
    client = catalog(wire, bulkhead=solo)
    holder, waiter = (asyncio.create_task(client.call(STOCK)) for _ in range(2))
    await asyncio.sleep(0.01)
    client.configure(ServiceConfig(instances=(B,), bulkhead=solo))
    await asyncio.gather(holder, waiter)
    assert [request.instance for request in wire.requests] == [A, B]


@in_virtual_time
async def test_balance_then_observe_a_span_is_one_attempt_at_one_instance_and_counts_those_before_it() -> None:
    telemetry, spans = recording()
    client = catalog(ScriptedWire(broken_off, answer()), telemetry, retry=Retry(attempts=2), instances=(A, B))
    await client.call(STOCK)
    counts = [dict(span.attributes or {}).get("http.request.resend_count") for span in spans.get_finished_spans()]
    assert counts == [None, 1]


@in_virtual_time
async def test_balance_then_attempt_timeout_an_instance_that_hangs_is_told_of_its_timeout() -> None:
    def behaviour(request: ServiceRequest) -> Any:
        return hang(request) if request.instance == A else after(0.01, answer())(request)

    client = catalog(ScriptedWire(otherwise=behaviour), retry=Retry(attempts=2), instances=(A, B))
    for _ in range(5):
        await client.call(STOCK)
    (slow,) = [each for each in client.stack.instances.snapshot(CLOCK.now()) if each["address"] == A]
    assert slow["latencySeconds"] >= 0.3


@in_virtual_time
async def test_classify_then_faults_an_injected_503_is_what_a_503_is() -> None:
    def never(_: ServiceRequest) -> ServiceResponse:
        raise AssertionError("it was to be answered before the service sees it")

    client = catalog(ScriptedWire(otherwise=never), faults=FaultSettings(error=1.0))
    with pytest.raises(GatewayError, match="catalog answered 503"):
        await client.call(STOCK)
