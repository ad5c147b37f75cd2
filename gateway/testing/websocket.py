"""A WebSocket client of an ASGI application, in this process: `async with connected(app, "/graphql") as socket: ...`.

Invariant: what the application sends is kept in order until it is read; leaving the block is the client's going away, and waits
until the application has noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

GRAPHQL_WS = "graphql-transport-ws"


class WebSocketUnderTest:
    """One connection, after the server has taken or refused it."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.outbox: asyncio.Queue[Message] = asyncio.Queue()
        self.close_code: int | None = None
        """Once the server has closed it, or refused it."""
        self.subprotocol: str | None = None
        self.is_accepted = False

    async def send(self, **message: Any) -> None:
        await self.send_text(orjson.dumps(message).decode())

    async def send_text(self, text: str) -> None:
        await self.outbox.put({"type": "websocket.receive", "text": text})

    async def receive(self, *, within: float = 10.0) -> dict[str, Any]:
        """The next message, as JSON. Raises: ConnectionError once the server has closed; TimeoutError."""
        async with asyncio.timeout(within):
            message = await self.inbox.get()
        if message["type"] == "websocket.close":
            self.close_code = message.get("code", 1000)
            raise ConnectionError(f"closed with {self.close_code} {message.get('reason', '')}")
        received: dict[str, Any] = orjson.loads(message["text"])
        return received

    async def closed(self, *, within: float = 60.0) -> int:
        """The code with which the server closes; messages before it are passed over."""
        try:
            while True:
                await self.receive(within=within)
        except ConnectionError:
            assert self.close_code is not None  # noqa: S101 - set where it is raised
            return self.close_code

    async def introduce(self, payload: Mapping[str, Any] | None = None) -> None:
        """`connection_init`, acknowledged."""
        await self.send(type="connection_init", **({} if payload is None else {"payload": dict(payload)}))
        acknowledged = await self.receive()
        if acknowledged != {"type": "connection_ack"}:
            raise ConnectionError(f"not acknowledged: {acknowledged}")

    async def subscribe(self, number: str, query: str, variables: Mapping[str, Any] | None = None) -> None:
        await self.send(id=number, type="subscribe", payload={"query": query, "variables": dict(variables or {})})


@asynccontextmanager
async def connected(
    app: ASGIApp,
    path: str = "/graphql",
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (GRAPHQL_WS,),
) -> AsyncGenerator[WebSocketUnderTest]:
    """A connection, from the handshake to its end."""
    socket = WebSocketUnderTest()
    sent = {"host": "gateway.test", **(headers or {})}
    scope: dict[str, Any] = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "subprotocols": list(subprotocols),
        "server": ("gateway.test", 80),
        "client": ("127.0.0.1", 1),
    }
    answered = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "websocket.accept":
            socket.is_accepted, socket.subprotocol = True, message.get("subprotocol")
        else:
            await socket.inbox.put(message)
        answered.set()

    await socket.outbox.put({"type": "websocket.connect"})
    serving = asyncio.ensure_future(app(scope, socket.outbox.get, send))
    try:
        waiting = asyncio.ensure_future(answered.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        yield socket
    finally:
        await socket.outbox.put({"type": "websocket.disconnect", "code": 1001})
        await serving
