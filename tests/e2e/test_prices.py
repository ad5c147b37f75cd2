"""One fact of two services: they agree, one is newer, neither is, one of them is away, or both."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest

from demo.kit.seed import SeedLabel, SeedProduct, shop
from tests.e2e.conftest import SUPPORT, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

PRICES = """
query Prices($id: ID!) {
  product(id: $id) { sku price { amount } currentPrice { amount { amount } } shelfPrice { amount { amount } } }
}
"""


def prices(demo: Demo, number: int, query: str = PRICES) -> dict[str, Any]:
    """The answer for the product p-NUMBER. Labels are cached for a while: each test asks for a product of its own."""
    key = urlsafe_b64encode(f"Product:p-{number:04}".encode()).decode().rstrip("=")
    return demo.graphql(query, {"id": key})


def current(answer: dict[str, Any]) -> int | None:
    price = answer["data"]["product"]["currentPrice"]
    return price and int(price["amount"]["amount"])


def seeded(number: int) -> tuple[SeedProduct, SeedLabel]:
    plan = shop()
    return plan.products[number - 1], plan.labels[number - 1]


def test_sources_that_agree_are_one_price_without_a_word(demo: Demo) -> None:
    answer = prices(demo, 101)
    assert current(answer) == seeded(101)[0].price_minor
    assert "extensions" not in answer
    calls = {name: demo.service(name).calls()["byEndpoint"] for name in ("catalog", "inventory")}
    assert calls == {
        "catalog": {"GET /products/by-id": 1, "GET /products/by-sku": 1},
        "inventory": {"GET /labels": 1},
    }


def test_the_newer_price_wins_whoever_has_it(demo: Demo) -> None:
    reduced, late = seeded(110), seeded(105)
    assert current(prices(demo, 110)) == reduced[1].price_minor != reduced[0].price_minor
    assert current(prices(demo, 105)) == late[0].price_minor != late[1].price_minor


def test_two_prices_of_one_instant_are_none_and_operators_are_told(demo: Demo) -> None:
    answer = prices(demo, 177)
    assert current(answer) is None
    (error,) = answer["errors"]
    assert error["path"] == ["product", "currentPrice"]
    assert error["extensions"] == {
        "code": "SERVICE_SOURCES_UNDECIDED",
        "retryable": True,
        "service": "catalog",
        "services": ["catalog", "inventory"],
    }
    (note,) = answer["extensions"]["degraded"]
    assert (note["to"], note["reason"]) == ("NULL", "catalog and inventory: they differ at the same instant")
    wait_until(lambda: "sources disagree" in demo.log(), saying="the log tells of a disagreement")


def test_with_one_source_away_the_other_is_served_and_the_answer_says_so(demo: Demo) -> None:
    demo.service("inventory").fault({"status": 503})
    answer = prices(demo, 210)
    assert current(answer) == seeded(210)[0].price_minor
    assert answer["data"]["product"]["shelfPrice"] == {"amount": {"amount": seeded(210)[0].price_minor}}
    assert "errors" not in answer
    notes = {note["path"][-1]: (note["to"], note["service"]) for note in answer["extensions"]["degraded"]}
    assert notes == {"currentPrice": ("PARTIAL", "inventory"), "shelfPrice": ("ALTERNATIVE", "inventory")}


def test_with_both_sources_away_there_is_no_price_and_the_rest_stands(demo: Demo) -> None:
    demo.service("inventory").fault({"status": 503})
    demo.service("catalog").fault({"status": 503, "path": "/products/by-sku"})
    answer = prices(demo, 310)
    assert current(answer) is None
    assert answer["data"]["product"]["sku"] == "SKU-0310"
    assert {error["path"][-1]: error["extensions"]["service"] for error in answer["errors"]} == {
        "currentPrice": "catalog",
        "shelfPrice": "inventory",
    }


def test_a_label_is_served_from_the_cache_while_it_is_asked_for_anew(demo: Demo) -> None:
    query = "query($id: ID!) { product(id: $id) { shelfPrice { amount { amount } } } }"
    first = prices(demo, 401, query)

    def labels() -> int:
        count: int = demo.service("inventory").calls()["byEndpoint"].get("GET /labels", 0)
        return count

    def is_renewed() -> bool:
        assert prices(demo, 401, query) == first
        return labels() > 1

    assert labels() == 1
    demo.service("inventory").fault({"latency": 1.0})
    wait_until(is_renewed, saying="the label is asked for anew")


def test_an_order_is_read_as_of_this_moment_with_its_payment(demo: Demo) -> None:
    order = next(order for order in shop().orders if order.payment_id)
    key = urlsafe_b64encode(f"Order:{order.order_id}".encode()).decode().rstrip("=")
    for _ in range(2):
        answer = demo.graphql("query($id: ID!) { order(id: $id) { payment { status } } }", {"id": key}, headers=SUPPORT)
        assert answer["data"]["order"]["payment"]["status"] == str(order.fate.payment).upper()
    assert demo.service("payments").calls()["total"] == 2
