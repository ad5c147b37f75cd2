"""Python's gql, in the lines that `drive.mjs` describes: `python gql_client.py httpx` or `aiohttp`.

httpx goes with WebSocket for subscriptions, aiohttp takes them as multipart.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import aiohttp
import httpx
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.async_transport import AsyncTransport
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

Json = Any
Tell = Callable[[Json], None]
Verb = Callable[[Json, Tell], Coroutine[Json, Json, Json]]

ACCEPT = {"accept": "application/graphql-response+json"}
PATIENCE = 60

# -- transports: what they send is written into `requests` -------------------------------------------------------------


def over_httpx(asked: Json, requests: list[Json]) -> AsyncTransport:
    async def heard(response: httpx.Response) -> None:
        request = response.request
        requests.append(seen_request(request.method, request.content, response.status_code, response.headers))

    hooks = {"response": [heard]}
    return HTTPXAsyncTransport(asked["url"], headers=headers_of(asked), timeout=PATIENCE, event_hooks=hooks)


def over_aiohttp(asked: Json, requests: list[Json]) -> AsyncTransport:
    sent = list[bytes]()

    async def chunk(_: Json, __: Json, params: aiohttp.TraceRequestChunkSentParams) -> None:
        sent.append(params.chunk)

    async def heard(_: Json, __: Json, params: aiohttp.TraceRequestEndParams) -> None:
        response = params.response
        requests.append(seen_request(params.method, b"".join(sent), response.status, response.headers))

    traces = aiohttp.TraceConfig()
    traces.on_request_chunk_sent.append(chunk)
    traces.on_request_end.append(heard)
    return AIOHTTPTransport(
        asked["url"], headers=headers_of(asked), timeout=PATIENCE, client_session_args={"trace_configs": [traces]}
    )


def over_websocket(asked: Json, _: list[Json]) -> AsyncTransport:
    return WebsocketsTransport(asked["url"].replace("http", "ws", 1), init_payload=asked.get("headers") or {})


def over_websocket_of_aiohttp(asked: Json, _: list[Json]) -> AsyncTransport:
    return AIOHTTPWebsocketsTransport(asked["url"].replace("http", "ws", 1), init_payload=asked.get("headers") or {})


WHOLE, STREAMED, SOCKET = {
    "httpx": (over_httpx, over_websocket, over_websocket),
    "aiohttp": (over_aiohttp, over_aiohttp, over_websocket_of_aiohttp),
}[sys.argv[1]]


def headers_of(asked: Json) -> dict[str, str]:
    key = asked.get("idempotencyKey")
    return {**ACCEPT, **(asked.get("headers") or {}), **({"idempotency-key": key} if key else {})}


# -- what its user does and sees ---------------------------------------------------------------------------------------


async def query(asked: Json, _: Tell, **others: Json) -> Json:
    """`others`: members of the request besides gql's own."""
    requests = list[Json]()
    request = GraphQLRequest(asked["query"], variable_values=asked.get("variables"))
    extra = {"extra_args": {"json": others}} if others else {}
    try:
        async with Client(transport=WHOLE(asked, requests), execute_timeout=PATIENCE) as session:
            result = await session.execute(request, get_execution_result=True, **extra)
    except TransportQueryError as error:
        return {**seen_error(error), "requests": requests}
    return {"data": result.data, "extensions": result.extensions or {}, "requests": requests}


async def trusted(asked: Json, tell: Tell) -> Json:
    named = {"documentId": next(iter(asked["ids"].values()))}
    return await query(asked, tell, **named, variables=asked["variables"])


async def on_error(asked: Json, tell: Tell) -> Json:
    return await query(asked, tell, **{name: asked[name] for name in ("query", "variables", "onError")})


async def subscribe(asked: Json, tell: Tell) -> Json:
    return await subscribed(STREAMED(asked, []), asked, tell)


async def subscribe_over_websocket(asked: Json, tell: Tell) -> Json:
    return await subscribed(SOCKET(asked, []), asked, tell)


async def subscribed(transport: AsyncTransport, asked: Json, tell: Tell) -> Json:
    parts = list[Json]()
    request = GraphQLRequest(asked["query"], variable_values=asked.get("variables"))

    def heard(part: Json) -> None:
        parts.append(part)
        tell(part)

    try:
        async with (
            Client(transport=transport) as session,
            aclosing(session.subscribe(request)) as answers,
        ):
            async for data in answers:
                heard({"data": data})
                if len(parts) == asked.get("take"):
                    return {"parts": parts, "ended": "left"}
    except TransportQueryError as error:
        heard(seen_error(error))
        return {"parts": parts, "ended": "refused"}
    except TransportError as error:
        return {"parts": parts, "ended": type(error).__name__}
    except asyncio.CancelledError:
        return {"parts": parts, "ended": "aborted"}
    return {"parts": parts, "ended": "complete"}


def seen_error(error: TransportQueryError) -> Json:
    errors = [
        {"message": each["message"], "path": each.get("path"), "code": each.get("extensions", {}).get("code")}
        for each in error.errors or ()
    ]
    return {"data": error.data, "errors": errors, "extensions": error.extensions or {}}


def seen_request(method: str, body: bytes, status: int, headers: Json) -> Json:
    return {"method": method, "members": [*json.loads(body)], "status": status, "type": headers.get("content-type")}


DOES: dict[str, Verb] = {
    "query": query,
    "mutate": query,
    "subscribe": subscribe,
    "subscribeOverWebSocket": subscribe_over_websocket,
    "trusted": trusted,
    "onError": on_error,
}
CANNOT = {
    "get": "its transports post",
    "persisted": "it always sends the text",
    "defer": "it reads one answer: what is deferred comes with the rest",
    "stream": "it reads one answer: what is streamed comes with the rest",
}
NOTES = {
    "partial": "`TransportQueryError` has `data`, `errors` and `extensions`",
    "degraded": "with `get_execution_result=True`",
    "status_294": "with an `Accept` of one's own",
    "trusted": "by `extra_args`",
    "on_error": "by `extra_args`",
    "subscription": {"httpx": "with `WebsocketsTransport`", "aiohttp": "as multipart"}[sys.argv[1]],
    "subscription_over_websocket": {
        "httpx": "with `WebsocketsTransport`, which speaks the same protocol",
        "aiohttp": "with `AIOHTTPWebsocketsTransport`, which speaks the same protocol",
    }[sys.argv[1]],
}

# -- the lines ---------------------------------------------------------------------------------------------------------


def say(line: Json) -> None:
    print(json.dumps(line), flush=True)


async def answer(question: Json) -> None:
    number = question["id"]
    try:
        found = await DOES[question["do"]](question["with"], lambda part: say({"id": number, "part": part}))
    except asyncio.CancelledError:
        found = {"aborted": True}
    except Exception:  # whatever it is, the test reads it
        say({"id": number, "broken": traceback.format_exc()})
        return
    say({"id": number, "answer": found})


async def main() -> None:
    under_way = dict[int, asyncio.Task[None]]()
    say({"id": 0, "does": [*DOES], "cannot": CANNOT, "notes": NOTES})
    while line := await asyncio.to_thread(sys.stdin.readline):
        question = json.loads(line)
        if question["do"] == "abort":
            under_way[question["with"]["id"]].cancel()
        else:
            under_way[question["id"]] = asyncio.create_task(answer(question))


if __name__ == "__main__":
    asyncio.run(main())
