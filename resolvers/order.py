"""Orders: what a customer bought. Back edges to customers and products are named, since their files import this one.

Invariant: an order, its payment and its shipment are shown to its buyer and to support, by whichever way they are reached.
"""

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import msgspec
import strawberry

from gateway import AccessRule, Ctx, Identity, Node, entity, field, join, lazy_loader, own, scope
from gateway.loading import Loader

from .money import Money
from .payment import Payment, payments_by_key
from .services import orders
from .shipment import Shipment, shipments_by_key

if TYPE_CHECKING:
    from .customer import Customer
    from .product import Product

customers_by_key = lazy_loader("resolvers.customer:customers_by_key")
products_by_key = lazy_loader("resolvers.product:products_by_key")


@strawberry.enum(description="How far an order is.")
class OrderStatus(Enum):
    PENDING = strawberry.enum_value("pending", description="Being placed.")
    CONFIRMED = strawberry.enum_value("confirmed", description="Paid and on its way.")
    CANCELLED = strawberry.enum_value("cancelled", description="Taken back.")


@entity
class OrderLine:
    """One product of an order, at the price of that day."""

    product_key: strawberry.Private[str]
    sku: str = field("What the warehouse calls the product.")
    quantity: int = field("Pieces.")
    unit_price: Money = field("Of one piece, when it was bought.")
    product: Annotated["Product", strawberry.lazy("resolvers.product")] | None = join(
        products_by_key, on="product_key", description="The product as it is today."
    )


@entity
class Order(Node):
    """What a customer bought."""

    customer_key: strawberry.Private[str]
    payment_key: strawberry.Private[str | None]
    shipment_key: strawberry.Private[str | None]
    reservation_key: strawberry.Private[str | None]
    status: OrderStatus = field("How far it is.")
    total: Money = field("Of all lines.")
    placed_at: datetime = field("When it was placed.")
    lines: list[OrderLine] = field("What was bought.", list_size=5)
    customer: Annotated["Customer", strawberry.lazy("resolvers.customer")] | None = join(
        customers_by_key, on="customer_key", description="Who bought it."
    )
    payment: Payment | None = join(
        payments_by_key, on="payment_key", consistency="strong", description="How it is paid, as of this moment."
    )
    shipment: Shipment | None = join(shipments_by_key, on="shipment_key", description="How it travels.")


class LineRecord(msgspec.Struct, rename="camel"):
    product_id: str
    sku: str
    quantity: int
    unit_price_minor: int


class OrderRecord(msgspec.Struct, rename="camel"):
    """The order service's own shape: one currency for all, keys of the other services' records."""

    order_id: str
    state: str
    customer_id: str
    placed_at: datetime
    currency_code: str
    total_minor: int
    lines: list[LineRecord]
    reservation_id: str | None = None
    payment_id: str | None = None
    shipment_id: str | None = None


def order_from(record: OrderRecord) -> Order:
    currency = record.currency_code
    return Order(
        key=record.order_id,
        customer_key=record.customer_id,
        payment_key=record.payment_id,
        shipment_key=record.shipment_id,
        reservation_key=record.reservation_id,
        status=OrderStatus(record.state),
        total=Money(amount=record.total_minor, currency=currency),
        placed_at=record.placed_at,
        lines=[
            OrderLine(
                product_key=line.product_id,
                sku=line.sku,
                quantity=line.quantity,
                unit_price=Money(amount=line.unit_price_minor, currency=currency),
            )
            for line in record.lines
        ],
    )


orders_by_key = orders.loader(
    "/orders/by-id", keys="ids", key="orderId", into=Order, record=OrderRecord, to=order_from, max_batch=1000
)
orders_by_payment = orders.loader(
    "/orders/by-payment", keys="ids", key="paymentId", into=Order, record=OrderRecord, to=order_from, max_batch=1000
)
orders_by_shipment = orders.loader(
    "/orders/by-shipment", keys="ids", key="shipmentId", into=Order, record=OrderRecord, to=order_from, max_batch=1000
)
orders_by_customer = orders.loader(
    "/orders/by-customer",
    keys="customers",
    key="customerId",
    into=Order,
    record=OrderRecord,
    to=order_from,
    page=True,
    max_page=100,
    params={"first": "limit", "after": "after"},
    max_batch=1000,
)


def have_bought(order: Order | None, identity: Identity) -> bool:
    return order is not None and order.customer_key == identity.subject


is_buyer_or_support: AccessRule[Order | None] = scope("support") | own(have_bought)
"""Who may see an order and what belongs to it. An order that is not there is nobody's: who may not see it cannot tell."""


async def ensure_buyer_or_support(ctx: Ctx, order_of: Loader[Order], key: str) -> None:
    """Raises: Unauthenticated or Forbidden, unless the caller may see the order that `order_of` finds."""
    is_asked = is_buyer_or_support.known(ctx.identity) is None
    ctx.ensure(is_buyer_or_support, await ctx.load(order_of, key) if is_asked else None)
