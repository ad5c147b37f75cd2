"""A service that repeats whatever it is sent, where it should not: in the bodies and headers of its failures."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

HANG = object()


class Echoing:
    """Over HTTP on loopback. `script`: of the next answers, a body for a 200, a status for a failure, bytes as they are, or HANG;
    then `otherwise`."""

    def __init__(self) -> None:
        self.script = deque[object]()
        self.otherwise: object = 500
        self.asked = list[bytes]()
        self.port = 0
        self._open = set[asyncio.StreamWriter]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
                )
                self.asked.append(head + await reader.readexactly(length))
                await self._answer(self.asked[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, asked: bytes, writer: asyncio.StreamWriter) -> None:
        step = self.script.popleft() if self.script else self.otherwise
        if step is HANG:
            return
        if isinstance(step, bytes):
            writer.write(step)
            return
        status = step if isinstance(step, int) else 200
        body = json.dumps(
            {"error": asked.decode("latin-1"), "code": asked.decode("latin-1")} if isinstance(step, int) else step
        ).encode()
        echo = asked[-200:].replace(b"\r", b" ").replace(b"\n", b" ") if isinstance(step, int) else b""
        writer.write(
            b"HTTP/1.1 %d Because\r\nx-debug: %s\r\ncontent-length: %d\r\n\r\n%s" % (status, echo, len(body), body)
        )
        await writer.drain()


@asynccontextmanager
async def echoing() -> AsyncGenerator[Echoing]:
    service = Echoing()
    server = await asyncio.start_server(service._serve, "127.0.0.1", 0)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        for writer in [*service._open]:
            writer.transport.abort()
        await asyncio.sleep(0.01)
