"""Tokens of a provider through a whole gateway: keys over a wire that fails, and streams that end with their tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson
import pytest
import strawberry

from gateway import Ctx, Service, entity, field, resolver
from gateway.edge.authentication import MAX_KEY_SET
from gateway.errors import ServiceUnavailable
from gateway.graph import build_graph
from gateway.services import ServiceRequest
from gateway.settings import Settings
from gateway.testing import (
    GatewayUnderTest,
    ScriptedWire,
    VirtualClock,
    WebSocketUnderTest,
    after,
    answer,
    connected,
    hang,
    in_virtual_time,
    streamed,
)
from gateway.testing.client import scope_of_request
from gateway.testing.wire import Step
from tests.tokens import AUDIENCE, ISSUER, NOW, bearer, claims, jwk, jwks, rsa_key, token

inventory = Service("inventory")
KEYS = "identity.issuers[0]"
"""What the provider's stack is called, in metrics and here."""
OLD, NEW = jwk(rsa_key(1), "old"), jwk(rsa_key(2), "new")
FOLLOW = 'subscription { stock(sku: "a") { quantity } }'


@entity
class Stock:
    """What is there."""

    quantity: int = field("Pieces.")


stock_by_sku = inventory.loader("/stock", keys="skus", key="sku", into=Stock)


@strawberry.type
class Query:
    @resolver
    def whoami(self, ctx: Ctx) -> str:
        """The caller."""
        return ctx.identity.subject


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def stock(self, info: strawberry.Info[Ctx], sku: str) -> AsyncGenerator[Stock | None, None]:
        async with aclosing(info.context.poll(stock_by_sku, sku, every="1s")) as changes:
            async for each in changes:
                yield each


GRAPH = build_graph(Query, None, Subscription)


def listed(*keys: dict[str, Any]) -> Step:
    return answer(jwks(*keys))


def refused(_: ServiceRequest) -> ServiceUnavailable:
    return ServiceUnavailable("it refused the connection", service=KEYS, applied=False)


def gateway(provider: ScriptedWire, *, clock: VirtualClock | None = None, **rules: Any) -> GatewayUnderTest:
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": "https://login.example/keys?v=1", **rules}
    settings = Settings.model_validate(
        {"identity": {"issuers": [issuer]}, "services": {"inventory": {"url": "http://inventory.test"}}}
    )
    numbers = iter(range(10_000))
    stock = ScriptedWire(otherwise=lambda _: answer([{"sku": "a", "quantity": next(numbers)}]))
    wires = {KEYS: provider, "inventory": stock}
    return GatewayUnderTest(settings, GRAPH, wires=wires, clock=clock or VirtualClock())


def by(key: int, kid: str, **said: Any) -> dict[str, str]:
    return bearer(token(claims(exp=NOW + 10**6, **said), key=rsa_key(key), kid=kid))


async def caller(running: GatewayUnderTest, headers: dict[str, str]) -> str:
    found = await running.execute("{ whoami }", headers=headers)
    whoami: str = found.codes[0] if found.errors else found.data["whoami"]
    return whoami


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"])
@in_virtual_time
async def test_a_stream_ends_when_its_token_does(accept: str) -> None:
    async with gateway(ScriptedWire(otherwise=listed(OLD)), leeway="5s") as running:
        shown = bearer(token(claims(exp=NOW + 60), key=rsa_key(1), kid="old"))
        sent = {"accept": accept, "content-type": "application/json", **shown}
        scope = scope_of_request("POST", "/graphql", headers=sent)
        began = asyncio.get_running_loop().time()
        async with streamed(running.app, scope, orjson.dumps({"query": FOLLOW})) as stream:
            told = await stream.rest()
            assert asyncio.get_running_loop().time() - began == pytest.approx(65.0, abs=0.1)
            assert stream.is_complete
        assert told.count(b'"quantity"') > 50, "until then it went on"
        assert told.count(b'"UNAUTHENTICATED"') == 1
        assert await caller(running, shown) == "UNAUTHENTICATED"
        assert running.parts.admission.streams == 0


async def closed(socket: WebSocketUnderTest) -> int | None:
    """The code with which the server closes; until then pings are answered."""
    try:
        while True:
            if (await socket.receive(within=30))["type"] == "ping":
                await socket.send(type="pong")
    except ConnectionError:
        return socket.close_code


@in_virtual_time
async def test_a_websocket_is_closed_when_its_token_ends_and_a_new_token_goes_on() -> None:
    async with gateway(ScriptedWire(otherwise=listed(OLD)), leeway="0s") as running:
        began = asyncio.get_running_loop().time()
        for exp in (60, 120):
            shown = bearer(token(claims(exp=NOW + exp), key=rsa_key(1), kid="old"))
            async with connected(running.app) as socket:
                await socket.introduce(shown)
                await socket.subscribe("a", FOLLOW)
                assert (await socket.receive())["payload"]["data"]["stock"]["quantity"] >= 0
                assert await closed(socket) == 4401
                assert asyncio.get_running_loop().time() - began == pytest.approx(exp, abs=0.1)
        await asyncio.sleep(0)
        assert running.parts.admission.streams == 0


# -- keys over a wire --------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_keys_are_asked_for_where_the_settings_say_whatever_a_token_says() -> None:
    provider = ScriptedWire(otherwise=listed(OLD))
    async with gateway(provider) as running:
        elsewhere = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/c", "jwk": NEW}
        forged = token(claims(), key=rsa_key(2), kid="new", header=elsewhere)
        assert await caller(running, bearer(forged)) == "UNAUTHENTICATED"
        assert await caller(running, by(1, "old")) == "ann"
    assert {(each.path, tuple(each.query)) for each in provider.requests} == {("/keys", (("v", "1"),))}


@in_virtual_time
async def test_keys_that_are_rotated_over_the_wire_work_at_once_and_withdrawn_ones_stop() -> None:
    provider = ScriptedWire(listed(OLD), listed(OLD, NEW), otherwise=listed(NEW))
    async with gateway(provider, refresh="100s", cooldown="5s") as running:
        assert await caller(running, by(1, "old")) == "ann"
        await asyncio.sleep(6)
        assert await caller(running, by(2, "new", sub="bob")) == "bob"
        assert await caller(running, by(1, "old")) == "ann"
        await asyncio.sleep(100)
        assert await caller(running, by(1, "old")) == "UNAUTHENTICATED"
        assert await caller(running, by(2, "new", sub="bob")) == "bob"


BAD: dict[str, Step] = {
    "it refuses the connection": refused,
    "it answers 500": answer({}, status=500),
    "it leads elsewhere": answer(jwks(NEW), status=302, headers={"location": "https://evil.example/keys"}),
    "it has nothing": answer({}, status=404),
    "no JSON": answer(b"<html>signed out</html>"),
    "no key set": answer(b'{"keys": "none"}'),
    "half a key set": answer(jwks(OLD)[:-20]),
    "it hangs": hang,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@in_virtual_time
async def test_a_provider_that_fails_costs_nobody_who_is_known_and_no_gateway_its_start(bad: Step) -> None:
    is_well = False

    async def answered(request: ServiceRequest) -> Any:
        step = listed(OLD) if is_well else bad
        found = step(request) if callable(step) else step
        return await found if asyncio.iscoroutine(found) else found

    async with gateway(ScriptedWire(otherwise=answered), refresh="30s", stale="300s", cooldown="10s") as running:
        began = asyncio.get_running_loop().time()
        assert await caller(running, by(1, "old")) == "AUTHENTICATION_UNAVAILABLE"
        assert asyncio.get_running_loop().time() - began <= 2.0
        assert await caller(running, {}) == "anonymous"

        is_well = True
        await asyncio.sleep(45)
        assert await caller(running, by(1, "old")) == "ann"
        is_well = False
        await asyncio.sleep(250)
        began = asyncio.get_running_loop().time()
        assert await caller(running, by(1, "old")) == "ann"
        assert await caller(running, by(1, "old", sub="bob")) == "bob"
        assert asyncio.get_running_loop().time() == began, "who has a known key does not wait"
        assert await caller(running, by(2, "new")) == "AUTHENTICATION_UNAVAILABLE"


@in_virtual_time
async def test_a_provider_that_is_slow_keeps_nobody_for_longer_than_a_moment() -> None:
    async with gateway(ScriptedWire(otherwise=after(2.5, listed(OLD)))) as running:
        began = asyncio.get_running_loop().time()
        assert await caller(running, by(1, "old")) == "AUTHENTICATION_UNAVAILABLE"
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)
        await asyncio.sleep(1)
        assert await caller(running, by(1, "old")) == "ann"


async def test_more_than_a_key_set_can_be_is_not_read_from_a_real_socket() -> None:
    """On the loopback, with a real wire, since it is the wire that stops reading."""
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
            while sent < 100 * MAX_KEY_SET:
                piece = b" " * 65_536
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
                sent += len(piece)
        except (ConnectionError, EOFError):
            return
        finally:
            writer.close()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as provider:
        port = provider.sockets[0].getsockname()[1]
        issuer = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": f"http://127.0.0.1:{port}/keys"}
        settings = Settings.model_validate(
            {"identity": {"issuers": [issuer]}, "services": {"inventory": {"url": "http://inventory.test"}}}
        )
        wires = {"inventory": ScriptedWire()}
        async with GatewayUnderTest(settings, GRAPH, wires=wires, clock=VirtualClock()) as running:
            assert await caller(running, by(1, "old")) == "AUTHENTICATION_UNAVAILABLE"
        provider.close()
    assert sent < 40 * MAX_KEY_SET, "each attempt reads little more than it may"
