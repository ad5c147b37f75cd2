"""What the user of a client asks for, and what must be seen then, whichever client it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.unit.execution.in_parts import merged

from .conftest import wait_until
from .ordering import AS_CUSTOMER

if TYPE_CHECKING:
    from .client_shop import Shop
    from .clients import Driver

Json = Any

PRODUCT = "query Product($id: ID!) { product(id: $id) { id name category } }"
OPINIONS = (
    "query Opinions($id: ID!) { product(id: $id) { id name reviews(first: 2) { id rating author { id name } } } }"
)
DEFERRED = """
query Page($id: ID!) { product(id: $id) { id name ...Opinions @defer(label: "opinions") } }
fragment Opinions on Product { reviews(first: 2) { id rating author { id name } } }
"""
REFUSED_PART = """
query Desk($id: ID!) { product(id: $id) { id name } ...Queue @defer(label: "queue") }
fragment Queue on Query { sagas(first: 1) { edges { node { id } } } }
"""
STREAMED = "query Shelf { products(first: 3) { edges @stream(initialCount: 1) { cursor node { id name } } } }"
PAYMENT = "query Payment($id: ID!) { order(id: $id) { id payment { id status } } }"
TRUSTED = "query Trusted($id: ID!) { product(id: $id) { id name __typename } }"
STOCK = "subscription Stock($id: ID!) { stockChanges(productId: $id) { quantity warehouse } }"
EVENTS = "subscription Events($id: ID!, $after: Int!) { sagaEvents(id: $id, after: $after) { sequence kind } }"

PRODUCT_ID = "UHJvZHVjdDpwLTAwMDE"  # p-0001
ITS_SKU = "SKU-0001"


def named(seen: Json) -> str:
    name: str = seen["data"]["product"]["name"]
    return name


def code_of(seen: Json) -> set[str]:
    return {each["code"] for each in seen["errors"]}


def kinds(parts: list[Json]) -> list[str]:
    return [part["data"]["sagaEvents"]["kind"] for part in parts if part.get("data")]


def assert_partial(seen: Json) -> None:
    reviews = seen["data"]["product"]["reviews"]
    assert len(reviews) == 2
    assert [review["author"] for review in reviews] == [None, None]
    assert code_of(seen) == {"SERVICE_UNAVAILABLE"}
    assert seen["errors"][0]["path"] == ["product", "reviews", 0, "author"]
    assert {(each["to"], each["service"]) for each in seen["extensions"]["degraded"]} == {("NULL", "customers")}


def assert_deferred(client: Driver, shop: Shop, *, dialect: str) -> None:
    shop.service("reviews").fault({"latency": 0.2})
    seen = client.ask("defer", url=shop.graphql_url, query=DEFERRED, variables={"id": PRODUCT_ID}, dialect=dialect)
    first, (data, errors) = seen["parts"][0], whole(seen["parts"])
    assert named(first) == data["product"]["name"] == shop.product_name
    assert "reviews" not in first["data"]["product"]
    assert [review["author"]["name"] for review in data["product"]["reviews"]] == shop.authors
    assert not errors
    if "cached" in seen:
        assert [review["author"]["name"] for review in seen["cached"]["product"]["reviews"]] == shop.authors


def assert_part_refused(client: Driver, shop: Shop, *, dialect: str) -> None:
    """Its field must not be null, so all of the fragment is missing, and the rest is there."""
    given = {"url": shop.graphql_url, "query": REFUSED_PART, "dialect": dialect}
    data, errors = whole(client.ask("defer", **given, variables={"id": PRODUCT_ID})["parts"])
    assert data["product"]["name"] == shop.product_name
    assert not data.get("sagas")
    assert {each.get("code") or each["extensions"]["code"] for each in errors} == {"UNAUTHENTICATED"}


def whole(parts: list[Json]) -> tuple[Json, list[Json]]:
    """Data and errors in the end: as the client has put them together, or of the parts, where it hands them on."""
    if any("hasNext" in part for part in parts):
        return merged(parts)
    return parts[-1].get("data"), parts[-1].get("errors") or []


@contextmanager
def hanging(shop: Shop) -> Generator[Callable[[], int]]:
    """Payments answer nobody; yields how often they were asked."""
    payments = shop.service("payments")
    before = payments.calls()["total"]
    payments.fault({"hang": True})
    yield lambda: payments.calls()["total"] - before


def assert_followed(client: Driver, shop: Shop, *, verb: str) -> None:
    variables = {"id": shop.order["sagaId"], "after": 0}
    seen = client.ask(verb, url=shop.graphql_url, query=EVENTS, variables=variables, headers=AS_CUSTOMER)
    events = [part["data"]["sagaEvents"] for part in seen["parts"]]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("SagaStarted", "SagaEnded")
    assert seen["ended"] == "complete"


def assert_ends_with_its_user(client: Driver, shop: Shop, *, verb: str) -> None:
    following = client.start(verb, url=shop.graphql_url, query=STOCK, variables={"id": PRODUCT_ID})
    wait_until(lambda: len(following.parts) == 1, saying="the stock now")
    assert shop.metric("sagaql_subscriptions") == 1
    following.abort()
    assert_idle(shop)
    assert following.answer()["ended"] == "aborted"


def assert_idle(shop: Shop) -> None:
    """No service is called, no operation and no subscription under way: long before any timeout of ours could end them."""
    names = ("sagaql_service_calls_in_flight", "sagaql_operations_in_flight", "sagaql_subscriptions")
    wait_until(lambda: not any(shop.metric(name) for name in names), saying="nothing is left of it")
