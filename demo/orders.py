"""The orders: who ordered what, and how far it has come.

Invariant: pending -> confirmed, and either -> cancelled; a cancelled order stays cancelled.
"""

from __future__ import annotations

import sqlite3
from secrets import token_hex
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from demo.kit.answers import Answer, Refusal, answered
from demo.kit.database import as_set
from demo.kit.instants import iso
from demo.kit.query import Query, cursor
from demo.kit.seed import CURRENCY, SeedLine, SeedOrder, Shop
from demo.kit.service import Body, JsonObject, Key, Service, Write
from demo.kit.work import Work

DEFAULT_PAGE = 20
LARGEST_PAGE = 100

_SCHEMA = """
CREATE TABLE orders (
    order_id TEXT PRIMARY KEY, state TEXT NOT NULL, customer_id TEXT NOT NULL, placed_at TEXT NOT NULL,
    currency TEXT NOT NULL, total_minor INTEGER NOT NULL, lines TEXT NOT NULL,
    reservation_id TEXT, payment_id TEXT, shipment_id TEXT, cancel_reason TEXT
) WITHOUT ROWID;
CREATE INDEX orders_by_customer ON orders (customer_id, placed_at, order_id);
CREATE INDEX orders_by_payment ON orders (payment_id);
CREATE INDEX orders_by_shipment ON orders (shipment_id)
"""

Identifier = Annotated[str, Meta(min_length=1, max_length=100)]
Minor = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
"""Money in minor units: cents of a euro."""


class Line(Body, frozen=True):
    product_id: Identifier
    sku: Identifier
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]
    unit_price_minor: Minor


class Order(JsonObject, frozen=True):
    order_id: str
    state: str
    customer_id: str
    placed_at: str
    currency_code: str
    total_minor: int
    lines: msgspec.Raw
    """Stored as it is shown, so that reading an order decodes nothing."""
    reservation_id: str | None = None
    payment_id: str | None = None
    shipment_id: str | None = None
    cancel_reason: str | None = None


class OrderPage(JsonObject, frozen=True):
    customer_id: str
    items: list[Order]
    next_cursor: str | None
    total: int


class Create(Body, frozen=True):
    customer_id: Identifier
    currency_code: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    total_minor: Minor
    lines: Annotated[list[Line], Meta(min_length=1, max_length=200)]
    reservation_id: Identifier


class Confirm(Body, frozen=True):
    order_id: Identifier
    payment_id: Identifier
    shipment_id: Identifier


class Cancel(Body, frozen=True):
    reason: Annotated[str, Meta(max_length=500)]
    forward_key: Key | None = None
    order_id: str | None = None


class Cancelled(JsonObject, frozen=True):
    cancelled: bool
    """The order stands cancelled, now or before; False if there is none."""
    order: Order | None


def _by_id(connection: sqlite3.Connection, query: Query) -> list[Order]:
    return _having(connection, query, "SELECT * FROM orders WHERE order_id IN (SELECT value FROM json_each(?))")


def _by_payment(connection: sqlite3.Connection, query: Query) -> list[Order]:
    return _having(connection, query, "SELECT * FROM orders WHERE payment_id IN (SELECT value FROM json_each(?))")


def _by_shipment(connection: sqlite3.Connection, query: Query) -> list[Order]:
    return _having(connection, query, "SELECT * FROM orders WHERE shipment_id IN (SELECT value FROM json_each(?))")


def _having(connection: sqlite3.Connection, query: Query, statement: str) -> list[Order]:
    return [_order(row) for row in connection.execute(statement, (as_set(query.keys("ids")),))]


def _by_customer(connection: sqlite3.Connection, query: Query) -> list[OrderPage]:
    limit = query.limit(default=DEFAULT_PAGE, at_most=LARGEST_PAGE)
    after = query.after(parts=2)
    customers = query.keys("customers")
    return [_page(connection, customer_id, limit=limit, after=after) for customer_id in customers]


def _page(connection: sqlite3.Connection, customer_id: str, *, limit: int, after: list[str] | None) -> OrderPage:
    """Newest first. `after` is a position in time, so it means the same for every customer."""
    total = connection.execute("SELECT count(*) FROM orders WHERE customer_id = ?", (customer_id,)).fetchone()[0]
    placed_at, order_id = after or ("~", "~")  # after every digit and letter
    rows = connection.execute(
        "SELECT * FROM orders WHERE customer_id = ? AND (placed_at, order_id) < (?, ?)"
        " ORDER BY placed_at DESC, order_id DESC LIMIT ?",
        (customer_id, placed_at, order_id, limit + 1),
    )
    found = [_order(row) for row in rows]
    items = found[:limit]
    last = cursor(items[-1].placed_at, items[-1].order_id) if len(found) > limit else None
    return OrderPage(customer_id, items, last, total)


def _create(work: Work, body: Create) -> Answer:
    order_id = f"o-{token_hex(8)}"
    work.connection.execute(
        "INSERT INTO orders VALUES (?, 'pending', ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
        (
            order_id,
            body.customer_id,
            work.at,
            body.currency_code,
            body.total_minor,
            msgspec.json.encode(body.lines),
            body.reservation_id,
        ),
    )
    work.record("create", order_id, customerId=body.customer_id, totalMinor=body.total_minor)
    return answered(201, _found(work, order_id))


def _confirm(work: Work, body: Confirm) -> Answer:
    order = _found(work, body.order_id)
    if order is None:
        raise Refusal(404, "UNKNOWN_ORDER", f"there is no order {body.order_id}")
    if order.state == "cancelled":
        raise Refusal(409, "ORDER_CANCELLED", f"order {body.order_id} is cancelled")
    if order.state == "confirmed":
        return _confirmed_again(order, body)
    work.connection.execute(
        "UPDATE orders SET state = 'confirmed', payment_id = ?, shipment_id = ? WHERE order_id = ?",
        (body.payment_id, body.shipment_id, body.order_id),
    )
    work.record("confirm", body.order_id, paymentId=body.payment_id, shipmentId=body.shipment_id)
    return answered(200, _found(work, body.order_id))


def _confirmed_again(order: Order, body: Confirm) -> Answer:
    if (order.payment_id, order.shipment_id) != (body.payment_id, body.shipment_id):
        raise Refusal(409, "ALREADY_CONFIRMED", f"order {body.order_id} has another payment or shipment")
    return answered(200, order)


def _cancel(work: Work, body: Cancel) -> Answer:
    order_id = work.undone("create", forward_key=body.forward_key, subject=body.order_id)
    order = _found(work, order_id)
    if order_id is None or order is None:
        return answered(200, Cancelled(cancelled=False, order=None))
    if order.state != "cancelled":
        work.connection.execute(
            "UPDATE orders SET state = 'cancelled', cancel_reason = ? WHERE order_id = ?", (body.reason, order_id)
        )
        work.record("cancel", order_id, forward_key=body.forward_key, reason=body.reason)
    return answered(200, Cancelled(cancelled=True, order=_found(work, order_id)))


def _found(work: Work, order_id: str | None) -> Order | None:
    row = work.connection.execute("SELECT * FROM orders WHERE order_id = ?", (order_id,)).fetchone()
    return None if row is None else _order(row)


def _order(row: tuple[Any, ...]) -> Order:
    members: list[Any] = list(row)
    members[6] = msgspec.Raw(members[6])
    return Order(*members)


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    connection.executemany(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (_seed_row(order) for order in shop.orders)
    )


def _seed_row(order: SeedOrder) -> tuple[Any, ...]:
    return (
        order.order_id,
        order.fate.order,
        order.customer.customer_id,
        iso(order.placed_at),
        CURRENCY,
        order.total_minor,
        msgspec.json.encode([_seed_line(line) for line in order.lines]),
        order.reservation_id,
        order.payment_id,
        order.shipment_id,
        order.cancel_reason,
    )


def _seed_line(line: SeedLine) -> Line:
    return Line(line.product_id, line.sku, line.quantity, line.unit_price_minor)


SERVICE = Service(
    "orders",
    schema=_SCHEMA,
    seed=_seed,
    reads={
        "/orders/by-id": _by_id,
        "/orders/by-payment": _by_payment,
        "/orders/by-shipment": _by_shipment,
        "/orders/by-customer": _by_customer,
    },
    writes={
        "/orders": Write(Create, _create),
        "/orders/confirm": Write(Confirm, _confirm),
        "/orders/cancel": Write(Cancel, _cancel),
    },
)
