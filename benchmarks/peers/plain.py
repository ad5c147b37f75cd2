"""What a Python user writes today: strawberry, aiodataloader, one httpx client, Starlette, uvicorn with uvloop and httptools.

`python -m benchmarks.peers.plain PORT SERVICES_URL`. As strawberry's and httpx's documentation show it: loaders made for each
request, one shared AsyncClient whose pool is as large as the load needs, services' JSON read by `response.json()`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import httpx
import strawberry
from aiodataloader import DataLoader
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.types import Info

from benchmarks.standing_in import serve

SERVICES = sys.argv[2] if len(sys.argv) > 2 else ""
client = httpx.AsyncClient(base_url=SERVICES, limits=httpx.Limits(max_connections=100, max_keepalive_connections=100))


class Loaders:
    """Of one request."""

    def __init__(self) -> None:
        self.product = DataLoader(partial(self._by_key, "/products", "ids", "key"))
        self.stock = DataLoader(partial(self._by_key, "/stock", "skus", "sku"))
        self.price = DataLoader(partial(self._by_key, "/prices", "skus", "sku"))
        self.author = DataLoader(partial(self._by_key, "/people", "ids", "key"))
        self.reviews = DataLoader(self._reviews)

    async def get(self, path: str, name: str, keys: list[str]) -> Any:
        response = await client.get(path, params=[(name, key) for key in keys])
        response.raise_for_status()
        return response.json()

    async def _by_key(self, path: str, name: str, key: str, keys: list[str]) -> list[Any]:
        found = {row[key]: row for row in await self.get(path, name, keys)}
        return [found.get(each) for each in keys]

    async def _reviews(self, keys: list[str]) -> list[list[Any]]:
        found: dict[str, list[Any]] = {key: [] for key in keys}
        for row in await self.get("/reviews", "products", keys):
            found[row["product"]].append(row)
        return [found[key] for key in keys]


@strawberry.type
class Stock:
    quantity: int
    warehouse: str


@strawberry.type
class Price:
    amount: int
    currency: str


@strawberry.type
class Author:
    id: strawberry.ID
    name: str


@strawberry.type
class Review:
    id: strawberry.ID
    author_key: strawberry.Private[str]
    stars: int
    body: str

    @strawberry.field
    async def author(self, info: Info[Loaders, None]) -> Author | None:
        row = await info.context.author.load(self.author_key)
        return None if row is None else Author(id=row["key"], name=row["name"])


@strawberry.type
class Product:
    id: strawberry.ID
    sku: str
    name: str
    description: str
    category: str
    brand: str | None
    weight: float
    pieces: int
    is_new: bool

    @strawberry.field
    async def stock(self, info: Info[Loaders, None]) -> Stock | None:
        row = await info.context.stock.load(self.sku)
        return None if row is None else Stock(quantity=row["quantity"], warehouse=row["warehouse"])

    @strawberry.field
    async def price(self, info: Info[Loaders, None]) -> Price | None:
        row = await info.context.price.load(self.sku)
        return None if row is None else Price(amount=row["amount"], currency=row["currency"])

    @strawberry.field
    async def reviews(self, info: Info[Loaders, None]) -> list[Review]:
        rows = await info.context.reviews.load(self.id)
        return [
            Review(id=row["key"], author_key=row["authorKey"], stars=row["stars"], body=row["body"]) for row in rows
        ]


def product_of(row: Any) -> Product:
    return Product(
        id=row["key"],
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        category=row["category"],
        brand=row["brand"],
        weight=row["weight"],
        pieces=row["pieces"],
        is_new=row["isNew"],
    )


@strawberry.type
class Query:
    @strawberry.field
    async def product(self, info: Info[Loaders, None], key: str) -> Product | None:
        row = await info.context.product.load(key)
        return None if row is None else product_of(row)

    @strawberry.field
    async def products(self, info: Info[Loaders, None], first: int) -> list[Product]:
        page = await info.context.get("/listing", "limit", [str(first)])
        return [product_of(row) for row in page["items"]]


schema = strawberry.Schema(Query)


class Endpoint(GraphQL[Loaders, None]):
    async def get_context(self, request: Any, response: Any) -> Loaders:
        return Loaders()


def live(_: Request) -> Response:
    return Response()


app = Starlette(routes=[Route("/graphql", Endpoint(schema)), Route("/livez", live)])

if __name__ == "__main__":
    serve(app)
