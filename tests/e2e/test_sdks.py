"""The SDKs against the running demo: an order placed once and followed to its end while the gateway is killed and comes back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from demo import people
from sagaql_client import Client, Conflict, PlaceOrderInput, Rejected, SagaNotFound, Unauthenticated
from tests.e2e.conftest import ROOT, wait_until
from tests.e2e.ordering import assert_balanced, order_input

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

SESSION = ROOT / "sdk" / "typescript" / "build" / "test" / "session.js"
TOKEN = people.CUSTOMER.token

needs_node = pytest.mark.skipif(  # in CI what nobody installed is a broken build: the test runs, and fails
    (shutil.which("node") is None or not SESSION.exists()) and os.environ.get("CI") != "true",
    reason="the TypeScript SDK is not built: install Node 20.19 or newer, and run `make test`",
)


def python(demo: Demo, *, token: str = TOKEN, **options: Any) -> Client:
    return Client(f"{demo.url}/graphql", token=token, **options)


def an_order(**others: Any) -> PlaceOrderInput:
    return PlaceOrderInput.model_validate(order_input(**others))


async def placed(demo: Demo, **options: Any) -> dict[str, Any]:
    async with python(demo, **options) as client:
        order = await client.place_order(an_order())
        events = [each.sequence async for each in client.saga_events(order.data.saga_id)]
    return {"sagaId": order.data.saga_id, "order": order.data.order, "events": events}


def typescript(demo: Demo, what: str) -> dict[str, Any]:
    ended = subprocess.run(
        ["node", str(SESSION), f"{demo.url}/graphql", what], capture_output=True, text=True, timeout=90
    )
    assert ended.returncode == 0, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def while_the_gateway_is_killed(
    demo: Demo, place: Callable[[], dict[str, Any]], *, is_followed: bool
) -> dict[str, Any]:
    """What `place` comes to, when the gateway dies in the midst of its saga and another one takes over.

    It dies while the mutation's own request waits or, if it `is_followed`, while its events are sent.
    """
    shipping = demo.service("shipping")
    shipping.fault({"status": 503})
    orders = created(demo)
    with ThreadPoolExecutor(1) as pool:
        placing: Future[dict[str, Any]] = pool.submit(place)
        wait_until(lambda: shipping.calls()["total"] > 1, saying="the saga is past its pivot and cannot end")
        wait_until(lambda: followers(demo) == int(is_followed), saying="its events are followed, or not")
        demo.kill_gateway()
        demo.start_gateway()
        shipping.heal()
        order = placing.result(timeout=60)
    assert created(demo) == orders + 1, "exactly one order"
    assert_balanced(demo, {order["sagaId"]: "COMPLETED"})
    return order


def followers(demo: Demo) -> int:
    told = httpx.get(f"{demo.url}/metrics", timeout=10).text
    return int(next(float(line.split()[1]) for line in told.splitlines() if line.startswith("sagaql_subscriptions ")))


def created(demo: Demo) -> int:
    return sum(entry["effect"] == "create" for entry in demo.service("orders").ledger())


# -- Python ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_followed", [False, True], ids=["in its first request", "while its events are followed"])
def test_an_order_of_the_python_sdk_survives_the_gateway(demo: Demo, is_followed: bool) -> None:
    patience = 1.0 if is_followed else 15.0
    order = while_the_gateway_is_killed(
        demo, lambda: asyncio.run(placed(demo, attempt_timeout=patience)), is_followed=is_followed
    )
    assert order["order"].status.value == "CONFIRMED"
    assert order["events"] == list(range(1, len(order["events"]) + 1))


async def test_the_python_sdk_tells_how_a_saga_ended_by_its_class(demo: Demo) -> None:
    async with python(demo) as client:
        with pytest.raises(Rejected) as declined:
            await client.place_order(an_order(token="tok_declined"))
        order = await client.place_order(an_order())
        again = await client.place_order(an_order(), key=(key := "the-same-order"))
        repeated = await client.place_order(an_order(), key=key)
        with pytest.raises(Conflict):
            await client.place_order(an_order(lines=[("SKU-0003", 2)]), key=key)
        saga = await client.saga(declined.value.saga_id)
    assert declined.value.code == "CARD_DECLINED"
    assert declined.value.key is not None
    assert order.is_whole
    assert again.data.saga_id == repeated.data.saga_id != order.data.saga_id
    assert saga.data.saga is not None
    assert saga.data.saga.cause == "CARD_DECLINED"


async def test_the_python_sdk_reads_partial_answers_and_refusals(demo: Demo) -> None:
    demo.service("reviews").fault({"status": 503})
    async with python(demo) as client, python(demo, token="nobody") as stranger:
        shelf = await client.product_shelf(first=2)
        with pytest.raises(Unauthenticated):
            await stranger.product_shelf()
        with pytest.raises(Unauthenticated):
            await anext(stranger.saga_events("some-saga"))
        with pytest.raises(SagaNotFound):
            await anext(client.saga_events("no-such-saga"))
    assert shelf.data.products is not None
    assert [edge.node.reviews for edge in shelf.data.products.edges] == [[], []]
    assert {(each.to, each.service, each.path[-1]) for each in shelf.degraded} == {("DEFAULT", "reviews", "reviews")}
    assert not shelf.errors


# -- TypeScript --------------------------------------------------------------------------------------------------------


@needs_node
@pytest.mark.parametrize("what", ["place", "follow"])
def test_an_order_of_the_typescript_sdk_survives_the_gateway(demo: Demo, what: str) -> None:
    order = while_the_gateway_is_killed(demo, lambda: typescript(demo, what), is_followed=what == "follow")
    if what == "follow":
        assert order["events"] == list(range(1, len(order["events"]) + 1))


@needs_node
def test_the_typescript_sdk_tells_errors_and_partial_answers(demo: Demo) -> None:
    demo.service("reviews").fault({"status": 503})
    shelf = typescript(demo, "shelf")
    assert len(shelf["names"]) == 2
    assert {(each["to"], each["service"]) for each in shelf["degraded"]} == {("DEFAULT", "reviews")}
    assert typescript(demo, "decline") == {"kind": "Rejected", "code": "CARD_DECLINED", "isEnd": True}
    assert typescript(demo, "stranger") == {
        "asked": "Unauthenticated",
        "followed": "Unauthenticated",
        "isGraph": True,
    }
