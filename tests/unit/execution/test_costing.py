"""What an operation is estimated to cost: by hand, from what it asks for; kept by the variables that can change it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from graphql import parse

import mutations
import resolvers
from gateway.errors import OperationTooExpensive
from gateway.execution.cost import MOST, Cost
from gateway.execution.costing import MAX_KEPT, CostMode, Costs
from gateway.execution.document import Operation, operations_of
from gateway.execution.explaining import Formula
from gateway.graph import build_graph
from gateway.graph.schema import SLICING
from gateway.telemetry import Metrics

from .explaining.asking import explained, formula_of

LISTING = "query ($first: Int!%s) { products(first: $first) { edges { node { name %s } } } }"
PLAIN = LISTING % ("", "sku")
STOCK = LISTING % (", $full: Boolean! = true", "stock @include(if: $full) { quantity }")


def cost(text: str, variables: Mapping[str, Any] | None = None) -> Cost:
    return explained(text, variables).cost


def test_a_listing_costs_a_call_and_its_objects() -> None:
    found = cost(PLAIN, {"first": 30})
    assert found == Cost(calls=1, objects=1 + 30 + 30)
    assert found.total == 10 + 61


def test_columns_are_free() -> None:
    assert cost("{ product(id: 1) { id } }") == cost("{ product(id: 1) { id name sku } }") == Cost(calls=1, objects=1)


def test_a_list_is_as_long_as_its_author_says() -> None:
    assert cost("{ order(id: 1) { lines { quantity } } }").objects == 1 + 5


def test_a_length_that_may_be_anything_is_the_most_that_its_rule_lets_pass() -> None:
    assert cost(PLAIN, None) == cost(PLAIN, {"first": 1_000}) == cost(PLAIN, {"first": 10**9})


def test_a_join_costs_a_call_for_all_keys_and_an_object_for_each() -> None:
    plain, joined = cost(PLAIN, {"first": 30}), cost(STOCK, {"first": 30})
    assert joined == Cost(calls=plain.calls + 1, objects=plain.objects + 30)


def test_what_is_not_selected_costs_nothing() -> None:
    assert cost(STOCK, {"first": 30, "full": False}) == cost(PLAIN, {"first": 30})


def test_lists_within_lists_multiply() -> None:
    text = "{ products(first: %d) { edges { node { reviews(first: %d) { rating } } } } }"
    few, many = cost(text % (2, 3)), cost(text % (20, 30))
    assert few.objects == 1 + 2 + 2 + 2 * 3
    assert many.objects == 1 + 20 + 20 + 20 * 30


class Explaining:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, operation: Operation, variables: Mapping[str, Any], only: Collection[str]) -> Formula:
        self.asked += 1
        return formula_of(operation, variables, only)


def costs(text: str, *, limit: int | None = None) -> tuple[Costs, Explaining, Operation]:
    explaining = Explaining()
    (operation,) = operations_of(parse(text)).values()
    mode: CostMode | None = None if limit is None else "enforce"
    return (
        Costs(limit=limit, mode=mode, slicing=SLICING, formula=explaining, metrics=Metrics()),
        explaining,
        operation,
    )


def test_an_estimate_is_made_once_for_the_variables_that_can_change_it() -> None:
    text = "query ($first: Int!, $word: String) { products(first: $first, search: $word) { edges { cursor } } }"
    kept, explaining, operation = costs(text)
    for variables in ({"first": 5, "word": "a"}, {"first": 5, "word": "b"}, {"first": 5}):
        kept.estimate(operation, variables)
    assert kept.estimate(operation, {"first": 6}).objects > kept.estimate(operation, {"first": 5}).objects
    assert explaining.asked == 1, "another length is put into the same formula"


def test_what_is_skipped_has_a_formula_of_its_own() -> None:
    kept, explaining, operation = costs(STOCK)
    for full in (True, False, True, False):
        assert kept.estimate(operation, {"first": 5, "full": full}) == cost(STOCK, {"first": 5, "full": full})
    assert explaining.asked == 2


def test_what_is_kept_of_an_operation_is_bounded() -> None:
    names = [f"c{number}" for number in range(7)]
    conditions = " ".join(f"{name}: product(id: 1) @include(if: ${name}) {{ sku }}" for name in names)
    kept, explaining, operation = costs(
        f"query ({', '.join(f'${name}: Boolean!' for name in names)}) {{ {conditions} }}"
    )
    settings = [{name: bool(number & 1 << bit) for bit, name in enumerate(names)} for number in range(MAX_KEPT + 1)]
    for each in settings:
        kept.estimate(operation, each)
    kept.estimate(operation, settings[-1])
    assert explaining.asked == MAX_KEPT + 1
    kept.estimate(operation, settings[0])
    assert explaining.asked == MAX_KEPT + 2


@pytest.mark.parametrize(
    ("first", "as_if"),
    [(7, 7), (7.0, 7), (10**9, 1_000), (-3, 0), (None, None), ("many", None)],
)
def test_a_length_in_a_variable_is_what_execution_takes_it_for(first: object, as_if: int | None) -> None:
    kept, _, operation = costs(PLAIN)
    kept.estimate(operation, {})
    expected = as_if if as_if is not None else 1_000
    assert kept.estimate(operation, {"first": first}).objects == 1 + 2 * expected


def test_a_length_that_is_not_sent_has_its_default() -> None:
    own, arguments = "query ($first: Int = 7) { %s }", "products(first: $first) { edges { node { sku } } }"
    assert costs(own % arguments)[0].estimate(costs(own % arguments)[2], {}) == cost(own % arguments, {"first": 7})
    bare = own.replace(" = 7", "") % arguments
    kept, _, operation = costs(bare)
    assert kept.estimate(operation, {}).objects == 1 + 2 * 20, "the argument's own"


def test_what_costs_as_much_as_is_allowed_is_taken_and_no_more() -> None:
    total = cost(PLAIN, {"first": 30}).total
    enough, _, operation = costs(PLAIN, limit=total)
    enough.charge(operation, {"first": 30}, None)
    kept, _, operation = costs(PLAIN, limit=total - 1)
    with pytest.raises(OperationTooExpensive) as caught:
        kept.charge(operation, {"first": 30}, None)
    assert caught.value.extensions()["cost"] == {"estimated": total, "limit": total - 1}


def test_where_nobody_wants_to_know_nothing_is_estimated() -> None:
    kept, explaining, operation = costs(PLAIN)
    kept.charge(operation, {"first": 30}, None)
    assert explaining.asked == 0


def test_no_estimate_is_more_than_everybody_can_read() -> None:
    assert Cost(calls=10**30, objects=10**30).total == MOST


def test_a_saga_costs_the_calls_of_its_steps() -> None:
    text = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input, idempotencyKey: "k") { __typename } }"""
    assert cost(text).saga_calls == explained(text).summary.saga_calls > 1


def test_a_subscription_costs_what_one_of_its_events_does() -> None:
    graph = build_graph(resolvers.Query, mutations.Mutation, resolvers.Subscription)
    found = explained('subscription { sagaEvents(id: "x") { sequence } }', graph=graph)
    assert found.cost == Cost(calls=0, objects=1)
