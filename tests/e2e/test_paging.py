"""Paging over real services, each with its own idea of how long a page may be: 100 orders, 1000 products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.ordering import AS_CUSTOMER, CUSTOMER

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

ORDERS = """
query Orders($id: ID!, $first: Int!, $after: String) {
  customer(id: $id) { orders(first: $first, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }
}
"""
PRODUCTS = """
query Products($first: Int!, $after: String) {
  products(first: $first, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } }
}
"""


def orders(demo: Demo, *, first: int, after: str | None = None) -> dict[str, Any]:
    variables = {"id": CUSTOMER, "first": first, "after": after}
    answer = demo.graphql(ORDERS, variables, headers=AS_CUSTOMER)
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]["customer"]["orders"]
    return found


def products(demo: Demo, *, first: int, after: str | None = None) -> dict[str, Any]:
    answer = demo.graphql(PRODUCTS, {"first": first, "after": after})
    assert "errors" not in answer, answer["errors"]
    found: dict[str, Any] = answer["data"]["products"]
    return found


def ids(page: dict[str, Any]) -> list[str]:
    return [edge["node"]["id"] for edge in page["edges"]]


def test_orders_go_on_after_any_of_them_with_the_longest_page(demo: Demo) -> None:
    whole = orders(demo, first=100)
    assert whole["edges"]

    for place, edge in enumerate(whole["edges"], start=1):
        rest = ids(whole)[place:]
        page = orders(demo, first=100, after=edge["cursor"])
        assert ids(page)[: len(rest)] == rest
        if not whole["pageInfo"]["hasNextPage"]:
            assert ids(page) == rest, "there are no more orders than those of the first page"


def test_products_go_on_in_the_middle_of_the_longest_page_and_end_after_the_last(demo: Demo) -> None:
    whole = products(demo, first=1000)
    assert len(whole["edges"]) == 1000

    rest = products(demo, first=1000, after=whole["edges"][499]["cursor"])
    beyond = products(demo, first=10, after=whole["pageInfo"]["endCursor"])

    assert ids(rest) == ids(whole)[500:]
    assert beyond == {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
