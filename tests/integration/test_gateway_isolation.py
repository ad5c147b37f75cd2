"""Two applications in one process share no state: not a cache, a number, a breaker, a document or a token."""

from __future__ import annotations

from typing import Any

from gateway.errors import ServiceUnavailable
from gateway.telemetry import Telemetry
from gateway.testing import ScriptedWire, answer, in_virtual_time
from tests.unit.graph.shop import graph, inventory_answers, shop

STOCK = '{ products(keys: ["a"]) { stock { quantity } } }'
SERVICES = {name: {"url": f"http://{name}.test"} for name in ("catalog", "inventory", "reviews")}


def away(_: object) -> ServiceUnavailable:
    return ServiceUnavailable("inventory is away", service="inventory", applied=False)


@in_virtual_time
async def test_what_one_has_cached_the_other_does_not_know() -> None:
    wire = ScriptedWire(inventory_answers, otherwise=away)
    async with shop(wires={"inventory": wire}) as one, shop(wires={"inventory": ScriptedWire(otherwise=away)}) as other:
        assert one.parts.graph is other.parts.graph is graph
        await one.execute(STOCK)
        stale, null = await one.execute(STOCK), await other.execute(STOCK)
    assert stale.data == {"products": [{"stock": {"quantity": 1}}]}
    assert null.data == {"products": [{"stock": None}]}


@in_virtual_time
async def test_a_breaker_that_one_has_opened_is_closed_in_the_other() -> None:
    async with (
        shop(wires={"inventory": ScriptedWire(otherwise=away)}, services=SERVICES) as one,
        shop(services=SERVICES) as other,
    ):
        for _ in range(12):
            await one.execute(STOCK)
        assert (await other.execute(STOCK)).errors == []
        states = [gateway.parts.services["inventory"].is_breaker_open for gateway in (one, other)]
    assert states == [True, False]


@in_virtual_time
async def test_metrics_documents_and_permits_are_counted_apart() -> None:
    telemetries = Telemetry(), Telemetry()
    async with shop(telemetry=telemetries[0]) as one, shop(telemetry=telemetries[1]) as other:
        await one.execute("{ hello }")
        assert [repr(gateway.parts.engine.documents) for gateway in (one, other)] == [
            "<Documents 1/1000>",
            "<Documents 0/1000>",
        ]
        one.parts.admission.is_draining = True
        assert (await other.execute("{ hello }")).status == 200
    counted = [
        telemetry.metrics.registry.get_sample_value("sagaql_document_cache_total", {"result": "miss"})
        for telemetry in telemetries
    ]
    assert counted == [1.0, 1.0]
    assert telemetries[0].metrics.registry is not telemetries[1].metrics.registry


@in_virtual_time
async def test_a_token_of_one_is_not_known_in_the_other() -> None:
    other_tokens: Any = {"tokens": [{"token": "elsewhere", "subject": "eve"}]}
    async with shop() as one, shop(identity=other_tokens) as other:
        asked = {"authorization": "Bearer customer"}
        assert (await one.execute("{ whoami }", headers=asked)).data == {"whoami": "acme/carl"}
        assert (await other.execute("{ whoami }", headers=asked)).codes == ["UNAUTHENTICATED"]


@in_virtual_time
async def test_the_wires_of_one_are_closed_with_it_and_the_other_goes_on() -> None:
    first, second = ScriptedWire(otherwise=answer([])), ScriptedWire(otherwise=answer([]))
    async with shop(wires={"inventory": second}) as other:
        async with shop(wires={"inventory": first}):
            assert (first.is_started, second.is_started) == (True, True)
        assert (first.is_started, second.is_started) == (False, True)
        assert (await other.execute(STOCK)).errors == []
