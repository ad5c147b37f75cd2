from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from demo.kit.application import database
from demo.kit.database import ForeignDatabase, opened
from demo.kit.seed import OPENING, shop
from demo.serve import SERVICES
from tests.demo.front import OpenService


def _rows(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def _count(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


@pytest.mark.parametrize("name", SERVICES)
def test_two_seedings_are_the_same_to_the_last_row(name: str, seeded: Path, tmp_path: Path) -> None:
    shop.cache_clear()
    database(SERVICES[name], data=tmp_path).close()
    assert _rows(tmp_path / f"{name}.sqlite3") == _rows(seeded / f"{name}.sqlite3")


@pytest.mark.parametrize(
    ("name", "table", "count"),
    [
        ("catalog", "products", 1000),
        ("customers", "customers", 200),
        ("inventory", "stock", 1000),
        ("inventory", "reservations", 400),
        ("inventory", "labels", 1000),
        ("orders", "orders", 400),
        ("payments", "payments", 388),
        ("reviews", "reviews", 5000),
        ("shipping", "shipments", 388),
    ],
)
def test_the_shop_opens_with_as_many_as_promised(name: str, table: str, count: int, seeded: Path) -> None:
    assert _count(seeded / f"{name}.sqlite3", table) == count


def test_ids_are_the_services_own_and_titles_and_addresses_are_unique() -> None:
    plan = shop()
    assert (plan.products[0].product_id, plan.products[-1].product_id) == ("p-0001", "p-1000")
    assert (plan.products[0].sku, plan.customers[-1].customer_id) == ("SKU-0001", "c-200")
    assert (plan.reviews[0].review_id, plan.reviews[-1].review_id) == ("r-00001", "r-05000")
    assert len({product.title for product in plan.products}) == len(plan.products)
    assert len({customer.email for customer in plan.customers}) == len(plan.customers)


def test_every_product_has_five_reviews_by_five_customers() -> None:
    reviewers = Counter((review.product_id, review.customer_id) for review in shop().reviews)
    assert set(reviewers.values()) == {1}
    assert set(Counter(product for product, _ in reviewers).values()) == {5}


def test_a_killed_seeding_is_done_again_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "half.sqlite3"

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO things VALUES (1)")
        raise KeyboardInterrupt

    def whole(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO things VALUES (?)", [(1,), (2,)])

    with pytest.raises(KeyboardInterrupt):
        opened(path, schema="CREATE TABLE things (id INTEGER PRIMARY KEY)", fill=half)
    opened(path, schema="CREATE TABLE things (id INTEGER PRIMARY KEY)", fill=whole).close()
    opened(path, schema="never read", fill=half).close()
    assert _count(path, "things") == 2


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 77")
    connection.close()
    with pytest.raises(ForeignDatabase, match="has version 77"):
        opened(path, schema="", fill=lambda _: None)


def test_most_labels_agree_with_the_catalogue_some_are_newer_or_older_and_a_few_differ_at_the_same_instant() -> None:
    plan = shop()
    kinds = Counter[str]()
    for product, label in zip(plan.products, plan.labels, strict=True):
        assert product.sku == label.sku
        if label.price_minor == product.price_minor:
            kinds["agrees"] += 1
        else:
            kinds[_when(label.printed_at, product.updated_at)] += 1
    assert kinds == {"agrees": 890, "newer": 50, "older": 50, "at once": 10}
    assert all(label.printed_at < OPENING for label in plan.labels)


def _when(printed: datetime, updated: datetime) -> str:
    return "at once" if printed == updated else "newer" if printed > updated else "older"


async def test_a_label_has_the_inventorys_own_shape(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    labels = await inventory.get("/labels?skus=SKU-0007&skus=SKU-0001&skus=nothing")
    assert sorted(label["sku"] for label in labels) == ["SKU-0001", "SKU-0007"]
    assert set(labels[0]) == {"sku", "priceMinor", "currencyCode", "printedAt"}


async def test_the_rating_is_the_average_of_the_reviews(open_service: OpenService) -> None:
    catalog, reviews = await open_service("catalog"), await open_service("reviews")
    products = await catalog.get("/products/by-id?ids=p-0001&ids=p-0500&ids=p-1000")
    for product in products:
        stars = [review["stars"] for review in await reviews.get(f"/reviews?products={product['productId']}")]
        assert product["rating"] == {"average": pytest.approx(sum(stars) / 5), "count": 5}


async def test_orders_payments_shipments_and_stock_tell_one_story(open_service: OpenService) -> None:
    orders, payments = await open_service("orders"), await open_service("payments")
    shipping, inventory = await open_service("shipping"), await open_service("inventory")
    held = Counter[str]()
    for planned in shop().orders:
        order = (await orders.get(f"/orders/by-id?ids={planned.order_id}"))[0]
        assert order["totalMinor"] == sum(line["quantity"] * line["unitPriceMinor"] for line in order["lines"])
        assert ("paymentId" in order) == ("shipmentId" in order) == (order["state"] != "pending")
        if planned.fate.reservation == "held":
            held.update({line["sku"]: line["quantity"] for line in order["lines"]})
    paid = {payment["paymentId"]: payment for payment in await _all(payments, "/payments", "payment_id")}
    sent = {shipment["shipmentId"]: shipment for shipment in await _all(shipping, "/shipments", "shipment_id")}
    for planned in shop().orders:
        if planned.payment_id and planned.shipment_id:
            assert paid[planned.payment_id]["amountMinor"] == planned.total_minor
            assert sent[planned.shipment_id]["recipient"].startswith(planned.customer.given_name)
    skus = "&".join(f"skus={stock.sku}" for stock in shop().stock)
    stocks = await inventory.get(f"/stock?{skus}")
    assert {stock["sku"]: stock["reserved"] for stock in stocks if stock["reserved"]} == dict(held)
    assert sum(stock["onHand"] == stock["reserved"] for stock in stocks) == 20


async def _all(front: Any, path: str, attribute: str) -> list[dict[str, Any]]:
    ids = [getattr(order, attribute) for order in shop().orders]
    return list(await front.get(path + "?" + "&".join(f"ids={one}" for one in ids if one)))
