"""The customers: who they are and since when. It only reads."""

from __future__ import annotations

import sqlite3

from demo.kit.database import as_set
from demo.kit.query import Query
from demo.kit.seed import Shop
from demo.kit.service import JsonObject, Service

_SCHEMA = """
CREATE TABLE customers (
    customer_id TEXT PRIMARY KEY, given_name TEXT NOT NULL, family_name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE, member_since TEXT NOT NULL
) WITHOUT ROWID
"""


class Customer(JsonObject, frozen=True):
    customer_id: str
    given_name: str
    family_name: str
    email_address: str
    member_since: str
    """A date, for example 2021-05-30."""


def _customers(connection: sqlite3.Connection, query: Query) -> list[Customer]:
    rows = connection.execute(
        "SELECT * FROM customers WHERE customer_id IN (SELECT value FROM json_each(?))", (as_set(query.keys("ids")),)
    )
    return [Customer(*row) for row in rows]


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    connection.executemany(
        "INSERT INTO customers VALUES (?, ?, ?, ?, ?)",
        (
            (who.customer_id, who.given_name, who.family_name, who.email, who.member_since.isoformat())
            for who in shop.customers
        ),
    )


SERVICE = Service("customers", schema=_SCHEMA, seed=_seed, reads={"/customers": _customers})
