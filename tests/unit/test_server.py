"""What the server adds to uvicorn's connections: whoever asks is told that the client has left, once; and a doorstep."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.connections import Connection
from gateway.edge import Doorstep
from gateway.edge.leaving import EXTENSION, Left, Watch
from gateway.server import hold_port

REQUEST = b"POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"


class Transport(asyncio.Transport):
    """A socket's other half, as far as a connection looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.reads = True
        self.unread = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def connected(app: Callable[[Watch], Awaitable[None]]) -> tuple[Connection, Transport]:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await app(scope["extensions"][EXTENSION])

    config = uvicorn.Config(asgi, lifespan="off", log_config=None)
    connection, transport = Connection(config=config, server_state=ServerState(), app_state={}), Transport()
    connection.connection_made(transport)
    connection.data_received(REQUEST)
    return connection, transport


@pytest.mark.parametrize("is_taken_back", [False, True])
async def test_who_watches_is_told_once_unless_it_is_taken_back(is_taken_back: bool) -> None:
    told = list[str]()
    finished = asyncio.Event()

    async def app(watch: Watch) -> None:
        take_back = watch(lambda: told.append("left"))
        watch(lambda: told.append("another"))
        if is_taken_back:
            take_back()
            take_back()
        await finished.wait()

    connection, _ = connected(app)
    await asyncio.sleep(0)
    assert told == []
    for _ in range(2):
        connection.connection_lost(OSError("broken"))
        assert sorted(told) == (["another"] if is_taken_back else ["another", "left"])
    finished.set()
    await asyncio.sleep(0)


async def test_who_watches_when_it_is_too_late_is_told_at_once() -> None:
    told = list[Left]()

    async def app(watch: Watch) -> None:
        connection.transport.close()
        watch(lambda: told.append(lambda: None))

    connection, _ = connected(app)
    await asyncio.sleep(0)
    assert len(told) == 1
    connection.connection_lost(None)
    assert len(told) == 1


async def test_a_connection_that_stopped_reading_after_a_long_body_reads_on() -> None:
    async def app(watch: Watch) -> None:
        connection.flow.pause_reading()
        assert not transport.reads
        watch(lambda: None)

    connection, transport = connected(app)
    await asyncio.sleep(0)
    assert transport.reads


def test_a_connection_whose_other_end_has_gone_without_a_word_is_given_up_in_a_minute() -> None:
    with hold_port("127.0.0.1", 0) as held, socket.create_connection(held.getsockname()):
        accepted, _ = held.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


class Written(Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data


class Nobody:
    """Refuses every request that is whole, by one word."""

    is_on = True

    def refusal(
        self, url: bytes, headers: list[tuple[bytes, bytes]], body: bytes, *, peer: str | None, now: float
    ) -> bytes | None:
        return None if b"in" in body else b"HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n"


class Guarded:
    """A connection before which a doorstep stands, and the bodies of requests that came in."""

    def __init__(self) -> None:
        self.bodies = list[bytes]()
        self.is_leaving = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.transport = Written()
        config = uvicorn.Config(self._app, lifespan="off", log_config=None, interface="asgi3")
        self.state = ServerState()
        self.doorstep = Nobody()
        self.connection = Connection(
            config=config,
            server_state=self.state,
            app_state={},
            doorstep=cast("Doorstep", self.doorstep),
            is_leaving=lambda: self.is_leaving,
        )
        self.connection.connection_made(self.transport)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        await self.goes_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(self, *pieces: bytes) -> str:
        """The statuses that were answered."""
        self.transport.written = b""
        for piece in pieces:
            self.connection.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        return " ".join(line.split()[1] for line in self.transport.written.decode().split("\r\n") if "HTTP/1.1" in line)

    def closed(self) -> None:
        self.connection.connection_lost(None)


def post(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST /graphql HTTP/1.1\r\nhost: h\r\n%scontent-length: %d\r\n\r\n%s" % (extra, len(body), body)


async def test_a_refused_request_is_answered_at_once_and_the_connection_lives_on() -> None:
    guarded = Guarded()
    assert await guarded.send(post(b"{}")) == "503"
    assert (guarded.bodies, guarded.transport.closing) == ([], False)
    assert await guarded.send(post(b"let me in")) == "200"
    assert await guarded.send(post(b"{}")) == "503"
    assert (guarded.bodies, guarded.state.total_requests) == ([b"let me in"], 3)
    guarded.closed()


async def test_a_refused_request_that_wants_no_other_ends_the_connection() -> None:
    guarded = Guarded()
    assert await guarded.send(post(b"{}", b"connection: close\r\n")) == "503"
    assert guarded.transport.closing
    guarded.closed()


async def test_a_body_that_comes_by_and_by_is_read_as_it_comes() -> None:
    guarded, request = Guarded(), post(b"{ whole }")
    assert await guarded.send(request[:-8], request[-8:-4], request[-4:]) == "200"
    assert guarded.bodies == [b"{ whole }"]
    guarded.closed()


async def test_requests_that_are_sent_without_waiting_are_answered_in_their_order() -> None:
    guarded = Guarded()
    assert await guarded.send(post(b"in 1") + post(b"{}") + post(b"in 2")) == "200 200 200"
    assert guarded.bodies == [b"in 1", b"{}", b"in 2"]
    guarded.closed()


async def test_other_methods_are_not_held_up() -> None:
    guarded = Guarded()
    assert await guarded.send(b"GET /readyz HTTP/1.1\r\nhost: h\r\n\r\n") == "200"
    guarded.closed()


async def test_while_nothing_is_crowded_nobody_is_asked() -> None:
    guarded = Guarded()
    guarded.doorstep.is_on = False
    assert await guarded.send(post(b"{}")) == "200"
    guarded.closed()


# -- leaving -----------------------------------------------------------------------------------------------------------


async def test_while_it_leaves_the_next_answer_is_the_last_one_of_its_connection_and_says_so() -> None:
    guarded = Guarded()
    assert await guarded.send(post(b"in")) == "200"
    assert b"connection: close" not in guarded.transport.written
    guarded.is_leaving = True
    guarded.connection.end_with_next_answer()
    assert repr(guarded.transport.closing) == "False", "a request may be on its way"
    assert await guarded.send(post(b"in again")) == "200"
    assert b"connection: close\r\n" in guarded.transport.written
    assert guarded.transport.closing
    guarded.closed()


async def test_the_answer_that_is_under_way_when_it_begins_to_leave_is_the_last_one_too() -> None:
    guarded = Guarded()
    guarded.goes_on.clear()
    assert await guarded.send(post(b"in")) == ""
    guarded.is_leaving = True
    guarded.connection.end_with_next_answer()
    guarded.goes_on.set()
    assert await guarded.send() == "200"
    assert b"connection: close\r\n" in guarded.transport.written
    assert guarded.transport.closing
    guarded.closed()


async def test_requests_that_were_sent_without_waiting_are_all_answered_before_it_leaves() -> None:
    guarded = Guarded()
    guarded.goes_on.clear()
    assert await guarded.send(post(b"in 1") + post(b"in 2")) == ""
    guarded.is_leaving = True
    guarded.connection.end_with_next_answer()
    guarded.goes_on.set()
    assert await guarded.send() == "200 200"
    assert guarded.transport.written.count(b"connection: close\r\n") == 1
    assert guarded.transport.closing
    guarded.closed()
