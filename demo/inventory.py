"""The inventory: stock on hand, reservations that hold some of it, and the prices that stand on its shelves.

Invariant: 0 <= reserved <= on hand, for every sku; a reservation holds all of its lines or none.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from secrets import token_hex
from typing import Annotated

import msgspec
from msgspec import Meta

from demo.kit.answers import Answer, Refusal, answered
from demo.kit.database import as_set
from demo.kit.instants import iso
from demo.kit.query import Query
from demo.kit.seed import CURRENCY, Shop
from demo.kit.service import Body, JsonObject, Key, Service, Write
from demo.kit.work import Work

_SCHEMA = """
CREATE TABLE stock (
    sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL, reserved INTEGER NOT NULL, warehouse TEXT NOT NULL,
    CHECK (0 <= reserved AND reserved <= on_hand)
) WITHOUT ROWID;
CREATE TABLE reservations (
    reservation_id TEXT PRIMARY KEY, state TEXT NOT NULL, lines TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE labels (
    sku TEXT PRIMARY KEY, price_minor INTEGER NOT NULL, currency TEXT NOT NULL, printed_at TEXT NOT NULL
) WITHOUT ROWID
"""


class Stock(JsonObject, frozen=True):
    sku: str
    on_hand: int
    reserved: int
    warehouse_code: str


class Label(JsonObject, frozen=True):
    sku: str
    price_minor: int
    currency_code: str
    printed_at: str


class Line(Body, frozen=True):
    sku: Annotated[str, Meta(min_length=1, max_length=100)]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]


class Reserve(Body, frozen=True):
    lines: Annotated[list[Line], Meta(min_length=1, max_length=200)]


class Reservation(JsonObject, frozen=True):
    reservation_id: str
    lines: list[Line]


class Release(Body, frozen=True):
    forward_key: Key | None = None
    reservation_id: str | None = None


class Released(JsonObject, frozen=True):
    released: bool
    """The reservation stands released, now or before; False if there is none, or its goods have left."""


def _stock(connection: sqlite3.Connection, query: Query) -> list[Stock]:
    skus = as_set(query.keys("skus"))
    rows = connection.execute("SELECT * FROM stock WHERE sku IN (SELECT value FROM json_each(?))", (skus,))
    return [Stock(*row) for row in rows]


def _labels(connection: sqlite3.Connection, query: Query) -> list[Label]:
    skus = as_set(query.keys("skus"))
    rows = connection.execute("SELECT * FROM labels WHERE sku IN (SELECT value FROM json_each(?))", (skus,))
    return [Label(*row) for row in rows]


def _reserve(work: Work, body: Reserve) -> Answer:
    for sku, quantity in _quantities(body.lines).items():
        _hold(work, sku, quantity)
    reservation_id = f"rsv-{token_hex(8)}"
    work.connection.execute(
        "INSERT INTO reservations VALUES (?, 'held', ?)", (reservation_id, msgspec.json.encode(body.lines))
    )
    work.record("reserve", reservation_id, lines=msgspec.to_builtins(body.lines))
    return answered(201, Reservation(reservation_id, body.lines))


def _hold(work: Work, sku: str, quantity: int) -> None:
    """Raises: Refusal, which takes back the lines held before this one."""
    row = work.connection.execute("SELECT on_hand - reserved FROM stock WHERE sku = ?", (sku,)).fetchone()
    if row is None:
        raise Refusal(422, "UNKNOWN_SKU", f"there is no sku {sku}", sku=sku)
    if row[0] < quantity:
        raise Refusal(409, "OUT_OF_STOCK", f"{quantity} of {sku} wanted, {row[0]} available", sku=sku)
    work.connection.execute("UPDATE stock SET reserved = reserved + ? WHERE sku = ?", (quantity, sku))


def _release(work: Work, body: Release) -> Answer:
    reservation_id = work.undone("reserve", forward_key=body.forward_key, subject=body.reservation_id)
    held = _held_lines(work, reservation_id)
    if reservation_id is not None and held:
        work.connection.executemany(
            "UPDATE stock SET reserved = reserved - ? WHERE sku = ?",
            [(quantity, sku) for sku, quantity in _quantities(held).items()],
        )
        work.connection.execute(
            "UPDATE reservations SET state = 'released' WHERE reservation_id = ?", (reservation_id,)
        )
        work.record("release", reservation_id, forward_key=body.forward_key)
    return answered(200, Released(_is_released(work, reservation_id)))


def _held_lines(work: Work, reservation_id: str | None) -> list[Line]:
    row = work.connection.execute(
        "SELECT lines FROM reservations WHERE reservation_id = ? AND state = 'held'", (reservation_id,)
    ).fetchone()
    return [] if row is None else msgspec.json.decode(row[0], type=list[Line])


def _is_released(work: Work, reservation_id: str | None) -> bool:
    row = work.connection.execute(
        "SELECT 1 FROM reservations WHERE reservation_id = ? AND state = 'released'", (reservation_id,)
    ).fetchone()
    return row is not None


def _quantities(lines: list[Line]) -> Counter[str]:
    """Wanted pieces by sku: the same sku on two lines adds up."""
    quantities = Counter[str]()
    for line in lines:
        quantities[line.sku] += line.quantity
    return quantities


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    connection.executemany(
        "INSERT INTO stock VALUES (?, ?, ?, ?)",
        ((stock.sku, stock.on_hand, stock.reserved, stock.warehouse) for stock in shop.stock),
    )
    connection.executemany(
        "INSERT INTO labels VALUES (?, ?, ?, ?)",
        ((label.sku, label.price_minor, CURRENCY, iso(label.printed_at)) for label in shop.labels),
    )
    connection.executemany(
        "INSERT INTO reservations VALUES (?, ?, ?)",
        (
            (
                order.reservation_id,
                order.fate.reservation,
                msgspec.json.encode([Line(line.sku, line.quantity) for line in order.lines]),
            )
            for order in shop.orders
        ),
    )


SERVICE = Service(
    "inventory",
    schema=_SCHEMA,
    seed=_seed,
    reads={"/stock": _stock, "/labels": _labels},
    writes={"/reservations": Write(Reserve, _reserve), "/reservations/release": Write(Release, _release)},
)
