"""Mutations of the Python SDK: one key, followed to their end over whatever breaks, or told what to call again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from gateway.testing import in_virtual_time
from sagaql_client import (
    BadUserInput,
    Conflict,
    Failed,
    GraphError,
    NeedsAttention,
    NotSettled,
    Rejected,
    SagaEnded,
    SagaNotFound,
    Unauthenticated,
)
from sagaql_client.errors import graph_error
from sagaql_client.stream import StreamBroken
from tests.unit.sdk.scripted import (
    ORDER,
    Connection,
    ScriptedGateway,
    Step,
    accepted,
    completed,
    data,
    dropped,
    event,
    outcome,
    refused,
)


@in_virtual_time
async def test_a_key_is_made_once_and_kept_over_every_retry() -> None:
    gateway = ScriptedGateway(
        [*[dropped()] * 6, refused("DRAINING", retry_after="1"), refused("", status=504), completed()]
    )
    async with gateway.client() as client:
        first = await client.place_order(ORDER)
        second = await client.place_order(ORDER)

    assert first.data.order.id == second.data.order.id == "o1"
    keys = [each.key for each in gateway.asked]
    assert len(keys) == 10
    assert len(set(keys[:9])) == 1
    assert keys[9] not in keys[:9], "another intent has another key"
    assert gateway.asked[0].body["variables"]["input"]["customerId"] == "c"


@in_virtual_time
async def test_a_key_of_the_callers_is_used() -> None:
    gateway = ScriptedGateway([completed()])
    async with gateway.client() as client:
        await client.place_order(ORDER, key="order-17")
    assert gateway.asked[0].key == "order-17"


@in_virtual_time
async def test_an_accepted_saga_is_followed_to_its_end_and_read_under_its_key() -> None:
    gateway = ScriptedGateway([accepted(), completed()], streams=[[event(1, "RUNNING"), event(2, "COMPLETED")]])
    async with gateway.client() as client:
        placed = await client.place_order(ORDER)

    assert placed.data.saga_id == "s1"
    assert placed.data.order.total.amount == 5
    assert [each.key for each in gateway.asked] == [gateway.asked[0].key] * 2


@in_virtual_time
async def test_a_stream_that_breaks_is_resumed_after_the_last_event_that_was_seen() -> None:
    running = data({"saga": {"status": "RUNNING"}})
    streams: list[Connection] = [
        [event(1, "RUNNING"), event(2, "RUNNING"), StreamBroken()],
        [event(3, "COMPLETED")],
    ]
    gateway = ScriptedGateway([accepted(), running, completed()], streams=streams)
    async with gateway.client() as client:
        await client.place_order(ORDER)
    assert [each["after"] for each in gateway.watched] == [0, 2]


@in_virtual_time
async def test_without_websockets_a_saga_is_looked_at_until_it_ends() -> None:
    looks = [data({"saga": {"status": status}}) for status in ("RUNNING", "FORWARD_ONLY", "COMPLETED")]
    gateway = ScriptedGateway([accepted(), *looks, completed()])
    async with gateway.client() as client:
        placed = await client.place_order(ORDER)
    assert placed.data.order.id == "o1"
    assert [each.is_look for each in gateway.asked] == [False, True, True, True, False]


@in_virtual_time
async def test_a_stream_that_is_dead_and_does_not_say_so_is_doubted() -> None:
    streams: list[Connection] = [[event(1, "RUNNING"), 3600.0]]
    gateway = ScriptedGateway([accepted(), data({"saga": {"status": "COMPLETED"}}), completed()], streams=streams)
    async with gateway.client(attempt_timeout=5.0) as client:
        await client.place_order(ORDER)
    assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.1)


@in_virtual_time
async def test_a_gateway_that_is_gone_for_a_while_in_the_midst_of_a_saga_is_waited_for() -> None:
    looks: list[Step] = [dropped(), dropped(), dropped(), data({"saga": {"status": "COMPLETED"}})]
    gateway = ScriptedGateway(
        [accepted(), *looks, dropped(), completed()], streams=[[event(1, "RUNNING"), StreamBroken()]]
    )
    async with gateway.client() as client:
        placed = await client.place_order(ORDER)
    assert placed.data.status.value == "COMPLETED"


@in_virtual_time
async def test_a_saga_that_cannot_be_seen_is_told_by_its_mutation() -> None:
    missing = graph_error({"message": "m", "extensions": {"code": "SAGA_NOT_FOUND"}})
    gateway = ScriptedGateway([accepted(), data({"saga": None}), completed()], streams=[[missing]])
    async with gateway.client() as client:
        placed = await client.place_order(ORDER)
    assert placed.data.order.id == "o1"


@in_virtual_time
async def test_a_mutation_that_lags_behind_its_saga_is_not_asked_in_a_tight_loop() -> None:
    streams = [[event(2, "COMPLETED")]] * 4
    gateway = ScriptedGateway([*[accepted()] * 4, completed()], streams=streams)
    async with gateway.client() as client:
        await client.place_order(ORDER)
    assert asyncio.get_running_loop().time() > 0.1


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            outcome("SagaRejected", status="COMPENSATED", code="CARD_DECLINED", message="The card was declined."),
            Rejected,
            {"code": "CARD_DECLINED", "message": "The card was declined.", "saga_id": "s1", "status": "COMPENSATED"},
        ),
        (
            outcome("SagaFailed", status="COMPENSATED", code="SERVICE_TIMEOUT", undone=["reservation"]),
            Failed,
            {"code": "SERVICE_TIMEOUT", "undone": ("reservation",)},
        ),
        (
            outcome("SagaNeedsAttention", status="NEEDS_ATTENTION", code="UNDO_STUCK"),
            NeedsAttention,
            {"code": "UNDO_STUCK"},
        ),
        (outcome("IdempotencyConflict", status="RUNNING", message="a new key"), Conflict, {"message": "a new key"}),
    ],
)
def test_how_a_saga_ended_is_raised_by_its_kind(
    answer: httpx.Response, kind: type[SagaEnded], said: Mapping[str, Any]
) -> None:
    @in_virtual_time
    async def place() -> None:
        async with ScriptedGateway([answer]).client() as client:
            with pytest.raises(kind) as told:
                await client.place_order(ORDER, key="k")
        assert {name: getattr(told.value, name) for name in said} == said
        assert told.value.key == "k"

    place()


@in_virtual_time
async def test_a_refusal_before_anything_was_begun_is_raised_at_once() -> None:
    gateway = ScriptedGateway([refused("BAD_USER_INPUT", status=200, retryable=False)])
    async with gateway.client() as client:
        with pytest.raises(BadUserInput):
            await client.place_order(ORDER)
    assert len(gateway.asked) == 1


@in_virtual_time
async def test_when_time_is_up_and_nothing_is_known_the_key_is_told() -> None:
    gateway = ScriptedGateway([dropped()])
    async with gateway.client(saga_deadline=5.0) as client:
        with pytest.raises(NotSettled, match="whether it was begun is not known") as told:
            await client.place_order(ORDER)
    assert told.value.saga_id is None
    assert told.value.key == gateway.asked[0].key
    assert asyncio.get_running_loop().time() <= 5.0


@in_virtual_time
async def test_when_time_is_up_while_a_saga_goes_on_its_id_and_key_are_told() -> None:
    gateway = ScriptedGateway([accepted(), data({"saga": {"status": "RUNNING"}})])
    async with gateway.client() as client:
        with pytest.raises(NotSettled, match="the saga s1 goes on") as told:
            await client.place_order(ORDER, key="k", deadline=4.0)
    assert (told.value.saga_id, told.value.key) == ("s1", "k")
    assert asyncio.get_running_loop().time() <= 4.0


@in_virtual_time
async def test_a_token_that_is_no_longer_valid_ends_following() -> None:
    stale = refused("UNAUTHENTICATED", status=401, retryable=False)
    async with ScriptedGateway([accepted(), stale]).client() as client:
        with pytest.raises(Unauthenticated) as told:
            await client.place_order(ORDER, key="k")
    assert told.value.key == "k"


# -- events ------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_events_come_once_and_in_order_over_several_connections() -> None:
    streams: list[Connection] = [
        [event(3, "RUNNING"), event(4, "RUNNING"), StreamBroken()],
        [],
        [event(5, "COMPLETED")],
    ]
    gateway = ScriptedGateway([], streams=streams)
    async with gateway.client() as client:
        seen = [each.sequence async for each in client.saga_events("s1", after=2)]
    assert seen == [3, 4, 5]
    assert [each["after"] for each in gateway.watched] == [2, 4, 4]


@in_virtual_time
async def test_a_connection_that_was_open_and_had_nothing_to_tell_is_a_sign_of_the_gateway() -> None:
    streams: list[Connection] = [[], [3600.0, StreamBroken()], [event(5, "COMPLETED")]]
    async with ScriptedGateway([], streams=streams).client(saga_deadline=20.0) as client:
        seen = [each.sequence async for each in client.saga_events("s1")]
    assert seen == [5]


@in_virtual_time
async def test_a_gateway_that_does_not_come_back_ends_following() -> None:
    async with ScriptedGateway([]).client(saga_deadline=20.0) as client:
        with pytest.raises(Exception, match="has not ended in time"):
            _ = [each async for each in client.saga_events("s1")]
    assert asyncio.get_running_loop().time() <= 20.0


@in_virtual_time
async def test_a_saga_that_is_not_there_is_said_at_once() -> None:
    missing: GraphError = graph_error({"message": "m", "extensions": {"code": "SAGA_NOT_FOUND", "retryable": False}})
    gateway = ScriptedGateway([], streams=[[missing]])
    async with gateway.client() as client:
        with pytest.raises(SagaNotFound):
            _ = [each async for each in client.saga_events("s1")]
