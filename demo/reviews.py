"""The reviews: what customers said about products, newest first. It only reads."""

from __future__ import annotations

import sqlite3

from demo.kit.database import as_set
from demo.kit.instants import epoch_milliseconds
from demo.kit.query import Query
from demo.kit.seed import Shop
from demo.kit.service import JsonObject, Service

DEFAULT_LIMIT = 10
LARGEST_LIMIT = 100

_SCHEMA = """
CREATE TABLE reviews (
    review_id TEXT PRIMARY KEY, product_id TEXT NOT NULL, stars INTEGER NOT NULL, text TEXT NOT NULL,
    customer_id TEXT NOT NULL, posted_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reviews_by_product ON reviews (product_id, posted_at, review_id)
"""
_NEWEST = """
SELECT review_id, product_id, stars, text, customer_id, posted_at FROM (
    SELECT *, row_number() OVER (PARTITION BY product_id ORDER BY posted_at DESC, review_id DESC) AS place
    FROM reviews WHERE product_id IN (SELECT value FROM json_each(?))
) WHERE place <= ? ORDER BY posted_at DESC, review_id DESC
"""


_BY_ID = """
SELECT review_id, product_id, stars, text, customer_id, posted_at FROM reviews
WHERE review_id IN (SELECT value FROM json_each(?)) ORDER BY review_id
"""


class Review(JsonObject, frozen=True):
    review_id: str
    product_id: str
    stars: int
    text: str
    customer_id: str
    posted_at: int
    """Milliseconds since the epoch."""


def _reviews(connection: sqlite3.Connection, query: Query) -> list[Review]:
    """One flat list for all products asked, at most `limit` of each."""
    limit = query.limit(default=DEFAULT_LIMIT, at_most=LARGEST_LIMIT)
    return [Review(*row) for row in connection.execute(_NEWEST, (as_set(query.keys("products")), limit))]


def _by_id(connection: sqlite3.Connection, query: Query) -> list[Review]:
    return [Review(*row) for row in connection.execute(_BY_ID, (as_set(query.keys("ids")),))]


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    connection.executemany(
        "INSERT INTO reviews VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                said.review_id,
                said.product_id,
                said.stars,
                said.text,
                said.customer_id,
                epoch_milliseconds(said.posted_at),
            )
            for said in shop.reviews
        ),
    )


SERVICE = Service("reviews", schema=_SCHEMA, seed=_seed, reads={"/reviews": _reviews, "/reviews/by-id": _by_id})
