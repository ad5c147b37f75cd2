"""The answer while one service is down, computed from types and declarations, and compared with what is really answered."""

from __future__ import annotations

from typing import Any

import pytest
import strawberry

from gateway import Ctx, Service, default, entity, field, join, resolver
from gateway.errors import ServiceUnavailable
from gateway.execution.explaining.outages import may_be_null
from gateway.graph import Graph, build_graph
from gateway.services import ServiceRequest
from gateway.testing import GatewayUnderTest, ScriptedWire, in_virtual_time
from tests.unit.execution.explaining.asking import explained, outage
from tests.unit.graph import shop

orders = Service("orders")
reviews = Service("reviews")


@entity
class Note:
    """What was noted."""

    text: str = field("Its words.")


notes = reviews.loader("/notes", keys="ids", key="id", into=Note)


@entity
class Line:
    """Fails as a whole when its note, which it must have, cannot be read."""

    key: strawberry.Private[str]
    maybe: Note | None = join(notes, on="key")
    surely: list[Note] = join(
        reviews.loader("/all", keys="ids", key="id", into=Note, many=True), on="key", otherwise=default([])
    )

    @resolver
    async def note(self, ctx: Ctx) -> Note:
        """Must be there."""
        found = await ctx.load(notes, self.key)
        assert found is not None
        return found


lines = orders.loader("/lines", keys="ids", key="key", into=Line)


@entity
class Basket:
    """Lines that may, and that may not, be null."""

    lines: list[Line] = field("All must be there.")
    some: list[Line | None] = field("Some may be missing.")


def _basket() -> Basket:
    return Basket(lines=[Line(key="a")], some=[Line(key="b")])


@strawberry.type
class Query:
    @resolver
    def basket(self) -> Basket | None:
        """A basket."""
        return _basket()

    @resolver
    def must(self) -> Basket:
        """A basket that must be there."""
        return _basket()


graph: Graph = build_graph(Query)


def test_each_field_degrades_as_it_is_declared() -> None:
    found = explained("{ products { edges { node { stock { quantity } reviews { author { name } } } } } }")

    assert outage(found, "inventory") == {"products.edges.node.stock": ("stale", "null")}
    assert outage(found, "reviews") == {"products.edges.node.reviews": ("default",)}
    assert outage(found, "customers") == {"products.edges.node.reviews.author": ("null",)}
    assert outage(found, "catalog") == {"products": ("null",)}, "what stands below a field that is gone is not told"


def test_where_code_picks_one_of_several_the_failure_is_not_certain() -> None:
    found = explained("query ($id: ID!) { node(id: $id) { ... on Review { author { name } } } }")
    (reviews_down,) = next(each for each in found.summary.outages if each.service == "reviews").effects
    customers_down = next(each for each in found.summary.outages if each.service == "customers").effects

    assert (reviews_down.path, reviews_down.is_certain) == (("node",), False)
    assert [(each.path[-1], each.is_certain) for each in customers_down] == [("node", False), ("author", True)]


@pytest.mark.parametrize(
    ("document", "path", "is_item"),
    [
        ("{ basket { some { note { text } } } }", "basket.some", True),
        ("{ basket { lines { note { text } } } }", "basket", False),
        ("{ must { lines { note { text } } } }", "", False),
        ("{ must { lines { maybe { text } } } }", "must.lines.maybe", False),
    ],
)
@in_virtual_time
async def test_a_null_spreads_as_far_as_types_let_it_and_as_the_answer_shows(
    document: str, path: str, is_item: bool
) -> None:
    found = explained(document, graph=graph)
    (effect,) = next(each for each in found.summary.outages if each.service == "reviews").effects
    assert effect.null_at is not None

    assert (".".join(effect.null_at.path), effect.null_at.is_item) == (path, is_item)
    assert await data_without_reviews(document) == _with_null(path, is_item=is_item)


async def data_without_reviews(document: str) -> Any:
    def away(_: ServiceRequest) -> ServiceUnavailable:
        return ServiceUnavailable("it is away", service="reviews", applied=False)

    served = {name: ScriptedWire(otherwise=away) for name in ("catalog", "inventory", "reviews", "orders")}
    settings = shop.settings(services={name: {"url": f"http://{name}.test", **shop.ONCE} for name in served})
    async with GatewayUnderTest(settings, graph, wires=served) as gateway:
        return (await gateway.execute(document)).data


def _with_null(path: str, *, is_item: bool) -> Any:
    """The answer to these documents, whose objects are one in a list, with a null at `path`."""
    if not path:
        return None
    root, *rest = path.split(".")
    if not rest:
        return {root: None}
    inner = [None] if is_item else [{rest[1]: None}]
    return {root: {rest[0]: inner}}


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("Stock", [True]),
        ("Stock!", [False]),
        ("[Review]", [True, True]),
        ("[Review!]", [True, False]),
        ("[Review]!", [False, True]),
        ("[[Int!]]!", [False, True, False]),
    ],
)
def test_the_layers_of_a_type_are_read_from_the_outside(text: str, layers: list[bool]) -> None:
    assert may_be_null(text) == layers


ORDER = """mutation ($input: PlaceOrderInput!) { placeOrder(input: $input) {
    ... on PlaceOrderCompleted { order { shipment { carrier } customer { name } } } } }"""


@pytest.mark.parametrize(
    ("service", "becomes", "steps"),
    [
        ("customers", ("undone",), ("buyer",)),
        ("payments", ("undone", "delayed"), ("authorization", "capture")),
        ("orders", ("undone", "delayed"), ("placement",)),
        ("shipping", ("delayed",), ("shipment",)),
    ],
)
def test_a_saga_is_undone_before_its_pivot_and_only_delayed_after_it(
    service: str, becomes: tuple[str, ...], steps: tuple[str, ...]
) -> None:
    found = explained(ORDER)
    effects = next(each for each in found.summary.outages if each.service == service).effects

    assert [(each.path, each.becomes, each.steps) for each in effects] == [(("placeOrder",), becomes, steps)]


def test_of_two_sources_the_other_one_is_served_and_its_own_fields_stand() -> None:
    document = "{ product(id: 1) { currentPrice { amount { amount } } } }"
    assert outage(explained(document), "inventory") == {"product.currentPrice": ("partial",)}
