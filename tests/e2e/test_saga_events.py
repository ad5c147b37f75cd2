"""A saga followed over a real WebSocket, with a public client library: live, over a killed gateway, to a drained one's goodbye."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.ordering import AS_CUSTOMER, PLACE_ORDER, order_input, place

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

FOLLOW = "subscription ($id: ID!, $after: Int!) { sagaEvents(id: $id, after: $after) { sequence kind step saga { status } } }"
PATIENCE = 30.0


async def follow(demo: Demo, saga_id: str, *, after: int = 0) -> AsyncIterator[dict[str, Any]]:
    """The saga's events. Raises: ConnectionClosed when the gateway is gone."""
    async with asyncio.timeout(PATIENCE), opened(demo) as socket:
        await send(socket, type="connection_init", payload=AS_CUSTOMER)
        assert (await received(socket))["type"] == "connection_ack"
        payload = {"query": FOLLOW, "variables": {"id": saga_id, "after": after}}
        await send(socket, id="1", type="subscribe", payload=payload)
        while (message := await received(socket))["type"] != "complete":
            if message["type"] == "ping":
                await send(socket, type="pong")
                continue
            assert message["type"] == "next", message
            yield message["payload"]["data"]["sagaEvents"]


async def follow_until_it_fails(
    demo: Demo, saga_id: str, seen: list[dict[str, Any]], *, then: Callable[[], None]
) -> None:
    """Follow into `seen`, and do `then` when an attempt has failed."""
    async for event in follow(demo, saga_id):
        seen.append(event)
        if event["kind"] == "AttemptFailed":
            await asyncio.to_thread(then)


def opened(demo: Demo) -> connect:
    return connect(demo.url.replace("http", "ws") + "/graphql", subprotocols=["graphql-transport-ws"], proxy=None)  # type: ignore[list-item]  # a NewType over str


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def received(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


def begun(demo: Demo) -> str:
    """A saga whose shipment cannot be booked for now."""
    demo.service("shipping").fault({"status": 503})
    query = PLACE_ORDER.replace("idempotencyKey: $key", "idempotencyKey: $key, mode: ASYNC")
    answered = demo.graphql(query, {"input": order_input(), "key": str(uuid.uuid4())}, headers=AS_CUSTOMER)
    saga_id: str = answered["data"]["placeOrder"]["sagaId"]
    return saga_id


async def test_a_saga_that_has_ended_is_told_from_its_beginning(demo: Demo) -> None:
    outcome = place(demo)
    events = [event async for event in follow(demo, outcome["sagaId"])]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("SagaStarted", "SagaEnded")
    assert events[-1]["saga"] == {"status": "COMPLETED"}
    assert {event["step"] for event in events if event["kind"] == "StepDone"} >= {"capture", "shipment", "confirmation"}


async def test_nothing_is_lost_or_doubled_when_the_gateway_is_killed_while_a_saga_is_followed(demo: Demo) -> None:
    saga_id = await asyncio.to_thread(begun, demo)
    seen: list[dict[str, Any]] = []
    with pytest.raises(websockets.ConnectionClosed):
        await follow_until_it_fails(demo, saga_id, seen, then=demo.kill_gateway)
    await asyncio.to_thread(demo.start_gateway)
    await asyncio.to_thread(demo.service("shipping").heal)

    seen += [event async for event in follow(demo, saga_id, after=seen[-1]["sequence"])]

    assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1]["kind"] == "SagaEnded"
    assert [event["step"] for event in seen if event["kind"] == "StepDone"].count("capture") == 1


async def test_a_gateway_that_drains_tells_its_followers_to_connect_again(demo: Demo) -> None:
    saga_id = await asyncio.to_thread(begun, demo)
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await follow_until_it_fails(demo, saga_id, [], then=demo.stop_gateway)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    demo.service("shipping").heal()
