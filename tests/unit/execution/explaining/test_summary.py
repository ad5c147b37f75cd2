"""What the whole costs: calls, layers, the slowest path, a saga's steps."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gateway.clock import Seconds
from gateway.execution.explaining import as_json
from gateway.execution.explaining.explanation import Call, ExplainedFallback, ExplainedField, ExplainedJoin
from gateway.execution.explaining.summary import summary
from gateway.services import BulkheadSettings, Retry, ServiceConfig
from tests.unit.execution.explaining.asking import at, explained

ORDER = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input, idempotencyKey: "k") {
    ... on PlaceOrderCompleted { order { status shipment { trackingNumber } } } } }"""
CANCEL_TWO = """mutation ($a: CancelOrderInput!, $b: CancelOrderInput!) {
    first: cancelOrder(input: $a) { ... on CancelOrderCompleted { order { shipment { carrier } } } }
    second: cancelOrder(input: $b) { ... on CancelOrderCompleted { order { shipment { carrier } } } } }"""


def config(*, timeout: float = 1.0, attempts: int = 1) -> ServiceConfig:
    """No waits besides the attempts themselves, so that sums are round."""
    return ServiceConfig(
        instances=("http://a.test",),
        attempt_timeout=Seconds(timeout),
        retry=Retry(attempts=attempts, base=Seconds(0.0)),
        bulkhead=BulkheadSettings(wait=Seconds(0.0), critical_wait=Seconds(0.0)),
    )


def test_independent_branches_are_asked_at_the_same_time_so_the_longest_counts() -> None:
    found = explained(
        "{ products { edges { node { stock { quantity } reviews { author { id } } } } } }",
        catalog=config(),
        inventory=config(timeout=5.0),
        reviews=config(timeout=2.0),
        customers=config(timeout=2.0, attempts=2),
    )
    slowest = found.summary.slowest

    assert [path[-1] for path in slowest.paths] == ["products", "reviews", "author"]
    assert (slowest.attempts, slowest.seconds) == (4, 7.0)
    assert found.summary.layers == 3


def test_waits_for_permits_and_between_attempts_are_counted() -> None:
    slowest = explained("{ products { totalCount } }").summary.slowest

    assert slowest.seconds == pytest.approx(3 * 2.0 + 3 * 0.1 + 0.05 + 0.1)


def test_a_table_of_loaders_counts_once_and_by_its_slowest() -> None:
    found = explained("query ($id: ID!) { node(id: $id) { id } }", payments=config(timeout=3.0, attempts=9)).summary

    assert (found.calls, found.calls_at_most) == (1, 2), "it may look into one of ORDER_OF and NODES, or into both"
    assert found.slowest.attempts == 3 + 9
    assert found.slowest.seconds == pytest.approx(6.45 + 27.0)


def test_what_a_table_is_asked_for_may_be_what_another_field_asks() -> None:
    found = explained("query ($a: ID!, $b: ID!) { product(id: $a) { name } node(id: $b) { id } }").summary

    assert (found.calls, found.calls_at_most) == (1, 3)


def test_a_saga_is_waited_for_only_so_long_and_its_calls_are_counted_apart() -> None:
    found = explained(ORDER, deadline=4.0)

    assert (found.summary.saga_calls, found.summary.calls, found.summary.layers) == (8, 1, 2)
    saga = at(found, "placeOrder").saga
    assert saga is not None
    assert (saga.wait, saga.deadline, saga.key, saga.pivot) == (3.9, 30.0, "required", "capture")
    assert found.summary.slowest.paths[0] == ("placeOrder",)


def test_the_steps_of_a_saga_are_those_of_its_plan() -> None:
    saga = at(explained(ORDER), "placeOrder").saga
    assert saga is not None
    steps = {step.name: step for step in saga.steps}

    assert {name: step.layer for name, step in steps.items()} == {
        "buyer": 1,
        "quote": 1,
        "reservation": 1,
        "authorization": 2,
        "placement": 2,
        "capture": 3,
        "shipment": 4,
        "confirmation": 5,
    }
    assert [name for name, step in steps.items() if step.is_pivot] == ["capture"]
    assert [name for name, step in steps.items() if step.is_after_pivot] == ["shipment", "confirmation"]
    assert (steps["reservation"].attempts, steps["shipment"].attempts) == (4, None)
    assert (steps["reservation"].undo, steps["reservation"].invalidates) == ("release", ("inventory /stock",))


def test_the_calls_of_steps_are_named_in_their_code_and_sent_once_an_attempt() -> None:
    saga = at(explained(ORDER), "placeOrder").saga
    assert saga is not None
    sent = {step.name: [(call.service, call.endpoint, call.declared) for call in step.calls] for step in saga.steps}
    undone = {step.name: [call.endpoint for call in step.undo_calls] for step in saga.steps if step.undo}

    assert sent["reservation"] == [("inventory", "POST /reservations", "reserve_stock")]
    assert sent["quote"] == [("catalog", "GET /products/by-sku", "products_by_sku")]
    assert undone == {
        "reservation": ["POST /reservations/release"],
        "authorization": ["POST /authorizations/void"],
        "placement": ["POST /orders/cancel"],
    }
    assert {call.attempts for step in saga.steps for call in step.calls} == {1}


def test_mutations_run_one_after_another_and_read_anew_after_each() -> None:
    found = explained(CANCEL_TWO, deadline=100.0)
    first, second = (at(found, f"{key}.order.shipment") for key in ("first", "second"))

    assert (first.layer, at(found, "second").layer, second.layer) == (2, 3, 4)
    assert at(found, "second").waits_for == at(found, "first").number
    assert first.calls[0].question != second.calls[0].question
    assert [path[0] for path in found.summary.slowest.paths] == ["first", "first", "second", "second"]


def test_sources_are_asked_together_and_alternatives_one_after_another() -> None:
    call = Call(
        service="a",
        endpoint="GET /a",
        declared="a",
        question=1,
        attempts=2,
        attempt_timeout=Seconds(1),
        longest=Seconds(2),
    )
    slower = replace(call, question=2, attempts=3, longest=Seconds(3))
    spare = replace(call, service="b", question=3, longest=Seconds(4))
    join = ExplainedJoin(
        on="key", fallbacks=(ExplainedFallback(kind="alternative", call=spare), ExplainedFallback(kind="null"))
    )
    field = ExplainedField(
        number=1, key="f", name="f", parents=("Query",), path=("f",), type="T", types=(), kind="join", arguments={},
        layer=1, join=join, calls=(call, slower),
    )  # fmt: skip
    told = summary([field], is_serial=False)

    assert (told.services, told.calls, told.slowest.attempts, told.slowest.seconds) == (("a", "b"), 2, 5, 7.0)
    assert [(each.service, [(e.becomes, e.instead) for e in each.effects]) for each in told.outages] == [
        ("a", [(("alternative", "null"), "b")]),
        ("b", []),
    ]


def test_json_has_every_member_in_camel_case_and_nothing_that_is_no_json() -> None:
    told = as_json(explained(ORDER))

    assert json.loads(json.dumps(told)) == told
    assert told["version"] == 1
    members = {
        "version",
        "operation",
        "name",
        "deadline",
        "notCompiled",
        "fields",
        "services",
        "summary",
        "cost",
        "run",
    }
    assert set(told) == members
    assert set(told["summary"]) == {
        "services", "joins", "calls", "callsAtMost", "sagaCalls", "layers", "slowest", "outages",
    }  # fmt: skip
    shipment = told["fields"][0]["fields"][0]["fields"][1]
    assert (shipment["waitsFor"], shipment["calls"][0]["attemptTimeout"]) == (1, 2.0)
    assert shipment["calls"][0]["formula"] == "1 call"
