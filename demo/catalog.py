"""The catalogue: what the shop sells, by id, by stock keeping unit, or page by page. It only reads."""

from __future__ import annotations

import sqlite3
from typing import Any

from demo.kit.database import as_set
from demo.kit.instants import iso
from demo.kit.query import Query, cursor
from demo.kit.seed import CURRENCY, REVIEWS_PER_PRODUCT, Shop
from demo.kit.service import JsonObject, Service

DEFAULT_PAGE = 20
LARGEST_PAGE = 1000

_SCHEMA = """
CREATE TABLE products (
    product_id TEXT PRIMARY KEY, sku TEXT NOT NULL UNIQUE, title TEXT NOT NULL, folded_title TEXT NOT NULL,
    description TEXT NOT NULL, category TEXT NOT NULL, price TEXT NOT NULL, currency TEXT NOT NULL,
    rating REAL, rating_count INTEGER NOT NULL, updated_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX products_by_category ON products (category, product_id)
"""
_SELECT = """
SELECT product_id, sku, title, description, category, price, currency, rating, rating_count, updated_at FROM products
"""
# A filter that is NULL lets everything through.
_FILTER = "(:category IS NULL OR category = :category) AND (:search IS NULL OR instr(folded_title, :search) > 0)"


class Price(JsonObject, frozen=True):
    value: str
    """A decimal, for example 12.99."""
    currency_code: str


class Rating(JsonObject, frozen=True):
    average: float
    count: int


class Product(JsonObject, frozen=True):
    product_id: str
    stock_keeping_unit: str
    title: str
    long_description: str
    category_code: str
    list_price: Price
    rating: Rating | None
    updated_at: str


class ProductPage(JsonObject, frozen=True):
    items: list[Product]
    next_cursor: str | None
    total: int


def _by_id(connection: sqlite3.Connection, query: Query) -> list[Product]:
    ids = as_set(query.keys("ids"))
    return _products(connection.execute(f"{_SELECT} WHERE product_id IN (SELECT value FROM json_each(?))", (ids,)))


def _by_sku(connection: sqlite3.Connection, query: Query) -> list[Product]:
    skus = as_set(query.keys("skus"))
    return _products(connection.execute(f"{_SELECT} WHERE sku IN (SELECT value FROM json_each(?))", (skus,)))


def _page(connection: sqlite3.Connection, query: Query) -> ProductPage:
    limit = query.limit(default=DEFAULT_PAGE, at_most=LARGEST_PAGE)
    after = query.after(parts=1) or [""]
    wanted = {"category": query.text("category"), "search": (query.text("search") or "").casefold() or None}
    total = connection.execute(f"SELECT count(*) FROM products WHERE {_FILTER}", wanted).fetchone()[0]
    # One more than asked tells whether there is a next page.
    rows = connection.execute(
        f"{_SELECT} WHERE {_FILTER} AND product_id > :after ORDER BY product_id LIMIT :limit",
        {**wanted, "after": after[0], "limit": limit + 1},
    )
    found = _products(rows)
    items = found[:limit]
    return ProductPage(items, cursor(items[-1].product_id) if len(found) > limit else None, total)


def _products(rows: sqlite3.Cursor) -> list[Product]:
    return [_product(*row) for row in rows]


def _product(*row: Any) -> Product:
    product_id, sku, title, description, category, price, currency, rating, rating_count, updated_at = row
    return Product(
        product_id=product_id,
        stock_keeping_unit=sku,
        title=title,
        long_description=description,
        category_code=category,
        list_price=Price(price, currency),
        rating=None if rating is None else Rating(rating, rating_count),
        updated_at=updated_at,
    )


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    ratings = shop.ratings()
    connection.executemany(
        "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                product.product_id,
                product.sku,
                product.title,
                product.title.casefold(),
                product.description,
                product.category,
                f"{product.price_minor // 100}.{product.price_minor % 100:02}",
                CURRENCY,
                ratings[product.product_id],
                REVIEWS_PER_PRODUCT,
                iso(product.updated_at),
            )
            for product in shop.products
        ),
    )


SERVICE = Service(
    "catalog",
    schema=_SCHEMA,
    seed=_seed,
    reads={"/products/by-id": _by_id, "/products/by-sku": _by_sku, "/products": _page},
)
