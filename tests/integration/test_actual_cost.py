"""What an operation has really cost: the same by its plan and by graphql-core, less what a cache spared; shown, counted, traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.telemetry import Metrics, Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, in_virtual_time
from tests.integration.test_explained_alike import ID, INPUT, OPERATIONS, SEND, depot, said, settings
from tests.integration.test_subscriptions import SSE, Inventory, gateway_over, subscribed

HEADERS = {"accept": "application/graphql-response+json", "content-type": "application/json"}
MEASURED = {"cost": "measure"}
LISTING = "{ parcels { edges { node { days label { text } } } } }"


async def cost_of(
    gateway: GatewayUnderTest, text: str, variables: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """What the answer tells of it."""
    body = orjson.dumps({"query": text, "variables": variables, "extensions": {"cost": True}})
    found: Mapping[str, Any] = (await gateway.request("POST", "/graphql", body=body, headers=HEADERS)).json[
        "extensions"
    ]
    told: Mapping[str, Any] = found["cost"]
    return told


def counted(metrics: Metrics) -> dict[str, tuple[float, float]]:
    """How often, and how much in all, by kind."""
    samples = [each for family in metrics.operation_cost.collect() for each in family.samples]
    found = {
        name: {each.labels["kind"]: each.value for each in samples if each.name.endswith(name)}
        for name in ("_count", "_sum")
    }
    return {kind: (number, found["_sum"][kind]) for kind, number in found["_count"].items()}


@pytest.mark.parametrize(("text", "variables"), OPERATIONS.values(), ids=OPERATIONS)
@in_virtual_time
async def test_a_plan_counts_what_graphql_core_counts(text: str, variables: dict[str, Any] | None) -> None:
    plain = settings(operation={"compile": False})
    async with depot() as planned, depot(configured=plain) as interpreted:
        await cost_of(planned, text, variables)
        await cost_of(interpreted, text, variables)
        assert await cost_of(planned, text, variables) == await cost_of(interpreted, text, variables)


@in_virtual_time
async def test_where_everything_is_there_the_estimate_comes_true() -> None:
    async with depot() as gateway:
        told = await cost_of(gateway, LISTING)
    assert told["estimated"] == told["actual"] == 2 * 10 + 1 + 3 * 2


@in_virtual_time
async def test_what_is_not_there_costs_nothing() -> None:
    empty = ScriptedWire(otherwise=answer({"items": []}))
    async with depot(store=empty) as gateway:
        told = await cost_of(gateway, LISTING)
    assert told["calls"] == {"estimated": 2, "actual": 1}
    assert told["objects"] == {"estimated": 7, "actual": 1}
    assert told["actual"] == 10 + 1


@in_virtual_time
async def test_what_a_cache_answers_costs_no_call() -> None:
    text = f'{{ node(id: "{ID}") {{ ... on Parcel {{ weight }} }} }}'
    async with depot() as gateway:
        first, second = await cost_of(gateway, text), await cost_of(gateway, text)
    assert (first["actual"], second["actual"]) == (10 + 1, 1)
    assert first["estimated"] == second["estimated"]


@in_virtual_time
async def test_calls_by_hand_are_counted() -> None:
    async with depot() as gateway:
        told = await cost_of(gateway, "{ road(times: 5) }")
    assert told["calls"] == {"estimated": 1, "actual": 5}


@in_virtual_time
async def test_a_saga_costs_its_calls_where_it_was_begun_and_not_where_its_key_was_known() -> None:
    async with depot() as gateway:
        first = await cost_of(gateway, SEND, INPUT | {"key": "k"})
        second = await cost_of(gateway, SEND, INPUT | {"key": "k"})
    assert first["actual"] == 2 * 10 + 2, "two steps with a call each; the payload and the label"
    assert second["actual"] == 2


@in_virtual_time
async def test_what_is_measured_is_counted_estimated_and_actual() -> None:
    async with depot(configured=settings(operation=MEASURED)) as gateway:
        await gateway.execute(LISTING)
        await gateway.execute("{ parcels { edges { node { ... @defer { label { text } } } } } }")
        found = counted(gateway.parts.telemetry.metrics)
    assert found == {"estimated": (2, 2 * 27.0), "actual": (2, 2 * 27.0)}


@in_virtual_time
async def test_an_answer_in_parts_is_counted_as_a_whole() -> None:
    text = "{ parcels { edges { node { weight ... @defer { label { text } } } } } }"
    for compiles in (True, False):
        async with depot(configured=settings(operation=MEASURED | {"compile": compiles})) as gateway:
            for _ in range(2):
                body = orjson.dumps({"query": text})
                told = await gateway.request(
                    "POST", "/graphql", body=body, headers=HEADERS | {"accept": "multipart/mixed"}
                )
                assert b"hasNext" in told.body
            found = counted(gateway.parts.telemetry.metrics)
        assert found == {"estimated": (2, 2 * 27.0), "actual": (2, 2 * 27.0)}, f"{compiles=}"


@in_virtual_time
async def test_an_operation_that_is_refused_has_taken_nothing() -> None:
    operation = {"cost": "enforce", "max_cost": 10}
    async with depot(configured=settings(operation=operation)) as gateway:
        assert (await gateway.execute(LISTING)).codes == ["OPERATION_TOO_EXPENSIVE"]
        body = orjson.dumps({"query": "{ parcels { edges { node { ... @defer { label { text } } } } } }"})
        await gateway.request("POST", "/graphql", body=body, headers=HEADERS | {"accept": "multipart/mixed"})
        assert counted(gateway.parts.telemetry.metrics) == {"estimated": (2, 2 * 27.0)}


@in_virtual_time
async def test_a_subscription_is_estimated_once_and_each_event_has_its_own_cost() -> None:
    shop = Inventory()
    async with gateway_over(shop, operation=MEASURED) as gateway:
        async with subscribed(gateway, SSE) as stream:
            for _ in range(3):
                await stream.piece()
        found = counted(gateway.parts.telemetry.metrics)
    assert found["estimated"][0] == 1 <= found["actual"][0]
    assert found["actual"] == (found["actual"][0], found["actual"][0] * 1.0), (
        "an object each; the poll is shared by all who follow"
    )


@in_virtual_time
async def test_the_span_of_an_operation_has_both_costs() -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with depot(configured=settings(operation=MEASURED), telemetry=Telemetry(provider=provider)) as gateway:
        await gateway.execute(LISTING)
    (attributes,) = [each.attributes or {} for each in spans.get_finished_spans() if each.name == "query"]
    assert {name: value for name, value in attributes.items() if "cost" in name} == {
        "sagaql.operation.cost.estimated": 27,
        "sagaql.operation.cost.actual": 27,
    }


@in_virtual_time
async def test_where_nobody_asks_nothing_is_told() -> None:
    async with depot(store=ScriptedWire(otherwise=said)) as gateway:
        found = await gateway.execute(LISTING)
        assert counted(gateway.parts.telemetry.metrics) == {}
    assert "extensions" not in found.json
