"""What an operation may cost, as a client meets it: refused before any call, and shown on request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from gateway.testing import Answer, GatewayUnderTest, MemoryJournal, ScriptedWire, in_virtual_time
from tests.integration.test_explained_alike import INPUT, SEND, depot, said, settings
from tests.integration.test_subscriptions import Inventory, gateway_over, subscribed

TEXT = "query ($first: Int) { parcels(first: $first) { edges { node { weight label { text } } } } }"
HEADERS = {"accept": "application/graphql-response+json", "content-type": "application/json"}


async def asked(gateway: GatewayUnderTest, first: int, **extensions: Any) -> Answer:
    body = {"query": TEXT, "variables": {"first": first}, "extensions": extensions}
    return await gateway.request("POST", "/graphql", body=orjson.dumps(body), headers=HEADERS)


@in_virtual_time
async def test_too_dear_an_operation_is_refused_before_any_call() -> None:
    wire = ScriptedWire(otherwise=said)
    async with depot(
        store=wire, post=wire, configured=settings(operation={"max_cost": 100, "cost": "enforce"})
    ) as gateway:
        dear = await asked(gateway, 50)
        assert (dear.status, dear.codes, wire.requests) == (400, ["OPERATION_TOO_EXPENSIVE"], [])
        assert dear.errors[0]["extensions"]["cost"]["limit"] == 100
        cheap = await asked(gateway, 2)
        assert (cheap.status, cheap.codes) == (200, [])


@in_virtual_time
async def test_whoever_asks_is_shown_the_estimate() -> None:
    async with depot() as gateway:
        told = await asked(gateway, 2, cost=True)
        silent = await asked(gateway, 2)
    assert told.json["extensions"]["cost"] == {
        "estimated": 27,
        "actual": 27,
        "limit": None,
        "calls": {"estimated": 2, "actual": 2},
        "objects": {"estimated": 7, "actual": 7},
        "declared": {"estimated": 0, "actual": 0},
    }
    assert "extensions" not in silent.json


@in_virtual_time
async def test_what_comes_in_parts_is_refused_as_a_whole() -> None:
    wire = ScriptedWire(otherwise=said)
    text = "{ parcels(first: 50) { edges { node { weight ... @defer { label { text } } } } } }"
    async with depot(
        store=wire, post=wire, configured=settings(operation={"max_cost": 100, "cost": "enforce"})
    ) as gateway:
        body = orjson.dumps({"query": text})
        answer = await gateway.request("POST", "/graphql", body=body, headers=HEADERS | {"accept": "multipart/mixed"})
    assert b"OPERATION_TOO_EXPENSIVE" in answer.body
    assert wire.requests == []


@pytest.mark.parametrize(
    "text",
    [
        "{ " + " ".join(f"p{number}: parcels {{ edges {{ cursor }} }}" for number in range(10)) + " }",
        "{ " + " ".join(f'e{number}: either(key: "{number}") {{ __typename }}' for number in range(11)) + " }",
        "{ parcels(first: 50) { edges { node { days label { text } } } } }",
        SEND,
    ],
    ids=["aliased roots", "aliased calls", "batched and joined", "a saga"],
)
@in_virtual_time
async def test_what_is_too_dear_in_any_other_way_is_refused_too(text: str) -> None:
    """Of a mutation nothing is begun: the journal stays as it was."""
    wire, journal = ScriptedWire(otherwise=said), MemoryJournal()
    configured = settings(operation={"max_cost": 100 if text != SEND else 20, "cost": "enforce"})
    async with depot(store=wire, post=wire, configured=configured, journal=journal) as gateway:
        body = orjson.dumps({"query": text, "variables": INPUT if text == SEND else {}})
        refused = await gateway.request("POST", "/graphql", body=body, headers=HEADERS)
    assert (refused.status, refused.codes, wire.requests) == (400, ["OPERATION_TOO_EXPENSIVE"], [])
    assert journal.writes == 0


@in_virtual_time
async def test_a_trusted_document_costs_what_it_costs(tmp_path: Path) -> None:
    text = "{ " + " ".join(f"p{number}: parcels {{ edges {{ cursor }} }}" for number in range(60)) + " }"
    (tmp_path / "wide.graphql").write_text(text, encoding="utf-8")
    wire = ScriptedWire(otherwise=said)
    for most, codes in ((100, ["OPERATION_TOO_EXPENSIVE"]), (10_000, [])):
        operation = {"max_cost": most, "cost": "enforce", "trusted": str(tmp_path)}
        async with depot(store=wire, post=wire, configured=settings(operation=operation)) as gateway:
            answer = await gateway.request("POST", "/graphql", body=orjson.dumps({"query": text}), headers=HEADERS)
        assert answer.codes == codes
        assert bool(wire.requests) is not bool(codes)


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"])
@in_virtual_time
async def test_a_subscription_whose_events_are_too_dear_is_refused_before_it_begins(accept: str) -> None:
    shop = Inventory()
    operation = {"max_cost": 5, "cost": "enforce"}
    async with gateway_over(shop, operation=operation) as gateway, subscribed(gateway, accept) as stream:
        told = b"".join([await stream.piece() for _ in range(2)])
    assert b"OPERATION_TOO_EXPENSIVE" in told
    assert shop.wire.sent == []


@in_virtual_time
async def test_the_wish_is_true_or_false() -> None:
    async with depot() as gateway:
        assert (await asked(gateway, 2, cost="yes")).codes == ["BAD_REQUEST"]


@in_virtual_time
async def test_a_bound_can_be_tried_before_it_is_kept() -> None:
    async with depot(configured=settings(operation={"max_cost": 100, "cost": "measure"})) as gateway:
        assert (await asked(gateway, 50)).codes == []
        histogram = gateway.parts.telemetry.metrics.operation_cost
        samples = {
            each.labels["kind"]: each.value
            for family in histogram.collect()
            for each in family.samples
            if each.name.endswith("_sum")
        }
    assert samples["estimated"] == 2 * 10 + 1 + 3 * 50


@pytest.mark.parametrize("concern", [{"max_cost": 100}, {"cost": "enforce"}])
def test_a_bound_that_nobody_keeps_is_no_setting(concern: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="set both, or neither"):
        settings(operation=concern)
