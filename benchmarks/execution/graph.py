"""The graph of the workloads: products, stock, prices, reviews and authors, over services that answer from memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
import strawberry

from gateway import Ctx, Node, Service, default, entity, field, join, resolver, stale
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.testing import ScriptedWire, answer

SERVICES = ("catalog", "inventory", "prices", "reviews", "people")
catalog, inventory, prices, reviews, people = map(Service, SERVICES)


@entity
class Stock:
    quantity: int = field("Pieces.")
    warehouse: str = field("Where.")


@entity
class Price:
    amount: int = field("In cents.")
    currency: str = field("Three letters.")


@entity
class Author(Node):
    name: str = field("In full.")


@entity
class Review(Node):
    author_key: strawberry.Private[str]
    stars: int = field("One to five.")
    body: str = field("In the author's words.")
    author: Author | None = join(
        people.loader("/people", keys="ids", key="key", into=Author, shared="public", max_batch=1000), on="author_key"
    )


@entity
class Product(Node):
    sku: str = field("Its name in the warehouse.")
    name: str = field("What shoppers read.")
    description: str = field("A few words.")
    category: str = field("Where it stands.")
    brand: str | None = field("Who makes it.")
    weight: float = field("In kilograms.")
    pieces: int = field("In a box.")
    is_new: bool = field("Since this year.")
    stock: Stock | None = join(
        inventory.loader("/stock", keys="skus", key="sku", into=Stock, shared="public"), on="sku", otherwise=stale("1m")
    )
    price: Price | None = join(prices.loader("/prices", keys="skus", key="sku", into=Price, shared="public"), on="sku")
    reviews: list[Review] = join(
        reviews.loader("/reviews", keys="products", key="product", into=Review, many=True, shared="public"),
        on="key",
        otherwise=default([]),
    )


products = catalog.loader("/products", keys="ids", key="key", into=Product, shared="public", max_batch=1000)
listing = catalog.pages("/listing", into=Product, params={"first": "limit"}, shared="public")


@strawberry.type
class Query:
    @resolver
    async def product(self, ctx: Ctx, key: str) -> Product | None:
        """One by its key."""
        return await ctx.load(products, key)

    @resolver
    async def products(self, ctx: Ctx, first: int) -> Sequence[Product]:
        """The first of them."""
        return (await ctx.page(listing, first=first)).items


graph = build_graph(Query)


def wires() -> dict[str, ScriptedWire]:
    """Services whose answers are bytes that were made before: what is measured is the gateway."""
    return {name: ScriptedWire(otherwise=_served) for name in SERVICES}


def _served(request: ServiceRequest) -> ServiceResponse:
    return served(request.path, request.query)


@cache
def served(path: str, query: tuple[tuple[str, str], ...]) -> ServiceResponse:
    """What the service behind `path` answers."""
    asked = [value for _, value in query]
    match path:
        case "/products":
            return answer([product(key) for key in asked])
        case "/listing":
            return answer({"items": [product(str(number)) for number in range(int(asked[0]))]})
        case "/stock":
            return answer([{"sku": sku, "quantity": len(sku), "warehouse": "north"} for sku in asked])
        case "/prices":
            return answer([{"sku": sku, "amount": 1299, "currency": "EUR"} for sku in asked])
        case "/reviews":
            return answer([review(key, number) for key in asked for number in range(5)])
        case _:
            return answer([{"key": key, "name": f"Author {key}"} for key in asked])


def product(key: str) -> dict[str, object]:
    return {
        "key": key,
        "sku": f"sku-{key}",
        "name": f"Product {key}",
        "description": "Good for what it is made for, and for little else.",
        "category": "tea",
        "brand": None if key.endswith("3") else "Acme",
        "weight": 1.25,
        "pieces": 12,
        "isNew": key.endswith("1"),
    }


def review(product_key: str, number: int) -> dict[str, object]:
    key = f"{product_key}-{number}"
    author = str((int(product_key) * 7 + number) % 100)
    return {"product": product_key, "key": key, "authorKey": author, "stars": 4, "body": "As described, came in time."}


def listed(first: int) -> bytes:
    """What the catalog answers to a listing, as bytes."""
    return msgspec.json.encode({"items": [product(str(number)) for number in range(first)]})
