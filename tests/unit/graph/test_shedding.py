"""What an overloaded gateway leaves out: joins that declare a value to serve instead, in queries; and it says so."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gateway.testing import GatewayUnderTest, in_virtual_time

from .market import market, wire
from .shop import CUSTOMER, STAFF, shop, working_wires

QUERY = '{ products(keys: ["a", "b"]) { sku stock { quantity } reviews { stars } } }'
LEFT_OUT = {
    "to": "DEFAULT",
    "code": "OVERLOADED",
    "reason": "this gateway is overloaded, and leaves out what it can do without",
    "service": None,
    "retryable": True,
}
BOTH_WAYS = pytest.mark.parametrize("compiles", [True, False])
"""By a plan, and by graphql-core."""


@contextmanager
def strained(gateway: GatewayUnderTest) -> Iterator[None]:
    gateway.parts.pressure.is_strained = True
    yield
    gateway.parts.pressure.is_strained = False


async def asked_twice(gateway: GatewayUnderTest, query: str = QUERY, **more: Any) -> Any:
    await gateway.execute(query, **more)
    return await gateway.execute(query, **more)


@BOTH_WAYS
@in_virtual_time
async def test_what_has_a_default_is_left_out_and_nobody_is_asked_for_it(compiles: bool) -> None:
    wires = working_wires()
    async with shop(operation={"compile": compiles}, wires=wires) as gateway:
        with strained(gateway):
            found = await asked_twice(gateway)
        sent = {name: len(wire.sent) for name, wire in wires.items()}
        again = await gateway.execute(QUERY)
    assert [product["reviews"] for product in found.data["products"]] == [[], []]
    assert all(product["stock"] for product in found.data["products"])
    assert (found.status, found.errors) == (200, [])
    assert found.degraded == [{"path": ["products", "reviews"], **LEFT_OUT}]  # once for all places
    assert sent == {"catalog": 2, "inventory": 2, "reviews": 0}
    assert (again.degraded, bool(again.data["products"][0]["reviews"])) == ([], True)


@in_virtual_time
async def test_what_has_only_another_service_to_ask_is_asked_for_as_ever() -> None:
    archive = wire()
    async with market(archive=archive) as gateway:
        with strained(gateway):
            found = await asked_twice(gateway, '{ articles(keys: ["a"]) { price { amount } } }')
    assert (found.degraded, found.errors, archive.sent) == ([], [], [])


@in_virtual_time
async def test_critical_queries_leave_nothing_out() -> None:
    async with shop(operation={"critical_scope": "staff"}) as gateway:
        with strained(gateway):
            found = await asked_twice(gateway, headers={"x-request-priority": "critical", **STAFF})
            normal = await asked_twice(gateway, headers={"x-request-priority": "critical", **CUSTOMER})
    assert (found.degraded, len(normal.degraded)) == ([], 1)


@in_virtual_time
async def test_it_can_be_switched_off() -> None:
    async with shop(overload={"shed_optional": False}) as gateway:
        with strained(gateway):
            found = await asked_twice(gateway)
    assert found.degraded == []


@in_virtual_time
async def test_a_query_that_waits_for_its_permit_has_that_much_less_time() -> None:
    async with shop(server={"max_operations": 1}) as gateway:
        slow = asyncio.ensure_future(
            gateway.execute('{ products(keys: ["a"]) { slow } }', headers={"x-request-timeout-ms": "100"})
        )
        await asyncio.sleep(0.01)
        began = asyncio.get_running_loop().time()
        found = await gateway.execute('{ products(keys: ["a"]) { slow } }', headers={"x-request-timeout-ms": "200"})
        lasted = asyncio.get_running_loop().time() - began
        await slow
    assert found.codes == ["DEADLINE_EXCEEDED"]
    assert lasted == pytest.approx(0.2)
