"""The shipping: parcels booked with a carrier.

Invariant: booked -> dispatched -> delivered, and booked -> cancelled; what has left the house cannot be cancelled.
"""

from __future__ import annotations

import sqlite3
from secrets import choice, token_hex
from typing import Annotated

from msgspec import Meta

from demo.kit.answers import Answer, Refusal, answered
from demo.kit.database import as_set
from demo.kit.query import Query
from demo.kit.seed import Shop
from demo.kit.service import Body, JsonObject, Key, Service, Write
from demo.kit.words import CARRIERS
from demo.kit.work import Work

_SCHEMA = """
CREATE TABLE shipments (
    shipment_id TEXT PRIMARY KEY, state TEXT NOT NULL, carrier TEXT NOT NULL, tracking_number TEXT NOT NULL,
    recipient TEXT NOT NULL, order_id TEXT NOT NULL
) WITHOUT ROWID
"""
_SELECT = "SELECT shipment_id, state, carrier, tracking_number, recipient FROM shipments"

AddressLine = Annotated[str, Meta(min_length=1, max_length=200)]


class Shipment(JsonObject, frozen=True):
    shipment_id: str
    state: str
    carrier_code: str
    tracking_number: str
    recipient: str


class Address(Body, frozen=True):
    name: AddressLine
    street: AddressLine
    city: AddressLine
    postal_code: AddressLine
    country: AddressLine


class Book(Body, frozen=True):
    order_id: Annotated[str, Meta(min_length=1, max_length=100)]
    address: Address


class Cancel(Body, frozen=True):
    forward_key: Key | None = None
    shipment_id: str | None = None


class Cancelled(JsonObject, frozen=True):
    cancelled: bool
    """The shipment stands cancelled, now or before; False if its booking never happened."""


def _shipments(connection: sqlite3.Connection, query: Query) -> list[Shipment]:
    ids = as_set(query.keys("ids"))
    rows = connection.execute(f"{_SELECT} WHERE shipment_id IN (SELECT value FROM json_each(?))", (ids,))
    return [Shipment(*row) for row in rows]


def _book(work: Work, body: Book) -> Answer:
    shipment = Shipment(f"shp-{token_hex(8)}", "booked", choice(CARRIERS), token_hex(8).upper(), body.address.name)
    # The street is for the carrier only; we keep what the shipment shows.
    work.connection.execute(
        "INSERT INTO shipments VALUES (?, ?, ?, ?, ?, ?)",
        (
            shipment.shipment_id,
            shipment.state,
            shipment.carrier_code,
            shipment.tracking_number,
            shipment.recipient,
            body.order_id,
        ),
    )
    work.record("book", shipment.shipment_id, orderId=body.order_id, carrierCode=shipment.carrier_code)
    return answered(201, shipment)


def _cancel(work: Work, body: Cancel) -> Answer:
    shipment_id = work.undone("book", forward_key=body.forward_key, subject=body.shipment_id)
    if shipment_id is None:
        return answered(200, Cancelled(cancelled=False))
    state = _state(work, shipment_id)
    if state in ("dispatched", "delivered"):
        raise Refusal(409, "ALREADY_DISPATCHED", f"shipment {shipment_id} is {state}")
    if state == "booked":
        work.connection.execute("UPDATE shipments SET state = 'cancelled' WHERE shipment_id = ?", (shipment_id,))
        work.record("cancel", shipment_id, forward_key=body.forward_key)
    return answered(200, Cancelled(cancelled=True))


def _state(work: Work, shipment_id: str) -> str:
    row = work.connection.execute("SELECT state FROM shipments WHERE shipment_id = ?", (shipment_id,)).fetchone()
    if row is None:
        raise Refusal(404, "UNKNOWN_SHIPMENT", f"there is no shipment {shipment_id}")
    return str(row[0])


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    connection.executemany(
        "INSERT INTO shipments VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                order.shipment_id,
                order.fate.shipment,
                order.carrier,
                order.tracking_number,
                f"{order.customer.given_name} {order.customer.family_name}",
                order.order_id,
            )
            for order in shop.orders
            if order.shipment_id
        ),
    )


SERVICE = Service(
    "shipping",
    schema=_SCHEMA,
    seed=_seed,
    reads={"/shipments": _shipments},
    writes={"/shipments": Write(Book, _book), "/shipments/cancel": Write(Cancel, _cancel)},
)
