"""What is tried with every client, one function a row of the table: each asserts what the client's user sees.

Invariant: a function knows no client. It asks for a verb, and looks at plain values: `data`, `errors` (`message`, `path`, `code`),
`extensions`, `parts` in their order, and `requests`, which the client has sent, where it lets one look.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from .client_expectations import (
    DEFERRED,
    EVENTS,
    ITS_SKU,
    OPINIONS,
    PAYMENT,
    PRODUCT,
    PRODUCT_ID,
    STOCK,
    STREAMED,
    TRUSTED,
    assert_deferred,
    assert_ends_with_its_user,
    assert_followed,
    assert_idle,
    assert_part_refused,
    assert_partial,
    code_of,
    hanging,
    kinds,
    named,
    whole,
)
from .conftest import wait_until
from .ordering import AS_CUSTOMER, PLACE_ORDER, order_input, place

if TYPE_CHECKING:
    from .client_shop import Shop
    from .clients import Driver

Json = Any
Check = Callable[["Driver", "Shop"], None]


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of the table."""

    name: str
    title: str
    verb: str
    """What a client must do for it."""
    check: Check


FEATURES: list[Feature] = []


def feature(title: str, *, verb: str) -> Callable[[Check], Check]:
    def listed(check: Check) -> Check:
        FEATURES.append(Feature(check.__name__, title, verb, check))
        return check

    return listed


# -- answers in one piece ----------------------------------------------------------------------------------------------


@feature("query", verb="query")
def query(client: Driver, shop: Shop) -> None:
    seen = client.ask("query", url=shop.graphql_url, query=PRODUCT, variables={"id": PRODUCT_ID})
    assert named(seen) == shop.product_name
    assert not seen.get("errors")


@feature("query by GET", verb="get")
def get(client: Driver, shop: Shop) -> None:
    seen = client.ask("get", url=shop.graphql_url, query=PRODUCT, variables={"id": PRODUCT_ID})
    assert named(seen) == shop.product_name
    assert [request["method"] for request in seen["requests"]] == ["GET"]


@feature("mutation, with `Idempotency-Key`", verb="mutate")
def mutation(client: Driver, shop: Shop) -> None:
    """Sent twice, it is one order."""
    given = {"url": shop.graphql_url, "query": PLACE_ORDER, "idempotencyKey": str(uuid.uuid4()), "headers": AS_CUSTOMER}
    first, again = (client.ask("mutate", **given, variables={"input": order_input()}) for _ in range(2))
    assert first["data"]["placeOrder"]["__typename"] == "PlaceOrderCompleted"
    assert first["data"]["placeOrder"]["order"]["payment"]["status"] == "CAPTURED"
    assert again["data"]["placeOrder"]["order"]["id"] == first["data"]["placeOrder"]["order"]["id"]


@feature("a document that is not valid", verb="query")
def invalid(client: Driver, shop: Shop) -> None:
    seen = client.ask("query", url=shop.graphql_url, query="query Typo { product { nmae } }")
    assert {each["code"] for each in seen["errors"]} == {"GRAPHQL_VALIDATION_FAILED"}
    assert any("nmae" in each["message"] for each in seen["errors"])
    assert not seen.get("data")


@feature("refused for its credentials", verb="query")
def refused(client: Driver, shop: Shop) -> None:
    headers = {"authorization": "Bearer nobody"}
    seen = client.ask("query", url=shop.graphql_url, query=PRODUCT, variables={"id": PRODUCT_ID}, headers=headers)
    assert not seen.get("data")
    if closed := seen.get("closed"):  # a connection's credentials: all that it was for is refused
        assert closed["code"] == 4403
    else:
        assert [each["code"] for each in seen["errors"]] == ["UNAUTHENTICATED"]


@feature("a field's error beside the rest, and `extensions.degraded`", verb="query")
def partial(client: Driver, shop: Shop) -> None:
    shop.service("customers").fault({"status": 503})
    assert_partial(client.ask("query", url=shop.graphql_url, query=OPINIONS, variables={"id": PRODUCT_ID}))


@feature("`extensions.degraded` without an error", verb="query")
def degraded(client: Driver, shop: Shop) -> None:
    shop.service("reviews").fault({"status": 503})
    seen = client.ask("query", url=shop.graphql_url, query=OPINIONS, variables={"id": PRODUCT_ID})
    assert seen["data"]["product"]["reviews"] == []
    assert not seen.get("errors")
    assert [(each["to"], each["service"]) for each in seen["extensions"]["degraded"]] == [("DEFAULT", "reviews")]


@feature("a field's error with status 294, also through nginx", verb="query")
def status_294(client: Driver, shop: Shop) -> None:
    shop.service("customers").fault({"status": 503})
    for url in shop.partial_urls:
        seen = client.ask("query", url=url, query=OPINIONS, variables={"id": PRODUCT_ID})
        assert_partial(seen)
        assert [request["status"] for request in seen["requests"]] == [294]
    if len(shop.partial_urls) < 2:  # never in CI, where a machine without nginx fails before
        pytest.skip("there is no nginx: apt-get install nginx-light")


@feature("trusted document by its id", verb="trusted")
def trusted(client: Driver, shop: Shop) -> None:
    given = {"url": shop.graphql_url, "query": TRUSTED, "ids": shop.trusted_ids}
    seen = client.ask("trusted", **given, variables={"id": PRODUCT_ID})
    assert named(seen) == shop.product_name
    assert all("query" not in request["members"] for request in seen.get("requests", []))


@feature("automatic persisted query", verb="persisted")
def persisted(client: Driver, shop: Shop) -> None:
    """The hash, which is not known; the text with it; and the second time only the hash."""
    text = f"query Persisted{uuid.uuid4().hex}($id: ID!) {{ product(id: $id) {{ id name }} }}"
    seen = client.ask("persisted", url=shop.graphql_url, query=text, variables={"id": PRODUCT_ID})
    assert named(seen) == shop.product_name
    assert ["query" in request["members"] for request in seen["requests"]] == [False, True, False]


@feature("`onError`", verb="onError")
def on_error(client: Driver, shop: Shop) -> None:
    shop.service("customers").fault({"status": 503})
    given = {"url": shop.graphql_url, "query": OPINIONS, "variables": {"id": PRODUCT_ID}}
    seen = client.ask("onError", **given, onError="HALT")
    assert seen["data"] is None
    assert code_of(seen) == {"SERVICE_UNAVAILABLE"}


# -- answers in parts --------------------------------------------------------------------------------------------------


@feature("`@defer`", verb="defer")
def defer(client: Driver, shop: Shop) -> None:
    assert_deferred(client, shop, dialect="v0")


@feature("`@defer` in the dialect of 2022", verb="defer")
def defer2022(client: Driver, shop: Shop) -> None:
    assert_deferred(client, shop, dialect="2022")


@feature("a field's error in a deferred fragment", verb="defer")
def defer_fails(client: Driver, shop: Shop) -> None:
    shop.service("customers").fault({"status": 503})
    seen = client.ask("defer", url=shop.graphql_url, query=DEFERRED, variables={"id": PRODUCT_ID})
    data, errors = whole(seen["parts"])
    assert [review["author"] for review in data["product"]["reviews"]] == [None, None]
    assert {each.get("code") or each["extensions"]["code"] for each in errors} == {"SERVICE_UNAVAILABLE"}


@feature("a deferred fragment that cannot be had", verb="defer")
def defer_refused(client: Driver, shop: Shop) -> None:
    assert_part_refused(client, shop, dialect="v0")


@feature("the same in the dialect of 2022", verb="defer")
def defer_refused2022(client: Driver, shop: Shop) -> None:
    assert_part_refused(client, shop, dialect="2022")


@feature("`@stream`", verb="stream")
def stream(client: Driver, shop: Shop) -> None:
    seen = client.ask("stream", url=shop.graphql_url, query=STREAMED)
    data, _ = whole(seen["parts"])
    assert len(seen["parts"][0]["data"]["products"]["edges"]) == 1
    assert [edge["node"]["name"] for edge in data["products"]["edges"]] == shop.first_names


# -- subscriptions -----------------------------------------------------------------------------------------------------


@feature("subscription", verb="subscribe")
def subscription(client: Driver, shop: Shop) -> None:
    assert_followed(client, shop, verb="subscribe")


@feature("subscription over WebSocket, with graphql-ws", verb="subscribeOverWebSocket")
def subscription_over_websocket(client: Driver, shop: Shop) -> None:
    assert_followed(client, shop, verb="subscribeOverWebSocket")
    assert_ends_with_its_user(client, shop, verb="subscribeOverWebSocket")


@feature("subscription that is told of a change", verb="subscribe")
def live(client: Driver, shop: Shop) -> None:
    following = client.start("subscribe", url=shop.graphql_url, query=STOCK, variables={"id": PRODUCT_ID}, take=2)
    wait_until(lambda: len(following.parts) == 1, saying="the stock now")
    place(shop, lines=[(ITS_SKU, 1)])
    before, after = (part["data"]["stockChanges"]["quantity"] for part in following.answer()["parts"])
    assert after == before - 1


@feature("subscription that goes on after the gateway was killed", verb="subscribe")
def resumed(client: Driver, shop: Shop) -> None:
    saga_id = shop.stuck_saga()
    given = {"url": shop.graphql_url, "query": EVENTS, "headers": AS_CUSTOMER}
    following = client.start("subscribe", **given, variables={"id": saga_id, "after": 0})
    wait_until(lambda: "AttemptFailed" in kinds(following.parts), saying="an attempt has failed")
    shop.kill_gateway()
    seen = following.answer()
    assert seen["ended"] != "complete", "nobody may take a killed gateway for the end of the saga"
    shop.start_gateway()
    shop.service("shipping").heal()
    last = seen["parts"][-1]["data"]["sagaEvents"]["sequence"]
    rest = client.ask("subscribe", **given, variables={"id": saga_id, "after": last})
    sequences = [part["data"]["sagaEvents"]["sequence"] for part in (*seen["parts"], *rest["parts"])]
    assert sequences == list(range(1, len(sequences) + 1))
    assert kinds(rest["parts"])[-1] == "SagaEnded"


@feature("subscription to something that is not there", verb="subscribe")
def refused_subscription(client: Driver, shop: Shop) -> None:
    seen = client.ask("subscribe", url=shop.graphql_url, query=STOCK, variables={"id": "UHJvZHVjdDpwLTk5OTk"})
    assert code_of(seen["parts"][-1]) == {"BAD_USER_INPUT"}


# -- leaving -----------------------------------------------------------------------------------------------------------


@feature("abort: the calls to the services stop", verb="query")
def abort(client: Driver, shop: Shop) -> None:
    with hanging(shop) as calls:
        given = {"url": shop.graphql_url, "query": PAYMENT, "headers": AS_CUSTOMER}
        asked = client.start("query", **given, variables={"id": shop.order["order"]["id"]})
        wait_until(lambda: shop.calls_in_flight("payments") == 1, saying="it is called")
        asked.abort()
        assert_idle(shop)
        assert calls() == 1, "it was not called again"
        seen = asked.answer()
        assert seen["aborted"]
        assert not seen.get("data")


@feature("abort of a deferred fragment", verb="defer")
def abort_deferred(client: Driver, shop: Shop) -> None:
    shop.service("reviews").fault({"hang": True})
    asked = client.start("defer", url=shop.graphql_url, query=DEFERRED, variables={"id": PRODUCT_ID})
    wait_until(lambda: len(asked.parts) == 1, saying="the first part")
    wait_until(lambda: shop.calls_in_flight("reviews") == 1, saying="it is called")
    asked.abort()
    assert_idle(shop)
    assert asked.answer()["aborted"]


@feature("abort of a subscription", verb="subscribe")
def abort_subscription(client: Driver, shop: Shop) -> None:
    assert_ends_with_its_user(client, shop, verb="subscribe")
