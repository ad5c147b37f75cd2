"""`/graphql`: bytes in, a GraphQLRequest to the engine, bytes out. Source: the GraphQL-over-HTTP specification (draft).

Invariants: when the client goes away its queries are cancelled, calls and all; whatever happens, the answer is a GraphQL answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from ..admission import WITHOUT_LIMITS, Clients
from ..clock import Seconds
from ..errors import Draining, PersistedQueryNotFound, RequestError
from ..execution import GraphQLRequest, GraphQLResult, Unwritable
from ..identity import Authenticator, Identity
from .authentication import caller_of
from .client_headers import ClientHeaders
from .leaving import ClientGone, watching, while_connected
from .negotiation import GRAPHQL_RESPONSE, JSON, Accepted, accepted
from .origins import Cors, Origins, ensure_wanted
from .parameters import from_body, from_query
from .requests import Requests, client_of, peer_of
from .responses import ALLOWED, READING, MethodNotAllowed, Responses
from .streaming import HttpStreams


class Executes(Protocol):
    """What the edge needs of the engine."""

    def answer(self, request: GraphQLRequest) -> Coroutine[Any, Any, GraphQLResult]: ...
    def refuse(self, error: Exception) -> GraphQLResult: ...


class NotAcceptable(RequestError):
    status = 406


class GraphQLEndpoint:
    """The ASGI application behind `/graphql`."""

    def __init__(
        self,
        engine: Executes,
        *,
        authenticator: Authenticator,
        max_body: int,
        body_within: Seconds | None = None,
        requests: Requests = Requests(),
        responses: Responses = Responses(),
        origins: Origins = Origins(),
        refuses_forged: bool = True,
        streams: HttpStreams | None = None,
        clients: Clients = WITHOUT_LIMITS,
        page: str | None = None,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """`streams`: how answers come by and by; None: they do not. `page`: where a browser that comes here by hand is sent.
        `is_draining`: whether a cancellation means that we leave.

        `origins`: of pages that may come here besides our own; `refuses_forged`: whether others' GETs are refused.
        """
        self._engine = engine
        self._authenticator = authenticator
        self._clients = clients
        self._max_body = max_body
        self._body_within = body_within
        self._requests = requests
        self._responses = responses
        self._origins = origins
        self._cors = Cors(origins, forwards=requests.forwards) if origins else None
        self._refuses_forged = refuses_forged
        self._streams = streams
        self._page = page
        self._is_draining = is_draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        headers = ClientHeaders(scope["headers"])
        if self._cors is not None:
            send = self._cors.telling(headers, send)
        if method != "POST" and (other := self._without_executing(method, scope)):
            await other(scope, receive, send)
            return
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
            await self._respond(result, send, takes, method=method, headers=headers)

    def _without_executing(self, method: str, scope: Scope) -> Response | None:
        if method == "OPTIONS":
            told = {} if self._cors is None else self._cors.preflight(Headers(scope=scope))
            return Response(status_code=204, headers={"allow": ALLOWED.decode(), **told})
        if self._page is not None and method == "GET" and is_a_person(Request(scope)):
            return RedirectResponse(self._page)
        return None

    async def _respond(
        self, result: GraphQLResult, send: Send, takes: Accepted, *, method: str, headers: ClientHeaders
    ) -> None:
        if takes.whole is None and takes.stream is not None and self._streams is not None:
            await self._streams.refuse(result, takes, send)
            return
        media_type = takes.whole or JSON
        try:
            response = await self._responses.of(result, media_type, method=method, headers=headers)
        except Unwritable as error:
            refused = self._engine.refuse(error)
            response = await self._responses.of(refused, media_type, method=method, headers=headers)
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        await send({"type": "http.response.body", "body": response.body})

    async def _result(
        self, scope: Scope, headers: ClientHeaders, receive: Receive, send: Send, takes: Accepted
    ) -> GraphQLResult | None:
        """None: it was streamed."""
        if takes.whole is None and (takes.stream is None or self._streams is None):
            raise NotAcceptable(f"the answer can be {GRAPHQL_RESPONSE} or {JSON}; Accept takes neither")
        identity = await caller_of(scope, Headers(raw=headers.raw), self._authenticator)
        client = client_of(identity, peer_of(scope))
        self._clients.ensure_welcome(client, identity)
        try:
            graphql = await self._read(scope, headers, receive, identity=identity)
        except RequestError:
            self._clients.toll(client, identity)
            raise
        if takes.stream is not None and self._streams is not None and self._streams.takes(graphql, takes):
            return await self._streams.answer(graphql, takes, scope=scope, receive=receive, send=send)
        return await while_connected(self._engine.answer(graphql), watching(scope, receive))

    async def _read(
        self, scope: Scope, headers: ClientHeaders, receive: Receive, *, identity: Identity
    ) -> GraphQLRequest:
        """What the client asks for. Raises: RequestError."""
        parameters, only_queries = await self._parameters(scope, headers, receive), scope["method"] in READING
        peer = peer_of(scope)
        try:
            return self._requests.read(parameters, headers, identity=identity, peer=peer, only_queries=only_queries)
        except PersistedQueryNotFound as unknown:
            return await self._requests.read_learnt(
                unknown, parameters, headers, identity=identity, peer=peer, only_queries=only_queries
            )

    async def _parameters(self, scope: Scope, headers: ClientHeaders, receive: Receive) -> Mapping[str, Any]:
        method = scope["method"]
        if method == "POST":
            return await from_body(scope, receive, headers, limit=self._max_body, within=self._body_within)
        if method in READING:
            if self._refuses_forged:
                ensure_wanted(headers, self._origins)
            return from_query(scope["query_string"])
        raise MethodNotAllowed(f"{method} is not served here: use POST, or GET for queries")


def is_a_person(request: Request) -> bool:
    """Whether somebody typed the address into a browser: it asks for a page, and no query is there."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and "query" not in request.query_params
    )
