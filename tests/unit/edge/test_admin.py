"""The port for admins: what is answered there, to whom, and what is then no longer answered where clients come."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.edge import hashed
from gateway.testing import Answer, GatewayUnderTest, in_virtual_time
from gateway.testing.client import answer_of, scope_of_request
from tests.unit.graph.shop import CUSTOMER, STAFF, shop

TOKEN = "0123456789abcdef" * 4
ADMIN: dict[str, Any] = {"admin": {"port": 9000, "token": TOKEN}}
BEARER = {"authorization": f"Bearer {TOKEN}"}


async def asked(gateway: GatewayUnderTest, path: str, headers: dict[str, str]) -> Answer:
    """What the admins' port answers."""
    return await answer_of(gateway.app.state.admin, scope_of_request("GET", path, headers=headers), [b""])


@pytest.mark.parametrize("admin", [{"token": TOKEN}, {"sha256": hashed(TOKEN)}], ids=["token", "digest"])
@in_virtual_time
async def test_whoever_shows_the_token_is_told_figures_and_services(admin: dict[str, str]) -> None:
    async with shop(admin={"port": 9000, **admin}) as gateway:
        metrics, ready = [await asked(gateway, path, BEARER) for path in ("/metrics", "/readyz")]

    assert (metrics.status, metrics.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    assert b"sagaql_operations_limit" in metrics.body
    assert (ready.status, ready.json["services"]["catalog"]) == (200, "ok")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": TOKEN},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}0"},
        {"authorization": f"Bearer {hashed(TOKEN)}"},
        {"authorization": f"Basic {TOKEN}"},
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/nothing"])
@in_virtual_time
async def test_nobody_else_is_told_even_what_there_is(path: str, headers: dict[str, str]) -> None:
    async with shop(**ADMIN) as gateway:
        found = await asked(gateway, path, headers)
        metrics = await asked(gateway, "/metrics", BEARER)

    assert (found.status, found.headers["www-authenticate"]) == (401, "Bearer")
    assert (found.headers["cache-control"], found.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert TOKEN.encode() not in found.body
    assert b'sagaql_authentications_total{outcome="refused_admin"} 1.0' in metrics.body


@in_virtual_time
async def test_what_there_is_not_is_not_found_by_admins() -> None:
    async with shop(**ADMIN) as gateway:
        assert (await asked(gateway, "/graphql", BEARER)).status == 404


@in_virtual_time
async def test_a_token_of_a_caller_opens_nothing_here() -> None:
    caller = {"tokens": [{"token": "caller-" * 6, "subject": "ada", "scopes": ["operator"]}]}
    async with shop(identity=caller, **ADMIN) as gateway:
        assert (await asked(gateway, "/metrics", {"authorization": f"Bearer {'caller-' * 6}"})).status == 401


@pytest.mark.parametrize("concerns", [{"profile": "production"}, ADMIN, {"profile": "production", **ADMIN}])
@in_virtual_time
async def test_clients_are_told_yes_or_no_and_nothing_more(concerns: dict[str, Any]) -> None:
    async with shop(**concerns) as gateway:
        metrics, ready, live = [await gateway.request("GET", path) for path in ("/metrics", "/readyz", "/livez")]
        gateway.parts.leave()
        leaving = await gateway.request("GET", "/readyz")

    assert (metrics.status, live.status) == (404, 200)
    assert (ready.status, ready.json) == (200, {"ready": True})
    assert (leaving.status, leaving.json) == (503, {"ready": False})


@in_virtual_time
async def test_without_a_port_for_them_there_is_no_application_for_admins() -> None:
    async with shop() as gateway:
        assert gateway.app.state.admin is None


@in_virtual_time
async def test_production_serves_no_page_and_tells_no_schema() -> None:
    async with shop(profile="production") as gateway:
        pages = [
            (await gateway.request("GET", path, headers={"accept": "text/html"})).status for path in ("/", "/graphiql")
        ]
        schema = await gateway.execute("{ __schema { description } }")
        typo = await gateway.execute("{ helo }")

    assert pages == [404, 404]
    assert schema.codes == ["FORBIDDEN"]
    assert "Did you mean" not in typo.errors[0]["message"]


@in_virtual_time
async def test_production_tells_the_schema_to_whoever_has_the_scope_for_it() -> None:
    async with shop(profile="production", operation={"introspection_scope": "staff"}) as gateway:
        found = [
            await gateway.execute("{ __schema { queryType { name } } }", headers=who) for who in (STAFF, CUSTOMER, {})
        ]

    assert found[0].data == {"__schema": {"queryType": {"name": "Query"}}}
    assert [each.codes for each in found[1:]] == [["FORBIDDEN"], ["FORBIDDEN"]]


@in_virtual_time
async def test_a_door_shows_no_digest() -> None:
    async with shop(**ADMIN) as gateway:
        assert repr(gateway.app.state.admin) == "<AdminDoor 2 routes>"
