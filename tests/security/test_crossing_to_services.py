"""Text of strangers on its way to a service: whatever it is, the service reads the request that was meant, where it was meant."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
import strawberry

from gateway import Ctx, Service, entity, resolver
from gateway.graph import build_graph
from gateway.services import ServiceConfig
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest
from tests.integration.echoing import Echoing, echoing
from tests.tokens import AUDIENCE, ISSUER, claims, jwk, rsa_key, token

store = Service("store")
TOKEN = "demo"


@entity
class Item:
    """What is kept."""

    id: str


items = store.loader("/items", keys="ids", key="id", into=Item)


@strawberry.type
class Query:
    @resolver
    async def item(self, ctx: Ctx, key: str) -> Item | None:
        """By its key."""
        return await ctx.load(items, key)

    @resolver
    async def by_path(self, ctx: Ctx, key: str) -> int:
        """As an author should not ask: with foreign text in a path."""
        return (await ctx.http(store).get(f"/by-path/{key}")).status_code

    @resolver
    async def by_url(self, ctx: Ctx, url: str) -> int:
        """As no author should ask: what a stranger says."""
        return (await ctx.http(store).get(url, follow_redirects=True)).status_code


GRAPH = build_graph(Query)
BREAKS = [
    "\r\nx-admin: 1",
    "\nx-admin: 1",
    "\rx-admin: 1",
    "\0",
    "a\r\n\r\nGET /admin HTTP/1.1\r\nhost: h\r\n\r\n",
    "\u2028x-admin: 1",
    "\u010d\u010ax-admin: 1",  # their lowest bytes are a line break
    "\x85",
    "\x7f",
]
CLIMBS = [
    "../admin",
    "..%2fadmin",
    "%2e%2e/admin",
    "..;/admin",
    "..\\admin",
    "a?admin=1",
    "a#admin",
    "a&ids=b",
    "%00",
    "//evil.test/",
]


@dataclass(frozen=True)
class Received:
    """One request, as a service reads it."""

    target: str
    headers: tuple[tuple[str, str], ...]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.headers}


def received(asked: bytes) -> Received:
    first, *lines = asked.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Received(first.split(" ")[1], tuple((name.lower(), value.strip()) for name, _, value in pairs))


@asynccontextmanager
async def gateway() -> AsyncGenerator[tuple[GatewayUnderTest, Echoing]]:
    async with echoing() as service:
        service.otherwise = []
        told = {"send_headers": ["x-tenant", "authorization"], "identity_headers": {"x-caller": "subject"}}
        tree: dict[str, Any] = {
            "services": {"store": {"url": service.url, "retry": {"attempts": 1}, **told}},
            "identity": {"tokens": [{"token": TOKEN, "subject": "čċ: böb % \\ ' \" ,"}]},
        }
        async with GatewayUnderTest(Settings.model_validate(tree), GRAPH, wires={}) as under_test:
            yield under_test, service


async def ask(under_test: GatewayUnderTest, field: str, value: str, **headers: str) -> Any:
    name = "url" if field == "byUrl" else "key"
    selected = " { id }" if field == "item" else ""
    document = f"query ($value: String!) {{ {field}({name}: $value){selected} }}"
    sent = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json", **headers}
    body = orjson.dumps({"query": document, "variables": {"value": value}})
    return await under_test.request("POST", "/graphql", body=body, headers=sent)


MEANT = {
    "host",
    "user-agent",
    "accept-encoding",
    "accept",
    "authorization",
    "x-caller",
    "x-request-timeout-ms",
    "traceparent",
    "connection",
}


@pytest.mark.parametrize("text", [*BREAKS, *CLIMBS])
async def test_a_key_stays_a_key(text: str) -> None:
    async with gateway() as (under_test, service):
        await ask(under_test, "item", text)
    (asked,) = map(received, service.asked)
    assert asked.path == "/items"
    assert parse_qsl(asked.target.partition("?")[2], keep_blank_values=True) == [("ids", text)]
    assert asked.names <= MEANT


@pytest.mark.parametrize("text", [*BREAKS, *CLIMBS])
async def test_foreign_text_in_an_authors_path_stays_below_it(text: str) -> None:
    async with gateway() as (under_test, service):
        await ask(under_test, "byPath", text)
    for asked in map(received, service.asked):  # none, where it would have climbed
        assert asked.path.startswith("/by-path/")
        assert ".." not in asked.path
        assert asked.names <= MEANT
    assert len(service.asked) <= 1


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "//169.254.169.254/latest/meta-data",
        "http://localhost:6379/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "http://store@evil.test/",
    ],
)
async def test_no_url_of_a_stranger_leads_to_another_host(url: str) -> None:
    async with gateway() as (under_test, service):
        found = await ask(under_test, "byUrl", url)
    assert b"root:" not in found.body
    for asked in map(received, service.asked):
        assert ("host", f"127.0.0.1:{service.port}") in asked.headers
    assert len(service.asked) <= 1


async def test_a_services_redirect_is_followed_to_no_other_host() -> None:
    async with gateway() as (under_test, service), echoing() as elsewhere:
        moved = f"HTTP/1.1 302 Found\r\nlocation: {elsewhere.url}/admin\r\ncontent-length: 0\r\n\r\n"
        service.script.append(moved.encode())
        await ask(under_test, "byUrl", "/moved")
        service.script.append(moved.encode())
        assert (await ask(under_test, "item", "a")).codes == ["SERVICE_REFUSED"]
    assert elsewhere.asked == []


@pytest.mark.parametrize("text", BREAKS)
async def test_a_forwarded_header_is_one_line_or_refused(text: str) -> None:
    async with gateway() as (under_test, service):
        raw = text.encode("utf-8").decode("latin-1")  # as bytes come in
        found = await ask(under_test, "item", "a", **{"x-tenant": raw})
    if service.asked:
        (asked,) = map(received, service.asked)
        assert dict(asked.headers)["x-tenant"] == raw.strip()
        assert asked.names <= MEANT | {"x-tenant"}
    else:
        assert found.codes == ["BAD_REQUEST"]


async def test_who_is_calling_is_one_line_of_plain_text() -> None:
    async with gateway() as (under_test, service):
        await ask(under_test, "item", "a")
    (asked,) = map(received, service.asked)
    told = dict(asked.headers)["x-caller"]
    assert told.isascii()
    assert not set(told) & set(' ,"\\%') - {"%"}


async def test_no_keys_are_fetched_from_where_a_redirect_or_a_token_leads() -> None:
    async with echoing() as provider, echoing() as evil:
        evil.otherwise = {"keys": [jwk(rsa_key(), "one")]}
        moved = f"HTTP/1.1 302 Found\r\nlocation: {evil.url}/keys\r\ncontent-length: 0\r\n\r\n"
        provider.otherwise = moved.encode()
        issuers = [{"issuer": ISSUER, "audience": [AUDIENCE], "jwks": f"{provider.url}/keys"}]
        tree = {"services": {"store": {"url": provider.url}}, "identity": {"issuers": issuers}}
        leading = {"jku": f"{evil.url}/keys", "x5u": f"{evil.url}/keys", "jwk": jwk(rsa_key(), "one")}
        good = claims(iat=int(time.time()), exp=int(time.time()) + 100)
        async with GatewayUnderTest(Settings.model_validate(tree), GRAPH, wires={}) as under_test:
            for text in (token(good), token(good, header=leading)):
                found = await ask(under_test, "item", "a", authorization=f"Bearer {text}")
                assert found.codes[0] in {"UNAUTHENTICATED", "AUTHENTICATION_UNAVAILABLE"}
    assert len(provider.asked) >= 1
    assert evil.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1:1",
        "ftp://h",
        "http://user:password@h",
        "http://h?x=1",
        "unix:/run/docker.sock",
        "//h",
    ],
)
def test_a_service_has_an_address_of_http_and_nothing_else(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        ServiceConfig(instances=(url,))
