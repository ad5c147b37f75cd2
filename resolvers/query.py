"""The root of queries."""

from typing import Annotated, Any

import strawberry

from gateway import (
    Between,
    Connection,
    Ctx,
    Length,
    Node,
    SagaProgress,
    SagaStatus,
    SagaSummary,
    authenticated,
    entity,
    find_saga,
    find_sagas,
    key_of,
    parse_id,
    resolver,
)

from .customer import Customer, customers_by_key
from .order import (
    Order,
    ensure_buyer_or_support,
    is_buyer_or_support,
    orders_by_key,
    orders_by_payment,
    orders_by_shipment,
)
from .payment import payments_by_key
from .product import Product, product_pages, products_by_key
from .review import reviews_by_key
from .shipment import shipments_by_key

NODES: dict[str, Any] = {
    "Customer": customers_by_key,
    "Order": orders_by_key,
    "Payment": payments_by_key,
    "Product": products_by_key,
    "Review": reviews_by_key,
    "Shipment": shipments_by_key,
}
"""What `node(id)` finds: every type that is a Node; a test keeps it so."""

ORDER_OF: dict[str, Any] = {"Order": orders_by_key, "Payment": orders_by_payment, "Shipment": orders_by_shipment}
"""Of what is private to the buyer of an order: how the order is found."""


@entity
class Query:
    """Whatever can be read."""

    @resolver
    async def node(self, ctx: Ctx, id: strawberry.ID) -> Node | None:  # noqa: A002
        """Anything by its id; null if it is not there. What belongs to an order is for its buyer and for support only."""
        type_name, key = parse_id(id)
        if type_name in ORDER_OF:
            await ensure_buyer_or_support(ctx, ORDER_OF[type_name], key)
        loader = NODES.get(type_name)
        found: Node | None = None if loader is None else await ctx.load(loader, key)
        return found

    @resolver
    async def product(self, ctx: Ctx, id: strawberry.ID) -> Product | None:  # noqa: A002
        """A product by its id; null if there is none."""
        return await ctx.load(products_by_key, key_of(id, Product))

    @resolver
    async def products(
        self,
        ctx: Ctx,
        first: Annotated[int, Between(1, 1000)] = 20,
        after: str | None = None,
        category: Annotated[str | None, Length(1, 64)] = None,
        search: Annotated[str | None, Length(1, 100)] = None,
    ) -> Connection[Product] | None:
        """Products in a stable order; `search` looks for a part of the name."""
        return await ctx.connection(product_pages, first=first, after=after, category=category, search=search)

    @resolver
    async def customer(self, ctx: Ctx, id: strawberry.ID) -> Customer | None:  # noqa: A002
        """A customer by its id; null if there is none."""
        return await ctx.load(customers_by_key, key_of(id, Customer))

    @resolver(allow=authenticated)
    async def me(self, ctx: Ctx) -> Customer | None:
        """You, if you are a customer."""
        return await ctx.load(customers_by_key, ctx.identity.subject)

    @resolver(allow=authenticated)
    async def order(self, ctx: Ctx, id: strawberry.ID) -> Order | None:  # noqa: A002
        """An order by its id, as of this moment; null if there is none. For its buyer and for support only."""
        order = await ctx.strong.load(orders_by_key, key_of(id, Order))
        ctx.ensure(is_buyer_or_support, order)
        return order

    @resolver(allow=authenticated)
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002
        """How a mutation stands that you began; support and operators see all."""
        return await find_saga(ctx, id)

    @resolver(allow=authenticated)
    async def sagas(
        self,
        ctx: Ctx,
        status: list[SagaStatus] | None = None,  # type: ignore[valid-type]  # strawberry made the enum
        name: Annotated[str | None, Length(1, 100)] = None,
        first: Annotated[int, Between(1, 200)] = 50,
        after: str | None = None,
    ) -> Connection[SagaSummary]:
        """Sagas that you began, the newest first. Support and operators see everybody's: `status: NEEDS_ATTENTION` is the queue."""
        return await find_sagas(ctx, status=status, name=name, first=first, after=after)
