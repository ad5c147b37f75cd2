"""`/graphql` over WebSocket: the protocol `graphql-transport-ws`, which GraphiQL, Apollo, urql and graphql-ws speak.

Invariants: nothing is executed before the connection is acknowledged, and it is acknowledged only to whoever is known or anonymous;
at most `MAX_OPERATIONS` operations a connection, and as many that are ending; an event is asked for when the last one was sent, so
at most one message an operation waits for the network, and a reader that takes none for long is cut off; when the client goes away,
or its credentials expire, whatever it asked for is cancelled. Origins other than our own and those of the settings are refused: a
page elsewhere must not use a browser's network position.
State: the connections that are open, so that a drain can end them with a word.
Source: the GraphQL over WebSocket protocol (graphql-ws, PROTOCOL.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from enum import IntEnum
from typing import Any, NoReturn, Protocol

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from ..admission import WITHOUT_LIMITS, Clients
from ..clock import Clock, LoopClock, Seconds
from ..errors import AuthenticationUnavailable, GatewayError, PersistedQueryNotFound, RequestError, Unauthenticated
from ..execution import GraphQLRequest, GraphQLResult
from ..identity import Authenticator, Identity
from ..stream_limits import StreamLimits
from ..telemetry import Metrics
from .authentication import caller_of
from .client_headers import ClientHeaders
from .json_reading import read_json
from .leaving import aborting
from .origins import Origins
from .requests import Requests, client_of, peer_of
from .streaming import FAREWELL_WITHIN, Ending

SUBPROTOCOL = "graphql-transport-ws"
MAX_OPERATIONS = 64
"""Operations under way on one connection. 64: more than a page has components that subscribe."""

INIT_WITHIN = Seconds(10.0)
"""A connection that has not introduced itself by then is closed."""


class Close(IntEnum):
    """Why a connection is closed by us."""

    IDLE = 1000
    """Nothing was asked for in a long while: nothing went wrong, and there is no hurry to connect again."""
    GOING_AWAY = 1012
    """Restarting: connect again, perhaps to another gateway."""
    UNAVAILABLE = 1013
    """The credentials cannot be verified now: connect again in a moment."""
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    """Nobody has introduced itself, or the credentials have expired."""
    FORBIDDEN = 4403
    INIT_TIMEOUT = 4408
    DUPLICATE = 4409
    TOO_MANY_INITS = 4429
    STALLED = 4498
    """Messages were not read. It may connect again, and should read faster."""
    SILENT = 4499


_ENDINGS = {
    Close.IDLE: Ending.IDLE,
    Close.GOING_AWAY: Ending.DRAINED,
    Close.UNAUTHORIZED: Ending.EXPIRED,
    Close.STALLED: Ending.STALLED,
    Close.SILENT: Ending.SILENT,
}
"""All others were refused."""


class Answers(Protocol):
    """What this transport needs of the engine."""

    def is_subscription(self, request: GraphQLRequest) -> bool: ...
    def stream(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]: ...
    def refuse(self, error: Exception) -> GraphQLResult: ...


class GraphQLWebSocket:
    """The ASGI application behind the WebSocket at `/graphql`."""

    def __init__(
        self,
        engine: Answers,
        *,
        authenticator: Authenticator,
        requests: Requests = Requests(),
        origins: Origins = Origins(),
        limits: StreamLimits = StreamLimits(),
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        clients: Clients = WITHOUT_LIMITS,
    ) -> None:
        self.limits = limits
        self._engine = engine
        self._authenticator = authenticator
        self._clients = clients
        self._requests = requests
        self._origins = origins
        self._clock = clock or LoopClock()
        self._ended = (metrics or Metrics()).streams_ended
        self._open: set[_Connection] = set()
        self._is_leaving = False

    def __len__(self) -> int:
        return len(self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        if SUBPROTOCOL not in scope.get("subprotocols", ()) or not self._origins.permit(socket.headers):
            await socket.close(Close.FORBIDDEN)  # before it is accepted: the client reads 403
            return
        await socket.accept(subprotocol=SUBPROTOCOL)
        connection = _Connection(socket, self, abort=aborting(scope))
        self._open.add(connection)
        try:
            if self._is_leaving:
                await connection.close(Close.GOING_AWAY, "restarting")
            await connection.serve()
        finally:
            self._open.discard(connection)
            self._ended.labels("websocket", connection.ending.value).inc()

    async def leave(self) -> None:
        """Tell every client to connect again, once what ends by itself has ended; whoever comes now is told so at once."""
        self._is_leaving = True
        await asyncio.gather(*(connection.leave() for connection in list(self._open)))

    async def identify(self, scope: Scope, headers: Mapping[str, str]) -> Identity:
        """Raises: Unauthenticated, AuthenticationUnavailable, RequestError."""
        return await caller_of(scope, headers, self._authenticator)

    async def request(
        self, payload: Mapping[str, Any], headers: Headers, *, identity: Identity, peer: str
    ) -> GraphQLRequest:
        """Raises: RequestError for what is no GraphQL request, RateLimited for a client that has nothing left."""
        given, client = ClientHeaders(headers.raw), client_of(identity, peer)
        self._clients.ensure_welcome(client, identity)
        try:
            try:
                return self._requests.read(payload, given, identity=identity, peer=peer)
            except PersistedQueryNotFound as unknown:
                return await self._requests.read_learnt(unknown, payload, given, identity=identity, peer=peer)
        except RequestError:
            self._clients.toll(client, identity)
            raise

    def expires_in(self, identity: Identity) -> Seconds | None:
        """Seconds until the caller's credentials are no longer valid; None: they do not expire."""
        return None if identity.expires_at is None else Seconds(identity.expires_at - self._clock.wall())

    def is_subscription(self, request: GraphQLRequest) -> bool:
        return self._engine.is_subscription(request)

    def answers(self, request: GraphQLRequest) -> AsyncGenerator[GraphQLResult]:
        return self._engine.stream(request)

    def refuse(self, error: Exception) -> GraphQLResult:
        return self._engine.refuse(error)


class _Closed(Exception):
    """The connection is over, by us."""


class _Connection:
    """One client. Reads in its own task; each operation is a task of a group that ends with the connection."""

    def __init__(self, socket: WebSocket, endpoint: GraphQLWebSocket, *, abort: Callable[[], None]) -> None:
        self.ending = Ending.LEFT
        self._socket = socket
        self._endpoint = endpoint
        self._abort = abort
        self._limits = endpoint.limits
        self._reading = asyncio.timeout(None)
        self._headers = socket.headers
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._endless: set[asyncio.Task[None] | None] = set()
        """Those of the operations that follow something."""
        self._is_leaving = False
        self._begun = 0
        """Operations that have not ended: those under way, and those that were completed and still let go of what they hold."""
        self._heard = asyncio.Event()
        self._last_busy = asyncio.get_running_loop().time()

    async def serve(self) -> None:
        """Until either side closes."""
        try:
            identity = await self._introduce()
        except (WebSocketDisconnect, _Closed):
            return
        async with asyncio.TaskGroup() as group:
            minding = [group.create_task(each) for each in (self._watch(), self._expire(identity), self._rest())]
            with suppress(WebSocketDisconnect, _Closed, TimeoutError):
                async with self._reading:
                    await self._read(group, identity)
            for task in (*minding, *self._operations.values()):
                task.cancel()

    async def leave(self) -> None:
        """Begin nothing more, let queries and mutations have their answers, which their deadlines bound, and say goodbye."""
        self._is_leaving = True
        ending = {*self._operations.values()} - self._endless
        if ending:
            await asyncio.wait(ending)
        await self.close(Close.GOING_AWAY, "restarting")

    async def close(self, code: Close, reason: str = "") -> None:
        """Say why, as far as the network takes it; the connection then is over."""
        if self._socket.application_state is not WebSocketState.CONNECTED:
            return
        self.ending = _ENDINGS.get(code, Ending.REFUSED)
        try:
            async with asyncio.timeout(FAREWELL_WITHIN):
                await self._socket.close(code, reason)
        except TimeoutError:
            self._abort()
        except (RuntimeError, WebSocketDisconnect):  # the client was faster
            pass
        with suppress(RuntimeError):  # nobody reads yet, or no longer
            self._reading.reschedule(asyncio.get_running_loop().time())

    # -- messages in ---------------------------------------------------------------------------------------------------

    async def _introduce(self) -> Identity:
        """`connection_init`, in time and with credentials that are valid, if there are any: whose they are."""
        message = await self._first_message()
        if message["type"] != "connection_init":
            await self._end(Close.UNAUTHORIZED, "Unauthorized")
        try:
            self._headers = Headers({**self._headers, **_as_headers(message.get("payload"))})
            identity = await self._endpoint.identify(self._socket.scope, self._headers)
        except (Unauthenticated, RequestError) as error:
            await self._end(Close.FORBIDDEN, error.message)
        except AuthenticationUnavailable as error:
            await self._end(Close.UNAVAILABLE, error.message)
        await self._send({"type": "connection_ack"})
        return identity

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

    async def _read(self, group: asyncio.TaskGroup, identity: Identity) -> None:
        while True:
            message = await self._receive()
            self._heard.set()
            match message["type"]:
                case "subscribe":
                    await self._subscribe(message, group, identity)
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
            text = (frame.get("text") or "").encode()  # binary frames are no messages of this protocol
            message = read_json(text, what="the message")
        except RequestError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            await self._end(Close.BAD_MESSAGE, "Invalid message: JSON objects with a type")
        return message

    async def _subscribe(self, message: Mapping[str, Any], group: asyncio.TaskGroup, identity: Identity) -> None:
        if self._is_leaving:
            return  # the goodbye answers it
        number, payload = _id_of(message), message.get("payload")
        if not number or not isinstance(payload, dict):
            await self._end(Close.BAD_MESSAGE, "Invalid message: subscribe needs an id and a payload")
        if number in self._operations:
            await self._end(Close.DUPLICATE, f"Subscriber for {number[:64]} already exists")
        if len(self._operations) >= MAX_OPERATIONS or self._begun >= 2 * MAX_OPERATIONS:
            refusal = RequestError(f"a connection has at most {MAX_OPERATIONS} operations under way")
            await self._send_errors(number, self._endpoint.refuse(refusal))
            return
        self._operations[number] = task = group.create_task(self._operate(number, payload, identity))
        self._begun += 1
        task.add_done_callback(lambda ended: self._ended(number, ended))

    def _ended(self, number: str, task: asyncio.Task[None]) -> None:
        self._begun -= 1
        if self._operations.get(number) is task:  # else it was completed, and another one may have its id by now
            del self._operations[number]
        self._endless.discard(task)
        self._last_busy = asyncio.get_running_loop().time()

    async def _operate(self, number: str, payload: Mapping[str, Any], identity: Identity) -> None:
        """One operation, from its subscription to `complete`. It ends quietly when the client completes it, or is gone."""
        task = asyncio.current_task()
        try:
            request = await self._endpoint.request(
                payload, self._headers, identity=identity, peer=peer_of(self._socket.scope)
            )
            if self._endpoint.is_subscription(request):
                if self._is_leaving:
                    return
                self._endless.add(task)
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

    # -- messages out --------------------------------------------------------------------------------------------------

    async def _send(self, message: Mapping[str, Any]) -> None:
        """Returns when the network has taken it, so whoever produces waits for whoever reads. Raises: WebSocketDisconnect."""
        if self._socket.application_state is not WebSocketState.CONNECTED:
            raise _Closed
        text = orjson.dumps(message).decode()
        try:
            async with asyncio.timeout(self._limits.stalled):
                await self._socket.send_text(text)
        except RuntimeError as error:  # starlette's word for "it was closed meanwhile"
            raise _Closed from error
        except TimeoutError:
            await self._end(Close.STALLED, f"nothing was read for {self._limits.stalled:g} s")

    async def _send_errors(self, number: str, result: GraphQLResult) -> None:
        await self._send({"id": number, "type": "error", "payload": list(result.errors)})

    async def _end(self, code: Close, reason: str) -> NoReturn:
        await self.close(code, reason[:120])  # a close frame holds 123 bytes
        raise _Closed

    async def _watch(self) -> None:
        """Ping a client that is silent; close one that stays silent."""
        while True:
            self._heard.clear()
            if await self._hears_within(self._limits.ping):
                continue
            with suppress(WebSocketDisconnect, _Closed):
                await self._send({"type": "ping"})
            if not await self._hears_within(self._limits.ping):
                await self.close(Close.SILENT, "no answer to a ping")
                return

    async def _expire(self, identity: Identity) -> None:
        """Close when the credentials are no longer valid. The wall clock may jump: it is asked again every minute."""
        while (left := self._endpoint.expires_in(identity)) is not None:
            if left <= 0:
                await self.close(Close.UNAUTHORIZED, "the credentials have expired: connect again with new ones")
                return
            await asyncio.sleep(min(left, 60.0))

    async def _rest(self) -> None:
        """Close a connection on which nothing has been asked for in a long while."""
        while self._limits.idle:
            now = asyncio.get_running_loop().time()
            idle = 0.0 if self._operations else now - self._last_busy
            if idle >= self._limits.idle:
                await self.close(Close.IDLE, f"no operation for {self._limits.idle:g} s")
                return
            await asyncio.sleep(self._limits.idle - idle)

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
