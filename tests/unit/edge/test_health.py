"""`/livez`, `/readyz`, `/metrics`."""

from __future__ import annotations

from gateway.errors import ServiceUnavailable
from gateway.testing import ScriptedWire, in_virtual_time
from tests.unit.graph.shop import shop


@in_virtual_time
async def test_alive_is_whoever_answers() -> None:
    async with shop() as gateway:
        found = await gateway.request("GET", "/livez")
    assert (found.status, found.body) == (200, b"ok\n")


@in_virtual_time
async def test_a_dead_service_makes_nobody_unready_and_is_named() -> None:
    def away(_: object) -> ServiceUnavailable:
        return ServiceUnavailable("away", service="inventory", applied=False)

    services = {name: {"url": f"http://{name}.test"} for name in ("catalog", "inventory", "reviews")}
    async with shop(wires={"inventory": ScriptedWire(otherwise=away)}, services=services) as gateway:
        for _ in range(12):
            await gateway.execute('{ products(keys: ["a"]) { stockIn { quantity } } }')
        found = await gateway.request("GET", "/readyz")
    assert found.status == 200
    assert found.json == {
        "ready": True,
        "services": {"catalog": "ok", "inventory": "breaker open", "reviews": "ok"},
        "sagas": "none",
    }


@in_virtual_time
async def test_metrics_are_in_the_text_format() -> None:
    async with shop() as gateway:
        await gateway.execute("{ hello }")
        found = await gateway.request("GET", "/metrics")
    assert found.headers["content-type"].startswith("text/plain")
    assert b'sagaql_operation_duration_seconds_count{outcome="ok",type="query"} 1.0' in found.body


@in_virtual_time
async def test_a_page_that_is_not_there_is_not_found() -> None:
    async with shop() as gateway:
        assert (await gateway.request("GET", "/nothing")).status == 404
