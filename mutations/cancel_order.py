"""`cancelOrder`: the shipment is called back; if it still can be, money, stock and order follow.

    purchase ── recall (pivot) ──┬─ refund ──┬─ cancellation
                                 └─ restock ─┘

An order of another customer is no order. Nothing needs an undo: the pivot is the first effect, and the carrier's "no" comes
before any other.
"""

from typing import Annotated

import msgspec
import strawberry

from gateway import (
    UNTIL_DONE,
    IdOf,
    Length,
    Reject,
    Saga,
    StepCtx,
    field,
    input_type,
    key_of,
    step,
)
from resolvers.order import Order, OrderRecord, OrderStatus, order_from, orders_by_customer, orders_by_key
from resolvers.services import inventory, orders, payments, shipping
from resolvers.stock import stock_by_sku

from .access import customer_of


@input_type
class CancelOrderInput:
    """Which order, and why."""

    order_id: Annotated[strawberry.ID, IdOf("Order")] = field("The order.")
    customer_id: Annotated[strawberry.ID | None, IdOf("Customer")] = field(
        "Who bought it: you, unless you are support and name the customer.", default=None
    )
    reason: Annotated[str, Length(1, 500)] = field("For whoever reads the order later.")


class Purchase(msgspec.Struct):
    """What there is to take back."""

    order_id: str
    reservation_id: str
    payment_id: str
    shipment_id: str


class Recall(msgspec.Struct):
    cancelled: bool


class Refund(msgspec.Struct, rename="camel"):
    payment_id: str


class Restock(msgspec.Struct):
    released: bool


class Cancellation(msgspec.Struct):
    order: OrderRecord


cancel_shipment = shipping.command(
    "POST",
    "/shipments/cancel",
    into=Recall,
    rejects={
        "ALREADY_DISPATCHED": "The order is already on its way.",
        "UNKNOWN_SHIPMENT": "The order's shipment is not known.",
    },
)
refund_payment = payments.command("POST", "/refunds", into=Refund)
release_stock = inventory.command("POST", "/reservations/release", into=Restock)
mark_cancelled = orders.command("POST", "/orders/cancel", into=Cancellation)


class CancelOrder(Saga[CancelOrderInput, Order], version=1, deadline="30s", key="optional"):
    """Take an order back, as long as it has not been dispatched."""

    @step(undo=None)
    async def purchase(self, ctx: StepCtx, cancel: CancelOrderInput) -> Purchase:
        order = await ctx.load(orders_by_key, key_of(cancel.order_id, Order))
        if order is None or order.customer_key != customer_of(cancel, ctx.identity):
            raise Reject("UNKNOWN_ORDER", "There is no such order of this customer.")
        if order.status is OrderStatus.CANCELLED:
            raise Reject("ALREADY_CANCELLED", "The order is cancelled already.")
        if not (order.reservation_key and order.payment_key and order.shipment_key):
            raise Reject("NOT_CONFIRMED", "The order is still being placed.")
        return Purchase(order.key, order.reservation_key, order.payment_key, order.shipment_key)

    @step(pivot=True)
    async def recall(self, ctx: StepCtx, purchase: Purchase) -> Recall:
        return await ctx.send(cancel_shipment, {"shipmentId": purchase.shipment_id})

    @step(retry=UNTIL_DONE, after=["recall"])
    async def refund(self, ctx: StepCtx, purchase: Purchase) -> Refund:
        return await ctx.send(refund_payment, {"paymentId": purchase.payment_id})

    @step(retry=UNTIL_DONE, after=["recall"], invalidates=[stock_by_sku])
    async def restock(self, ctx: StepCtx, purchase: Purchase) -> Restock:
        return await ctx.send(release_stock, {"reservationId": purchase.reservation_id})

    @step(retry=UNTIL_DONE, after=["refund", "restock"], invalidates=[orders_by_key, orders_by_customer])
    async def cancellation(self, ctx: StepCtx, cancel: CancelOrderInput, purchase: Purchase) -> Cancellation:
        return await ctx.send(mark_cancelled, {"orderId": purchase.order_id, "reason": cancel.reason})

    def result(self, cancellation: Cancellation) -> Order:
        return order_from(cancellation.order)
