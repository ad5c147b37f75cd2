"""Answers that come by and by, over HTTP: what each kind of client reads, and that nothing outlives a response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
import pytest

from gateway.clock import Epoch, Seconds
from gateway.edge import GraphQLEndpoint, HttpStreams, Requests
from gateway.errors import GatewayError, SagaNotFound, Unauthenticated
from gateway.execution import GraphQLRequest, GraphQLResult
from gateway.identity import ANONYMOUS, Identity
from gateway.stream_limits import StreamLimits
from gateway.telemetry import Metrics
from gateway.testing import StreamUnderTest, VirtualClock, in_virtual_time, streamed
from gateway.testing.client import answer_of, scope_of_request

SSE = "text/event-stream"
PAYLOADS = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0, application/json"
PARTS = "multipart/mixed;deferSpec=20220824, application/json"
EVERYTHING = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
SUBSCRIPTION = "subscription { number }"
LIMITS = StreamLimits(ping=Seconds(25.0), stalled=Seconds(30.0), reconnect=Seconds(1.5))


class Anybody:
    def __init__(self, identity: Identity = ANONYMOUS) -> None:
        self.identity = identity

    async def authenticate(self, headers: Mapping[str, str]) -> Identity:
        if "authorization" in headers:
            raise Unauthenticated("this token is not known")
        return self.identity


class Counting:
    """An engine whose every operation has the answers `numbers`, one every `every` seconds; then it fails, or waits for ever."""

    def __init__(
        self, *numbers: Any, every: float = 1.0, failure: Exception | None = None, ends: bool = True, at: float = 0.0
    ) -> None:
        self.numbers = numbers
        self.every = every
        self.failure = failure
        self.ends = ends
        self.at = at
        self.requests: list[GraphQLRequest] = []
        self.asked = 0
        self.under_way = 0

    def is_subscription(self, request: GraphQLRequest) -> bool:
        return request.text.startswith("subscription")

    def streams(self, request: GraphQLRequest) -> bool:
        return self.is_subscription(request) or "@defer" in request.text

    async def answer(self, request: GraphQLRequest) -> GraphQLResult:
        self.requests.append(request)
        return GraphQLResult(tree={"whole": True})

    async def stream(
        self, request: GraphQLRequest, *, begun: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[GraphQLResult]:
        self.requests.append(request)
        self.under_way += 1
        try:
            await asyncio.sleep(self.at)
            if isinstance(self.failure, GatewayError):
                yield self.refuse(self.failure)
                return
            if self.is_subscription(request):
                begun()
            for number in self.numbers:
                await asyncio.sleep(self.every)
                self.asked += 1
                yield GraphQLResult(tree={"number": number}, event_id=str(number) if isinstance(number, int) else None)
            if self.failure is not None:
                raise self.failure
            if not self.ends:
                await asyncio.Event().wait()
        finally:
            self.under_way -= 1

    def refuse(self, error: Exception) -> GraphQLResult:
        known = error if isinstance(error, GatewayError) else GatewayError("masked")
        entry = {"message": known.message, "extensions": known.extensions()}
        return GraphQLResult(errors=[entry], is_request_error=True, status=known.status)


def endless() -> Counting:
    return Counting(ends=False)


class Gateway:
    """The endpoint over an engine, with its streams in sight."""

    def __init__(self, engine: Counting, *, identity: Identity = ANONYMOUS, limits: StreamLimits = LIMITS) -> None:
        self.engine = engine
        self.metrics = Metrics()
        self.clock = VirtualClock()
        self.streams = HttpStreams(engine, metrics=self.metrics, limits=limits, clock=self.clock)
        self.endpoint = GraphQLEndpoint(
            engine, authenticator=Anybody(identity), max_body=1_000, requests=Requests(), streams=self.streams
        )

    def asked(
        self, accept: str = SSE, query: str = SUBSCRIPTION, **headers: str
    ) -> AbstractAsyncContextManager[StreamUnderTest]:
        sent = {"accept": accept, "content-type": "application/json", **headers}
        scope = scope_of_request("POST", "/graphql", headers=sent)
        return streamed(self.endpoint, scope, orjson.dumps({"query": query}))

    def ended(self, transport: str, reason: str) -> float:
        labels = {"transport": transport, "reason": reason}
        return self.metrics.registry.get_sample_value("sagaql_streams_ended_total", labels) or 0.0


def parts_of(body: bytes, boundary: bytes) -> list[Any]:
    """As a client takes them apart: what stands between delimiters, after its head."""
    *parts, last = body.split(b"\r\n--" + boundary)[1:]
    assert last == b"--\r\n"
    taken = [part.partition(b"\r\n\r\n") for part in parts]
    for head, _, content in taken:
        kind, *length = head.removeprefix(b"\r\n").split(b"\r\n")
        assert kind == b"content-type: application/json; charset=utf-8"
        assert length == ([b"content-length: %d" % len(content)] if boundary == b"graphql" else [])
    return [orjson.loads(content) for _, _, content in taken]


# -- server-sent events ------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_subscription_is_answered_event_by_event_and_then_completed() -> None:
    async with Gateway(Counting(1, 2)).asked() as stream:
        assert await stream.piece() == b"retry: 1500\n\n"
        assert await stream.piece() == b'id: 1\nevent: next\ndata: {"data":{"number":1}}\n\n'
        assert await stream.piece() == b'id: 2\nevent: next\ndata: {"data":{"number":2}}\n\n'
        assert await stream.rest() == b"event: complete\ndata:\n\n"
        assert stream.status == 200
        assert stream.headers == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "x-content-type-options": "nosniff",
            "vary": "accept, authorization",
        }


@in_virtual_time
async def test_the_client_is_heard_before_the_first_event() -> None:
    async with Gateway(endless()).asked() as stream:
        assert await stream.piece(within=0.1) == b"retry: 1500\n\n"


@in_virtual_time
async def test_no_frame_holds_a_carriage_return() -> None:
    async with Gateway(Counting("a\r\nb")).asked() as stream:
        assert b"\r" not in await stream.rest()


@in_virtual_time
async def test_a_silent_line_is_pinged_and_one_with_events_is_not() -> None:
    async with Gateway(Counting(1, 2, 3, every=20.0, ends=False)).asked() as stream:
        pieces = [await stream.piece(within=60) for _ in range(5)]
        began = asyncio.get_running_loop().time()
        assert await stream.piece(within=60) == b":\n\n"
        assert asyncio.get_running_loop().time() - began == pytest.approx(25.0)
    assert [piece == b":\n\n" for piece in pieces] == [False, False, False, False, True]


@in_virtual_time
async def test_a_query_is_answered_as_a_stream_by_clients_that_take_nothing_else() -> None:
    async with Gateway(Counting("only")).asked(query="{ number }") as stream:
        body = await stream.rest()
    assert body == (b'retry: 1500\n\nevent: next\ndata: {"data":{"number":"only"}}\n\nevent: complete\ndata:\n\n')


async def test_a_query_is_answered_in_one_piece_by_clients_that_take_it() -> None:
    gateway = Gateway(Counting(1, 2))
    async with gateway.asked(EVERYTHING, "{ number }") as stream:
        assert orjson.loads(await stream.rest()) == {"data": {"whole": True}}
        assert stream.headers["content-type"].startswith("application/graphql-response+json")


async def test_a_get_may_subscribe_as_an_event_source_does() -> None:
    gateway = Gateway(Counting(1, every=0.0))
    scope = scope_of_request(
        "GET",
        "/graphql",
        query="query=subscription%20%7B%20number%20%7D",
        headers={"accept": SSE, "last-event-id": "41"},
    )
    async with streamed(gateway.endpoint, scope) as stream:
        assert b"event: next" in await stream.rest()
    assert gateway.engine.requests[0].last_event_id == "41"


# -- multipart ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_apollos_clients_get_each_event_in_a_payload() -> None:
    async with Gateway(Counting(1, 2)).asked(PAYLOADS) as stream:
        body = await stream.rest()
        assert stream.headers["content-type"] == "multipart/mixed;boundary=graphql;subscriptionSpec=1.0"
    assert parts_of(body, b"graphql") == [{"payload": {"data": {"number": number}}} for number in (1, 2)]


@in_virtual_time
async def test_a_part_is_complete_before_the_next_one_is_there() -> None:
    """For those who take it at its delimiter, and for those who take as much as it says."""
    async with Gateway(Counting(1, ends=False)).asked(PAYLOADS) as stream:
        assert await stream.piece() == b"\r\n--graphql"
        assert (await stream.piece()).endswith(b'length: 33\r\n\r\n{"payload":{"data":{"number":1}}}\r\n--graphql')
        assert (await stream.piece(within=60)).endswith(b"length: 2\r\n\r\n{}\r\n--graphql")


@in_virtual_time
async def test_increments_are_parts_as_they_are_without_heartbeats() -> None:
    async with Gateway(Counting(1, 2, every=60.0)).asked(PARTS, "{ number ... @defer { more } }") as stream:
        body = await stream.rest(within=100)
        assert stream.headers["content-type"] == 'multipart/mixed;boundary="-";deferSpec=20220824'
    assert parts_of(body, b"-") == [{"data": {"number": number}} for number in (1, 2)]


@in_virtual_time
async def test_a_dialect_that_is_not_known_is_not_said_back() -> None:
    async with Gateway(Counting(1)).asked("multipart/mixed;incrementalSpec=v9;x=y") as stream:
        await stream.rest()
        assert stream.headers["content-type"] == 'multipart/mixed;boundary="-"'


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [PAYLOADS, EVERYTHING])
@in_virtual_time
async def test_what_is_refused_before_it_begins_is_an_ordinary_answer_where_the_client_takes_one(accept: str) -> None:
    async with Gateway(Counting(failure=SagaNotFound("no"), at=1.0)).asked(accept) as stream:
        assert orjson.loads(await stream.rest())["errors"][0]["extensions"]["code"] == "SAGA_NOT_FOUND"
        assert stream.status == 404


@in_virtual_time
async def test_what_is_refused_before_it_begins_is_an_event_for_clients_that_take_nothing_else() -> None:
    async with Gateway(Counting(failure=SagaNotFound("no"))).asked() as stream:
        body = await stream.rest()
        assert stream.status == 200
    assert b'"SAGA_NOT_FOUND"' in body
    assert body.endswith(b"}\n\nevent: complete\ndata:\n\n")


@pytest.mark.parametrize(("accept", "status"), [(SSE, 200), (EVERYTHING, 401)])
async def test_credentials_that_are_not_valid_are_told_in_the_clients_way(accept: str, status: int) -> None:
    async with Gateway(endless()).asked(accept, authorization="Bearer eve") as stream:
        assert b'"UNAUTHENTICATED"' in await stream.rest()
        assert stream.status == status


async def test_a_client_that_takes_neither_is_told_so() -> None:
    async with Gateway(endless()).asked("text/html") as stream:
        await stream.rest()
        assert stream.status == 406


@pytest.mark.parametrize(("accept", "is_telling"), [(SSE, b"complete"), (PAYLOADS, b'{"payload":null,"errors":[')])
@in_virtual_time
async def test_a_bug_in_the_middle_is_masked_and_ends_the_stream(accept: str, is_telling: bytes) -> None:
    gateway = Gateway(Counting(1, failure=RuntimeError("secret")))
    async with gateway.asked(accept) as stream:
        body = await stream.rest()
        assert stream.is_complete
    assert is_telling in body
    assert b"masked" in body
    assert b"secret" not in body


@in_virtual_time
async def test_a_value_that_json_cannot_hold_ends_the_stream_and_is_told() -> None:
    gateway = Gateway(Counting(1, object()))
    async with gateway.asked() as stream:
        body = await stream.rest()
    assert body.count(b"event: next") == 2
    assert b"masked" in body
    assert gateway.ended("sse", "failed") == 1


# -- expiry and drain --------------------------------------------------------------------------------------------------


def expiring(gateway: Gateway, *, after: float) -> Gateway:
    identity = Identity("shop", "ada", expires_at=Epoch(gateway.clock.wall() + after))
    return Gateway(gateway.engine, identity=identity)


@pytest.mark.parametrize("accept", [SSE, PAYLOADS])
@in_virtual_time
async def test_a_stream_ends_when_its_credentials_expire(accept: str) -> None:
    gateway = expiring(Gateway(endless()), after=40.0)
    began = asyncio.get_running_loop().time()
    async with gateway.asked(accept) as stream:
        body = await stream.rest()
        assert asyncio.get_running_loop().time() - began == pytest.approx(40.0, abs=0.01)
        assert stream.is_complete
    assert b'"UNAUTHENTICATED"' in body
    assert gateway.engine.under_way == 0
    assert gateway.ended("sse" if accept is SSE else "multipart", "expired") == 1


@in_virtual_time
async def test_credentials_that_have_expired_already_begin_no_stream() -> None:
    gateway = expiring(Gateway(Counting(at=5.0, ends=False)), after=-1.0)
    async with gateway.asked(EVERYTHING) as stream:
        assert b'"UNAUTHENTICATED"' in await stream.rest()
        assert stream.status == 401


@in_virtual_time
async def test_a_gateway_that_leaves_ends_events_without_completing_them() -> None:
    gateway = Gateway(endless())
    async with gateway.asked() as stream:
        await stream.piece()
        await gateway.streams.leave()
        assert await stream.rest() == b": restarting\nretry: 1500\n\n"
        assert stream.is_complete
    assert (gateway.engine.under_way, gateway.ended("sse", "drained")) == (0, 1)


@in_virtual_time
async def test_a_gateway_that_leaves_lets_an_answer_in_parts_end_by_itself() -> None:
    gateway = Gateway(Counting(1, 2, every=2.0))
    async with gateway.asked(PARTS, "{ number ... @defer { more } }") as stream:
        opening = await stream.piece()
        await gateway.streams.leave()
        parts = parts_of(opening + await stream.rest(), b"-")
    assert [part["data"] for part in parts] == [{"number": 1}, {"number": 2}]


@in_virtual_time
async def test_a_gateway_that_leaves_begins_no_subscription_and_asks_for_none() -> None:
    gateway = Gateway(endless())
    await gateway.streams.leave()
    async with gateway.asked() as stream:
        assert await stream.rest() == b"retry: 1500\n\n: restarting\nretry: 1500\n\n"
    assert (gateway.engine.requests, len(gateway.streams), gateway.ended("sse", "drained")) == ([], 0, 1)


@in_virtual_time
async def test_a_gateway_that_leaves_tells_apollos_clients_that_they_may_try_again() -> None:
    gateway = Gateway(endless())
    async with gateway.asked(PAYLOADS) as stream:
        opening = await stream.piece()
        await gateway.streams.leave()
        (told,) = parts_of(opening + await stream.rest(), b"graphql")
    assert told["payload"] is None
    assert told["errors"][0]["extensions"] == {"code": "DRAINING", "retryable": True}


# -- what a stream costs -----------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_next_answer_is_asked_for_when_the_network_has_taken_the_last_one() -> None:
    gateway = Gateway(Counting(*range(100), every=0.1, ends=False))
    async with gateway.asked() as stream:
        await stream.piece()
        stream.stall()
        await asyncio.sleep(20)
        assert gateway.engine.asked == 1
        stream.read_on()
        await asyncio.sleep(1)
        assert gateway.engine.asked == 10


@in_virtual_time
async def test_a_reader_that_stalls_is_cut_off_and_leaves_nothing() -> None:
    before = len(asyncio.all_tasks())
    gateway = Gateway(Counting(*range(100), every=0.1, ends=False))
    async with gateway.asked() as stream:
        await stream.piece()
        stream.stall()
        began = asyncio.get_running_loop().time()
        await stream.rest()
        assert asyncio.get_running_loop().time() - began == pytest.approx(30.1)
        assert stream.is_cut
        await asyncio.sleep(0)
        assert (gateway.engine.under_way, len(gateway.streams)) == (0, 0)
    assert len(asyncio.all_tasks()) == before
    assert gateway.ended("sse", "stalled") == 1


@in_virtual_time
async def test_a_reader_that_stalls_while_nothing_happens_is_found_by_the_pings() -> None:
    gateway = Gateway(endless())
    async with gateway.asked() as stream:
        await stream.piece()
        stream.stall()
        began = asyncio.get_running_loop().time()
        await stream.rest(within=120)
        assert asyncio.get_running_loop().time() - began == pytest.approx(25 + 30, abs=0.01)
        assert stream.is_cut
        await asyncio.sleep(0)
        assert (gateway.engine.under_way, len(gateway.streams)) == (0, 0)


@in_virtual_time
async def test_a_drain_does_not_wait_for_a_reader_that_has_stalled() -> None:
    gateway = Gateway(endless())
    async with gateway.asked() as stream:
        await stream.piece()
        stream.stall()
        await gateway.streams.leave()
        await stream.rest(within=2.1)
        assert stream.is_cut
    assert gateway.engine.under_way == 0


@pytest.mark.parametrize("engine", [endless(), Counting(*range(9), every=0.5, ends=False), Counting(at=99.0)])
@in_virtual_time
async def test_a_client_that_vanishes_leaves_nothing_behind(engine: Counting) -> None:
    before = len(asyncio.all_tasks())
    gateway = Gateway(engine)
    async with gateway.asked():
        await asyncio.sleep(1.2)
        assert (engine.under_way, len(gateway.streams)) == (1, 1)
    assert (engine.under_way, len(gateway.streams)) == (0, 0)
    assert len(asyncio.all_tasks()) == before
    assert gateway.ended("sse", "left") == 1


@in_virtual_time
async def test_a_client_that_vanishes_in_the_middle_of_a_frame_leaves_nothing_behind() -> None:
    gateway = Gateway(Counting(*range(9), every=0.5, ends=False))
    async with gateway.asked() as stream:
        await stream.piece()
        stream.stall()
        await asyncio.sleep(1)
    assert (gateway.engine.under_way, len(gateway.streams)) == (0, 0)


@pytest.mark.parametrize("engine", [endless(), Counting(*range(9), every=0.5, ends=False)])
@pytest.mark.parametrize("survives", [1, 2, 3])
@in_virtual_time
async def test_a_server_that_raises_when_the_client_has_gone_is_understood(engine: Counting, survives: int) -> None:
    gateway, sent = Gateway(engine), 0

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        async def sends(message: Any) -> None:
            nonlocal sent
            sent += 1
            if sent > survives:
                raise OSError("broken pipe")
            await send(message)

        await gateway.endpoint(scope, receive, sends)

    scope = scope_of_request("POST", "/graphql", headers={"accept": SSE, "content-type": "application/json"})
    async with streamed(breaks, scope, orjson.dumps({"query": SUBSCRIPTION})):
        await asyncio.sleep(80)
        assert (engine.under_way, len(gateway.streams)) == (0, 0)
    assert gateway.ended("sse", "left") == 1


@in_virtual_time
async def test_a_stream_that_waits_holds_one_task() -> None:
    gateway = Gateway(endless())
    scope = scope_of_request("POST", "/graphql", headers={"accept": SSE, "content-type": "application/json"})
    watched = {**scope, "extensions": {"sagaql.leaving": lambda _: lambda: None}}
    before = len(asyncio.all_tasks())
    serving = asyncio.ensure_future(answer_of(gateway.endpoint, watched, [orjson.dumps({"query": SUBSCRIPTION})]))
    await asyncio.sleep(1)
    assert len(asyncio.all_tasks()) == before + 1
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert gateway.engine.under_way == 0
