"""Limits of clients as clients meet them, over every transport: what is told, what is called, and what comes back when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from gateway.testing import GatewayUnderTest, ScriptedWire, connected, in_virtual_time, streamed
from gateway.testing.client import answer_of, scope_of_request
from tests.integration.test_explained_alike import ID, depot, said
from tests.integration.test_explained_alike import settings as depot_settings
from tests.integration.test_subscriptions import EVERYTHING, FOLLOW, MULTIPART, SSE, Inventory, subscribed
from tests.integration.test_subscriptions import gateway_over as inventory_gateway
from tests.unit.graph.shop import CUSTOMER, STAFF, catalog_answers, shop

RATE = {"rate": 1, "burst": 3}
LIMITED = "RATE_LIMITED"
HASH = b"0" * 64


def held(gateway: GatewayUnderTest) -> str:
    return repr(gateway.parts.clients).partition(", <MemoryRates")[0]


NOTHING_HELD = "<Clients with operations <Holdings 0 of 0 clients>, subscriptions <Holdings 0 of 0 clients>"


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_every_answer_says_what_is_left_and_a_refusal_when_there_is_more() -> None:
    async with shop(limits=RATE) as gateway:
        answers = [await gateway.execute("{ hello }") for _ in range(4)]
        await asyncio.sleep(1)
        again = await gateway.execute("{ hello }")
    assert [each.status for each in answers] == [200, 200, 200, 429]
    assert [each.headers["ratelimit"] for each in answers] == [
        '"default";r=2;t=1',
        '"default";r=1;t=2',
        '"default";r=0;t=3',
        '"default";r=0;t=3',
    ]
    assert {each.headers["ratelimit-policy"] for each in answers} == {'"default";q=3;w=3'}
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].errors[0]["extensions"] == {"code": LIMITED, "retryable": True, "retryAfter": 1}
    assert again.status == 200


@in_virtual_time
async def test_whoever_has_no_limit_is_told_of_none() -> None:
    async with shop() as gateway:
        answer = await gateway.execute("{ hello }")
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


@in_virtual_time
async def test_what_is_left_is_not_told_in_an_answer_that_others_may_be_given() -> None:
    async with depot(configured=depot_settings(limits={"rate": 1, "burst": 3})) as gateway:
        headers = {"accept": "application/graphql-response+json"}
        text = f'{{ node(id: "{ID}") {{ ... on Parcel {{ weight }} }} }}'
        kept = await gateway.request("GET", "/graphql", query={"query": text}, headers=headers)
        posted = await gateway.execute(text)
    assert kept.headers["cache-control"].startswith("public")
    assert "ratelimit" not in kept.headers
    assert posted.headers["ratelimit"].startswith('"default";r=1')


@in_virtual_time
async def test_who_has_nothing_left_is_not_read_and_nobody_is_called() -> None:
    catalog = ScriptedWire(otherwise=catalog_answers)
    async with shop(limits={"rate": 1, "burst": 1}, wires={"catalog": catalog}) as gateway:
        await gateway.execute('{ must(key: "1") { sku } }')
        calls = len(catalog.requests)
        refused = await gateway.execute('{ must(key: "2") { sku } }')
        garbage = await gateway.request("POST", "/graphql", body=b"{", headers={"content-type": "application/json"})
        metrics = (await gateway.request("GET", "/metrics")).body
    assert (refused.codes, garbage.codes, len(catalog.requests)) == ([LIMITED], [LIMITED], calls)
    assert b'sagaql_client_limits_total{class="default",outcome="refused_early"} 2.0' in metrics


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "BAD_REQUEST"),
        (b'{"query": "{"}', "GRAPHQL_PARSE_FAILED"),
        (b'{"query": "{ nothing }"}', "GRAPHQL_VALIDATION_FAILED"),
        (
            b'{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "%s"}}}' % HASH,
            "PERSISTED_QUERY_NOT_SUPPORTED",
        ),
    ],
)
@in_virtual_time
async def test_what_cannot_be_served_costs_something_too(body: bytes, code: str) -> None:
    async with shop(limits={"rate": 1, "burst": 2}) as gateway:
        codes = [
            (await gateway.request("POST", "/graphql", body=body, headers={"content-type": "application/json"})).codes[
                0
            ]
            for _ in range(3)
        ]
    assert codes == [code, code, LIMITED]


@in_virtual_time
async def test_an_operation_takes_what_it_is_estimated_to_cost_and_has_cost_what_was_counted() -> None:
    text = "{ parcels(first: %d) { edges { node { weight label { text } } } } }"
    wire = ScriptedWire(otherwise=said)
    configured = depot_settings(operation={"cost": "measure"}, limits={"rate": 10, "burst": 200})
    async with depot(store=wire, post=wire, configured=configured) as gateway:
        served, refused = await asyncio.gather(*(gateway.execute(text % 50) for _ in range(2)))
        calls = len(wire.requests)
        again = await gateway.execute(text % 50)
        impossible = await gateway.execute(text % 200)
    assert served.headers["ratelimit"] == '"default";r=29;t=18'
    assert (refused.codes, refused.headers["retry-after"]) == ([LIMITED], "15")
    assert calls == 2, "none of the refused one"
    assert again.headers["ratelimit"] == '"default";r=2;t=20', "the service had two parcels: 27 points, not 171"
    assert (impossible.status, impossible.codes) == (400, ["OPERATION_TOO_EXPENSIVE"])


@in_virtual_time
async def test_classes_have_limits_of_their_own_and_callers_are_told_apart() -> None:
    classes = {
        "staff": {"scope": "staff", "limited": False},
        "acme": {"tenant": "acme", "burst": 2},
        "anonymous": {"burst": 1},
    }
    async with shop(limits={**RATE, "classes": classes}) as gateway:

        async def served(headers: Mapping[str, str]) -> int:
            return [(await gateway.execute("{ hello }", headers=headers)).status for _ in range(5)].count(200)

        assert [await served(each) for each in ({}, CUSTOMER, STAFF)] == [1, 2, 5]
        policy = (await gateway.execute("{ hello }", headers=CUSTOMER)).headers["ratelimit-policy"]
    assert policy == '"acme";q=2;w=2'


@in_virtual_time
async def test_anonymous_callers_are_told_apart_by_where_they_call_from() -> None:
    async with shop(limits={"rate": 1, "burst": 1}) as gateway:

        async def status(address: str) -> int:
            headers = {"content-type": "application/json"}
            scope = scope_of_request("POST", "/graphql", headers=headers) | {"client": (address, 1)}
            return (await answer_of(gateway.app, scope, [b'{"query": "{ hello }"}'])).status

        addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.1", "2001:db8::1", "2001:db8:0:0:1::2", "2001:db8:0:1::1"]
        statuses = [await status(each) for each in [*addresses, "::ffff:10.0.0.1"]]
    assert statuses == [200, 200, 429, 200, 429, 200, 429]


# -- operations at once ------------------------------------------------------------------------------------------------


def requested(gateway: GatewayUnderTest, text: str, gone: asyncio.Event, **headers: str) -> asyncio.Future[Any]:
    scope = scope_of_request("POST", "/graphql", headers={"content-type": "application/json", **headers})
    return asyncio.ensure_future(answer_of(gateway.app, scope, [orjson.dumps({"query": text})], gone=gone))


@in_virtual_time
async def test_a_place_comes_back_when_its_operation_ends_its_client_goes_or_it_fails() -> None:
    async with shop(limits={"concurrent_operations": 2}) as gateway:
        gone = asyncio.Event()
        slow = [requested(gateway, "{ mine }", gone) for _ in range(2)]
        await asyncio.sleep(0.01)
        refused = await gateway.execute("{ hello }")
        other = await gateway.execute("{ hello }", headers=CUSTOMER)
        gone.set()
        await asyncio.gather(*slow, return_exceptions=True)
        left = held(gateway)
        for text in ("{ hello }", "{ boom }", "{ nothing }", "{", "mutation { touch }", "{ mine }"):
            await gateway.execute(text, headers={"x-request-timeout-ms": "100"})
    assert (refused.status, refused.codes, refused.headers["retry-after"]) == (429, ["TOO_MANY_OPERATIONS"], "1")
    assert other.status == 200
    assert (left, held(gateway)) == (NOTHING_HELD, NOTHING_HELD)


@in_virtual_time
async def test_who_waits_for_a_permit_has_a_place_and_gives_it_back_when_refused() -> None:
    async with shop(limits={"concurrent_operations": 3}, server={"max_operations": 1}) as gateway:
        gone = asyncio.Event()
        asked = [requested(gateway, "{ mine }", gone) for _ in range(5)]
        await asyncio.sleep(1)
        answered = [each.result() for each in asked if each.done()]
        gone.set()
        await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(each.codes[0] for each in answered) == ["OVERLOADED"] * 2 + ["TOO_MANY_OPERATIONS"] * 2
    assert held(gateway) == NOTHING_HELD


# -- streams -----------------------------------------------------------------------------------------------------------


def follower(**limits: Any) -> tuple[Inventory, GatewayUnderTest]:
    inventory = Inventory()
    return inventory, inventory_gateway(inventory, limits=limits)


@in_virtual_time
async def test_over_a_websocket_an_operation_is_refused_and_the_connection_goes_on() -> None:
    async with shop(limits={"rate": 1, "burst": 2}) as gateway, connected(gateway.app) as socket:
        await socket.introduce()
        for number in ("1", "2", "3"):
            await socket.subscribe(number, "{ hello }")
        received = [await socket.receive() for _ in range(5)]
        [error] = [each for each in received if each["type"] == "error"]
        await asyncio.sleep(1)
        await socket.subscribe("4", "{ hello }")
        again = await socket.receive()
    assert error["id"] == "3"
    assert error["payload"][0]["extensions"] == {"code": LIMITED, "retryable": True, "retryAfter": 1}
    assert again["payload"] == {"data": {"hello": "hello you"}}


@in_virtual_time
async def test_over_a_websocket_what_cannot_be_served_costs_something_and_is_not_read_when_nothing_is_left() -> None:
    unread = {"query": 7}
    for payload, code in ((unread, "BAD_REQUEST"), ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED")):
        async with shop(limits={"rate": 1, "burst": 2}) as gateway, connected(gateway.app) as socket:
            await socket.introduce()
            codes = []
            for number, sent in enumerate([payload, payload, unread]):
                await socket.send(id=str(number), type="subscribe", payload=sent)
                codes.append((await socket.receive())["payload"][0]["extensions"]["code"])
        assert codes == [code, code, LIMITED]


@in_virtual_time
async def test_a_stream_of_what_cannot_be_served_costs_something() -> None:
    _, gateway = follower(rate=1, burst=2)
    async with gateway:
        wrong = 'subscription { stock(sku: "a") { nothing } }'
        codes = [(await gateway.execute(wrong, headers={"accept": EVERYTHING})).codes[0] for _ in range(3)]
    assert codes == ["GRAPHQL_VALIDATION_FAILED"] * 2 + [LIMITED]


@in_virtual_time
async def test_a_stream_is_refused_before_it_begins_where_the_client_reads_statuses() -> None:
    inventory, gateway = follower(rate=1, burst=1)
    async with gateway:
        await gateway.execute("{ hello }")
        ordinary = await gateway.execute(FOLLOW, headers={"accept": EVERYTHING})
        only_stream = await gateway.execute(FOLLOW, headers={"accept": SSE})
        parts = await gateway.execute("{ hello ... @defer { again: hello } }", headers={"accept": MULTIPART})
    assert (ordinary.status, ordinary.codes, ordinary.headers["retry-after"]) == (429, [LIMITED], "1")
    assert (only_stream.status, b'"code":"RATE_LIMITED"' in only_stream.body) == (200, True)
    assert (parts.status, parts.codes) == (429, [LIMITED])
    assert inventory.wire.sent == []


@in_virtual_time
async def test_subscriptions_of_a_client_are_counted_over_all_transports_and_come_back_when_it_goes() -> None:
    _, gateway = follower(subscriptions=2)
    async with gateway:
        async with subscribed(gateway, SSE) as stream, connected(gateway.app) as socket:
            await stream.piece()
            await socket.introduce()
            await socket.subscribe("a", FOLLOW)
            await socket.receive()
            refused = await gateway.execute(FOLLOW, headers={"accept": EVERYTHING})
            query = await gateway.execute("{ hello }")
            await socket.subscribe("b", FOLLOW)
            told = await socket.receive()
            while told["type"] != "error":
                told = await socket.receive()
            await socket.send(id="a", type="complete")
            await asyncio.sleep(0.01)
            async with subscribed(gateway, SSE) as another:
                assert await another.piece()
        assert held(gateway) == NOTHING_HELD
    assert (refused.status, refused.codes, refused.headers["retry-after"]) == (429, ["TOO_MANY_SUBSCRIPTIONS"], "5")
    assert told["payload"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
    assert query.status == 200


@in_virtual_time
async def test_a_subscription_that_is_refused_or_fails_gives_its_place_back() -> None:
    _, gateway = follower(subscriptions=1)
    async with gateway:
        bad = "subscription ($s: String!) { stock(sku: $s) { quantity } }"
        for _ in range(3):
            assert (await gateway.execute(bad, headers={"accept": EVERYTHING})).codes == ["BAD_USER_INPUT"]
        async with subscribed(gateway, SSE) as stream:
            assert await stream.piece()
            await gateway.parts.left()
            await stream.rest()
    assert held(gateway) == NOTHING_HELD


@in_virtual_time
async def test_what_a_client_is_told_by_a_subscription_it_owes_and_is_not_refused() -> None:
    _, gateway = follower(rate=0.1, burst=3)
    async with gateway, subscribed(gateway, SSE) as stream:
        for _ in range(8):
            assert b'"errors"' not in await stream.piece()
        refused = await gateway.execute("{ hello }")
    assert refused.codes == [LIMITED]
    assert int(refused.headers["retry-after"]) > 10
    assert refused.headers["ratelimit"].startswith('"default";r=0')


@in_virtual_time
async def test_an_answer_in_parts_is_charged_once_and_holds_its_place_until_the_last_part() -> None:
    async with shop(limits={**RATE, "concurrent_operations": 1}) as gateway:
        scope = scope_of_request(
            "POST", "/graphql", headers={"accept": "multipart/mixed", "content-type": "application/json"}
        )
        body = orjson.dumps({"query": "{ hello ... @defer { mine } }"})
        async with streamed(gateway.app, scope, body) as stream:
            assert b'"hello"' in await stream.piece()
            refused = await gateway.execute("{ hello }")
        served = await gateway.execute("{ hello }")
    assert refused.codes == ["TOO_MANY_OPERATIONS"]
    assert served.headers["ratelimit"] == '"default";r=1;t=2'
    assert held(gateway) == NOTHING_HELD
