"""One subscription over one WebSocket, in the protocol `graphql-transport-ws`.

Invariant: the stream ends quietly only if the gateway says that it is complete; whatever else ends it is `StreamBroken`, or the
GraphQL error that the gateway told. Source: the GraphQL over WebSocket protocol (graphql-ws, PROTOCOL.md).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .errors import graph_error

OPENED_WITHIN = 10.0
"""Seconds, to connect and be acknowledged."""

REFUSED = frozenset({4401, 4403})
"""Close codes with which the gateway refuses the token."""

SUBPROTOCOL = Subprotocol("graphql-transport-ws")


class StreamBroken(Exception):
    """The connection was refused, dropped, or spoke something else."""


class Stream(Protocol):
    """How a subscription is read; tests hand in another."""

    def __call__(
        self, url: str, payload: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any]]:
        """The data of each event. Raises: StreamBroken, GraphError."""
        ...


async def over_websocket(
    url: str, payload: Mapping[str, Any], headers: Mapping[str, str]
) -> AsyncGenerator[dict[str, Any]]:
    """A `Stream` over a connection of its own, which the library keeps alive by pings."""
    try:
        async with connect(_websocket_url(url), subprotocols=[SUBPROTOCOL], open_timeout=OPENED_WITHIN) as socket:
            await _send(socket, {"type": "connection_init", "payload": dict(headers)})
            async for event in _events(socket, payload):
                yield event
    except websockets.ConnectionClosed as closed:
        if closed.rcvd is not None and closed.rcvd.code in REFUSED:
            raise graph_error({"message": closed.rcvd.reason, "extensions": {"code": "UNAUTHENTICATED"}}) from closed
        raise StreamBroken(str(closed)) from closed
    except (OSError, TimeoutError, ValueError, LookupError, TypeError, websockets.WebSocketException) as error:
        raise StreamBroken(f"{type(error).__name__}: {error}") from error


async def _events(socket: ClientConnection, payload: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        match message["type"]:
            case "connection_ack":
                await _send(socket, {"id": "1", "type": "subscribe", "payload": dict(payload)})
            case "ping":
                await _send(socket, {"type": "pong"})
            case "next":
                yield _data(message["payload"])
            case "error":
                raise graph_error(message["payload"][0])
            case "complete":
                return
            case _:
                pass


def _data(result: Mapping[str, Any]) -> dict[str, Any]:
    """Raises: GraphError for an event that could not be told."""
    data: dict[str, Any] | None = result.get("data")
    if data is None:
        raise graph_error((result.get("errors") or [{}])[0])
    return data


async def _send(socket: ClientConnection, message: Mapping[str, Any]) -> None:
    await socket.send(json.dumps(message))


def _websocket_url(url: str) -> str:
    return "ws" + url.removeprefix("http")
