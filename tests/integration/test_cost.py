"""What an operation may cost, as a client meets it: refused before any call, and shown on request."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from gateway.testing import Answer, GatewayUnderTest, ScriptedWire, in_virtual_time
from tests.integration.test_explained_alike import depot, said, settings

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
