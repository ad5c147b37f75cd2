"""The stand-in services, and one that takes the steps of sagas: `python -m benchmarks.overload.services PORT`.

`GET /charged` tells how often what was charged, by its name.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from benchmarks.execution.services import app as reads
from benchmarks.standing_in import serve

_charged = Counter[str]()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A POST is a step, which is done."""
    if scope["type"] == "http" and scope["method"] == "POST":
        body = (await receive())["body"]
        if scope["path"] == "/charge":
            _charged[json.loads(body)["sku"]] += 1
        await _answer(send, b'{"done":"true"}')
    elif scope["type"] == "http" and scope["path"] == "/charged":
        await _answer(send, json.dumps(_charged).encode())
    else:
        await reads(scope, receive, send)


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    serve(app)
