"""The head of a request, byte by byte: bounded in size, number and time; and requests that two servers would read differently."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from gateway.clock import Instant, Seconds
from gateway.connections import Connection
from gateway.head_limits import HeadLimits
from tests.unit.test_server import Written

LIMITS = HeadLimits(bytes=1_000, count=10, within=Seconds(5.0), connections=2)
GOOD = b"POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"


class Served:
    """One connection, and the requests that came through it."""

    def __init__(self, state: ServerState | None = None) -> None:
        self.bodies = list[bytes]()
        self.transport = Written()
        config = uvicorn.Config(self._app, lifespan="off", log_config=None, interface="asgi3")
        self.connection = Connection(config=config, server_state=state or ServerState(), app_state={}, heads=LIMITS)
        self.connection.connection_made(self.transport)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def settled(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def send(self, *pieces: bytes) -> str:
        """The statuses that were answered, as far as the connection lived."""
        for piece in pieces:
            if not self.transport.closing:
                self.connection.data_received(piece)
            await self.settled()
        await self.settled()
        lines = self.transport.written.decode(errors="replace").split("\r\n")
        return " ".join(line.split()[1] for line in lines if line.startswith("HTTP/1.1 "))


def with_headers(*headers: bytes) -> bytes:
    return b"POST /graphql HTTP/1.1\r\nhost: h\r\n" + b"".join(each + b"\r\n" for each in headers) + b"\r\n"


async def test_what_is_within_the_bounds_is_served_again_and_again() -> None:
    served = Served()
    assert await served.send(GOOD, GOOD + GOOD) == "200 200 200"
    assert not served.transport.closing


@pytest.mark.parametrize(
    "head",
    [
        with_headers(b"x: " + b"a" * 1_000),
        with_headers(*(b"x%d: a" % number for number in range(20))),
        b"POST /graphql?" + b"q" * 1_000 + b" HTTP/1.1\r\nhost: h\r\n\r\n",
    ],
    ids=["a long header", "many headers", "a long address"],
)
async def test_a_head_that_is_too_large_is_refused_and_the_connection_with_it(head: bytes) -> None:
    served = Served()
    assert await served.send(head, GOOD) == "431"
    assert (served.transport.closing, served.bodies) == (True, [])


@pytest.mark.parametrize(
    "start", [b"POST /", b"POST / HTTP/1.1\r\nx: ", b"POST / HTTP/1.1\r\n" + b"x: a\r\n" * 5 + b"y"]
)
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(start: bytes) -> None:
    served = Served()
    assert await served.send(start, *[b"a" * 400] * 10) == "431"
    assert served.bodies == []


async def test_a_large_body_is_no_large_head() -> None:
    served = Served()
    request = b"POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-length: 5000\r\n\r\n" + b"b" * 5_000
    assert await served.send(request, request[:2_000], request[2_000:]) == "200 200"


async def test_who_takes_too_long_over_a_head_is_told_and_closed() -> None:
    now = asyncio.get_running_loop().time()
    silent, trickling, idle, busy = Served(), Served(), Served(), Served()
    await trickling.send(b"POST / HT")
    await idle.send(GOOD)
    await busy.send(GOOD[:-1])
    for served in (silent, trickling, idle, busy):
        served.connection.end_if_late(Instant(now + 4.0))
        assert not served.transport.closing
        served.connection.end_if_late(Instant(now + 6.0))
    assert [served.transport.closing for served in (silent, trickling, idle, busy)] == [True, True, False, False]
    assert await silent.send() == await trickling.send() == "408"
    assert await busy.send(GOOD[-1:]) == "200"


async def test_the_next_request_has_time_of_its_own() -> None:
    served = Served()
    await served.send(GOOD, GOOD[:10])
    served.connection.end_if_late(Instant(asyncio.get_running_loop().time() + 6.0))
    assert served.transport.closing
    assert await served.send() == "200 408"


async def test_an_answer_that_is_under_way_is_the_last_one() -> None:
    served = Served()
    served.connection.data_received(GOOD + with_headers(*(b"x%d: a" % number for number in range(20))))
    assert await served.send() == "200"
    assert served.transport.closing


async def test_more_connections_than_there_may_be_are_told_so() -> None:
    state = ServerState()
    first, second, third = (Served(state) for _ in range(3))
    assert [each.transport.closing for each in (first, second, third)] == [False, False, True]
    assert await third.send() == "503"
    assert await first.send(GOOD) == "200"


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        (b"content-length: 6", b"transfer-encoding: chunked"),
        (b"transfer-encoding: chunked", b"content-length: 6"),
        (b"content-length: 6", b"content-length: 5"),
        (b"content-length: +6",),
        (b"content-length: 6,6",),
        (b"content-length: 0x6",),
        (b"content-length: -1",),
        (b"content-length: 99999999999999999999999999",),
        (b"transfer-encoding: chunked, identity",),
        (b"transfer-encoding: xchunked",),
        (b"transfer-encoding : chunked",),
        (b"x: a\nb: c",),
        (b"x: a\rb",),
        (b" folded: a",),
        (b"na me: a",),
        (b"x: a\x00b",),
    ],
    ids=lambda headers: headers[0].decode(errors="replace"),
)
async def test_requests_that_two_servers_would_read_differently_are_refused(headers: tuple[bytes, ...]) -> None:
    served = Served()
    statuses = await served.send(with_headers(*headers) + b"0\r\n\r\nX" + SMUGGLED)
    assert statuses.split()[-1:] == ["400"], "whatever was read before, the connection ends with a refusal"
    assert served.transport.closing
    assert len(served.bodies) <= 1


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"1\r\nab\r\n", b"1" * 20 + b"\r\n"])
async def test_chunks_that_are_none_end_the_connection(chunk: bytes) -> None:
    served = Served()
    assert "400" in await served.send(with_headers(b"transfer-encoding: chunked") + chunk + SMUGGLED)
    assert b"/smuggled" not in b"".join(served.bodies)
    served.connection.connection_lost(None)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_no_bytes_break_the_connection(pieces: list[bytes]) -> None:
    async def run() -> None:
        served = Served()
        await served.send(*pieces)
        served.connection.connection_lost(None)

    asyncio.run(run())
