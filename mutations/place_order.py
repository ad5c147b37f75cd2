"""`placeOrder`: stock, payment, order and shipment, or none of them.

    buyer ───────────────────┐
    quote ──┬─ authorization ┤
            └─┐              ├─ capture (pivot) ── shipment ── confirmation
    reservation ── placement ┘

Up to the pivot whatever was done can be undone; after it the order will be shipped.
"""

from typing import Annotated

import msgspec
import strawberry

from gateway import (
    UNTIL_DONE,
    Between,
    Done,
    IdOf,
    Items,
    Length,
    Pattern,
    Reject,
    Retry,
    Saga,
    Secret,
    StepCtx,
    Unknown,
    field,
    input_type,
    step,
)
from resolvers.customer import customers_by_key
from resolvers.order import Order, OrderRecord, order_from, orders_by_customer, orders_by_key
from resolvers.product import products_by_sku
from resolvers.services import inventory, orders, payments, shipping
from resolvers.stock import stock_by_sku

from .access import customer_of


@input_type
class AddressInput:
    """Where an order goes."""

    name: Annotated[str, Length(1, 100)] = field("Who receives it.")
    street: Annotated[str, Length(1, 200)] = field("Street and number.")
    city: Annotated[str, Length(1, 100)] = field("City or town.")
    postal_code: Annotated[
        str, Pattern(r"[A-Za-z0-9][A-Za-z0-9 -]{1,9}", "a postal code, such as 10115 or SW1A 1AA")
    ] = field("As the country writes it.")
    country: Annotated[str, Pattern(r"[A-Z]{2}", "two capital letters, such as DE")] = field("ISO 3166-1 alpha-2.")


@input_type
class OrderLineInput:
    """How much of what."""

    sku: Annotated[str, Length(1, 64)] = field("A product's `sku`.")
    quantity: Annotated[int, Between(1, 99)] = field("Pieces.")


@input_type
class PlaceOrderInput:
    """What is bought, by whom, how it is paid and where it goes."""

    customer_id: Annotated[strawberry.ID | None, IdOf("Customer")] = field(
        "Who buys: you, unless you are support and name a customer.", default=None
    )
    lines: Annotated[list[OrderLineInput], Items(1, 50)] = field("What is bought.")
    payment_token: Annotated[Secret[str], Length(1, 200)] = field("From the payment form; never a card number.")
    address: AddressInput = field("Where it goes.")


class Wire(msgspec.Struct, rename="camel"):
    """Base of what services answer to commands."""


class Reservation(Wire):
    reservation_id: str


class Payment(Wire):
    payment_id: str


class Shipment(Wire):
    shipment_id: str


class Placement(Wire):
    order_id: str


class Released(Wire):
    released: bool


class Voided(Wire):
    voided: bool


class Withdrawn(Wire):
    cancelled: bool


class QuotedLine(msgspec.Struct):
    product_key: str
    sku: str
    quantity: int
    unit_price: int


class Quote(msgspec.Struct):
    """What it costs, in minor units, at the moment of buying."""

    lines: list[QuotedLine]
    total: int
    currency: str


reserve_stock = inventory.command(
    "POST",
    "/reservations",
    into=Reservation,
    rejects={"OUT_OF_STOCK": "Not enough of it is in stock.", "UNKNOWN_SKU": "There is no such product."},
)
release_stock = inventory.command("POST", "/reservations/release", into=Released)
authorize_payment = payments.command(
    "POST",
    "/authorizations",
    into=Payment,
    rejects={"CARD_DECLINED": "The card was declined.", "UNKNOWN_TOKEN": "The payment token is not valid."},
)
void_payment = payments.command("POST", "/authorizations/void", into=Voided)
capture_payment = payments.command(
    "POST", "/captures", into=Payment, rejects={"NOT_AUTHORIZED": "The payment is no longer authorised."}
)
create_order = orders.command("POST", "/orders", into=Placement)
withdraw_order = orders.command("POST", "/orders/cancel", into=Withdrawn)
confirm_order = orders.command("POST", "/orders/confirm", into=OrderRecord)
book_shipment = shipping.command("POST", "/shipments", into=Shipment)


class PlaceOrder(Saga[PlaceOrderInput, Order], version=1, deadline="30s", key="required"):
    """Buy what is in the lines: stock, payment, order and shipment, or none of them.

    The same idempotency key gives the same order, however often it is sent.
    """

    @step(undo=None)
    async def buyer(self, ctx: StepCtx, order: PlaceOrderInput) -> str:
        key = customer_of(order, ctx.identity)
        if await ctx.load(customers_by_key, key) is None:
            raise Reject("UNKNOWN_CUSTOMER", "There is no such customer.")
        return key

    @step(undo=None)
    async def quote(self, ctx: StepCtx, order: PlaceOrderInput) -> Quote:
        products = await ctx.load_many(products_by_sku, [line.sku for line in order.lines])
        lines: list[QuotedLine] = []
        currencies: set[str] = set()
        for line, product in zip(order.lines, products, strict=True):
            if product is None:
                raise Reject("UNKNOWN_SKU", f"There is no product {line.sku}.")
            lines.append(QuotedLine(product.key, product.sku, line.quantity, product.price.amount))
            currencies.add(product.price.currency)
        if len(currencies) > 1:
            raise Reject("MIXED_CURRENCIES", "These products are not sold in one currency.")
        return Quote(lines, sum(line.quantity * line.unit_price for line in lines), currencies.pop())

    @step(retry=Retry(attempts=4), invalidates=[stock_by_sku], overtaken="tombstone")
    async def reservation(self, ctx: StepCtx, order: PlaceOrderInput) -> Reservation:
        lines = [{"sku": line.sku, "quantity": line.quantity} for line in order.lines]
        return await ctx.send(reserve_stock, {"lines": lines})

    @reservation.undo
    async def release(self, ctx: StepCtx, reservation: Done[Reservation] | Unknown) -> None:
        await ctx.send(release_stock, {"forwardKey": ctx.forward_key})

    @step(retry=Retry(attempts=4), overtaken="tombstone")
    async def authorization(self, ctx: StepCtx, order: PlaceOrderInput, quote: Quote) -> Payment:
        body = {
            "token": order.payment_token.reveal(),
            "amountMinor": quote.total,
            "currencyCode": quote.currency,
            "reference": ctx.saga_id,
        }
        return await ctx.send(authorize_payment, body)

    @authorization.undo
    async def void(self, ctx: StepCtx, authorization: Done[Payment] | Unknown) -> None:
        await ctx.send(void_payment, {"forwardKey": ctx.forward_key})

    @step(invalidates=[orders_by_key, orders_by_customer], overtaken="tombstone")
    async def placement(self, ctx: StepCtx, buyer: str, quote: Quote, reservation: Reservation) -> Placement:
        lines = [
            {
                "productId": line.product_key,
                "sku": line.sku,
                "quantity": line.quantity,
                "unitPriceMinor": line.unit_price,
            }
            for line in quote.lines
        ]
        body = {
            "customerId": buyer,
            "currencyCode": quote.currency,
            "totalMinor": quote.total,
            "lines": lines,
            "reservationId": reservation.reservation_id,
        }
        return await ctx.send(create_order, body)

    @placement.undo
    async def withdraw(self, ctx: StepCtx, placement: Done[Placement] | Unknown) -> None:
        await ctx.send(withdraw_order, {"forwardKey": ctx.forward_key, "reason": "not completed"})

    @step(pivot=True, after=["buyer", "reservation", "placement"])
    async def capture(self, ctx: StepCtx, authorization: Payment) -> Payment:
        return await ctx.send(capture_payment, {"paymentId": authorization.payment_id})

    @step(retry=UNTIL_DONE)
    async def shipment(self, ctx: StepCtx, order: PlaceOrderInput, placement: Placement, capture: Payment) -> Shipment:
        address = order.address
        body = {
            "orderId": placement.order_id,
            "address": {
                "name": address.name,
                "street": address.street,
                "city": address.city,
                "postalCode": address.postal_code,
                "country": address.country,
            },
        }
        return await ctx.send(book_shipment, body)

    @step(retry=UNTIL_DONE, invalidates=[orders_by_key, orders_by_customer])
    async def confirmation(
        self, ctx: StepCtx, placement: Placement, capture: Payment, shipment: Shipment
    ) -> OrderRecord:
        body = {
            "orderId": placement.order_id,
            "paymentId": capture.payment_id,
            "shipmentId": shipment.shipment_id,
        }
        return await ctx.send(confirm_order, body)

    def result(self, order: PlaceOrderInput, confirmation: OrderRecord) -> Order:
        return order_from(confirmation)
