"""GraphQL over WebSocket: the protocol's rules, what a slow or silent client costs, and that nothing outlives a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, MutableMapping
from typing import Any

import pytest

from gateway.clock import Epoch, Seconds
from gateway.edge import GraphQLWebSocket, Origins, Requests
from gateway.edge.graphql_ws import MAX_OPERATIONS, Close
from gateway.edge.leaving import ABORT
from gateway.errors import GatewayError, Unauthenticated
from gateway.execution import GraphQLRequest, GraphQLResult
from gateway.identity import ANONYMOUS, Identity
from gateway.stream_limits import StreamLimits
from gateway.telemetry import Metrics
from gateway.testing import VirtualClock, connected, in_virtual_time

ADA = Identity("shop", "ada", frozenset({"customer"}))


class OneToken:
    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        match headers.get("authorization"):
            case None:
                return ANONYMOUS
            case "Bearer ada":
                return ADA
            case _:
                raise Unauthenticated("this token is not known")


class Counting:
    """An engine whose every operation counts to `up_to`; None never ends. Remembers how far each was asked."""

    def __init__(self, up_to: int | None = 2) -> None:
        self.up_to = up_to
        self.requests: list[GraphQLRequest] = []
        self.asked = 0
        self.under_way = 0

    def is_subscription(self, request: GraphQLRequest) -> bool:
        return request.text.startswith("subscription")

    async def stream(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]:
        self.requests.append(request)
        self.under_way += 1
        try:
            number = 0
            while self.up_to is None or number < self.up_to:
                number += 1
                self.asked = number
                yield GraphQLResult(tree={"number": number})
                if self.up_to is None:
                    await asyncio.sleep(0.001)
        finally:
            self.under_way -= 1

    def refuse(self, error: Exception) -> GraphQLResult:
        known = error if isinstance(error, GatewayError) else GatewayError("masked")
        return GraphQLResult(
            errors=[{"message": known.message, "extensions": known.extensions()}], is_request_error=True
        )


class Waiting(Counting):
    """Nothing ever happens."""

    async def stream(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]:
        self.under_way += 1
        try:
            await asyncio.Event().wait()
            yield GraphQLResult()
        finally:
            self.under_way -= 1


def endpoint(engine: Counting | None = None) -> GraphQLWebSocket:
    return GraphQLWebSocket(
        engine or Counting(), authenticator=OneToken(), requests=Requests(forwards={"x-tenant"}.__contains__)
    )


# -- the protocol ------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_operation_is_answered_by_its_events_and_then_completed() -> None:
    async with connected(endpoint()) as socket:
        assert socket.subprotocol == "graphql-transport-ws"
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        assert await socket.receive() == {"id": "a", "type": "next", "payload": {"data": {"number": 1}}}
        assert await socket.receive() == {"id": "a", "type": "next", "payload": {"data": {"number": 2}}}
        assert await socket.receive() == {"id": "a", "type": "complete"}


@in_virtual_time
async def test_the_id_of_an_operation_that_has_ended_may_be_used_again() -> None:
    async with connected(endpoint(Counting(1))) as socket:
        await socket.introduce()
        for _ in range(2):
            await socket.subscribe("a", "{ number }")
            assert (await socket.receive())["type"] == "next"
            assert (await socket.receive())["type"] == "complete"


@in_virtual_time
async def test_a_ping_is_answered_before_and_after_the_introduction() -> None:
    async with connected(endpoint()) as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        await socket.introduce()
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


@in_virtual_time
async def test_what_is_no_graphql_request_is_an_error_of_that_operation_alone() -> None:
    async with connected(endpoint()) as socket:
        await socket.introduce()
        await socket.send(id="a", type="subscribe", payload={"query": 7})
        answer = await socket.receive()
        assert (answer["id"], answer["type"]) == ("a", "error")
        assert answer["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no JSON", Close.BAD_MESSAGE),
        ("[]", Close.BAD_MESSAGE),
        ('{"type": 1}', Close.BAD_MESSAGE),
        ('{"type": "connection_init"}', Close.TOO_MANY_INITS),
        ('{"type": "start"}', Close.BAD_MESSAGE),
        ('{"type": "subscribe", "payload": {"query": "{ a }"}}', Close.BAD_MESSAGE),
        ('{"type": "subscribe", "id": "a"}', Close.BAD_MESSAGE),
    ],
)
async def test_a_broken_message_closes_the_connection_with_the_protocols_code(message: str, code: Close) -> None:
    async with connected(endpoint()) as socket:
        await socket.introduce()
        await socket.send_text(message)
        assert await socket.closed() == code


async def test_a_binary_message_closes_the_connection() -> None:
    async with connected(endpoint()) as socket:
        await socket.introduce()
        await socket.outbox.put({"type": "websocket.receive", "bytes": b"{}"})
        assert await socket.closed() == Close.BAD_MESSAGE


@in_virtual_time
async def test_two_operations_of_one_id_close_the_connection() -> None:
    async with connected(endpoint(Waiting())) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        await socket.subscribe("a", "subscription { number }")
        assert await socket.closed() == Close.DUPLICATE


@in_virtual_time
async def test_more_operations_than_a_connection_may_have_are_refused_one_by_one() -> None:
    engine = Waiting()
    async with connected(endpoint(engine)) as socket:
        await socket.introduce()
        for number in range(MAX_OPERATIONS + 1):
            await socket.subscribe(str(number), "subscription { number }")
        answer = await socket.receive()
        assert (answer["id"], answer["type"]) == (str(MAX_OPERATIONS), "error")
        assert engine.under_way == MAX_OPERATIONS


# -- who ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [{"Authorization": "Bearer ada"}, {"headers": {"authorization": "Bearer ada"}}])
async def test_credentials_come_with_the_introduction_because_browsers_cannot_set_headers(
    payload: dict[str, str],
) -> None:
    engine = Counting(1)
    async with connected(endpoint(engine)) as socket:
        await socket.introduce(payload)
        await socket.subscribe("a", "{ number }")
        await socket.receive()
    assert engine.requests[0].identity == ADA


@in_virtual_time
async def test_what_the_introduction_says_is_forwarded_like_headers_are() -> None:
    engine = Counting(1)
    async with connected(endpoint(engine), headers={"x-other": "1"}) as socket:
        await socket.introduce({"X-Tenant": "north"})
        await socket.subscribe("a", "{ number }")
        await socket.receive()
    assert engine.requests[0].headers == (("x-tenant", "north"),)


@in_virtual_time
async def test_credentials_that_are_not_valid_close_the_connection() -> None:
    async with connected(endpoint()) as socket:
        await socket.send(type="connection_init", payload={"Authorization": "Bearer eve"})
        assert await socket.closed() == Close.FORBIDDEN


@in_virtual_time
async def test_nobody_is_served_before_the_introduction() -> None:
    engine = Counting()
    async with connected(endpoint(engine)) as socket:
        await socket.subscribe("a", "{ number }")
        assert await socket.closed() == Close.UNAUTHORIZED
    assert engine.requests == []


@in_virtual_time
async def test_who_does_not_introduce_itself_in_time_is_closed() -> None:
    async with connected(endpoint()) as socket:
        assert await socket.closed(within=11) == Close.INIT_TIMEOUT


@pytest.mark.parametrize(
    ("origin", "is_taken"),
    [("https://gateway.test", True), ("https://evil.test", False), ("null", False), (None, True)],
)
async def test_a_page_of_another_origin_is_refused_before_the_connection_is_there(
    origin: str | None, is_taken: bool
) -> None:
    headers = {} if origin is None else {"origin": origin}
    async with connected(endpoint(), headers=headers) as socket:
        assert socket.is_accepted is is_taken


async def test_a_page_of_a_listed_origin_is_let_in() -> None:
    listing = GraphQLWebSocket(Counting(), authenticator=OneToken(), origins=Origins(["https://app.example"]))
    async with connected(listing, headers={"origin": "https://app.example"}) as socket:
        assert socket.is_accepted


async def test_another_protocol_is_refused() -> None:
    async with connected(endpoint(), subprotocols=["graphql-ws"]) as socket:
        assert not socket.is_accepted


# -- what a connection costs -------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_operation_that_the_client_completes_is_cancelled() -> None:
    engine = Waiting()
    async with connected(endpoint(engine)) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        await asyncio.sleep(0.01)
        assert engine.under_way == 1
        await socket.send(id="a", type="complete")
        await asyncio.sleep(0.01)
        assert engine.under_way == 0


class Lingering(Counting):
    """An operation that takes a second to let go."""

    async def stream(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]:
        self.under_way += 1
        try:
            await asyncio.Event().wait()
            yield GraphQLResult()
        finally:
            await asyncio.sleep(1)
            self.under_way -= 1


@in_virtual_time
async def test_an_operation_that_is_let_go_takes_nothing_of_the_next_one_of_its_id() -> None:
    engine = Lingering()
    gateway = endpoint(engine)
    async with connected(gateway) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        await asyncio.sleep(0.01)
        await socket.send(id="a", type="complete")
        await socket.subscribe("a", "subscription { number }")
        await asyncio.sleep(2)
        assert engine.under_way == 1
        await socket.subscribe("a", "subscription { number }")
        assert await socket.closed() == Close.DUPLICATE
    assert (engine.under_way, len(gateway)) == (0, 0)


@in_virtual_time
async def test_operations_that_are_being_let_go_are_bounded_too() -> None:
    engine = Lingering()
    async with connected(endpoint(engine)) as socket:
        await socket.introduce()
        for number in range(2 * MAX_OPERATIONS):
            await socket.subscribe(str(number), "subscription { number }")
            await asyncio.sleep(0)
            await socket.send(id=str(number), type="complete")
        await asyncio.sleep(0.01)
        assert engine.under_way == 2 * MAX_OPERATIONS
        await socket.subscribe("one more", "subscription { number }")
        assert (await socket.receive())["type"] == "error"
        await asyncio.sleep(1)
        assert engine.under_way == 0
        await socket.subscribe("one more", "subscription { number }")
        await asyncio.sleep(0.01)
        assert engine.under_way == 1


@in_virtual_time
async def test_a_client_that_vanishes_leaves_nothing_behind() -> None:
    engine, before = Waiting(), len(asyncio.all_tasks())
    gateway = endpoint(engine)
    async with connected(gateway) as socket:
        await socket.introduce()
        for number in range(5):
            await socket.subscribe(str(number), "subscription { number }")
        await asyncio.sleep(0.01)
        assert (engine.under_way, len(gateway)) == (5, 1)
    assert (engine.under_way, len(gateway)) == (0, 0)
    assert len(asyncio.all_tasks()) == before


@in_virtual_time
async def test_the_next_event_is_asked_for_when_the_network_has_taken_the_last_one() -> None:
    engine, is_stuck = Counting(up_to=1_000), asyncio.Event()
    gateway = endpoint(engine)

    async def slow(scope: object, receive: object, send: object) -> None:
        async def slowly(message: Mapping[str, object]) -> None:
            await send(message)  # type: ignore[operator]
            if '"next"' in str(message.get("text", "")):
                await is_stuck.wait()

        await gateway(scope, receive, slowly)  # type: ignore[arg-type]

    async with connected(slow) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        await socket.receive()
        await asyncio.sleep(5)
        assert engine.asked == 1
        is_stuck.set()
        assert (await socket.receive())["payload"] == {"data": {"number": 2}}


@in_virtual_time
async def test_a_silent_client_is_pinged_and_stays_if_it_answers() -> None:
    async with connected(endpoint()) as socket:
        await socket.introduce()
        for _ in range(3):
            assert await socket.receive(within=60) == {"type": "ping"}
            await socket.send(type="pong")


@in_virtual_time
async def test_a_client_that_stays_silent_is_closed() -> None:
    async with connected(endpoint()) as socket:
        await socket.introduce()
        assert await socket.closed(within=120) == Close.SILENT


@in_virtual_time
async def test_a_gateway_that_leaves_tells_its_clients_to_connect_again() -> None:
    gateway, engine = endpoint(), Waiting()
    gateway = endpoint(engine)
    async with connected(gateway) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        await asyncio.sleep(0.01)
        await gateway.leave()
        assert await socket.closed() == Close.GOING_AWAY
    assert engine.under_way == 0


# -- what ends a connection --------------------------------------------------------------------------------------------


class Stuck:
    """A network between the client and the gateway that takes no message of a kind, and can be cut."""

    def __init__(self, gateway: GraphQLWebSocket, kind: str) -> None:
        self.gateway = gateway
        self.kind = kind
        self.is_cut = asyncio.Event()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        async def sends(message: Mapping[str, object]) -> None:
            if f'"{self.kind}"' in str(message.get("text", "")) or message["type"] == "websocket.close":
                await self.is_cut.wait()
                raise OSError("cut")
            await send(message)

        await self.gateway({**scope, "extensions": {ABORT: self.is_cut.set}}, receive, sends)


@pytest.mark.parametrize(("kind", "after"), [("next", 30 + 2), ("ping", 25 + 30 + 2)])
@in_virtual_time
async def test_a_reader_that_stalls_is_cut_off_and_leaves_nothing(kind: str, after: float) -> None:
    engine, metrics, before = (
        Counting(up_to=1_000) if kind == "next" else Waiting(),
        Metrics(),
        len(asyncio.all_tasks()),
    )
    gateway = GraphQLWebSocket(engine, authenticator=OneToken(), metrics=metrics)
    network = Stuck(gateway, kind)
    async with connected(network) as socket:
        await socket.introduce()
        for number in range(5):
            await socket.subscribe(str(number), "subscription { number }")
        began = asyncio.get_running_loop().time()
        await network.is_cut.wait()
        assert asyncio.get_running_loop().time() - began == pytest.approx(after, abs=0.01)
        await asyncio.sleep(0.01)
        assert (engine.under_way, len(gateway)) == (0, 0)
    assert len(asyncio.all_tasks()) == before
    assert ended(metrics, "stalled") == 1


@in_virtual_time
async def test_a_drain_does_not_wait_for_a_reader_that_has_stalled() -> None:
    engine = Counting(up_to=1_000)
    gateway = endpoint(engine)
    network = Stuck(gateway, "next")
    async with connected(network) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        await asyncio.sleep(1)
        async with asyncio.timeout(2.1):
            await gateway.leave()
        await asyncio.sleep(0.01)
        assert (engine.under_way, len(gateway)) == (0, 0)


@in_virtual_time
async def test_a_connection_ends_when_its_credentials_expire() -> None:
    clock, metrics, engine = VirtualClock(), Metrics(), Waiting()
    expiring = Identity("shop", "ada", expires_at=Epoch(clock.wall() + 100))

    class Expiring:
        async def authenticate(self, headers: Mapping[str, str]) -> Identity:
            return expiring

    gateway = GraphQLWebSocket(engine, authenticator=Expiring(), clock=clock, metrics=metrics)
    async with connected(gateway) as socket:
        await socket.introduce()
        await socket.subscribe("a", "subscription { number }")
        for _ in range(2):
            assert await socket.receive(within=30) == {"type": "ping"}
            await socket.send(type="pong")
        clock.jump(20)  # what a server that has slept finds
        assert await socket.closed(within=50) == Close.UNAUTHORIZED
        await asyncio.sleep(0.01)
        assert engine.under_way == 0
    assert ended(metrics, "expired") == 1


@in_virtual_time
async def test_a_connection_on_which_nothing_is_asked_for_is_closed_and_one_with_an_operation_is_not() -> None:
    gateway = GraphQLWebSocket(Waiting(), authenticator=OneToken(), limits=StreamLimits(idle=Seconds(20.0)))
    async with connected(gateway) as idle, connected(gateway) as busy:
        await idle.introduce()
        await busy.introduce()
        await busy.subscribe("a", "subscription { number }")
        assert await idle.closed(within=21) == Close.IDLE
        assert await busy.receive(within=30) == {"type": "ping"}
        await busy.send(id="a", type="complete")
        await busy.send(type="pong")
        assert await busy.closed(within=41) == Close.IDLE


def ended(metrics: Metrics, reason: str) -> float:
    labels = {"transport": "websocket", "reason": reason}
    return metrics.registry.get_sample_value("sagaql_streams_ended_total", labels) or 0.0


@in_virtual_time
async def test_whoever_connects_to_a_gateway_that_leaves_is_sent_elsewhere_before_it_introduces_itself() -> None:
    metrics, engine = Metrics(), Waiting()
    gateway = GraphQLWebSocket(engine, authenticator=OneToken(), metrics=metrics)
    await gateway.leave()
    async with connected(gateway) as socket:
        assert await socket.closed() == Close.GOING_AWAY
    assert (len(gateway), engine.requests, ended(metrics, "drained")) == (0, [], 1)


class Slow(Counting):
    """A query is answered after a second; a subscription follows something for ever."""

    async def stream(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]:
        self.requests.append(request)
        self.under_way += 1
        try:
            await (asyncio.Event().wait() if self.is_subscription(request) else asyncio.sleep(1))
            yield GraphQLResult(tree={"number": 1})
        finally:
            self.under_way -= 1


@in_virtual_time
async def test_a_gateway_that_leaves_answers_queries_first_and_begins_nothing_more() -> None:
    engine = Slow()
    gateway = endpoint(engine)
    async with connected(gateway) as socket:
        await socket.introduce()
        await socket.subscribe("followed", "subscription { number }")
        await socket.subscribe("asked", "{ number }")
        await asyncio.sleep(0.5)
        began = asyncio.get_running_loop().time()
        leaving = asyncio.ensure_future(gateway.leave())
        await asyncio.sleep(0)
        await socket.subscribe("too late", "{ number }")
        assert await socket.receive() == {"id": "asked", "type": "next", "payload": {"data": {"number": 1}}}
        assert await socket.receive() == {"id": "asked", "type": "complete"}
        assert await socket.closed() == Close.GOING_AWAY
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.5)
        await leaving
    assert (len(engine.requests), engine.under_way) == (2, 0)


@in_virtual_time
async def test_an_id_that_is_used_again_at_once_is_the_new_operation_s() -> None:
    engine = Waiting()
    async with connected(endpoint(engine)) as socket:
        await socket.introduce()
        for _ in range(3):
            await socket.subscribe("a", "subscription { number }")
            await asyncio.sleep(0.1)
            await socket.send(id="a", type="complete")  # and the next one before anybody else has had a turn
        await socket.subscribe("a", "subscription { number }")
        await asyncio.sleep(0.1)
        assert engine.under_way == 1
        await socket.subscribe("a", "subscription { number }")
        assert await socket.closed() == Close.DUPLICATE
