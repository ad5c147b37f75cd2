"""Payments: how an order is paid."""

from enum import Enum

import msgspec
import strawberry

from gateway import Node, entity, field

from .money import Money
from .services import payments


@strawberry.enum(description="How far a payment is.")
class PaymentStatus(Enum):
    AUTHORIZED = strawberry.enum_value("authorized", description="The amount is held.")
    CAPTURED = strawberry.enum_value("captured", description="The amount is taken.")
    VOIDED = strawberry.enum_value("voided", description="The hold was let go.")
    REFUNDED = strawberry.enum_value("refunded", description="The amount was given back.")


@entity
class Payment(Node):
    """How an order is paid."""

    status: PaymentStatus = field("How far it is.")
    amount: Money = field("What is paid.")


class PaymentRecord(msgspec.Struct, rename="camel"):
    """The payment service's own shape."""

    payment_id: str
    state: str
    amount_minor: int
    currency_code: str


def payment_from(record: PaymentRecord) -> Payment:
    return Payment(
        key=record.payment_id,
        status=PaymentStatus(record.state),
        amount=Money(amount=record.amount_minor, currency=record.currency_code),
    )


payments_by_key = payments.loader(
    "/payments", keys="ids", key="paymentId", into=Payment, record=PaymentRecord, to=payment_from, max_batch=1000
)
