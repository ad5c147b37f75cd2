"""`extensions.explain`: an answer tells whoever may know how it came about."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
import strawberry

from gateway import Ctx, Service, entity, field, resolver
from gateway.execution.explaining.measured import MAX_NAMED
from gateway.graph import build_graph
from gateway.loading.recording import MAX_READS
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, ScriptedWire, after, answer, in_virtual_time
from tests.integration.explaining import asked, explanation, reads_of
from tests.unit.graph.shop import CUSTOMER, STAFF, inventory_answers, shop

QUERY = '{ products(keys: ["a", "b"]) { sku stock { quantity } reviews(first: 1) { stars } } }'
MAY: dict[str, Any] = {"operation": {"explain_scope": "staff"}}


def timeless(read: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in read.items() if not name.lower().endswith("milliseconds")}


# -- what is told ------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_each_call_of_the_tree_names_what_was_read_for_it() -> None:
    slow = ScriptedWire(otherwise=after(0.2, inventory_answers))
    async with shop(wires={"inventory": slow}, **MAY) as gateway:
        await asked(gateway, QUERY)
        told = explanation(await asked(gateway, QUERY))
    (products,) = told["fields"]

    assert [(each["endpoint"], each["reads"]) for each in products["calls"]] == [("GET /products", [0])]
    assert [(each["name"], [call["reads"] for call in each["calls"]]) for each in products["fields"]] == [
        ("sku", []),
        ("stock", [[1]]),
        ("reviews", [[2]]),
    ]
    common = {"keys": 2, "cached": 0, "asked": 2, "attempts": 1, "isShared": False, "outcome": "ok", "kind": "loader"}
    assert [timeless(each) for each in reads_of(told)] == [
        {"service": "catalog", "endpoint": "GET /products", **common},
        {"service": "inventory", "endpoint": "GET /stock", **common},
        {"service": "reviews", "endpoint": "GET /reviews", **common},
    ]
    assert [each["milliseconds"] for each in reads_of(told)] == [0.0, 200.0, 0.0]
    assert (told["run"]["milliseconds"], told["run"]["readsBeyond"]) == (200.0, 0)


@in_virtual_time
async def test_how_it_was_executed_is_told_beside_how_it_will_be() -> None:
    async with shop(**MAY) as gateway:
        first, second = [explanation(await asked(gateway, QUERY)) for _ in range(2)]
        schema = explanation(await asked(gateway, "{ __schema { description } }"))
    assert [(each["notCompiled"], each["run"]["notCompiled"]) for each in (first, second)] == [
        (None, "first sight"),
        (None, None),
    ]
    assert (schema["notCompiled"], [each["key"] for each in schema["fields"]]) == ("introspection", ["__schema"])


@in_virtual_time
async def test_attempts_and_failures_are_told() -> None:
    once_unwell = ScriptedWire(answer(status=503), otherwise=inventory_answers)
    unwell = ScriptedWire(otherwise=answer(status=503))
    services = {
        "catalog": {"url": "http://catalog.test"},
        "inventory": {"url": "http://inventory.test"},
        "reviews": {"url": "http://reviews.test", "retry": {"attempts": 1}},
    }
    async with shop(wires={"inventory": once_unwell, "reviews": unwell}, services=services, **MAY) as gateway:
        found = await asked(gateway, QUERY)
    _, stock, reviews = reads_of(explanation(found))
    assert (stock["attempts"], stock["outcome"]) == (2, "ok")
    assert (reviews["attempts"], reviews["outcome"]) == (1, "SERVICE_UNAVAILABLE")
    assert {each["service"] for each in found.degraded} == {"reviews"}


@in_virtual_time
async def test_a_wait_for_a_permit_is_told_with_the_read_that_had_to() -> None:
    slow = ScriptedWire(otherwise=after(0.05, inventory_answers))
    services = {
        "catalog": {"url": "http://catalog.test"},
        "inventory": {"url": "http://inventory.test", "bulkhead": {"limit": 1, "wait": 1.0}},
        "reviews": {"url": "http://reviews.test"},
    }
    text = (
        '{ products(keys: ["a"]) { n: stockIn(warehouse: "n") { quantity } s: stockIn(warehouse: "s") { quantity } } }'
    )
    async with shop(wires={"inventory": slow}, services=services, **MAY) as gateway:
        reads = reads_of(explanation(await asked(gateway, text)))
    assert sorted(each["waitedMilliseconds"] for each in reads) == [0.0, 0.0, 50.0]


# -- caches and shared calls -------------------------------------------------------------------------------------------


@entity
class Thing:
    name: str = field("Its name.")


store = Service("store")
fresh = store.loader("/fresh", keys="ids", key="id", into=Thing, shared="public", fresh="1m")
plain = store.loader("/plain", keys="ids", key="id", into=Thing, shared="public")
listing = store.pages("/listing", into=Thing, params={}, shared="public", fresh="1m")


@strawberry.type
class Query:
    @resolver
    async def fresh(self, ctx: Ctx, key: str) -> Thing | None:
        """Kept for a minute."""
        return await ctx.load(fresh, key)

    @resolver
    async def plain(self, ctx: Ctx, key: str) -> Thing | None:
        """Not kept."""
        return await ctx.load(plain, key)

    @resolver
    async def listed(self, ctx: Ctx) -> list[Thing]:
        """A listing that is kept."""
        return list((await ctx.page(listing)).items)

    @resolver
    async def many(self, ctx: Ctx, times: int) -> int:
        """One read after another."""
        for number in range(times):
            await ctx.load(plain, str(number))
        return times


def things(request: ServiceRequest) -> ServiceResponse:
    if request.path == "/listing":
        return answer({"items": [{"name": "x"}]})
    return answer([{"id": key, "name": key} for _, key in request.query])


def stored(*, seconds: float = 0.1) -> GatewayUnderTest:
    tokens = [{"token": "staff", "subject": "sue", "scopes": ["explain"]}]
    settings = Settings.model_validate(
        {"services": {"store": {"url": "http://store.test"}}, "identity": {"tokens": tokens}}
    )
    wire = ScriptedWire(otherwise=after(seconds, things))
    return GatewayUnderTest(settings, build_graph(Query), wires={"store": wire})


@in_virtual_time
async def test_what_came_from_a_cache_is_told_apart_from_what_was_asked_for() -> None:
    async with stored() as gateway:
        await asked(gateway, '{ fresh(key: "a") { name } listed { name } }')
        told = explanation(
            await asked(gateway, '{ a: fresh(key: "a") { name } b: fresh(key: "b") { name } listed { name } }')
        )
    by_loader = {
        (each["kind"], each["endpoint"]): (each["keys"], each["cached"], each["asked"], each["attempts"])
        for each in reads_of(told)
    }
    assert by_loader == {("loader", "GET /fresh"): (2, 1, 1, 1), ("listing", "GET /listing"): (1, 1, 0, 0)}


@in_virtual_time
async def test_a_call_that_was_shared_with_somebody_else_is_told_as_such() -> None:
    async with stored() as gateway:
        found = await asyncio.gather(*(asked(gateway, '{ plain(key: "a") { name } }') for _ in range(2)))
    reads = [reads_of(explanation(each))[0] for each in found]
    assert sorted((each["isShared"], each["attempts"]) for each in reads) == [(False, 1), (True, 0)]


@in_virtual_time
async def test_what_is_told_is_bounded() -> None:
    async with stored(seconds=0.0) as gateway:
        told = explanation(await asked(gateway, f"{{ many(times: {MAX_READS + 5}) }}"))
    (many,) = told["fields"]
    assert (len(reads_of(told)), told["run"]["readsBeyond"]) == (MAX_READS, 5)
    assert many["calls"][0]["reads"] == [*range(MAX_NAMED)]


# -- who may know ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({}, 401, "UNAUTHENTICATED"), (CUSTOMER, 403, "FORBIDDEN"), (STAFF, 403, "FORBIDDEN")],
)
@in_virtual_time
async def test_who_lacks_the_scope_is_refused_and_told_which(headers: dict[str, str], status: int, code: str) -> None:
    async with shop(profile="production") as gateway:
        found = await asked(gateway, QUERY, headers=headers)
    assert (found.status, found.codes) == (status, [code])
    assert "'explain'" in found.errors[0]["message"]


@in_virtual_time
async def test_on_the_machine_of_who_develops_anybody_who_asks_is_told() -> None:
    async with shop(profile="dev") as gateway:
        assert explanation(await asked(gateway, QUERY, headers={}))["run"]["readsBeyond"] == 0


@in_virtual_time
async def test_nobody_is_told_who_did_not_ask() -> None:
    async with shop(**MAY) as gateway:
        answers = [await asked(gateway, QUERY, explain=False), await gateway.execute(QUERY, headers=STAFF)]
    assert ["extensions" in each.json for each in answers] == [False, False]


@in_virtual_time
async def test_a_wish_that_is_neither_true_nor_false_is_refused() -> None:
    async with shop(**MAY) as gateway:
        found = await asked(gateway, QUERY, explain="yes")
    assert (found.status, found.errors[0]["message"]) == (400, "explain must be true or false")
