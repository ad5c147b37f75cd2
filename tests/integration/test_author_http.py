"""`ctx.http`: httpx in a resolver's hand, the stack underneath."""

import strawberry

from gateway import Ctx, Service, entity, resolver
from gateway.errors import ServiceUnavailable
from gateway.graph import build_graph
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, ScriptedWire, answer

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
