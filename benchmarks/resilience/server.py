"""The service that is called: 2 KB of JSON after 20 ms for every request, on `sys.argv[1]`. A process of its own.

It takes its time as services do: one that answers at once is done with the first read before a client has sent the fiftieth, so
that there never are fifty at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from benchmarks.standing_in import serve

BODY = orjson.dumps(
    [{"sku": f"s-{number}", "quantity": number, "warehouse": "north-" + "x" * 40} for number in range(24)]
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def app(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    if scope["type"] == "http":
        await asyncio.sleep(0.02)
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    serve(app)
