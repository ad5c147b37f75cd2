"""Instances and parameters change while calls are under way, and no call is dropped."""

import asyncio

import pytest

from gateway.clock import Seconds
from gateway.errors import ServiceTimeout
from gateway.services import (
    BulkheadSettings,
    HealthSettings,
    Retry,
    ServiceConfig,
    ServiceRequest,
    ServiceResponse,
    Services,
)
from gateway.services.config import changes
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import CLOCK, NEVER_OPENS, STOCK, Dice, quiet

OLD = ServiceConfig(instances=("http://a",), breaker=NEVER_OPENS, retry=Retry(attempts=1))
NEW = ServiceConfig(
    instances=("http://b", "http://c"), breaker=NEVER_OPENS, retry=Retry(attempts=1), bulkhead=BulkheadSettings(limit=3)
)


def services(wire: ScriptedWire, **configs: ServiceConfig) -> Services:
    return Services(
        configs or {"catalog": OLD}, telemetry=quiet(), clock=CLOCK, random=Dice(0.5), wires={"catalog": wire}
    )


@in_virtual_time
async def test_calls_under_way_end_where_they_are_and_the_next_go_to_the_new_instances() -> None:
    wire = ScriptedWire(otherwise=after(1.0, answer()))
    async with services(wire) as running:
        client = running["catalog"]
        under_way = [asyncio.create_task(client.call(STOCK)) for _ in range(10)]
        await asyncio.sleep(0.5)
        changed = running.configure({"catalog": NEW})
        later = [asyncio.create_task(client.call(STOCK)) for _ in range(2)]
        found = await asyncio.gather(*under_way)
        assert {each.status for each in found} == {200}
        with pytest.raises(Exception, match="are under way"):  # ten were, and three may
            await asyncio.gather(*later)
        await client.call(STOCK)
    assert {request.instance for request in wire.requests[:10]} == {"http://a"}
    assert {request.instance for request in wire.requests[10:]} <= {"http://b", "http://c"}
    assert changed == ["catalog: instances http://a → http://b, http://c", "catalog: bulkhead.limit 64 → 3"]


@in_virtual_time
async def test_a_call_that_waits_for_a_permit_gets_one_of_a_higher_limit() -> None:
    solo = ServiceConfig(instances=("http://a",), bulkhead=BulkheadSettings(limit=1, wait=Seconds(9.0)))
    wire = ScriptedWire(hang, answer())
    async with services(wire, catalog=solo) as running:
        client = running["catalog"]
        holder = asyncio.create_task(client.call(STOCK))
        waiter = asyncio.create_task(client.call(STOCK))
        await asyncio.sleep(0.1)
        running.configure({"catalog": OLD})
        assert (await waiter).status == 200
        holder.cancel()


@in_virtual_time
async def test_a_new_timeout_holds_for_the_next_attempt() -> None:
    async with services(ScriptedWire(otherwise=hang)) as running:
        client = running["catalog"]
        running.configure({"catalog": ServiceConfig(instances=("http://a",), attempt_timeout=Seconds(0.5))})
        with pytest.raises(ServiceTimeout, match="within 500 ms"):
            await client.call(ServiceRequest(service="catalog", path="/x", endpoint="POST /x", method="POST"))


@in_virtual_time
async def test_health_checks_begin_and_end_with_their_path() -> None:
    def behaviour(request: ServiceRequest) -> ServiceResponse:
        return answer(status=503 if request.path == "/health" else 200)

    async with services(ScriptedWire(otherwise=behaviour)) as running:
        client = running["catalog"]
        checked = ServiceConfig(instances=("http://a", "http://b"), health=HealthSettings(path="/health"))
        running.configure({"catalog": checked})
        await asyncio.sleep(20)
        assert client.stack.instances.counts()["unhealthy"] == 2
        running.configure({"catalog": OLD})
        await asyncio.sleep(20)
        assert client.stack.instances.counts() == {"well": 1, "ejected": 0, "unhealthy": 0, "drained": 0}
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@in_virtual_time
async def test_a_service_that_is_new_or_gone_needs_a_restart_and_says_so() -> None:
    running = services(ScriptedWire(), catalog=OLD, orders=OLD)
    assert running.configure({"catalog": OLD, "stock": OLD}) == [
        "stock: new here; it is called after a restart",
        "orders: gone; it is called as before until a restart",
    ]


def test_nothing_changed_says_nothing() -> None:
    assert changes("catalog", OLD, OLD) == []
