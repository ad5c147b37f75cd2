"""The payments: money held on a card, then taken, given up or given back.

Invariant: authorized -> captured -> refunded, or authorized -> voided; money is taken and given back at most once.
"""

from __future__ import annotations

import sqlite3
from secrets import token_hex
from typing import Annotated

from msgspec import Meta

from demo.kit.answers import Answer, Refusal, answered
from demo.kit.database import as_set
from demo.kit.query import Query
from demo.kit.seed import CURRENCY, Shop
from demo.kit.service import Body, JsonObject, Key, Service, Write
from demo.kit.work import Work

# How often the flaky card fails before it works, for each Idempotency-Key.
FLAKY_FAILURES = 2

_SCHEMA = """
CREATE TABLE payments (
    payment_id TEXT PRIMARY KEY, state TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    reference TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE flaky_attempts (key TEXT PRIMARY KEY, attempts INTEGER NOT NULL) WITHOUT ROWID
"""

Identifier = Annotated[str, Meta(min_length=1, max_length=100)]


class Payment(JsonObject, frozen=True):
    payment_id: str
    state: str
    amount_minor: int
    currency_code: str


class Authorize(Body, frozen=True):
    token: Identifier
    amount_minor: Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
    currency_code: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    reference: Annotated[str, Meta(max_length=200)]


class Void(Body, frozen=True):
    forward_key: Key | None = None
    payment_id: str | None = None


class Voided(JsonObject, frozen=True):
    voided: bool
    """The payment stands voided, now or before; False if there is none."""


class Named(Body, frozen=True):
    payment_id: Identifier


def _payments(connection: sqlite3.Connection, query: Query) -> list[Payment]:
    rows = connection.execute(
        "SELECT payment_id, state, amount_minor, currency FROM payments"
        " WHERE payment_id IN (SELECT value FROM json_each(?))",
        (as_set(query.keys("ids")),),
    )
    return [Payment(*row) for row in rows]


def _authorize(work: Work, body: Authorize) -> Answer:
    match body.token:
        case "tok_ok":
            return _authorized(work, body)
        case "tok_declined":
            raise Refusal(402, "CARD_DECLINED", "the card was declined")
        case "tok_flaky":
            return _authorized(work, body) if _flaky_card_answers(work) else _unavailable()
        case _:
            raise Refusal(422, "UNKNOWN_TOKEN", "there is no card with this token")


def _authorized(work: Work, body: Authorize) -> Answer:
    payment = Payment(f"pay-{token_hex(8)}", "authorized", body.amount_minor, body.currency_code)
    work.connection.execute(
        "INSERT INTO payments VALUES (?, ?, ?, ?, ?)",
        (payment.payment_id, payment.state, payment.amount_minor, payment.currency_code, body.reference),
    )
    work.record(
        "authorize",
        payment.payment_id,
        amountMinor=body.amount_minor,
        currencyCode=body.currency_code,
        reference=body.reference,
    )
    return answered(201, payment)


def _flaky_card_answers(work: Work) -> bool:
    # Counted in the database: a restart in the middle of a retry changes nothing.
    attempts = work.connection.execute(
        "INSERT INTO flaky_attempts VALUES (?, 1) ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING attempts",
        (work.key,),
    ).fetchone()[0]
    return bool(attempts > FLAKY_FAILURES)


def _unavailable() -> Answer:
    """Returned, not raised: the count of attempts must stay."""
    return answered(503, {"code": "CARD_NETWORK_UNAVAILABLE", "message": "the card network does not answer"})


def _void(work: Work, body: Void) -> Answer:
    payment_id = work.undone("authorize", forward_key=body.forward_key, subject=body.payment_id)
    payment = _found(work, payment_id)
    if payment is None:
        return answered(200, Voided(voided=False))
    if payment.state != "voided":
        _move(work, payment, effect="void", come_from="authorized", to="voided", forward_key=body.forward_key)
    return answered(200, Voided(voided=True))


def _capture(work: Work, body: Named) -> Answer:
    payment = _known(work, body.payment_id)
    return answered(200, _move(work, payment, effect="capture", come_from="authorized", to="captured"))


def _refund(work: Work, body: Named) -> Answer:
    payment = _known(work, body.payment_id)
    return answered(200, _move(work, payment, effect="refund", come_from="captured", to="refunded"))


def _move(
    work: Work, payment: Payment, *, effect: str, come_from: str, to: str, forward_key: str | None = None
) -> Payment:
    """Raises: Refusal NOT_AUTHORIZED or NOT_CAPTURED if the payment is not where the effect begins."""
    if payment.state != come_from:
        raise Refusal(409, f"NOT_{come_from.upper()}", f"payment {payment.payment_id} is {payment.state}")
    work.connection.execute("UPDATE payments SET state = ? WHERE payment_id = ?", (to, payment.payment_id))
    work.record(effect, payment.payment_id, forward_key=forward_key, amountMinor=payment.amount_minor)
    return Payment(payment.payment_id, to, payment.amount_minor, payment.currency_code)


def _known(work: Work, payment_id: str) -> Payment:
    payment = _found(work, payment_id)
    if payment is None:
        raise Refusal(404, "UNKNOWN_PAYMENT", f"there is no payment {payment_id}")
    return payment


def _found(work: Work, payment_id: str | None) -> Payment | None:
    row = work.connection.execute(
        "SELECT payment_id, state, amount_minor, currency FROM payments WHERE payment_id = ?", (payment_id,)
    ).fetchone()
    return None if row is None else Payment(*row)


def _seed(connection: sqlite3.Connection, shop: Shop) -> None:
    connection.executemany(
        "INSERT INTO payments VALUES (?, ?, ?, ?, ?)",
        (
            (order.payment_id, order.fate.payment, order.total_minor, CURRENCY, order.order_id)
            for order in shop.orders
            if order.payment_id
        ),
    )


SERVICE = Service(
    "payments",
    schema=_SCHEMA,
    seed=_seed,
    reads={"/payments": _payments},
    writes={
        "/authorizations": Write(Authorize, _authorize),
        "/authorizations/void": Write(Void, _void),
        "/captures": Write(Named, _capture),
        "/refunds": Write(Named, _refund),
    },
)
