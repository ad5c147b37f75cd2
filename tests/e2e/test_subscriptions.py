"""Subscriptions over HTTP, on the running demo: resumed over a killed gateway, followed while somebody buys, and refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.ordering import AS_CUSTOMER, place, stock_of
from tests.e2e.test_saga_events import FOLLOW, begun

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

PATIENCE = 30.0
SSE, MULTIPART = "text/event-stream", "multipart/mixed;subscriptionSpec=1.0, application/json"
CHANGES = "subscription ($id: ID!) { stockChanges(productId: $id) { quantity warehouse } }"
SKU = "SKU-0007"


async def answers(
    demo: Demo, accept: str, query: str, variables: dict[str, Any], **headers: str
) -> AsyncGenerator[dict[str, Any]]:
    """What a subscription of the customer is answered. Raises: httpx.HTTPError when the gateway is gone before the end."""
    body, sent = {"query": query, "variables": variables}, {"accept": accept, **AS_CUSTOMER, **headers}
    async with (
        asyncio.timeout(PATIENCE),
        httpx.AsyncClient(timeout=PATIENCE) as client,
        client.stream("POST", f"{demo.url}/graphql", json=body, headers=sent) as response,
    ):
        assert response.status_code == 200
        read = events(response) if accept == SSE else payloads(response)
        async for each in read:
            yield each


async def events(response: httpx.Response) -> AsyncGenerator[dict[str, Any]]:
    """With the id of each, if it has one."""
    async for event in split(response, b"\n\n"):
        fields = dict(line.partition(b":")[::2] for line in event.split(b"\n"))
        if fields.get(b"event") == b" next":
            yield {**json.loads(fields[b"data"]), "id": fields.get(b"id", b"").decode().strip()}


async def payloads(response: httpx.Response) -> AsyncGenerator[dict[str, Any]]:
    async for part in split(response, b"\r\n--graphql"):
        found = json.loads(part.partition(b"\r\n\r\n")[2] or b"{}")
        if found.get("payload"):
            yield found["payload"]


async def split(response: httpx.Response, separator: bytes) -> AsyncGenerator[bytes]:
    held = b""
    async for piece in response.aiter_raw():
        *whole, held = (held + piece).split(separator)
        for each in whole:
            yield each


async def seen_until_it_fails(
    demo: Demo, accept: str, saga_id: str, seen: list[dict[str, Any]], *, then: Callable[[], None]
) -> None:
    """`then` once, at the first attempt that failed; what had been sent by then may still be read."""
    is_over = False
    async with aclosing(answers(demo, accept, FOLLOW, {"id": saga_id, "after": 0})) as found:
        async for each in found:
            seen.append(each)
            if each["data"]["sagaEvents"]["kind"] == "AttemptFailed" and not is_over:
                is_over = True
                await asyncio.to_thread(then)


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_nothing_is_lost_or_doubled_when_the_gateway_is_killed_in_the_middle(demo: Demo, accept: str) -> None:
    saga_id = await asyncio.to_thread(begun, demo)
    seen: list[dict[str, Any]] = []
    with pytest.raises(httpx.HTTPError):
        await seen_until_it_fails(demo, accept, saga_id, seen, then=demo.kill_gateway)
    await asyncio.to_thread(demo.start_gateway)
    await asyncio.to_thread(demo.service("shipping").heal)

    last = seen[-1]["data"]["sagaEvents"]["sequence"]
    resumed = (  # a browser's EventSource asks as it did first, and says which event it has seen last
        answers(demo, accept, FOLLOW, {"id": saga_id, "after": 0}, **{"last-event-id": seen[-1]["id"]})
        if accept == SSE
        else answers(demo, accept, FOLLOW, {"id": saga_id, "after": last})
    )
    seen += [each async for each in resumed]

    told = [each["data"]["sagaEvents"] for each in seen]
    assert [each["sequence"] for each in told] == list(range(1, len(told) + 1))
    assert told[-1]["kind"] == "SagaEnded"


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
async def test_a_gateway_that_drains_ends_the_stream_so_that_a_client_goes_on_after_it(demo: Demo, accept: str) -> None:
    saga_id = await asyncio.to_thread(begun, demo)
    seen: list[dict[str, Any]] = []
    await seen_until_it_fails(demo, accept, saga_id, seen, then=demo.stop_gateway)
    assert [each["data"]["sagaEvents"]["sequence"] for each in seen] == list(range(1, len(seen) + 1))
    await asyncio.to_thread(demo.service("shipping").heal)


async def test_stock_is_followed_while_somebody_buys_with_one_poll_for_all_who_follow(demo: Demo) -> None:
    product = await asyncio.to_thread(product_of, demo, SKU)
    before = await asyncio.to_thread(stock_of, demo, SKU)
    async with aclosing(answers(demo, SSE, CHANGES, {"id": product})) as one:
        async with aclosing(answers(demo, MULTIPART, CHANGES, {"id": product})) as other:
            assert [await quantity(one), await quantity(other)] == [before, before]
            await asyncio.to_thread(place, demo, lines=[(SKU, 2)])
            assert [await quantity(one), await quantity(other)] == [before - 2, before - 2]
        demo.service("inventory").reset()
        await asyncio.sleep(2.5)
        assert 1 <= demo.service("inventory").calls()["total"] <= 4, "two followers, and then one, of one key"
    await asyncio.sleep(0.5)
    demo.service("inventory").reset()
    await asyncio.sleep(1.5)
    assert demo.service("inventory").calls()["total"] == 0, "nobody follows any more"


async def quantity(changes: AsyncGenerator[dict[str, Any]]) -> int:
    found: int = (await anext(changes))["data"]["stockChanges"]["quantity"]
    return found


def product_of(demo: Demo, sku: str) -> str:
    found = demo.graphql("{ products(first: 100) { edges { node { id sku } } } }")["data"]["products"]["edges"]
    return next(str(each["node"]["id"]) for each in found if each["node"]["sku"] == sku)


def test_a_client_that_takes_one_answer_is_told_how_to_subscribe(demo: Demo) -> None:
    (error,) = demo.graphql(CHANGES, {"id": "x"})["errors"]
    assert "Accept: text/event-stream" in error["message"]
    assert "graphql-transport-ws" in error["message"]


def test_a_document_that_is_not_valid_is_told_in_the_clients_way(demo: Demo) -> None:
    query = "subscription { nothing }"
    ordinary = demo.post(query, headers={"accept": MULTIPART})
    streamed = demo.post(query, headers={"accept": SSE})
    assert ordinary.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert streamed.status_code == 200
    assert "GRAPHQL_VALIDATION_FAILED" in streamed.text
    assert streamed.text.endswith("event: complete\ndata:\n\n")
