"""`/graphql`: bytes in, a GraphQLRequest to the engine, bytes out. Source: the GraphQL-over-HTTP specification (draft).

Invariants: a body is never read past `max_body`; when the client goes away its queries are cancelled, calls and all; whatever
happens, the answer is a GraphQL answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from ..clock import Seconds
from ..errors import AdmissionError, Draining, PayloadTooLarge, RequestError, Unauthenticated
from ..execution import GraphQLRequest, GraphQLResult
from ..identity import Authenticator, Identity
from ..services import Priority
from .negotiation import GRAPHQL_RESPONSE, JSON, chosen_media_type

DEADLINE_HEADER = "x-request-timeout-ms"
"""How long the client will wait; the same header tells services what is left."""

PRIORITY_HEADER = "x-request-priority"
"""How important the operation is to the client; the same header tells services."""

_TRACE_HEADERS = ("traceparent", "tracestate")


class Executes(Protocol):
    """What the edge needs of the engine."""

    async def answer(self, request: GraphQLRequest) -> GraphQLResult: ...
    def refuse(self, error: Exception) -> GraphQLResult: ...


class NotAcceptable(RequestError):
    status = 406


class MethodNotAllowed(RequestError):
    status = 405


class UnsupportedMediaType(RequestError):
    status = 415


class ClientGone(Exception):
    """Nobody is left to answer."""


class GraphQLEndpoint:
    """The ASGI application behind `/graphql`. `forwarded` names the client headers that services may get."""

    def __init__(
        self,
        engine: Executes,
        *,
        authenticator: Authenticator,
        max_body: int,
        forwarded: frozenset[str] = frozenset(),
        page: str | None = None,
        is_draining: Callable[[], bool] = lambda: False,
        critical_scope: str = "critical",
    ) -> None:
        """`page`: where a browser that comes here by hand is sent. `is_draining`: whether a cancellation means that we leave."""
        self._engine = engine
        self._authenticator = authenticator
        self._max_body = max_body
        self._forwarded = forwarded
        self._page = page
        self._is_draining = is_draining
        self._critical_scope = critical_scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if self._page is not None and is_a_person(request):
            await RedirectResponse(self._page)(scope, receive, send)
            return
        media_type = chosen_media_type(request.headers.get("accept"))
        try:
            result = await self._result(request, receive, media_type)
        except ClientGone:
            return
        except asyncio.CancelledError:
            if not self._is_draining():
                raise
            # The drain has run out. The client is told, and may ask another gateway; the task then ends, as was asked.
            result = self._engine.refuse(Draining("this gateway is shutting down: send the request again"))
        except Exception as error:  # ours keep their text; an authenticator's, or a bug of ours, is masked
            result = self._engine.refuse(error)
        await self._response(result, request, media_type or JSON)(scope, receive, send)

    def _response(self, result: GraphQLResult, request: Request, media_type: str) -> Response:
        try:
            return respond(result, media_type, method=request.method)
        except TypeError as error:  # a scalar or an author's extensions hold what JSON cannot
            return respond(self._engine.refuse(error), media_type, method=request.method)

    async def _result(self, request: Request, receive: Receive, media_type: str | None) -> GraphQLResult:
        if media_type is None:
            raise NotAcceptable(f"the answer can be {GRAPHQL_RESPONSE} or {JSON}; Accept takes neither")
        identity = await self._authenticator.authenticate(request.headers)
        graphql = self._graphql_request(await self._parameters(request), request, identity=identity)
        return await while_connected(self._engine.answer(graphql), receive)

    async def _parameters(self, request: Request) -> Mapping[str, Any]:
        if request.method == "GET":
            return _from_query(request)
        if request.method != "POST":
            raise MethodNotAllowed(f"{request.method} is not served here: use POST, or GET for queries")
        content_type = request.headers.get("content-type", "")
        if content_type.split(";")[0].strip().lower() != JSON:
            raise UnsupportedMediaType(f"the body must be {JSON}; Content-Type says {content_type or 'nothing'!r}")
        return _from_body(await read_body(request, limit=self._max_body))

    def _graphql_request(
        self, parameters: Mapping[str, Any], request: Request, *, identity: Identity
    ) -> GraphQLRequest:
        return request_from(
            parameters,
            request.headers,
            identity=identity,
            forwarded=self._forwarded,
            critical_scope=self._critical_scope,
            only_queries=request.method == "GET",
        )


def request_from(
    parameters: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    identity: Identity,
    forwarded: frozenset[str],
    critical_scope: str,
    only_queries: bool = False,
) -> GraphQLRequest:
    """What the parameters and headers (names in lower case) of any transport ask for. Raises: RequestError."""
    _optional(parameters, "extensions", dict, "an object")
    return GraphQLRequest(
        text=_text(parameters),
        operation_name=_optional(parameters, "operationName", str, "a string"),
        variables=_optional(parameters, "variables", dict, "an object") or {},
        identity=identity,
        timeout=asked_timeout(headers.get(DEADLINE_HEADER)),
        idempotency_key=headers.get("idempotency-key"),
        priority=allowed_priority(headers.get(PRIORITY_HEADER), may_be_critical=identity.has(critical_scope)),
        headers=tuple((name, value) for name, value in headers.items() if name in forwarded),
        trace={name: headers[name] for name in _TRACE_HEADERS if name in headers},
        only_queries=only_queries,
    )


def is_a_person(request: Request) -> bool:
    """Whether somebody typed the address into a browser: it asks for a page, and no query is there."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and "query" not in request.query_params
    )


async def while_connected(work: Any, receive: Receive) -> GraphQLResult:
    """`work`'s result, unless the client leaves first: then `work` is cancelled. Raises: ClientGone."""
    working = asyncio.ensure_future(work)
    listening = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        result: GraphQLResult = working.result()
        return result
    finally:
        working.cancel()
        listening.cancel()
        await asyncio.gather(working, listening, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return


async def read_body(request: Request, *, limit: int) -> bytes:
    """The whole body. Raises: PayloadTooLarge as soon as it is longer than `limit` bytes; ClientGone."""
    declared = request.headers.get("content-length", "")
    if _is_number(declared) and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    body = bytearray()
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def asked_timeout(header: str | None) -> Seconds | None:
    """Seconds of the deadline header, given in milliseconds. Raises: RequestError for anything but a positive number."""
    if header is None:
        return None
    if not _is_number(header) or len(header) > 9 or int(header) == 0:
        raise RequestError(f"{DEADLINE_HEADER} must be a number of milliseconds above zero")
    return Seconds(int(header) / 1000)


def allowed_priority(header: str | None, *, may_be_critical: bool) -> Priority:
    """What the client asks for; one that may not be critical is treated as normal, so that it may send the same to every gateway.

    Raises: RequestError for a word that is none.
    """
    if header is None:
        return Priority.NORMAL
    asked = next((each for each in Priority if each.word == header.strip().lower()), None)
    if asked is None:
        raise RequestError(f"{PRIORITY_HEADER} must be one of {', '.join(each.word for each in Priority)}")
    return asked if may_be_critical or asked is not Priority.CRITICAL else Priority.NORMAL


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def respond(result: GraphQLResult, media_type: str, *, method: str = "POST") -> Response:
    """The answer as bytes, with the status that its media type asks for. Raises: TypeError for what JSON cannot hold."""
    return Response(
        orjson.dumps(result.as_json()),
        status_code=_status(result, media_type),
        headers={"content-type": f"{media_type}; charset=utf-8", **_headers(result, method=method)},
    )


def _status(result: GraphQLResult, media_type: str) -> int:
    """Old clients get 200 for whatever is well-formed GraphQL, even if it is refused."""
    well_formed_but_wrong = result.is_request_error and result.code in _GRAPHQL_CODES
    return 200 if media_type == JSON and well_formed_but_wrong else result.status


_GRAPHQL_CODES = frozenset({"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"})


def _headers(result: GraphQLResult, *, method: str) -> MutableMapping[str, str]:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", "vary": "accept, authorization"}
    if result.status == AdmissionError.status:
        headers["retry-after"] = "1"
    if result.status == Unauthenticated.status:
        headers["www-authenticate"] = "Bearer"
    if result.status == MethodNotAllowed.status:
        headers["allow"] = "POST" if method == "GET" else "GET, POST"
    return headers


def _from_query(request: Request) -> dict[str, Any]:
    parameters: dict[str, Any] = dict(request.query_params)
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


def _text(parameters: Mapping[str, Any]) -> str:
    text = parameters.get("query")
    if not isinstance(text, str) or not text.strip():
        raise RequestError("the request has no query: send the document as the string member query")
    return text


def _optional(parameters: Mapping[str, Any], name: str, kind: type[Any], what: str) -> Any:
    value = parameters.get(name)
    if value is not None and not isinstance(value, kind):
        raise RequestError(f"{name} must be {what}")
    return value or None


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is longer than {limit} bytes")
