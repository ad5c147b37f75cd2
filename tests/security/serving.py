"""A gateway on a loopback socket in this process: the server's own connections, without a process and without its clock.

Invariant: what is sent is bytes, and what comes back is bytes; nothing between them is a stand-in.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from benchmarks.attacks.frames import CLOSE, handshake
from gateway.connections import USUAL, Connection
from gateway.head_limits import HeadLimits
from gateway.websocket_connections import SocketConnection


@dataclass(frozen=True, slots=True)
class Served:
    """Where it listens, and its state: the connections that are open. Whoever has opened one need not close it."""

    port: int
    state: ServerState
    clients: list[Client] = field(default_factory=list)

    async def open(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


class Client:
    """One connection, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self, *, within: float = 5.0) -> bytes:
        """All that comes until the other end closes. Raises: TimeoutError if it does not."""
        async with asyncio.timeout(within):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def upgrade(self, *headers: bytes) -> bytes:
        """The head of the answer to a WebSocket's handshake."""
        await self.send(handshake(*headers))
        async with asyncio.timeout(5):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of what comes next. Raises: IncompleteReadError once the other end has closed."""
        async with asyncio.timeout(5):
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0x0F, await self.reader.readexactly(length)

    async def closed_with(self) -> int:
        """The code of the close frame, whatever comes before it; 1006: there was none."""
        try:
            while True:
                opcode, payload = await self.frame()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006


@asynccontextmanager
async def served(app: ASGIApp, *, heads: HeadLimits = USUAL, **config: Any) -> AsyncGenerator[Served]:
    """`app` behind the server's connections, set as `gateway.server` sets them."""
    settings: Mapping[str, Any] = {
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "interface": "asgi3",
        "http": cast("type[Connection]", partial(Connection, heads=heads)),
        "ws": SocketConnection,
        "ws_max_size": 1024 * 1024,
        "ws_ping_interval": None,
    }
    prepared = uvicorn.Config(app, **{**settings, **config})
    prepared.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(config=prepared, server_state=state, app_state={}, heads=heads), "127.0.0.1", 0
    )
    here = Served(server.sockets[0].getsockname()[1], state)
    try:
        yield here
    finally:
        server.close()
        for client in here.clients:
            client.writer.transport.abort()
        for each in [*state.connections]:
            each.transport.abort()
        while state.tasks:
            await asyncio.wait({*state.tasks})
        await asyncio.sleep(0)
