from __future__ import annotations

from collections import Counter

import pytest

from demo.kit.seed import shop
from tests.demo.front import OpenService


async def test_a_product_has_the_catalogues_own_shape(open_service: OpenService) -> None:
    catalog = await open_service("catalog")
    [product] = await catalog.get("/products/by-sku?skus=SKU-0007")
    assert set(product) == {
        "productId",
        "stockKeepingUnit",
        "title",
        "longDescription",
        "categoryCode",
        "listPrice",
        "rating",
        "updatedAt",
    }
    assert product["productId"] == "p-0007"
    assert product["listPrice"]["value"].count(".") == 1


async def test_unknown_ids_are_absent_and_repeated_ids_answered_once(open_service: OpenService) -> None:
    catalog = await open_service("catalog")
    products = await catalog.get("/products/by-id?ids=p-0002&ids=nothing&ids=p-0001&ids=p-0002")
    assert sorted(product["productId"] for product in products) == ["p-0001", "p-0002"]


async def test_the_pages_of_the_catalogue_join_without_gap_or_overlap(open_service: OpenService) -> None:
    catalog = await open_service("catalog")
    seen: list[str] = []
    after = ""
    while True:
        page = await catalog.get(f"/products?limit=300&after={after}")
        seen += [product["productId"] for product in page["items"]]
        assert page["total"] == 1000
        if page["nextCursor"] is None:
            break
        after = page["nextCursor"]
    assert seen == sorted(set(seen))
    assert len(seen) == 1000


async def test_search_ignores_case_and_combines_with_category(open_service: OpenService) -> None:
    catalog = await open_service("catalog")
    page = await catalog.get("/products?search=kEtTlE&category=KITCHEN&limit=1000")
    assert page["total"] == len(page["items"]) > 0
    assert all("Kettle" in product["title"] for product in page["items"])
    assert (await catalog.get("/products?search=kettle&category=TOYS"))["items"] == []
    assert (await catalog.get("/products?search=%25"))["total"] == 0


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/products?limit=0", "limit must be a whole number from 1 to 1000"),
        ("/products?limit=1001", "limit must be"),
        ("/products?limit=many", "'many'"),
        ("/products?after=p-0001", "not a cursor"),
        ("/products?after=%C3%A9", "not a cursor"),
        ("/products/by-id", "ids must be given from 1 to 1000 times, not 0"),
    ],
)
async def test_a_malformed_question_is_told_what_is_wrong(path: str, complaint: str, open_service: OpenService) -> None:
    catalog = await open_service("catalog")
    response = await catalog.client.get(path)
    assert response.status_code == 400
    assert response.json()["code"] == "MALFORMED"
    assert complaint in response.json()["message"]


async def test_reviews_come_newest_first_and_limited_per_product(open_service: OpenService) -> None:
    reviews = await open_service("reviews")
    found = await reviews.get("/reviews?products=p-0001&products=p-0002&products=none&limit=2")
    assert Counter(review["productId"] for review in found) == {"p-0001": 2, "p-0002": 2}
    assert [review["postedAt"] for review in found] == sorted((r["postedAt"] for r in found), reverse=True)
    every = await reviews.get("/reviews?products=p-0001")
    assert [r for r in found if r["productId"] == "p-0001"] == every[:2]


async def test_each_customer_asked_has_an_entry_even_a_stranger(open_service: OpenService) -> None:
    orders = await open_service("orders")
    entries = await orders.get("/orders/by-customer?customers=c-005&customers=stranger")
    assert [entry["customerId"] for entry in entries] == ["c-005", "stranger"]
    assert entries[1] == {"customerId": "stranger", "items": [], "nextCursor": None, "total": 0}


async def test_a_customers_orders_page_from_the_newest_to_the_oldest(open_service: OpenService) -> None:
    orders = await open_service("orders")
    everyone = "&".join(f"customers=c-{number:03}" for number in range(1, 201))
    pages = await orders.get(f"/orders/by-customer?{everyone}&limit=100")
    busiest = max(pages, key=lambda page: page["total"])
    seen: list[str] = []
    after = ""
    for _ in range(busiest["total"]):
        asked = f"/orders/by-customer?customers={busiest['customerId']}&limit=1&after={after}"
        [page] = await orders.get(asked)
        seen += [order["orderId"] for order in page["items"]]
        after = page["nextCursor"] or ""
    assert seen == [order["orderId"] for order in busiest["items"]]
    assert after == ""
    placed = [order["placedAt"] for order in busiest["items"]]
    assert placed == sorted(placed, reverse=True)


async def test_an_order_is_found_by_its_payment_and_by_its_shipment(open_service: OpenService) -> None:
    orders = await open_service("orders")
    order = next(each for each in shop().orders if each.payment_id and each.shipment_id)
    [by_payment] = await orders.get(f"/orders/by-payment?ids={order.payment_id}&ids=pay-nothing")
    [by_shipment] = await orders.get(f"/orders/by-shipment?ids={order.shipment_id}")
    assert by_payment == by_shipment
    assert by_payment["orderId"] == order.order_id


async def test_customers_are_found_by_id(open_service: OpenService) -> None:
    customers = await open_service("customers")
    [customer] = await customers.get("/customers?ids=c-200")
    assert set(customer) == {"customerId", "givenName", "familyName", "emailAddress", "memberSince"}


async def test_calls_count_business_requests_only_until_they_are_reset(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.get("/stock?skus=SKU-0001")
    await inventory.get("/health")
    await inventory.client.get("/stock")
    await inventory.client.get("/nowhere")
    await inventory.post("/reservations", {"lines": []})
    calls = {"GET /stock": 2, "POST /reservations": 1, "unknown": 1}
    assert await inventory.get("/__calls") == {"total": 4, "byEndpoint": calls}
    await inventory.client.delete("/__calls")
    assert await inventory.get("/__calls") == {"total": 0, "byEndpoint": {}}


async def test_traces_and_headers_of_requests_are_kept_and_bounded(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    for number in range(201):
        await inventory.client.get("/stock?skus=SKU-0001", headers={"traceparent": f"trace-{number}"})
    traces = await inventory.get("/__traces")
    assert len(traces) == 200
    assert traces[-1] == {"endpoint": "GET /stock", "traceparent": "trace-200"}
    headers = await inventory.get("/__headers")
    assert len(headers) == 50
    assert headers[-1]["endpoint"] == "GET /stock"
    assert headers[-1]["headers"]["traceparent"] == "trace-200"


async def test_unknown_places_and_methods_answer_in_the_services_own_shape(open_service: OpenService) -> None:
    catalog = await open_service("catalog")
    nowhere = await catalog.client.get("/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "NOT_FOUND")
    wrong = await catalog.client.post("/products")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert (await catalog.client.get("/__ledger")).status_code == 404
