"""A small graph over three services, for the tests of graph, execution, edge and telemetry; and a gateway that serves it."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError

from gateway import (
    Between,
    Connection,
    Ctx,
    Items,
    Length,
    Node,
    Page,
    Service,
    batched,
    default,
    entity,
    field,
    input_type,
    join,
    key_of,
    resolver,
    stale,
)
from gateway.graph import build_graph
from gateway.identity import Identity
from gateway.services import ServiceRequest, ServiceResponse, Wire
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, answer

DSN = "postgres://admin:hunter2@db.internal/shop"

catalog, inventory, reviews = Service("catalog"), Service("inventory"), Service("reviews")


@entity
class Stock:
    """What is there."""

    quantity: int = field("Pieces.")


@entity
class Author:
    """Who writes."""

    name: str = field("In full.")


@entity
class Review(Node):
    """An opinion."""

    author_key: strawberry.Private[str]
    stars: int = field("One to five.")
    author: Author | None = join(
        catalog.loader("/authors", keys="ids", key="id", into=Author), on="author_key", description="Who wrote it."
    )


stock_by_sku = inventory.loader("/stock", keys="skus", key="sku", into=Stock, params={"warehouse": "wh"})
reviews_by_product = reviews.loader(
    "/reviews", keys="products", key="product", into=Review, many=True, params={"first": "limit"}
)
review_pages_by_product = reviews.loader(
    "/pages", keys="products", key="product", into=Review, page=True, params={"first": "limit", "after": "after"}
)


def is_staff(_: object, identity: Identity) -> bool:
    return identity.has("staff")


@entity
class Product(Node):
    """What is sold."""

    sku: str = field("Its name in the warehouse.")
    maker: strawberry.Private[str | None] = None
    stock: Stock | None = join(stock_by_sku, on="sku", otherwise=stale("15m"))
    stock_in: Stock | None = join(
        stock_by_sku, on="sku", warehouse=(Annotated[str, Length(1, 5)], "north"), description="In one warehouse."
    )
    cost: Stock | None = join(stock_by_sku, on="sku", allow=is_staff)
    made_by: Author | None = join(catalog.loader("/authors", keys="ids", key="id", into=Author), on="maker")
    reviews: list[Review] = join(
        reviews_by_product, on="key", otherwise=default([]), first=(Annotated[int, Between(1, 50)], 10)
    )
    pages: Connection[Review] | None = join(review_pages_by_product, on="key")
    some: Connection[Review] = join(review_pages_by_product, on="key", otherwise=default(Page(())))

    @resolver(allow=is_staff)
    def margin(self) -> int | None:
        """For staff."""
        return 7

    @resolver
    async def slow(self) -> str | None:
        """Takes a minute."""
        await asyncio.sleep(60)
        return "late"

    @batched
    @staticmethod
    async def days(products: list["Product"], ctx: Ctx, country: str = "DE") -> list[int | None]:
        """Days of delivery."""
        ctx.telemetry.log.info("days", skus=[product.sku for product in products], country=country)
        await asyncio.sleep(60 if country == "SLOW" else 0)
        if country == "SHORT":
            return [1]
        if country == "BAD":
            raise RuntimeError(DSN)
        return [None if product.sku == "bb" else len(product.sku) for product in products]

    @batched
    @staticmethod
    async def hazard(products: list["Product"]) -> list[Any]:
        return []


@input_type
class Line:
    sku: Annotated[str, Length(1, 5)] = field("A sku.")
    count: Annotated[int, Between(1, 9)] = field("Pieces.")


@input_type
class Basket:
    lines: Annotated[list[Line], Items(1, 3)] = field("What is in it.")


del Product.hazard  # type: ignore[attr-defined]
