"""`ctx.http`: httpx in a resolver's hand, the stack underneath, the operation around it."""

import asyncio

import pytest
import strawberry

from gateway import Ctx, Service, entity, resolver
from gateway.errors import ServiceUnavailable
from gateway.graph import build_graph
from gateway.services import Priority
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, hang, in_virtual_time
from gateway.testing.client import answer_of, scope_of_request

weather = Service("weather")


@entity
class Query:
    """The root."""

    @resolver
    async def sky(self, ctx: Ctx, city: str) -> str:
        """How it looks."""
        found = await ctx.http(weather).get("/sky", params={"city": city}, extensions={"endpoint": "GET /sky"})
        text: str = found.raise_for_status().json()["sky"]
        return text

    @resolver
    async def skies(self, ctx: Ctx, within: float | None = None) -> str | None:
        """Asked twice, with a timeout of the author's."""
        assert ctx.http(weather) is ctx.http(weather)
        both = (ctx.http(weather).get(f"/sky/{n}", timeout=within) for n in range(2))
        return " ".join([found.json()["sky"] for found in await asyncio.gather(*both)])

    @strawberry.field(description="Not of any service.")
    def here(self) -> str:
        return "here"


SETTINGS = Settings.model_validate({"graph": {"sdl": ""}, "services": {"weather": {"url": "http://weather.test"}}})


async def test_a_resolver_asks_through_the_service_s_stack() -> None:
    wire = ScriptedWire(answer(status=503), answer({"sky": "grey"}))

    async with GatewayUnderTest(SETTINGS, build_graph(Query), wires={"weather": wire}) as gateway:
        found = await gateway.execute('{ sky(city: "Porto") }')

    assert found.data == {"sky": "grey"}
    assert [(request.endpoint, request.query) for request in wire.requests] == [("GET /sky", (("city", "Porto"),))] * 2


async def test_httpx_s_word_for_a_dead_service_reads_as_the_service_s_error() -> None:
    def reset(_: object) -> ServiceUnavailable:
        return ServiceUnavailable("weather closed the connection", service="weather")

    async with GatewayUnderTest(
        SETTINGS, build_graph(Query), wires={"weather": ScriptedWire(otherwise=reset)}
    ) as gateway:
        found = await gateway.execute('{ here sky(city: "Porto") }')

    (error,) = found.errors
    assert error["extensions"] == {"code": "SERVICE_UNAVAILABLE", "retryable": True, "service": "weather"}


HEADERED = Settings.model_validate(
    {
        "graph": {"sdl": ""},
        "operation": {"critical_scope": "customer"},
        "identity": {"tokens": [{"token": "t", "subject": "ann", "scopes": ["customer"]}]},
        "services": {"weather": {"url": "http://weather.test", "send_headers": ["x-tenant"], "retry": {"attempts": 1}}},
    }
)
CALLER = {"authorization": "Bearer t", "x-tenant": "acme", "cookie": "c", "x-request-priority": "critical"}


@in_virtual_time
async def test_its_calls_carry_what_the_service_is_sent_of_the_caller_and_are_as_important_as_the_operation() -> None:
    wire = ScriptedWire(otherwise=answer({"sky": "grey"}))
    async with GatewayUnderTest(HEADERED, build_graph(Query), wires={"weather": wire}) as gateway:
        await gateway.execute("{ skies }", headers=CALLER)
        await gateway.execute("{ skies }")
    mine, anybodys = wire.requests[:2], wire.requests[2:]
    assert {(each.priority, each.is_personal) for each in mine} == {(Priority.CRITICAL, True)}
    assert {(each.priority, each.is_personal) for each in anybodys} == {(Priority.NORMAL, False)}
    assert [dict(each.headers).get("x-tenant") for each in wire.requests] == ["acme", "acme", None, None]
    assert not [each for each in wire.requests if {"cookie", "authorization"} & set(dict(each.headers))]


@pytest.mark.parametrize(("asked", "of_the_author", "ends"), [("700", "", 0.7), ("700", "(within: 0.2)", 0.2)])
@in_virtual_time
async def test_its_calls_end_with_the_operation_s_deadline_or_the_author_s_if_that_is_sooner(
    asked: str, of_the_author: str, ends: float
) -> None:
    wire = ScriptedWire(otherwise=hang)
    async with GatewayUnderTest(HEADERED, build_graph(Query), wires={"weather": wire}) as gateway:
        began = asyncio.get_running_loop().time()
        await gateway.execute(f"{{ skies{of_the_author} }}", headers={"x-request-timeout-ms": asked})
        assert asyncio.get_running_loop().time() - began == pytest.approx(ends, abs=0.11)
    assert {each.deadline.at for each in wire.requests} == {began + ends}


@in_virtual_time
async def test_a_client_that_leaves_ends_its_calls() -> None:
    wire, gone = ScriptedWire(otherwise=hang), asyncio.Event()
    async with GatewayUnderTest(HEADERED, build_graph(Query), wires={"weather": wire}) as gateway:
        scope = scope_of_request("POST", "/graphql", headers={"content-type": "application/json"})
        asking = asyncio.ensure_future(answer_of(gateway.app, scope, [b'{"query": "{ skies }"}'], gone=gone))
        await asyncio.sleep(0.1)
        assert wire.in_flight == 2
        gone.set()
        with pytest.raises(LookupError, match="answered nothing"):
            await asking
        assert wire.in_flight == 0
