"""What the server adds to uvicorn's connections: whoever asks is told that the client has left, once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.edge.leaving import EXTENSION, Left, Watch
from gateway.server import _Connection, hold_port  # pyright: ignore[reportPrivateUsage] - what `serve` is made of

REQUEST = b"POST /graphql HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}"


class Transport(asyncio.Transport):
    """A socket's other half, as far as a connection looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False
        self.reads = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def connected(app: Callable[[Watch], Awaitable[None]]) -> tuple[_Connection, Transport]:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await app(scope["extensions"][EXTENSION])

    config = uvicorn.Config(asgi, lifespan="off", log_config=None)
    connection, transport = _Connection(config=config, server_state=ServerState(), app_state={}), Transport()
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
