"""Answers in parts: what is deferred delays nothing, and is masked, degraded, bounded and cancelled as everything else is.

Source: GraphQL's "Incremental Delivery". Most tests run at first sight, by graphql-core, and at the second, by a plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from gateway.execution import GraphQLRequest
from gateway.execution.planner import NotPlanned
from gateway.services import Wire
from gateway.testing import GatewayUnderTest, ScriptedWire, after, answer, connected, hang, in_virtual_time
from tests.unit.execution.in_parts import merged, merged_of_2022, parts_of
from tests.unit.graph.shop import DSN, catalog_answers, inventory_answers, reviews_answers, shop, working_wires

DEFERRED = """query($keys: [String!]!) { products(keys: $keys) {
    sku ... @defer(label: "later") { reviews(first: 2) { stars author { name } } } } }"""

FAILING = '{ whoami ... @defer { hello(name: "far too long") } }'
"""What fails must not be null."""

both = pytest.mark.parametrize("sights", [1, 2], ids=["by graphql-core", "by a plan"])
KEYS = {"keys": ["a", "b"]}


def slow(name: str, seconds: float = 1.0) -> dict[str, Wire]:
    answers: Mapping[str, Any] = {
        "catalog": catalog_answers,
        "inventory": inventory_answers,
        "reviews": reviews_answers,
    }
    return {name: ScriptedWire(otherwise=after(seconds, answers[name]))}


async def seen(
    gateway: GatewayUnderTest, text: str, variables: Mapping[str, Any] | None, sights: int, *, seconds: float = 10.0
) -> None:
    """As often as it takes, but for once: at the second sight there is a plan."""
    if sights > 1:
        await parts_of(gateway, text, variables, timeout=seconds)
        operation = gateway.parts.engine.documents.operation(text, None)
        found = gateway.parts.engine.plans.find(operation, variables or {})
        assert not isinstance(found, NotPlanned), found


async def timed(gateway: GatewayUnderTest, text: str, variables: Mapping[str, Any] | None = None) -> list[float]:
    """When each part was there."""
    loop, asked = asyncio.get_running_loop(), GraphQLRequest(text=text, variables=variables or {})
    began = loop.time()
    return [round(loop.time() - began, 3) async for _ in gateway.parts.engine.stream(asked)]


# -- what a client gets --------------------------------------------------------------------------------------------------


@both
@in_virtual_time
async def test_what_is_deferred_comes_after_the_rest_and_together_they_are_the_whole(sights: int) -> None:
    async with shop() as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        parts = await parts_of(gateway, DEFERRED, KEYS)
        whole = await gateway.execute(DEFERRED, KEYS)
    assert parts[0]["data"] == {"products": [{"sku": "a"}, {"sku": "b"}]}
    assert parts[0]["pending"] == [
        {"id": "0", "path": ["products", 0], "label": "later"},
        {"id": "1", "path": ["products", 1], "label": "later"},
    ]
    assert parts[0]["hasNext"] is True
    assert merged(parts) == (whole.data, [])


@both
@in_virtual_time
async def test_a_deferred_join_delays_nothing_else(sights: int) -> None:
    async with shop(wires=slow("reviews")) as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        assert await timed(gateway, DEFERRED, KEYS) == [0.0, 1.0]


@both
@in_virtual_time
async def test_what_is_deferred_is_begun_together_with_the_rest(sights: int) -> None:
    text = (
        """query($keys: [String!]!) { products(keys: $keys) { stock { quantity } ... @defer { reviews { stars } } } }"""
    )
    async with shop(wires={**slow("inventory", 0.5), **slow("reviews")}) as gateway:
        await seen(gateway, text, KEYS, sights)
        assert await timed(gateway, text, KEYS) == [0.5, 1.0]


@in_virtual_time
async def test_a_streamed_list_makes_no_more_calls_than_the_whole_and_is_there_no_later() -> None:
    text = """query($keys: [String!]!) { products(keys: $keys) @stream(initialCount: 1) {
        sku reviews(first: 1) { stars author { name } } } }"""
    keys = {"keys": ["a", "b", "c", "d", "e"]}
    wires = {**working_wires(), "reviews": ScriptedWire(otherwise=after(1.0, reviews_answers))}
    async with shop(wires=wires) as gateway:
        assert (await timed(gateway, text, keys))[-1] == 1.0
        streamed = [len(wire.sent) for wire in wires.values()]
        await gateway.execute(text, keys)
        assert [len(wire.sent) - count for wire, count in zip(wires.values(), streamed, strict=True)] == streamed


@both
@in_virtual_time
async def test_it_makes_no_more_calls_than_the_whole(sights: int) -> None:
    wires = working_wires()
    async with shop(wires=wires) as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        before = [len(wire.sent) for wire in wires.values()]
        await parts_of(gateway, DEFERRED, KEYS)
        calls = [len(wire.sent) - count for wire, count in zip(wires.values(), before, strict=True)]
        before = [len(wire.sent) for wire in wires.values()]
        await gateway.execute(DEFERRED, KEYS)
        assert calls == [len(wire.sent) - count for wire, count in zip(wires.values(), before, strict=True)]


@pytest.mark.parametrize("text", [DEFERRED, "query($keys: [String!]!) { products(keys: $keys) @stream { sku } }"])
@in_virtual_time
async def test_who_takes_one_answer_gets_everything_at_once_and_by_a_plan(text: str) -> None:
    async with shop() as gateway:
        plain = text.replace('@defer(label: "later")', "").replace("@stream", "")
        found = [await gateway.execute(text, KEYS) for _ in range(3)]
        assert [each.json for each in found] == [(await gateway.execute(plain, KEYS)).json] * 3
        assert "hasNext" not in found[0].json
        at_once = gateway.parts.engine.documents.operation(text, None).at_once
        assert not isinstance(gateway.parts.engine.plans.find(at_once, KEYS), NotPlanned)


@both
@in_virtual_time
async def test_a_condition_that_does_not_hold_defers_nothing(sights: int) -> None:
    text = "query($keys: [String!]!, $later: Boolean!) { products(keys: $keys) { ... @defer(if: $later) { sku } } }"
    async with shop() as gateway:
        await seen(gateway, text, {**KEYS, "later": False}, sights)
        parts = await parts_of(gateway, text, {**KEYS, "later": False})
    assert parts == [{"data": {"products": [{"sku": "a"}, {"sku": "b"}]}}]


@both
@in_virtual_time
async def test_what_is_also_wanted_outside_is_not_deferred(sights: int) -> None:
    text = '{ products(keys: ["a"]) { sku ... @defer { sku } } }'
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
    assert parts == [{"data": {"products": [{"sku": "a"}]}}]


@both
@in_virtual_time
async def test_what_is_deferred_within_the_deferred_comes_after_it(sights: int) -> None:
    text = """{ products(keys: ["a"]) { sku ... @defer(label: "outer") { stock { quantity }
        ... @defer(label: "inner") { reviews(first: 1) { stars } } } } }"""
    async with shop(wires=slow("inventory")) as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
        whole = await gateway.execute(text)
    assert [[each["label"] for each in part.get("pending", ())] for part in parts[:2]] == [["outer"], ["inner"]]
    assert merged(parts) == (whole.data, [])


@both
@in_virtual_time
async def test_fragments_side_by_side_come_each_when_it_is_ready(sights: int) -> None:
    text = """{ products(keys: ["a"]) { ... @defer(label: "slow") { stock { quantity } }
        ... @defer(label: "fast") { reviews(first: 1) { stars } } } }"""
    async with shop(wires=slow("inventory")) as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
    labels = {each["id"]: each["label"] for each in parts[0]["pending"]}
    assert [[labels[each["id"]] for each in part["completed"]] for part in parts[1:]] == [["fast"], ["slow"]]


@both
@in_virtual_time
async def test_fragments_that_share_a_field_both_have_it_and_it_comes_once(sights: int) -> None:
    text = """{ products(keys: ["a"]) { ... @defer(label: "x") { sku stock { quantity } }
        ... @defer(label: "y") { sku reviews(first: 1) { stars } } } }"""
    async with shop(wires=slow("inventory")) as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
        whole = await gateway.execute(text)
    assert merged(parts) == (whole.data, [])
    assert [sorted(name for each in part["incremental"] for name in each["data"]) for part in parts[1:]] == [
        ["reviews", "sku"],
        ["stock"],
    ]


@both
@in_virtual_time
async def test_what_two_fragments_want_of_an_object_is_merged_and_told_by_the_one_that_is_there_first(
    sights: int,
) -> None:
    text = """{ products(keys: ["a"]) { ... @defer(label: "x") { reviews(first: 1) { stars author { name } } }
        ... @defer(label: "y") { reviews(first: 1) { stars } stock { quantity } } } }"""
    async with shop(wires=slow("inventory")) as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
        whole = await gateway.execute(text)
    labels = {each["id"]: each["label"] for each in parts[0]["pending"]}
    assert [[labels[each["id"]] for each in part["completed"]] for part in parts[1:]] == [["x"], ["y"]]
    assert merged(parts) == (whole.data, [])


@both
@in_virtual_time
async def test_a_fragment_that_is_spread_twice_is_announced_by_both_labels_and_delivered_once(sights: int) -> None:
    text = """{ products(keys: ["a"]) { ...Opinions @defer(label: "x") ...Opinions @defer(label: "y") } }
        fragment Opinions on Product { reviews(first: 1) { stars } }"""
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
        whole = await gateway.execute(text)
    assert merged(parts) == (whole.data, [])
    assert len(parts[-1]["incremental"]) == 1
    assert [each["label"] for each in parts[0]["pending"]] == ["x", "y"]
    assert [each["id"] for each in parts[-1]["completed"]] == ["0", "1"]


@both
@in_virtual_time
async def test_what_fails_for_two_fragments_fails_both_and_what_only_one_wants_may_come(sights: int) -> None:
    text = """{ whoami ... @defer(label: "x") { hello(name: "far too long") }
        ... @defer(label: "y") { hello(name: "far too long") products(keys: ["a"]) { sku } }
        ... @defer(label: "z") { products(keys: ["a"]) { sku } } }"""
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
    labels = {each["id"]: each["label"] for each in parts[0]["pending"]}
    failed = {labels[each["id"]] for part in parts[1:] for each in part["completed"] if "errors" in each}
    data, errors = merged(parts)
    assert failed == {"x", "y"}
    assert data == {"whoami": "public/anonymous", "products": [{"sku": "a"}]}
    assert [error["path"] for error in errors] == [["hello"], ["hello"]]


@both
@in_virtual_time
async def test_a_fragment_that_goes_deeper_where_the_rest_has_been_is_told_by_its_path(sights: int) -> None:
    text = """{ products(keys: ["a"]) { reviews(first: 2) { stars }
        ... @defer { reviews(first: 2) { author { name } } } } }"""
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
        whole = await gateway.execute(text)
    assert [each["path"] for each in parts[0]["pending"]] == [["products", 0]]
    assert [each["subPath"] for each in parts[1]["incremental"]] == [["reviews", 0], ["reviews", 1]]
    assert merged(parts) == (whole.data, [])


@in_virtual_time
async def test_a_list_is_streamed_item_by_item_after_the_first_ones() -> None:
    text = 'query { products(keys: ["a", "b", "c"]) @stream(initialCount: 1, label: "s") { sku } }'
    async with shop() as gateway:
        parts = await parts_of(gateway, text)
        whole = await gateway.execute(text)
    assert parts[0]["data"] == {"products": [{"sku": "a"}]}
    assert parts[0]["pending"] == [{"id": "0", "path": ["products"], "label": "s"}]
    assert merged(parts) == (whole.data, [])


# -- the older dialect ---------------------------------------------------------------------------------------------------


@both
@in_virtual_time
async def test_parts_of_2022_tell_path_and_label(sights: int) -> None:
    async with shop() as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        parts = await parts_of(gateway, DEFERRED, KEYS, incremental="20220824")
        whole = await gateway.execute(DEFERRED, KEYS)
    assert parts[0] == {"data": {"products": [{"sku": "a"}, {"sku": "b"}]}, "hasNext": True}
    assert [(each["path"], each["label"]) for part in parts[1:] for each in part["incremental"]] == [
        (["products", 0], "later"),
        (["products", 1], "later"),
    ]
    assert merged_of_2022(parts) == whole.data


@in_virtual_time
async def test_items_of_2022_follow_those_that_are_there() -> None:
    text = """{ products(keys: ["a", "b", "c"]) @stream(initialCount: 1) { sku
        ... @defer { reviews(first: 3) @stream(initialCount: 2) { stars } } } }"""
    async with shop() as gateway:
        parts = await parts_of(gateway, text, incremental="20220824")
        assert merged_of_2022(parts) == (await gateway.execute(text)).data


@both
@in_virtual_time
async def test_a_part_of_2022_that_must_not_be_null_is_null_with_its_error(sights: int) -> None:
    async with shop() as gateway:
        await seen(gateway, FAILING, None, sights)
        parts = await parts_of(gateway, FAILING, incremental="20220824")
        newest = await parts_of(gateway, FAILING)
    (failed,) = parts[1]["incremental"]
    assert (failed["data"], failed["path"]) == (None, [])
    assert failed["errors"] == newest[-1]["completed"][0]["errors"]
    assert "incremental" not in newest[-1]


# -- errors, degradation -------------------------------------------------------------------------------------------------


@both
@in_virtual_time
async def test_a_foreign_error_of_a_deferred_field_is_masked(sights: int) -> None:
    text = '{ products(keys: ["a", "b"]) { sku ... @defer { days(country: "BAD") } } }'
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
    assert DSN.encode() not in orjson.dumps(parts)
    _, errors = merged(parts)
    assert [(error["path"], error["extensions"]["code"]) for error in errors] == [
        (["products", 0, "days"], "INTERNAL_SERVER_ERROR"),
        (["products", 1, "days"], "INTERNAL_SERVER_ERROR"),
    ]


@both
@in_virtual_time
async def test_what_is_degraded_is_told_with_the_part_that_it_is_in(sights: int) -> None:
    down = {"reviews": ScriptedWire(otherwise=after(1.0, answer({}, status=503)))}
    async with shop(wires=down) as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        parts = await parts_of(gateway, DEFERRED, KEYS)
    assert "extensions" not in parts[0]
    told = [[note["path"] for note in each["extensions"]["degraded"]] for each in parts[1]["incremental"]]
    assert told == [[["products", 0, "reviews"]], [["products", 1, "reviews"]]]
    assert "extensions" not in parts[1]
    data, errors = merged(parts)
    assert ([each["reviews"] for each in data["products"]], errors) == ([[], []], [])


@both
@in_virtual_time
async def test_an_error_of_a_deferred_part_nulls_nothing_outside(sights: int) -> None:
    async with shop() as gateway:
        await seen(gateway, FAILING, None, sights)
        parts = await parts_of(gateway, FAILING)
    data, errors = merged(parts)
    assert data == {"whoami": "public/anonymous"}
    assert [(error["path"], error["extensions"]["code"]) for error in errors] == [(["hello"], "BAD_USER_INPUT")]


@both
@in_virtual_time
async def test_what_stands_in_a_nulled_part_is_not_announced(sights: int) -> None:
    text = '{ products(keys: ["a"]) { sku ... @defer { stock { quantity } } } must(key: "none") { sku } }'
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text)
    assert [(each["data"], len(each["errors"]), "pending" in each) for each in parts] == [(None, 1, False)]


# -- deadline, admission, cancellation -----------------------------------------------------------------------------------


@both
@in_virtual_time
async def test_the_deadline_is_that_of_all_parts(sights: int) -> None:
    text = '{ products(keys: ["a"]) { sku ... @defer { slow } } }'
    async with shop() as gateway:
        await seen(gateway, text, None, sights)
        parts = await parts_of(gateway, text, timeout=2.0)
    data, errors = merged(parts)
    assert data == {"products": [{"sku": "a", "slow": None}]}
    assert [error["extensions"]["code"] for error in errors] == ["DEADLINE_EXCEEDED"]


@both
@in_virtual_time
async def test_the_permit_is_held_to_the_last_part(sights: int) -> None:
    async with shop(wires=slow("reviews")) as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        results = gateway.parts.engine.stream(GraphQLRequest(text=DEFERRED, variables=KEYS))
        held = [gateway.parts.admission.in_flight async for _ in results]
        assert gateway.parts.admission.in_flight == 0
    assert held[0] == 1


@both
@pytest.mark.parametrize("instant", [0.0, 0.5, 1.0, 1.5])
@in_virtual_time
async def test_whoever_goes_before_the_last_part_leaves_nothing_behind(sights: int, instant: float) -> None:
    hanging = ScriptedWire(otherwise=hang)
    text = '{ products(keys: ["a", "b"]) { sku ... @defer { stock { quantity } ... @defer { reviews { stars } } } } }'
    async with shop(wires={**slow("inventory"), "reviews": hanging}) as gateway:
        await seen(gateway, text, None, sights, seconds=2.0)
        reading = asyncio.ensure_future(parts_of(gateway, text))
        await asyncio.sleep(instant)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        assert gateway.parts.admission.in_flight == 0
        assert [client.in_flight for client in gateway.parts.services.values()] == [0, 0, 0]
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}


@both
@in_virtual_time
async def test_an_operation_in_parts_is_one_line_in_the_log_and_one_in_the_metrics(sights: int) -> None:
    async with shop(wires=slow("reviews")) as gateway:
        await seen(gateway, DEFERRED, KEYS, sights)
        before = _operations(gateway)
        await parts_of(gateway, DEFERRED, KEYS)
        assert _operations(gateway) == before + 1


def _operations(gateway: GatewayUnderTest) -> float:
    found = gateway.parts.telemetry.metrics.registry.get_sample_value(
        "sagaql_operation_duration_seconds_count", {"type": "query", "outcome": "ok"}
    )
    return found or 0.0


@in_virtual_time
async def test_a_whole_gateway_may_be_told_to_answer_at_once() -> None:
    async with shop(operation={"incremental": False}) as gateway:
        (only,) = await parts_of(gateway, DEFERRED, KEYS)
    assert only.keys() == {"data"}


@in_virtual_time
async def test_what_is_explained_is_answered_at_once() -> None:
    async with shop() as gateway:
        (only,) = await parts_of(gateway, DEFERRED, KEYS, is_explained=True)
    assert only["extensions"]["explain"]["operation"]
    assert "hasNext" not in only


@in_virtual_time
async def test_what_heeds_no_deadline_is_cut_off_shortly_after_it() -> None:
    async with shop() as gateway:
        parts = await parts_of(gateway, "{ hello ... @defer { endless } }", timeout=2.0)
    (completed,) = parts[1]["completed"]
    assert [error["extensions"]["code"] for error in completed["errors"]] == ["DEADLINE_EXCEEDED"]
    assert merged(parts)[0] == {"hello": "hello you"}


@pytest.mark.parametrize("text", ["{ ... @defer { hello } nothing }", "query($x: Int!) { ... @defer { hello } }"])
@in_virtual_time
async def test_what_is_wrong_before_anything_ran_is_told_alone(text: str) -> None:
    async with shop() as gateway:
        (only,) = await parts_of(gateway, text)
    assert only.keys() == {"errors"}


@in_virtual_time
async def test_an_operation_over_the_limit_is_refused_in_parts_as_at_once() -> None:
    async with shop(server={"max_operations": 1}, wires=slow("reviews")) as gateway:
        first = gateway.parts.engine.stream(GraphQLRequest(text=DEFERRED, variables=KEYS))
        await anext(first)
        (only,) = await parts_of(gateway, DEFERRED, KEYS)
        await first.aclose()
    assert [error["extensions"]["code"] for error in only["errors"]] == ["OVERLOADED"]


@in_virtual_time
async def test_over_a_websocket_each_part_is_a_message() -> None:
    async with shop() as gateway, connected(gateway.app) as socket:
        await socket.introduce()
        await socket.subscribe("a", '{ products(keys: ["a"]) { sku ... @defer { stock { quantity } } } }')
        messages = [await socket.receive() for _ in range(3)]
    assert [message["type"] for message in messages] == ["next", "next", "complete"]
    parts = [message["payload"] for message in messages[:2]]
    assert merged(parts) == ({"products": [{"sku": "a", "stock": {"quantity": 1}}]}, [])
