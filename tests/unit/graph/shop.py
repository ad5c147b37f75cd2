"""A small graph over three services, for the tests of graph, execution, edge and telemetry; and a gateway that serves it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
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
from gateway.shared import StoreClient
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
        """Days of delivery.

        Countries that are none: SLOW, SHORT, BAD, MIXED.
        """
        ctx.telemetry.log.info("days", skus=[product.sku for product in products], country=country)
        if country == "SLOW":
            await asyncio.sleep(60)
        if country == "SHORT":
            return [1]
        if country == "BAD":
            raise RuntimeError(DSN)
        days: list[Any] = [len(product.sku) for product in products]
        return list[Any]([RuntimeError(DSN), *days[1:]]) if country == "MIXED" else days


@input_type
class LineInput:
    """One line."""

    sku: Annotated[str, Length(1, 5)] = field("A sku.")
    count: Annotated[int, Between(1, 9)] = field("Pieces.")


@input_type
class BasketInput:
    """What is bought."""

    lines: Annotated[list[LineInput], Items(1, 3)] = field("What is in it.")
    note: Annotated[str | None, Length(1, 5)] = field("For the packer.", default=strawberry.UNSET)


products = catalog.loader("/products", keys="ids", key="key", into=Product)


@strawberry.type
class Query:
    @resolver
    async def product(self, ctx: Ctx, id: strawberry.ID) -> Product | None:  # noqa: A002
        """A product by its id."""
        return await ctx.load(products, key_of(id, Product))

    @resolver
    async def products(self, ctx: Ctx, keys: list[str]) -> list[Product | None]:
        """Products by their keys."""
        return await ctx.load_many(products, keys)

    @resolver
    async def must(self, ctx: Ctx, key: str) -> Product:
        """A product that must be there: the whole answer is null without it."""
        found = await ctx.load(products, key)
        assert found is not None
        return found

    @resolver
    def basket(self, basket: BasketInput, ctx: Ctx) -> str:
        """Checks a basket."""
        return f"{len(basket.lines)} lines for {ctx.identity.subject}"

    @resolver
    def whoami(self, ctx: Ctx) -> str:
        """The caller."""
        return f"{ctx.identity.tenant}/{ctx.identity.subject}"

    @resolver
    def guarded(self, ctx: Ctx) -> str | None:
        """Needs a scope."""
        ctx.require("staff")
        return "ok"

    @resolver
    def boom(self) -> str | None:
        """Fails with a secret in its text."""
        password = DSN
        raise RuntimeError(f"cannot reach {password}")

    @resolver
    def refused(self) -> str | None:
        """Fails with a text for clients."""
        raise GraphQLError("the author's words", extensions={"code": "OUT_OF_SEASON", "until": "May"})

    @resolver
    def too_big(self) -> int | None:
        """Is no Int of GraphQL."""
        return 3_000_000_000

    @strawberry.field(description="A plain strawberry resolver that takes a minute.")
    async def plain(self) -> str | None:
        await asyncio.sleep(60)
        return "late"

    @resolver
    async def mine(self) -> str | None:
        """One of ours that takes a minute."""
        await asyncio.sleep(60)
        return "late"

    @strawberry.field(description="Items that never end.")
    def endless(self) -> list[int]:
        return _forever()  # type: ignore[return-value]

    @resolver
    def hello(self, name: Annotated[str | None, Length(1, 5)] = None) -> str:
        """Answers at once."""
        return f"hello {name or 'you'}"


async def _forever() -> AsyncIterator[int]:
    while True:
        await asyncio.sleep(1)
        yield 1


@strawberry.type
class Mutation:
    @resolver
    def touch(self) -> str:
        """Changes nothing."""
        return "touched"


graph = build_graph(Query, Mutation)

STAFF = {"authorization": "Bearer staff"}
CUSTOMER = {"authorization": "Bearer customer"}
TOKENS = [
    {"token": "staff", "subject": "sue", "scopes": ["staff"]},
    {"token": "customer", "subject": "carl", "tenant": "acme"},
]
ONCE: dict[str, Any] = {"retry": {"attempts": 1}, "breaker": {"consecutive": 10_000, "volume": 10_000}}


def settings(**concerns: Any) -> Settings:
    """Three services, each tried once, and two callers who are known."""
    names = ("catalog", "inventory", "reviews")
    services = {name: {"url": f"http://{name}.test", **ONCE} for name in names}
    given = {"services": services, "identity": {"tokens": TOKENS}, **concerns}
    return Settings.model_validate(given)


def shop(
    *,
    telemetry: Telemetry | None = None,
    wires: Mapping[str, Wire] | None = None,
    store: StoreClient | None = None,
    **concerns: Any,
) -> GatewayUnderTest:
    """A gateway over the small graph; services answer by the functions below unless `wires` says otherwise."""
    return GatewayUnderTest(
        settings(**concerns), graph, wires={**working_wires(), **(wires or {})}, telemetry=telemetry, store=store
    )


def working_wires() -> dict[str, ScriptedWire]:
    return {
        "catalog": ScriptedWire(otherwise=catalog_answers),
        "inventory": ScriptedWire(otherwise=inventory_answers),
        "reviews": ScriptedWire(otherwise=reviews_answers),
    }


def values(request: ServiceRequest, name: str) -> list[str]:
    return [value for each, value in request.query if each == name]


def catalog_answers(request: ServiceRequest) -> ServiceResponse:
    """Every key but "none" is a product; whoever is asked for is an author."""
    if request.path == "/authors":
        return answer([{"id": key, "name": f"Author {key}"} for key in values(request, "ids")])
    keys = [key for key in values(request, "ids") if key != "none"]
    return answer([{"key": key, "sku": key, "maker": None if key == "nobody" else f"m-{key}"} for key in keys])


def inventory_answers(request: ServiceRequest) -> ServiceResponse:
    """As many pieces as the sku is long."""
    return answer([{"sku": key, "quantity": len(key)} for key in values(request, "skus")])


def reviews_answers(request: ServiceRequest) -> ServiceResponse:
    """Twelve reviews a product, served in pages by their number."""
    limit = int((values(request, "limit") or ["10"])[0])
    start = int((values(request, "after") or ["0"])[0])
    rows: list[dict[str, Any]] = []
    for product in values(request, "products"):
        all_of_it = [{"key": f"{product}-{n}", "authorKey": f"a{n % 3}", "stars": n % 5 + 1} for n in range(12)]
        part = all_of_it[start : start + limit]
        if request.path == "/reviews":
            rows += [{**review, "product": product} for review in part]
        else:
            following = str(start + limit) if start + limit < 12 else None
            rows.append({"product": product, "items": part, "nextCursor": following, "total": 12})
    return answer(rows)
