"""`/graphql`: bytes in, a GraphQLRequest to the engine, bytes out. Source: the GraphQL-over-HTTP specification (draft).

Invariants: a body is never read past `max_body`; when the client goes away its queries are cancelled, calls and all; whatever
happens, the answer is a GraphQL answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

import orjson
from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import Receive, Scope, Send

from ..errors import Draining, PayloadTooLarge, RequestError
from ..execution import GraphQLRequest, GraphQLResult, Unwritable
from ..identity import Authenticator
from .client_headers import ClientHeaders
from .leaving import ClientGone, watching, while_connected
from .negotiation import GRAPHQL_RESPONSE, JSON, Accepted, accepted
from .requests import Requests, is_number
from .responses import MethodNotAllowed, response_of
from .streaming import HttpStreams


class Executes(Protocol):
    """What the edge needs of the engine."""

    def answer(self, request: GraphQLRequest) -> Coroutine[Any, Any, GraphQLResult]: ...
    def refuse(self, error: Exception) -> GraphQLResult: ...


class NotAcceptable(RequestError):
    status = 406


class UnsupportedMediaType(RequestError):
    status = 415


class GraphQLEndpoint:
    """The ASGI application behind `/graphql`."""

    def __init__(
        self,
        engine: Executes,
        *,
        authenticator: Authenticator,
        max_body: int,
        requests: Requests = Requests(),  # noqa: B008 - frozen
        streams: HttpStreams | None = None,
        page: str | None = None,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """`streams`: how answers come by and by; None: they do not. `page`: where a browser that comes here by hand is sent.
        `is_draining`: whether a cancellation means that we leave.
        """
        self._engine = engine
        self._authenticator = authenticator
        self._max_body = max_body
        self._requests = requests
        self._streams = streams
        self._page = page
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if self._page is not None and method == "GET" and is_a_person(Request(scope)):
            await RedirectResponse(self._page)(scope, receive, send)
            return
        headers = ClientHeaders(scope["headers"])
        takes = accepted(headers.get("accept"))
        try:
            result = await self._result(scope, headers, receive, send, takes)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self._is_draining():
                raise
            # The drain has run out. The client is told, and may ask another gateway; the task then ends, as was asked.
            result = self._engine.refuse(Draining("this gateway is shutting down: send the request again"))
        except Exception as error:  # ours keep their text; an authenticator's, or a bug of ours, is masked
            result = self._engine.refuse(error)
        if result is not None:
            await self._respond(result, send, takes, method=method)

    async def _respond(self, result: GraphQLResult, send: Send, takes: Accepted, *, method: str) -> None:
        if takes.whole is None and takes.stream is not None and self._streams is not None:
            await self._streams.refuse(result, takes, send)
            return
        media_type = takes.whole or JSON
        try:
            response = response_of(result, media_type, method=method)
        except Unwritable as error:
            response = response_of(self._engine.refuse(error), media_type, method=method)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _result(
        self, scope: Scope, headers: ClientHeaders, receive: Receive, send: Send, takes: Accepted
    ) -> GraphQLResult | None:
        """None: it was streamed."""
        if takes.whole is None and (takes.stream is None or self._streams is None):
            raise NotAcceptable(f"the answer can be {GRAPHQL_RESPONSE} or {JSON}; Accept takes neither")
        identity = await self._authenticator.authenticate(Headers(raw=headers.raw))
        graphql = self._requests.read(
            await self._parameters(scope, headers, receive),
            headers,
            identity=identity,
            only_queries=scope["method"] == "GET",
        )
        if takes.stream is not None and self._streams is not None and self._streams.takes(graphql, takes):
            return await self._streams.answer(graphql, takes, scope=scope, receive=receive, send=send)
        return await while_connected(self._engine.answer(graphql), watching(scope, receive))

    async def _parameters(self, scope: Scope, headers: ClientHeaders, receive: Receive) -> Mapping[str, Any]:
        method = scope["method"]
        if method == "GET":
            return _from_query(QueryParams(scope["query_string"]))
        if method != "POST":
            raise MethodNotAllowed(f"{method} is not served here: use POST, or GET for queries")
        content_type = headers.get("content-type", "")
        if content_type.split(";")[0].strip().lower() != JSON:
            raise UnsupportedMediaType(f"the body must be {JSON}; Content-Type says {content_type or 'nothing'!r}")
        return _from_body(await read_body(receive, headers, limit=self._max_body))


def is_a_person(request: Request) -> bool:
    """Whether somebody typed the address into a browser: it asks for a page, and no query is there."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and "query" not in request.query_params
    )


async def read_body(receive: Receive, headers: Mapping[str, str], *, limit: int) -> bytes:
    """The whole body. Raises: PayloadTooLarge as soon as it is longer than `limit` bytes; ClientGone."""
    declared = headers.get("content-length", "")
    if is_number(declared) and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def _from_query(query: QueryParams) -> dict[str, Any]:
    parameters: dict[str, Any] = dict(query)
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _json(parameters[name].encode(), what=f"the parameter {name}")
    return parameters


def _from_body(body: bytes) -> Mapping[str, Any]:
    parameters = _json(body, what="the body")
    if isinstance(parameters, list):
        raise RequestError("batches of operations are not taken: send one operation a request")
    if not isinstance(parameters, dict):
        raise RequestError("the body must be a JSON object with a member query")
    return parameters


def _json(text: bytes, *, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"{what} is not JSON: {error.msg} at position {error.pos}") from error


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is longer than {limit} bytes")
