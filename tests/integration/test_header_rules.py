"""Headers over real sockets: what a service is sent of the client and of us, and that its own stay where they are."""

from __future__ import annotations

import asyncio

import strawberry

from gateway import Ctx, Service, entity, resolver
from gateway.graph import build_graph
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest
from tests.integration.test_wire import Server, Visit, serving

weather = Service("weather")


@strawberry.type
class Sky:
    """What is above."""

    id: str
    look: str


sky_by_city = weather.loader("/skies", keys="ids", key="id", into=Sky)
public_sky_by_city = weather.loader("/skies", keys="ids", key="id", into=Sky, shared="public")


@entity
class Query:
    """The root."""

    @resolver
    async def mine(self, ctx: Ctx) -> str | None:
        """With the caller's headers."""
        found = await ctx.load(sky_by_city, "a")
        return None if found is None else found.look

    @resolver
    async def everybodys(self, ctx: Ctx) -> str | None:
        """Without."""
        found = await ctx.load(public_sky_by_city, "a")
        return None if found is None else found.look

    @resolver
    async def by_hand(self, ctx: Ctx) -> str:
        """Through httpx."""
        found = await ctx.http(weather).get("/skies", headers={"x-tenant-id": "the author's"})
        look: str = found.json()[0]["look"]
        return look


graph = build_graph(Query)


async def grey(visit: Visit) -> None:
    """Sets what browsers, and whoever looks inside, would like to read."""
    body = b'[{"id": "a", "look": "grey"}]'
    head = f"HTTP/1.1 200 OK\r\nSet-Cookie: s=1\r\nX-Internal: 10.0.0.7\r\nContent-Length: {len(body)}\r\n\r\n"
    await visit.write(head.encode() + body)


def settings(server: Server) -> Settings:
    service = {
        "url": f"http://127.0.0.1:{server.port}",
        "send_headers": ["Authorization", "X-Tenant-*"],
        "set_headers": {"X-Api-Key": "ours"},
        "health": {"path": "/health", "interval": "50ms"},
    }
    return Settings.model_validate({"graph": {"sdl": ""}, "services": {"weather": service}})


CLIENT = {
    "x-tenant-id": "acme",
    "x-tenant-hop": "1",
    "connection": "x-tenant-hop",
    "cookie": "c",
    "x-api-key": "theirs",
    "x-sagaql-trace": "1",
}


async def test_a_service_is_sent_what_it_declares_and_our_constant_and_its_own_headers_stay_there() -> None:
    checked = asyncio.Event()

    async def behaviour(visit: Visit) -> None:
        await grey(visit)
        if visit.line.startswith("GET /health"):
            checked.set()

    async with serving(behaviour) as server, GatewayUnderTest(settings(server), graph, wires={}) as gateway:
        found = await gateway.execute("{ mine everybodys }", headers=CLIENT)
        await asyncio.wait_for(checked.wait(), 5)

    assert found.data == {"mine": "grey", "everybodys": "grey"}
    assert not {"set-cookie", "x-internal"} & set(found.headers)
    reads = [visit.headers for visit in server.visits if visit.line.startswith("GET /skies")]
    checks = [visit.headers for visit in server.visits if visit.line.startswith("GET /health")]
    assert {headers["x-api-key"] for headers in (*reads, *checks)} == {"ours"}
    assert sorted(headers.get("x-tenant-id", "-") for headers in reads) == ["-", "acme"]
    assert not [each for each in (*reads, *checks) if {"x-tenant-hop", "cookie", "x-sagaql-trace"} & set(each)]


async def test_of_an_author_s_and_a_client_s_header_the_author_s_is_sent() -> None:
    async with serving(grey) as server, GatewayUnderTest(settings(server), graph, wires={}) as gateway:
        found = await gateway.execute("{ byHand }", headers=CLIENT)

    assert found.data == {"byHand": "grey"}
    (headers,) = [visit.headers for visit in server.visits if visit.line.startswith("GET /skies")]
    assert (headers["x-tenant-id"], headers["x-api-key"]) == ("the author's", "ours")
