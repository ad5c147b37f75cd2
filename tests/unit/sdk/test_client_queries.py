"""Queries of the Python SDK: tried again while it helps, partial when something is missing, over at the deadline."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.testing import in_virtual_time
from sagaql_client import Client, NoAnswer, Overloaded, RateLimited, ServiceUnavailable, Unauthenticated
from tests.unit.sdk.scripted import ScriptedGateway, data, dropped, limited, refused

SHELF = {"products": {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}}


@in_virtual_time
async def test_a_query_is_tried_again_after_a_dropped_connection_a_busy_proxy_and_a_busy_gateway() -> None:
    gateway = ScriptedGateway([dropped(), refused("", status=502), refused("OVERLOADED", retry_after="1"), data(SHELF)])
    async with gateway.client() as client:
        shelf = await client.product_shelf(category="garden")

    assert shelf.is_whole
    assert shelf.data.products is not None
    assert [each.body for each in gateway.asked] == [gateway.asked[0].body] * 4
    assert gateway.asked[0].body["variables"] == {"category": "garden"}, "what was not given is not sent"
    assert gateway.asked[3].at - gateway.asked[2].at >= 1.0, "Retry-After is a floor"


@in_virtual_time
async def test_a_client_that_has_reached_its_limit_comes_back_when_the_gateway_says_so() -> None:
    gateway = ScriptedGateway([limited(2), data(SHELF)])
    async with gateway.client() as client:
        assert (await client.product_shelf(category="garden")).is_whole
    assert gateway.asked[1].at - gateway.asked[0].at >= 2.0
    strict = ScriptedGateway([limited(60)])
    async with strict.client(deadline=5.0) as client:
        with pytest.raises(RateLimited) as told:
            await client.product_shelf(category="garden")
    assert (told.value.retry_after, len(strict.asked)) == (60.0, 1), "nobody waits for what is beyond the deadline"


@in_virtual_time
async def test_a_query_gives_up_after_its_attempts_with_the_last_failure() -> None:
    gateway = ScriptedGateway([refused("OVERLOADED")])
    async with gateway.client() as client:
        with pytest.raises(Overloaded):
            await client.product_shelf()
    assert len(gateway.asked) == 4


@in_virtual_time
async def test_what_cannot_get_better_is_not_tried_again() -> None:
    gateway = ScriptedGateway([refused("UNAUTHENTICATED", status=401, retryable=False)])
    async with gateway.client(token="stale") as client:
        with pytest.raises(Unauthenticated):
            await client.product_shelf()
    assert [each.headers["authorization"] for each in gateway.asked] == ["Bearer stale"]


@in_virtual_time
async def test_the_deadline_covers_all_attempts_and_the_gateway_is_told_what_is_left() -> None:
    gateway = ScriptedGateway([0.6, dropped(), 3600.0])
    async with gateway.client(deadline=2.0) as client:
        with pytest.raises(NoAnswer, match="did not answer within"):
            await client.product_shelf()

    told = [int(each.headers["x-request-timeout-ms"]) for each in gateway.asked]
    assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.05)
    assert told[0] == 1800
    assert told[1] < 1300


@in_virtual_time
async def test_one_request_that_hangs_costs_an_attempt_and_not_the_deadline() -> None:
    gateway = ScriptedGateway([60.0, data(SHELF)])
    async with gateway.client(deadline=30.0, attempt_timeout=2.0) as client:
        await client.product_shelf()
    assert len(gateway.asked) == 2


@in_virtual_time
async def test_partial_data_comes_with_typed_errors_and_notices() -> None:
    entry = {"message": "m", "path": ["products"], "extensions": {"code": "SERVICE_UNAVAILABLE", "service": "catalog"}}
    note = {
        "path": ["products", "edges", 0, "node", "stock"],
        "to": "STALE",
        "code": "SERVICE_TIMEOUT",
        "reason": "inventory did not answer within 2000 ms",
        "service": "inventory",
        "retryable": True,
        "ageSeconds": 6.1,
    }
    gateway = ScriptedGateway([data({"products": None}, errors=[entry], extensions={"degraded": [note]})])
    async with gateway.client() as client:
        shelf = await client.product_shelf()

    (stale,) = shelf.degraded
    assert (stale.to, stale.service, stale.age, stale.served_by) == ("STALE", "inventory", 6.1, None)
    assert not shelf.is_whole
    with pytest.raises(ServiceUnavailable) as told:
        shelf.whole()
    assert told.value.service == "catalog"
    assert len(gateway.asked) == 1, "the gateway has tried again already"


def test_a_deadline_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="saga_deadline is 0"):
        ScriptedGateway([]).client(saga_deadline=0)


def test_an_address_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        Client("127.0.0.1:8000/graphql")


@in_virtual_time
async def test_what_another_attempt_would_only_repeat_is_not_tried_again() -> None:
    gateway = ScriptedGateway([httpx.LocalProtocolError("illegal header value")])
    async with gateway.client() as client:
        with pytest.raises(NoAnswer, match="illegal header value"):
            await client.product_shelf()
    assert len(gateway.asked) == 1
