"""A compiled operation over the small graph: who is asked, when, how often; and that it is answered as it was at first sight."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.services import ServiceRequest, ServiceResponse, Wire
from gateway.testing import Answer, ScriptedWire, after, answer, hang, in_virtual_time
from tests.unit.graph.market import costing, market
from tests.unit.graph.shop import CUSTOMER, STAFF, catalog_answers, inventory_answers, shop, working_wires

DEEP = '{ products(keys: ["a", "bb", "a"]) { sku stock { quantity } reviews(first: 2) { stars author { name } } } }'


def down(_: ServiceRequest) -> ServiceResponse:
    return answer({"error": "down"}, status=503)


# -- who is asked ------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_each_layer_is_one_call_a_loader_and_each_key_is_asked_for_once() -> None:
    wires = working_wires()
    async with shop(wires=wires) as gateway:
        await gateway.execute(DEEP)
        for wire in wires.values():
            wire.sent.clear()
        await gateway.execute(DEEP)
    asked = {name: [[value for _, value in request.query] for request in wire.requests] for name, wire in wires.items()}
    assert asked == {
        "catalog": [["a", "bb"], ["a0", "a1"]],
        "inventory": [["a", "bb"]],
        "reviews": [["a", "bb", "2"]],
    }


@in_virtual_time
async def test_joins_of_other_arguments_are_other_calls_and_aliases_of_the_same_are_not() -> None:
    wire = ScriptedWire(otherwise=inventory_answers)
    text = """{ products(keys: ["a"]) { n: stockIn(warehouse: "n") { quantity } again: stockIn(warehouse: "n") { quantity }
                s: stockIn(warehouse: "s") { quantity } } }"""
    async with shop(wires={"inventory": wire}) as gateway:
        await gateway.execute(text)
        wire.sent.clear()
        await gateway.execute(text)
    assert sorted(dict(request.query)["wh"] for request in wire.requests) == ["n", "s"]


@in_virtual_time
async def test_a_slow_service_holds_back_nobody_but_what_stands_below_it() -> None:
    loop = asyncio.get_running_loop()
    catalog = ScriptedWire(otherwise=catalog_answers)
    wires: dict[str, Wire] = {"catalog": catalog, "inventory": ScriptedWire(otherwise=after(1.0, inventory_answers))}
    async with shop(wires=wires) as gateway:
        await gateway.execute(DEEP)
        began = loop.time()
        catalog.sent.clear()
        await gateway.execute(DEEP)
        assert [at - began for at in catalog.instants] == [pytest.approx(0.0)] * 2
        assert loop.time() - began == pytest.approx(1.0)


@in_virtual_time
async def test_a_client_that_goes_away_cancels_the_calls_of_a_plan() -> None:
    wire = ScriptedWire(inventory_answers, otherwise=hang)
    async with shop(wires={"inventory": wire}) as gateway:
        await gateway.execute(DEEP)
        running = asyncio.ensure_future(gateway.execute(DEEP))
        await asyncio.sleep(0.1)
        assert wire.in_flight == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (wire.in_flight, gateway.parts.admission.in_flight) == (0, 0)


# -- the same answer ---------------------------------------------------------------------------------------------------

SHOP = [
    DEEP,
    '{ products(keys: ["a", "none"]) { id cost { quantity } margin days(country: "MIXED") madeBy { name } } }',
    '{ products(keys: ["a", "bb"]) { stockIn(warehouse: "far away") { quantity } reviews(first: 99) { stars } } }',
    '{ products(keys: ["a"]) { days(country: "SHORT") fr: days(country: "BAD") slow } }',
    '{ products(keys: ["a"]) { pages(first: 3) { totalCount edges { cursor node { stars } } pageInfo { endCursor } } } }',
    '{ products(keys: ["a"]) { some(first: 3) { edges { node { id } } } pages(after: "x") { totalCount } } }',
    '{ hello boom refused tooBig guarded whoami must(key: "none") { sku } }',
    "{ hello boom refused tooBig guarded whoami plain mine }",
    "mutation { touch again: touch }",
]


@pytest.mark.parametrize("headers", [{}, CUSTOMER, STAFF], ids=["nobody", "customer", "staff"])
@pytest.mark.parametrize("broken", ["nothing", "inventory", "reviews", "catalog"])
@pytest.mark.parametrize("text", SHOP)
@in_virtual_time
async def test_a_plan_answers_as_it_was_answered_at_first_sight(
    text: str, broken: str, headers: dict[str, str]
) -> None:
    wires = {} if broken == "nothing" else {broken: ScriptedWire(otherwise=down)}
    async with shop(wires=wires) as gateway:
        first, second, third = [told(await gateway.execute(text, headers=headers)) for _ in range(3)]
        compiled = gateway.parts.telemetry.metrics.registry.get_sample_value(
            "sagaql_plans_total", {"outcome": "compiled"}
        )
    assert first == second == third
    assert compiled == 2


MARKET = """{ articles(keys: ["a", "bb", "new"]) {
    key price { amount } shown { amount updatedAt } notes(first: 2) { text }
    current { amount } official { amount } common { amount } exact { amount } } }"""


@pytest.mark.parametrize("broken", ["", "list", "shelf", "list shelf", "list shelf web archive"])
@in_virtual_time
async def test_a_plan_degrades_in_every_declared_way_as_it_did_at_first_sight(broken: str) -> None:
    wires: Mapping[str, Any] = {
        name: ScriptedWire(otherwise=down if name in broken.split() else costing(9, day=len(name)))
        for name in ("list", "shelf", "web", "archive")
    }
    async with market(**wires) as gateway:
        first, second = [told(await gateway.execute(MARKET)) for _ in range(2)]
    assert first == second


def told(found: Answer) -> Any:
    """The whole answer, in which the order of errors and notes, and what identifies a trace, do not matter."""
    body = found.json
    for error in body.get("errors", ()):
        error["extensions"].pop("traceId", None)
    body.get("errors", []).sort(key=str)
    body.get("extensions", {}).get("degraded", []).sort(key=str)
    return found.status, list(body), body
