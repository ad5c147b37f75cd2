"""`/graphql` over WebSocket: the protocol `graphql-transport-ws`, which GraphiQL, Apollo, urql and graphql-ws speak.

Invariants: nothing is executed before the connection is acknowledged, and it is acknowledged only to whoever is known or anonymous;
at most `MAX_OPERATIONS` operations a connection; an event is asked for when the last one was sent, so a slow reader fills no queue;
when the client goes away, whatever it asked for is cancelled. Origins other than our own and those of the settings are refused: a
page elsewhere must not use a browser's network position.
State: the connections that are open, so that a drain can end them with a word.
Source: the GraphQL over WebSocket protocol (graphql-ws, PROTOCOL.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from enum import IntEnum
from typing import Any, NoReturn, Protocol

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..clock import Seconds
from ..errors import GatewayError, RequestError, Unauthenticated
from ..execution import GraphQLRequest, GraphQLResult
from ..identity import Authenticator, Identity
from .client_headers import ClientHeaders
from .origins import Origins
from .requests import Requests

SUBPROTOCOL = "graphql-transport-ws"
MAX_OPERATIONS = 64
"""Operations under way on one connection. 64: more than a page has components that subscribe."""

INIT_WITHIN = Seconds(10.0)
"""A connection that has not introduced itself by then is closed."""

PING_EVERY = Seconds(25.0)
"""Shorter than the idle timeouts of proxies (60 s). A client that does not answer within as long again is gone."""


class Close(IntEnum):
    """Why a connection is closed by us."""

    GOING_AWAY = 1012
    """Restarting: connect again, perhaps to another gateway."""
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    INIT_TIMEOUT = 4408
    DUPLICATE = 4409
    TOO_MANY_INITS = 4429
    SILENT = 4499


class Streams(Protocol):
    """What this transport needs of the engine."""

    def stream(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]: ...
    def refuse(self, error: Exception) -> GraphQLResult: ...


class GraphQLWebSocket:
    """The ASGI application behind the WebSocket at `/graphql`."""

    def __init__(
        self,
        engine: Streams,
        *,
        authenticator: Authenticator,
        requests: Requests = Requests(),  # noqa: B008 - frozen
        origins: Origins = Origins(),  # noqa: B008 - never changed
    ) -> None:
        self._engine = engine
        self._authenticator = authenticator
        self._requests = requests
        self._origins = origins
        self._open: set[_Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        if SUBPROTOCOL not in scope.get("subprotocols", ()) or not self._origins.permit(socket.headers):
            await socket.close(Close.FORBIDDEN)  # before it is accepted: the client reads 403
            return
        await socket.accept(subprotocol=SUBPROTOCOL)
        connection = _Connection(socket, self)
        self._open.add(connection)
        try:
            await connection.serve()
        finally:
            self._open.discard(connection)

    async def leave(self) -> None:
        """Tell every client to connect again, and end what it asked for."""
        await asyncio.gather(*(connection.close(Close.GOING_AWAY, "restarting") for connection in list(self._open)))

    async def identify(self, headers: Mapping[str, str]) -> Identity:
        """Raises: Unauthenticated."""
        return await self._authenticator.authenticate(headers)

    def request(self, payload: Mapping[str, Any], headers: Headers, *, identity: Identity) -> GraphQLRequest:
        """Raises: RequestError for what is no GraphQL request."""
        return self._requests.read(payload, ClientHeaders(headers.raw), identity=identity)

    def answers(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]:
        return self._engine.stream(request)

    def refuse(self, error: Exception) -> GraphQLResult:
        return self._engine.refuse(error)


class _Closed(Exception):
    """The connection is over, by us."""


class _Connection:
    """One client. Reads in its own task; each operation is a task of a group that ends with the connection."""

    def __init__(self, socket: WebSocket, endpoint: GraphQLWebSocket) -> None:
        self._socket = socket
        self._endpoint = endpoint
        self._headers = socket.headers
        self._identity: Identity | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._heard = asyncio.Event()

    async def serve(self) -> None:
        """Until either side closes."""
        try:
            await self._introduce()
        except (WebSocketDisconnect, _Closed):
            return
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch())
            with suppress(WebSocketDisconnect, _Closed):
                await self._read(group)
            watching.cancel()
            for task in self._operations.values():
                task.cancel()

    async def close(self, code: Close, reason: str = "") -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect):  # the client was faster
                await self._socket.close(code, reason)

    # -- messages in ---------------------------------------------------------------------------------------------------

    async def _introduce(self) -> None:
        """`connection_init`, in time and with credentials that are valid, if there are any."""
        message = await self._first_message()
        if message["type"] != "connection_init":
            await self._end(Close.UNAUTHORIZED, "Unauthorized")
        try:
            self._headers = Headers({**self._headers, **_as_headers(message.get("payload"))})
            self._identity = await self._endpoint.identify(self._headers)
        except (Unauthenticated, RequestError) as error:
            await self._end(Close.FORBIDDEN, error.message)
        await self._send({"type": "connection_ack"})

    async def _first_message(self) -> dict[str, Any]:
        """Pings are answered, and do not count."""
        try:
            async with asyncio.timeout(INIT_WITHIN):
                while True:
                    message = await self._receive()
                    if message["type"] != "ping":
                        return message
                    await self._send({"type": "pong"})
        except TimeoutError:
            await self._end(Close.INIT_TIMEOUT, "Connection initialisation timeout")

    async def _read(self, group: asyncio.TaskGroup) -> None:
        while True:
            message = await self._receive()
            self._heard.set()
            match message["type"]:
                case "subscribe":
                    await self._subscribe(message, group)
                case "complete":
                    task = self._operations.pop(_id_of(message), None)
                    if task is not None:
                        task.cancel()
                case "ping":
                    await self._send({"type": "pong"})
                case "pong":
                    pass
                case "connection_init":
                    await self._end(Close.TOO_MANY_INITS, "Too many initialisation requests")
                case _:
                    await self._end(Close.BAD_MESSAGE, "Invalid message: this type is not known")

    async def _receive(self) -> dict[str, Any]:
        if self._socket.application_state is not WebSocketState.CONNECTED:
            raise _Closed
        frame = await self._socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        try:
            message = orjson.loads(frame.get("text") or b"")  # binary frames are no messages of this protocol
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            await self._end(Close.BAD_MESSAGE, "Invalid message: JSON objects with a type")
        return message

    async def _subscribe(self, message: Mapping[str, Any], group: asyncio.TaskGroup) -> None:
        number, payload = _id_of(message), message.get("payload")
        if not number or not isinstance(payload, dict):
            await self._end(Close.BAD_MESSAGE, "Invalid message: subscribe needs an id and a payload")
        if number in self._operations:
            await self._end(Close.DUPLICATE, f"Subscriber for {number[:64]} already exists")
        if len(self._operations) >= MAX_OPERATIONS:
            refusal = RequestError(f"a connection has at most {MAX_OPERATIONS} operations under way")
            await self._send_errors(number, self._endpoint.refuse(refusal))
            return
        self._operations[number] = group.create_task(self._operate(number, payload))

    async def _operate(self, number: str, payload: Mapping[str, Any]) -> None:
        """One operation, from its subscription to `complete`. It ends quietly when the client completes it, or is gone."""
        assert self._identity is not None  # noqa: S101 - nobody is served before `_introduce`
        try:
            request = self._endpoint.request(payload, self._headers, identity=self._identity)
            async with aclosing(self._endpoint.answers(request)) as answers:
                async for result in answers:
                    if result.is_request_error:
                        await self._send_errors(number, result)
                        return
                    await self._send({"id": number, "type": "next", "payload": orjson.Fragment(result.encoded())})
            await self._send({"id": number, "type": "complete"})
        except GatewayError as error:
            await self._send_errors(number, self._endpoint.refuse(error))
        except (WebSocketDisconnect, _Closed):
            pass  # the reader finds out too
        except Exception as error:  # a value that JSON cannot hold, or a bug of ours: masked, and the others go on
            with suppress(WebSocketDisconnect, _Closed):
                await self._send_errors(number, self._endpoint.refuse(error))
        finally:
            self._operations.pop(number, None)

    # -- messages out --------------------------------------------------------------------------------------------------

    async def _send(self, message: Mapping[str, Any]) -> None:
        """Returns when the network has taken it, so whoever produces waits for whoever reads. Raises: WebSocketDisconnect."""
        if self._socket.application_state is not WebSocketState.CONNECTED:
            raise _Closed
        try:
            await self._socket.send_text(orjson.dumps(message).decode())
        except RuntimeError as error:  # starlette's word for "it was closed meanwhile"
            raise _Closed from error

    async def _send_errors(self, number: str, result: GraphQLResult) -> None:
        await self._send({"id": number, "type": "error", "payload": list(result.errors)})

    async def _end(self, code: Close, reason: str) -> NoReturn:
        await self.close(code, reason[:120])  # a close frame holds 123 bytes
        raise _Closed

    async def _watch(self) -> None:
        """Ping a client that is silent; close one that stays silent."""
        while True:
            self._heard.clear()
            if await self._hears_within(PING_EVERY):
                continue
            with suppress(WebSocketDisconnect, _Closed):
                await self._send({"type": "ping"})
            if not await self._hears_within(PING_EVERY):
                await self.close(Close.SILENT, "no answer to a ping")
                return

    async def _hears_within(self, seconds: Seconds) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True


def _id_of(message: Mapping[str, Any]) -> str:
    number = message.get("id")
    return number if isinstance(number, str) else ""


def _as_headers(payload: object) -> dict[str, str]:
    """What a client says in `connection_init` in place of headers, which a browser cannot set. Raises: RequestError."""
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise RequestError("the payload of connection_init must be an object: header -> value")
    nested = payload.get("headers")
    given = nested if isinstance(nested, dict) else payload
    return {str(name).lower(): value for name, value in given.items() if isinstance(value, str)}
