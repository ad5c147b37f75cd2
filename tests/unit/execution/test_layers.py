"""The shape of execution: one call a layer, independent work at the same time, nothing left behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from gateway.execution.layer import Layer
from gateway.testing import ScriptedWire, after, hang, in_virtual_time
from tests.unit.graph.shop import catalog_answers, inventory_answers, reviews_answers, shop, working_wires

DEEP = """query($keys: [String!]!) { products(keys: $keys) {
    sku stock { quantity } reviews(first: 3) { stars author { name } } } }"""


def slow_wires(seconds: float = 0.1) -> dict[str, ScriptedWire]:
    return {
        "catalog": ScriptedWire(otherwise=after(seconds, catalog_answers)),
        "inventory": ScriptedWire(otherwise=after(seconds, inventory_answers)),
        "reviews": ScriptedWire(otherwise=after(seconds, reviews_answers)),
    }


@pytest.mark.parametrize("count", [1, 2, 90])
@in_virtual_time
async def test_there_is_one_call_a_service_and_layer_whatever_the_number_of_products(count: int) -> None:
    wires = working_wires()
    async with shop(wires=wires) as gateway:
        found = await gateway.execute(DEEP, {"keys": [f"p{number}" for number in range(count)]})
    assert found.errors == []
    assert len(found.data["products"]) == count
    assert {name: [request.path for request in wire.requests] for name, wire in wires.items()} == {
        "catalog": ["/products", "/authors"],
        "inventory": ["/stock"],
        "reviews": ["/reviews"],
    }


@in_virtual_time
async def test_independent_services_are_asked_at_the_same_instant_and_the_answer_takes_the_longest_chain() -> None:
    wires = slow_wires()
    async with shop(wires=wires) as gateway:
        found = await gateway.execute(DEEP, {"keys": ["a", "b"]})
        assert asyncio.get_running_loop().time() == pytest.approx(0.3)
    assert found.errors == []
    assert wires["catalog"].instants == [0.0, pytest.approx(0.2)]
    assert wires["inventory"].instants == wires["reviews"].instants == [pytest.approx(0.1)]


@in_virtual_time
async def test_a_slow_service_does_not_hold_up_the_next_layer_of_a_fast_one() -> None:
    wires = {**slow_wires(), "inventory": ScriptedWire(otherwise=after(0.9, inventory_answers))}
    async with shop(wires=wires) as gateway:
        await gateway.execute(DEEP, {"keys": ["a"]})
        assert asyncio.get_running_loop().time() == pytest.approx(1.0)
    assert wires["catalog"].instants == [0.0, pytest.approx(0.2)]


@in_virtual_time
async def test_the_same_field_under_two_aliases_is_asked_once() -> None:
    wires = working_wires()
    async with shop(wires=wires) as gateway:
        await gateway.execute('{ products(keys: ["a"]) { x: stock { quantity } y: stock { quantity } } }')
    assert len(wires["inventory"].sent) == 1


@pytest.mark.parametrize("instant", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25])
@in_virtual_time
async def test_whenever_the_caller_is_cancelled_its_calls_end_and_nothing_is_left(instant: float) -> None:
    wires = slow_wires()
    async with shop(wires=wires) as gateway:
        asking = asyncio.ensure_future(gateway.execute(DEEP, {"keys": ["a", "b"]}))
        await asyncio.sleep(instant)
        asking.cancel()
        await asyncio.wait([asking])
        sent = [len(wire.sent) for wire in wires.values()]
        assert asking.cancelled()
        assert [wire.in_flight for wire in wires.values()] == [0, 0, 0]
        assert [client.in_flight for client in gateway.parts.services.values()] == [0, 0, 0]
        assert gateway.parts.admission.in_flight == 0
        await asyncio.sleep(5)
        assert [len(wire.sent) for wire in wires.values()] == sent
        assert asyncio.all_tasks() == {asyncio.current_task()}


# graphql-core wraps resolvers' coroutines; one cancelled before its first step leaves the inner one unawaited, which only warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("ticks", range(0, 40, 3))
@in_virtual_time
async def test_in_whatever_tick_it_is_cancelled_no_task_is_left(ticks: int) -> None:
    wires = {name: ScriptedWire(otherwise=hang) for name in ("inventory", "reviews")}
    async with shop(wires=wires) as gateway:
        asking = asyncio.ensure_future(gateway.execute(DEEP, {"keys": ["a", "b"]}))
        for _ in range(ticks):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (gateway.parts.admission.in_flight, [wire.in_flight for wire in wires.values()]) == (0, [0, 0])
    del asking
    gc.collect()  # here, where the warning is expected, and not in whatever test comes next


@in_virtual_time
async def test_where_a_required_field_fails_the_calls_beside_it_end_with_the_answer() -> None:
    wire = ScriptedWire(otherwise=hang)
    async with shop(wires={"inventory": wire}) as gateway:
        found = await gateway.execute('{ must(key: "none") { sku } products(keys: ["a"]) { stock { quantity } } }')
        assert (found.data, found.codes) == (None, ["INTERNAL_SERVER_ERROR"])
        await asyncio.sleep(1)
        assert (wire.in_flight, asyncio.all_tasks()) == (0, {asyncio.current_task()})


@pytest.mark.parametrize(
    "text", [DEEP, "query($keys: [String!]!) { products(keys: $keys) { sku days slow stock { quantity } } }"]
)
@in_virtual_time
async def test_a_run_leaves_nothing_to_the_collector_of_garbage(text: str) -> None:
    async with shop(wires=working_wires()) as gateway:
        variables = {"keys": ["a", "b"]}
        for _ in range(3):
            await gateway.execute(text, variables)
        layers = [each for each in gc.get_objects() if isinstance(each, Layer)]
    assert layers == []
