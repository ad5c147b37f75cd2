"""The root of subscriptions."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import strawberry

from gateway import Ctx, SagaEvents, key_of
from gateway.errors import BadUserInput

from .product import Product, products_by_key
from .stock import Stock, stock_by_sku


@strawberry.type(description="Whatever can be followed.")
class Subscription(SagaEvents):
    @strawberry.subscription(  # type: ignore[untyped-decorator]  # strawberry's has no types
        description="What can be bought of a product: now, and whenever it changes; null while it is not stocked."
    )
    async def stock_changes(
        self, info: strawberry.Info[Ctx], product_id: strawberry.ID
    ) -> AsyncGenerator[Stock | None, None]:
        product = await info.context.load(products_by_key, key_of(product_id, Product))
        if product is None:
            raise BadUserInput("productId names no product")
        async with aclosing(info.context.poll(stock_by_sku, product.sku, every="1s")) as changes:
            async for stock in changes:
                yield stock
