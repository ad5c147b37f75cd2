"""A gateway behind the server's own connections, whose other ends are in memory: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.connections import Connection
from gateway.websocket_connections import SocketConnection


class Pipe(asyncio.Transport):
    """A client's end: keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: asyncio.Protocol | None = None
        self.received = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast("asyncio.Protocol", protocol)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.received += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Door:
    """The server's side. `complaints`: what was logged as an error, and what nobody caught."""

    def __init__(self, app: ASGIApp, complaints: list[str]) -> None:
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            interface="asgi3",
            ws=SocketConnection,
            ws_ping_interval=None,
        )
        self._config.load()
        self._complaints = complaints

    async def send(self, pieces: Sequence[bytes]) -> Pipe:
        """One connection: all pieces, one after the other, then its client leaves. Whatever was begun for it has ended."""
        pipe, state = Pipe(), ServerState()
        connection = Connection(config=self._config, server_state=state, app_state={})
        pipe.protocol = connection
        connection.connection_made(pipe)
        for piece in pieces:
            if pipe.closed:
                break
            pipe.protocol.data_received(piece)
            await _settled(state)
        pipe.closed = True
        pipe.protocol.connection_lost(None)
        while state.tasks:
            await asyncio.wait({*state.tasks}, timeout=5)
        return pipe


async def _settled(state: ServerState) -> None:
    """What could be answered is answered: nothing has moved for a few turns of the loop."""
    for _ in range(20):
        await asyncio.sleep(0)
        if not state.tasks:
            return
    for _ in range(3):
        await asyncio.sleep(0.0005)


class Listening(logging.Handler):
    """Errors of the log."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._complaints = complaints

    def emit(self, record: logging.LogRecord) -> None:
        self._complaints.append(record.getMessage())
