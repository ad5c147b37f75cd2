"""One service down, slow, hanging or talking nonsense: the rest of the answer arrives, and says what is missing and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.conftest import wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

PRODUCTS = """
query Products($first: Int!) {
  products(first: $first) {
    edges { node { id sku name price { amount currency } stock { quantity } reviews(first: 3) { rating author { name } } } }
  }
}
"""
QUICK = {"x-request-timeout-ms": "1500"}


def nodes(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [edge["node"] for edge in answer["data"]["products"]["edges"]]


@pytest.mark.parametrize("first", [1, 50, 1000])
def test_each_service_is_called_once_a_layer_however_many_products(demo: Demo, first: int) -> None:
    answer = demo.graphql(PRODUCTS, {"first": first})

    assert "errors" not in answer
    assert len(nodes(answer)) == first
    assert all(product["reviews"] for product in nodes(answer))
    calls = {name: demo.service(name).calls()["total"] for name in ("catalog", "inventory", "reviews", "customers")}
    assert calls == {"catalog": 1, "inventory": 1, "reviews": 1, "customers": 1}


def test_a_service_that_fails_leaves_its_field_null_with_a_reason_and_the_rest_stands(demo: Demo) -> None:
    demo.service("customers").fault({"status": 503})

    answer = demo.graphql(PRODUCTS, {"first": 2})

    assert [len(product["reviews"]) for product in nodes(answer)] == [3, 3]
    assert all(review["author"] is None for product in nodes(answer) for review in product["reviews"])
    assert len(answer["errors"]) == 6
    error = answer["errors"][0]
    assert error["path"] == ["products", "edges", 0, "node", "reviews", 0, "author"]
    assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "service": "customers", "retryable": True}
    assert {note["to"] for note in answer["extensions"]["degraded"]} == {"NULL"}


def test_a_declared_default_is_served_and_reported_instead_of_an_error(demo: Demo) -> None:
    demo.service("reviews").fault({"garbage": True})

    answer = demo.graphql(PRODUCTS, {"first": 1})

    assert "errors" not in answer
    assert nodes(answer)[0]["reviews"] == []
    (note,) = answer["extensions"]["degraded"]
    assert note["path"] == ["products", "edges", 0, "node", "reviews"]
    assert (note["to"], note["code"], note["service"]) == ("DEFAULT", "SERVICE_CONTRACT_BROKEN", "reviews")


def test_a_warmed_field_is_served_stale_and_says_how_old_it_is(demo: Demo) -> None:
    before = nodes(demo.graphql(PRODUCTS, {"first": 1}))
    demo.service("inventory").fault({"status": 500})

    answer = demo.graphql(PRODUCTS, {"first": 1})

    assert "errors" not in answer
    assert nodes(answer) == before
    (note,) = answer["extensions"]["degraded"]
    assert (note["to"], note["service"]) == ("STALE", "inventory")
    assert note["ageSeconds"] >= 0


@pytest.mark.parametrize(
    "fault", [{"hang": True}, {"trickle": True}, {"latency": 30.0}], ids=["hangs", "trickles", "is slow"]
)
def test_at_the_deadline_the_answer_is_what_is_ready(demo: Demo, fault: dict[str, Any]) -> None:
    demo.service("customers").fault(fault)

    answer = demo.graphql(PRODUCTS, {"first": 1}, headers=QUICK)

    assert nodes(answer)[0]["stock"] is not None
    assert len(nodes(answer)[0]["reviews"]) == 3
    assert {error["extensions"]["code"] for error in answer["errors"]} <= {"DEADLINE_EXCEEDED", "SERVICE_TIMEOUT"}
    assert {error["extensions"]["service"] for error in answer["errors"]} == {"customers"}


def test_a_failing_root_leaves_the_other_roots_standing(demo: Demo) -> None:
    demo.service("catalog").fault({"status": 503})

    answer = demo.graphql('{ products(first: 1) { totalCount } customer(id: "Q3VzdG9tZXI6Yy0wMDE") { name } }')

    assert answer["data"]["products"] is None
    assert answer["data"]["customer"]["name"]
    assert [error["path"] for error in answer["errors"]] == [["products"]]


def test_a_killed_service_is_missed_only_where_it_is_needed_and_found_again(demo: Demo) -> None:
    demo.stop_service("reviews")
    try:
        answer = demo.graphql(PRODUCTS, {"first": 1})
        assert nodes(answer)[0]["stock"] is not None
        assert answer["extensions"]["degraded"][0]["service"] == "reviews"
    finally:
        demo.start_service("reviews")

    wait_until(lambda: nodes(demo.graphql(PRODUCTS, {"first": 1}))[0]["reviews"] != [], saying="reviews are back")


def test_the_gateway_starts_and_answers_what_it_can_while_services_are_down(demo: Demo) -> None:
    demo.stop_service("inventory")
    demo.kill_gateway()
    try:
        demo.start_gateway()
        answer = demo.graphql(PRODUCTS, {"first": 1})
        assert nodes(answer)[0]["name"]
        assert nodes(answer)[0]["stock"] is None
        (error,) = answer["errors"]
        assert error["extensions"]["service"] == "inventory"
        assert httpx.get(f"{demo.url}/readyz").status_code == 200
    finally:
        demo.start_service("inventory")
