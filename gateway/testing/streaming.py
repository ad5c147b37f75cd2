"""An HTTP client that reads an answer as it comes: `async with streamed(app, scope, body) as stream: await stream.piece()`.

Invariant: what the application sends is kept in order until it is read; a client that is `stuck` takes nothing, as a network does
whose other end does not read; leaving the block is the client's going away, and waits until the application has noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from ..edge.leaving import ABORT


class StreamUnderTest:
    """One response, as far as it has come."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.is_complete = False
        """Whether the response has ended as a response does."""
        self.is_cut = False
        """Whether the server has cut the connection."""
        self.taken = 0
        """Pieces that the network has taken."""
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._takes = asyncio.Event()
        self._takes.set()
        self._leaves = asyncio.Event()

    async def serve(self, app: ASGIApp, scope: Scope, body: bytes) -> None:
        """The server's side: returns when the application is done."""
        pieces = [body]
        extensions: dict[str, Any] = {**scope.get("extensions", {}), ABORT: self._cut}
        await app({**scope, "extensions": extensions}, lambda: self._receive(pieces), self._send)

    def stall(self) -> None:
        """Read nothing from now on."""
        self._takes.clear()

    def read_on(self) -> None:
        self._takes.set()

    def leave(self) -> None:
        self._leaves.set()

    async def piece(self, *, within: float = 10.0) -> bytes:
        """What came next. Raises: EOFError at the end; TimeoutError."""
        async with asyncio.timeout(within):
            found = await self._pieces.get()
        if found is None:
            raise EOFError
        return found

    async def rest(self, *, within: float = 60.0) -> bytes:
        """All that comes until the end."""
        found = b""
        try:
            while True:
                found += await self.piece(within=within)
        except EOFError:
            return found

    async def _receive(self, body: list[bytes]) -> Message:
        if body:
            return {"type": "http.request", "body": body.pop(), "more_body": False}
        await self._leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self._takes.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            return
        self.taken += 1
        if message.get("body"):
            self._pieces.put_nowait(message["body"])
        if not message.get("more_body", False):
            self.is_complete = True
            self._pieces.put_nowait(None)

    def _cut(self) -> None:
        self.is_cut = True
        self._takes.set()
        self._leaves.set()
        self._pieces.put_nowait(None)


@asynccontextmanager
async def streamed(app: ASGIApp, scope: Scope, body: bytes = b"") -> AsyncGenerator[StreamUnderTest]:
    """A request, and its response while it comes."""
    stream = StreamUnderTest()
    serving = asyncio.ensure_future(stream.serve(app, scope, body))
    try:
        yield stream
    finally:
        stream.leave()
        await serving
