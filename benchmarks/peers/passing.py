"""What no gateway can avoid: a request is read, one service is called, and its bytes are sent on as they are.

`python -m benchmarks.peers.passing PORT SERVICES_URL`. No GraphQL; raw ASGI on uvicorn, aiohttp below.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson

from benchmarks.standing_in import serve

SERVICES = sys.argv[2] if len(sys.argv) > 2 else ""
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_sessions: list[aiohttp.ClientSession] = []


def _session() -> aiohttp.ClientSession:
    """One for the process; it needs a running loop to be made."""
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)))
    return _sessions[0]


async def app(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
    if scope["type"] != "http":
        return
    body = b"{}" if scope["path"] == "/livez" else await _passed(await _read(receive))
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: _Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def _passed(asked: bytes) -> bytes:
    variables = orjson.loads(asked)["variables"]
    path = f"/listing?limit={variables['first']}" if "first" in variables else f"/products?ids={variables['key']}"
    async with _session().get(SERVICES + path) as response:
        return await response.read()


if __name__ == "__main__":
    serve(app)
