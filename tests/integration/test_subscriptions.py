"""Subscriptions through a whole gateway, in virtual time: over each transport a client that goes gives back all that it held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import orjson
import pytest
import strawberry

from gateway import Ctx, Service, entity, field, resolver
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import (
    Answer,
    GatewayUnderTest,
    ScriptedWire,
    StreamUnderTest,
    answer,
    connected,
    in_virtual_time,
    streamed,
)
from gateway.testing.client import scope_of_request

inventory = Service("inventory")
SSE, MULTIPART = "text/event-stream", "multipart/mixed;subscriptionSpec=1.0, application/json"
EVERYTHING = "application/graphql-response+json, text/event-stream"
FOLLOW = 'subscription { stock(sku: "a") { quantity } }'


@entity
class Stock:
    """What is there."""

    quantity: int = field("Pieces.")


stock_by_sku = inventory.loader("/stock", keys="skus", key="sku", into=Stock, shared="public")


@entity
class Query:
    """What can be asked."""

    @resolver
    def hello(self) -> str:
        """A greeting."""
        return "hello"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def stock(self, info: strawberry.Info[Ctx], sku: str) -> AsyncGenerator[Stock | None, None]:
        async with aclosing(info.context.poll(stock_by_sku, sku, every="1s")) as changes:
            async for each in changes:
                yield each


class Inventory:
    def __init__(self) -> None:
        self.quantity = 0
        self.wire = ScriptedWire(otherwise=self._answer)

    def _answer(self, _: ServiceRequest) -> ServiceResponse:
        self.quantity += 1
        return answer([{"sku": "a", "quantity": self.quantity}])


def gateway_over(shop: Inventory, *, most: int = 10, **concerns: Any) -> GatewayUnderTest:
    settings = Settings.model_validate(
        {"services": {"inventory": {"url": "http://inventory"}}, "server": {"max_subscriptions": most}, **concerns}
    )
    return GatewayUnderTest(settings, build_graph(Query, None, Subscription), wires={"inventory": shop.wire})


def subscribed(
    gateway: GatewayUnderTest, accept: str, query: str = FOLLOW
) -> AbstractAsyncContextManager[StreamUnderTest]:
    scope = scope_of_request("POST", "/graphql", headers={"accept": accept, "content-type": "application/json"})
    return streamed(gateway.app, scope, orjson.dumps({"query": query}))


async def asked(gateway: GatewayUnderTest, accept: str, query: str) -> Answer:
    return await gateway.execute(query, headers={"accept": accept})


@pytest.mark.parametrize("accept", [SSE, MULTIPART])
@in_virtual_time
async def test_a_client_that_goes_gives_back_its_place_and_ends_the_poll(accept: str) -> None:
    shop = Inventory()
    async with gateway_over(shop) as gateway:
        before = len(asyncio.all_tasks())
        async with subscribed(gateway, accept) as one, subscribed(gateway, accept) as other:
            for stream in (one, other):
                await stream.piece()
                assert b'{"stock":{"quantity":1}}' in await stream.piece()
                assert b'{"stock":{"quantity":2}}' in await stream.piece()
            assert gateway.parts.admission.streams == 2
            assert len(shop.wire.sent) == 2
        await asyncio.sleep(0)
        assert (gateway.parts.admission.streams, gateway.parts.admission.in_flight) == (0, 0)
        assert repr(gateway.parts.engine.polls) == "<Polls 0 questions, 0 keys>"
        assert len(asyncio.all_tasks()) == before


@in_virtual_time
async def test_a_websocket_that_goes_gives_back_its_place_and_ends_the_poll() -> None:
    shop = Inventory()
    async with gateway_over(shop) as gateway:
        before = len(asyncio.all_tasks())
        async with connected(gateway.app) as socket:
            await socket.introduce()
            await socket.subscribe("a", FOLLOW)
            assert (await socket.receive())["payload"] == {"data": {"stock": {"quantity": 1}}}
            assert gateway.parts.admission.streams == 1
        await asyncio.sleep(0)
        assert gateway.parts.admission.streams == 0
        assert repr(gateway.parts.engine.polls) == "<Polls 0 questions, 0 keys>"
        assert len(asyncio.all_tasks()) == before


@in_virtual_time
async def test_a_reader_that_stalls_gives_back_its_place_and_the_others_go_on() -> None:
    shop = Inventory()
    async with gateway_over(shop) as gateway, subscribed(gateway, SSE) as stalled, subscribed(gateway, SSE) as reads:
        await stalled.piece()
        stalled.stall()
        for _ in range(40):
            await reads.piece()
        assert stalled.is_cut
        assert gateway.parts.admission.streams == 1


@pytest.mark.parametrize(
    ("query", "most", "status", "code"),
    [
        ("subscription { stock(sku: 1) { quantity } }", 2, 400, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($s: String!) { stock(sku: $s) { quantity } }", 2, 400, "BAD_USER_INPUT"),
        ("subscription {", 2, 400, "GRAPHQL_PARSE_FAILED"),
        (FOLLOW, 1, 503, "OVERLOADED"),
    ],
)
@in_virtual_time
async def test_a_refusal_is_an_ordinary_answer_where_the_client_takes_one_and_else_an_event(
    query: str, most: int, status: int, code: str
) -> None:
    async with gateway_over(Inventory(), most=most) as gateway, subscribed(gateway, SSE) as first:
        await first.piece()
        ordinary = await asked(gateway, EVERYTHING, query)
        streamed_one = await asked(gateway, SSE, query)
    assert (ordinary.status, ordinary.codes) == (status, [code])
    assert streamed_one.status == 200
    assert code.encode() in streamed_one.body
    assert streamed_one.body.endswith(b"event: complete\ndata:\n\n")


@in_virtual_time
async def test_a_subscription_for_a_client_that_takes_one_answer_is_refused_with_what_to_do() -> None:
    async with gateway_over(Inventory()) as gateway:
        by_post = await asked(gateway, "application/json", FOLLOW)
        by_get = await gateway.request("GET", "/graphql", query={"query": FOLLOW}, headers={"accept": "*/*"})
    for each in (by_post, by_get):
        assert "Accept: text/event-stream" in each.errors[0]["message"]


@in_virtual_time
async def test_a_gateway_that_leaves_ends_every_stream() -> None:
    async with gateway_over(Inventory()) as gateway:
        async with subscribed(gateway, SSE) as one, subscribed(gateway, MULTIPART) as other:
            await one.piece()
            await other.piece()
            await gateway.parts.left()
            assert (await one.rest()).endswith(b": restarting\nretry: 1000\n\n")
            assert b'"code":"DRAINING"' in await other.rest()
        refused = await asked(gateway, EVERYTHING, FOLLOW)
    assert (refused.status, refused.codes) == (503, ["DRAINING"])


@in_virtual_time
async def test_a_gateway_that_announces_that_it_leaves_takes_no_stream_and_says_that_another_will() -> None:
    async with gateway_over(Inventory()) as gateway:
        gateway.parts.announce()
        await asyncio.sleep(0)  # the transports hear of it
        ordinary = await asked(gateway, EVERYTHING, FOLLOW)
        events = await asked(gateway, SSE, FOLLOW)
        payloads = await asked(gateway, "multipart/mixed;subscriptionSpec=1.0", FOLLOW)
        query = await asked(gateway, EVERYTHING, "{ hello }")
        async with connected(gateway.app) as socket:
            assert await socket.closed() == 1012
    assert (ordinary.status, ordinary.codes, ordinary.headers["retry-after"]) == (503, ["DRAINING"], "1")
    assert events.body == b"retry: 1000\n\n: restarting\nretry: 1000\n\n", (
        "it is not completed: who follows comes again"
    )
    assert b'"payload":null' in payloads.body
    assert b'"DRAINING"' in payloads.body
    assert query.data == {"hello": "hello"}
