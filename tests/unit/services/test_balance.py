"""What the balance policy tells of each attempt, and what it counts and logs."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.clock import Seconds
from gateway.errors import ServiceError, ServiceUnavailable
from gateway.services import BalanceSettings, Handler, ServiceRequest
from gateway.services.instances import Instances
from gateway.services.policies import balance
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import CLOCK, STOCK, broken_off, measured

A, B, FAR = "http://a", "http://b", "http://far"


class Balanced:
    """The policy alone over a scripted wire."""

    def __init__(self, wire: ScriptedWire, *addresses: str, fallback: tuple[str, ...] = (), **knobs: Any) -> None:
        self.log = StringIO()
        self.telemetry = Telemetry(log=json_log(self.log))
        self.state = Instances(addresses, fallback, BalanceSettings(**knobs), lambda: 0.0)
        policy = balance(self.state, "catalog", penalty=lambda: Seconds(2.0), telemetry=self.telemetry, clock=CLOCK)
        self.handle: Handler = policy(lambda request: wire.send(request, timeout=Seconds(60.0)))

    def latency(self, address: str) -> float:
        found = [each for each in self.state.snapshot(CLOCK.now()) if each["address"] == address]
        return float(found[0]["latencySeconds"])

    def gauge(self, state: str) -> float | None:
        return measured(self.telemetry, "sagaql_service_instances", {"service": "catalog", "state": state})

    @property
    def ejections(self) -> float | None:
        return measured(self.telemetry, "sagaql_service_ejections_total", {"service": "catalog"})


def stock(*tried: str) -> ServiceRequest:
    return replace(STOCK, tried=[*tried])


@in_virtual_time
async def test_an_attempt_is_told_where_it_goes_and_its_call_remembers() -> None:
    wire = ScriptedWire(otherwise=answer())
    request = stock(A)
    await Balanced(wire, A, B).handle(request)
    assert (wire.requests[0].instance, request.tried, request.instance) == (B, [A, B], None)


@in_virtual_time
async def test_a_success_is_remembered_with_its_time_and_a_failure_with_at_least_the_penalty() -> None:
    wire = ScriptedWire(after(0.3, answer()), broken_off)
    balanced = Balanced(wire, A, B)
    await balanced.handle(stock(B))
    with pytest.raises(ServiceUnavailable):
        await balanced.handle(stock(A))
    assert [balanced.latency(A), balanced.latency(B)] == pytest.approx([0.3, 2.0])
    assert balanced.state.in_flight == 0


@in_virtual_time
async def test_a_failure_that_took_longer_than_the_penalty_is_remembered_with_its_time() -> None:
    balanced = Balanced(ScriptedWire(after(5.0, broken_off)), A, B)
    with pytest.raises(ServiceUnavailable):
        await balanced.handle(stock(B))
    assert balanced.latency(A) == pytest.approx(5.0)


@in_virtual_time
async def test_a_cancelled_attempt_is_under_way_no_longer_and_was_no_failure() -> None:
    balanced = Balanced(ScriptedWire(otherwise=hang), A, B, eject_after=1)
    attempt = asyncio.ensure_future(balanced.handle(stock(B)))
    await asyncio.sleep(0.1)
    assert balanced.state.in_flight == 1
    attempt.cancel()
    await asyncio.wait([attempt])
    assert (attempt.cancelled(), balanced.state.in_flight, balanced.state.ejections) == (True, 0, 0)
    assert balanced.state.snapshot(CLOCK.now())[0]["failedInARow"] == 0


@in_virtual_time
async def test_an_instance_that_is_left_out_is_counted_and_logged_once_and_the_gauges_follow() -> None:
    balanced = Balanced(ScriptedWire(otherwise=broken_off), A, B, eject_after=3)
    assert (balanced.gauge("well"), balanced.gauge("ejected"), balanced.ejections) == (2.0, 0.0, 0.0)
    for ejections in (0.0, 0.0, 1.0):
        with pytest.raises(ServiceError):
            await balanced.handle(stock(B))
        assert balanced.ejections == ejections
    assert (balanced.gauge("well"), balanced.gauge("ejected"), balanced.gauge("unhealthy")) == (1.0, 1.0, 0.0)
    for _ in range(5):
        with pytest.raises(ServiceError):
            await balanced.handle(stock())  # B fails, too, but half is left out already
    assert balanced.ejections == 1.0
    assert balanced.log.getvalue().count('"instance left out"') == 1
    assert f'"instance":"{A}"' in balanced.log.getvalue()


@in_virtual_time
async def test_failures_that_come_in_when_it_is_already_left_out_are_no_further_ejection() -> None:
    addresses = (A, B, "http://c", "http://d")
    balanced = Balanced(ScriptedWire(otherwise=after(1.0, broken_off)), *addresses, eject_after=3)
    await asyncio.gather(*(balanced.handle(stock(*addresses[1:])) for _ in range(12)), return_exceptions=True)
    assert balanced.ejections == 1.0
    assert balanced.log.getvalue().count('"instance left out"') == 1


@in_virtual_time
async def test_one_alone_is_never_left_out_even_where_all_may_be() -> None:
    balanced = Balanced(ScriptedWire(otherwise=broken_off), A, max_ejected=1.0)
    await asyncio.gather(*(balanced.handle(stock()) for _ in range(12)), return_exceptions=True)
    assert (balanced.ejections, balanced.gauge("well")) == (0.0, 1.0)


@in_virtual_time
async def test_no_address_stands_in_a_label() -> None:
    balanced = Balanced(ScriptedWire(otherwise=answer()), A, B, fallback=(FAR,))
    await balanced.handle(stock())
    names = [
        sample.labels
        for metric in balanced.telemetry.metrics.registry.collect()
        for sample in metric.samples
        if metric.name in {"sagaql_service_instances", "sagaql_service_ejections"}
    ]
    assert names
    assert not any("http" in value for labels in names for value in labels.values())


@in_virtual_time
async def test_with_one_instance_the_path_is_a_straight_one() -> None:
    def never() -> float:
        raise AssertionError("there is nothing to draw lots for")

    state = Instances([A], [], BalanceSettings(), never)
    telemetry = Telemetry(log=json_log(StringIO()))
    policy = balance(state, "catalog", penalty=lambda: Seconds(2.0), telemetry=telemetry, clock=CLOCK)
    wire = ScriptedWire(otherwise=broken_off)
    handle = policy(lambda request: wire.send(request, timeout=Seconds(1.0)))
    for _ in range(20):
        with pytest.raises(ServiceUnavailable):
            await handle(stock(A))
    assert {request.instance for request in wire.requests} == {A}
    assert state.ejections == 0
