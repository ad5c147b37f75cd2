"""The stand-in services of the workloads, all behind one port: answers that were made before, from memory.

`python -m benchmarks.execution.services PORT`. `GET /count` tells how many requests there were, itself left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from benchmarks.execution.graph import served
from benchmarks.standing_in import serve

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]

_seen = 0


@cache
def _answer(path: str, query: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    body = served(path, tuple(parse_qsl(query.decode()))).body
    return [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())], body


async def app(scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
    global _seen
    if scope["type"] != "http":
        return
    if scope["path"] == "/count":
        headers, body = [(b"content-type", b"application/json")], str(_seen).encode()
    else:
        _seen += 1
        headers, body = _answer(scope["path"], scope["query_string"])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    serve(app)
