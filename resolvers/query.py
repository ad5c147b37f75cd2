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
    entity,
    find_saga,
    find_sagas,
    key_of,
    parse_id,
    resolver,
)

from .customer import Customer, customers_by_key
from .order import Order, orders_by_key
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


@entity
class Query:
    """Whatever can be read."""

    @resolver
    async def node(self, ctx: Ctx, id: strawberry.ID) -> Node | None:  # noqa: A002
        """Anything by its id; null if it is not there."""
        type_name, key = parse_id(id)
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

    @resolver
    async def order(self, ctx: Ctx, id: strawberry.ID) -> Order | None:  # noqa: A002
        """An order by its id, as of this moment; null if there is none. Whoever has its id may see it: ids cannot be guessed."""
        return await ctx.strong.load(orders_by_key, key_of(id, Order))

    @resolver
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002
        """How a mutation stands that you began; support sees all."""
        return await find_saga(ctx, id)

    @resolver
    async def sagas(
        self,
        ctx: Ctx,
        status: list[SagaStatus] | None = None,  # type: ignore[valid-type]  # strawberry made the enum
        name: Annotated[str | None, Length(1, 100)] = None,
        first: Annotated[int, Between(1, 200)] = 50,
        after: str | None = None,
    ) -> Connection[SagaSummary]:
        """Sagas of everybody, the newest first; `status: NEEDS_ATTENTION` is the queue. For operators."""
        return await find_sagas(ctx, status=status, name=name, first=first, after=after)
