"""The parameters of a request, as they come over HTTP: the JSON body of a POST, or the query string of a GET.

Invariants: a body is never read past its limit, nor waited for past its time; what is no UTF-8, or could be read in two ways, is
refused. Source: the GraphQL-over-HTTP specification (draft), "Request"; RFC 9110 sections 15.5.9 and 15.5.16.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from ..clock import Seconds
from ..errors import PayloadTooLarge, RequestError
from .json_reading import read_json
from .leaving import ClientGone
from .negotiation import JSON, ranges_of
from .requests import is_number

WHOLE_BODY = "sagaql.whole_body"
"""Under this name in the `extensions` of an ASGI scope: whether the body is here already, so that no clock need be watched."""

MAX_PARAMETERS = 16
"""Of a query string: four are known."""


class UnsupportedMediaType(RequestError):
    status = 415


class BodyTimeout(RequestError):
    """Part of the body is still to come, so nothing more can be read from this connection."""

    status = 408


async def from_body(
    scope: Scope, receive: Receive, headers: Mapping[str, str], *, limit: int, within: Seconds | None
) -> Mapping[str, Any]:
    """Of a POST. Raises: UnsupportedMediaType, PayloadTooLarge, BodyTimeout, RequestError, ClientGone."""
    content_type = headers.get("content-type", "")
    if content_type not in _USUAL:
        ensure_json(content_type)
    if (
        headers.get("content-encoding", "identity").lower() != "identity"
    ):  # what it unfolds to has no bound until it is unfolded
        raise UnsupportedMediaType("compressed bodies are not taken: send the JSON as it is")
    parameters = read_json(
        await read_body(receive, headers, limit=limit, within=None if is_whole(scope) else within), what="the body"
    )
    if isinstance(parameters, list):
        raise RequestError("batches of operations are not taken: send one operation a request")
    if not isinstance(parameters, dict):
        raise RequestError("the body must be a JSON object with a member query")
    return parameters


def from_query(query_string: bytes) -> Mapping[str, Any]:
    """Of a GET. Raises: RequestError."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:  # UnicodeError is one
        raise RequestError(
            f"the query string must be at most {MAX_PARAMETERS} parameters, percent-encoded as UTF-8"
        ) from error
    parameters: dict[str, Any] = dict(pairs)
    if len(parameters) < len(pairs):
        raise RequestError("a parameter stands twice in the query string: send each once")
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = read_json(parameters[name].encode(), what=f"the parameter {name}")
    return parameters


def ensure_json(content_type: str) -> None:
    """Raises: UnsupportedMediaType for any other type, and any other charset than UTF-8, which alone JSON is written in."""
    found = ranges_of(content_type)
    if len(found) != 1 or found[0].media != JSON:
        raise UnsupportedMediaType(f"the body must be {JSON}; Content-Type says {content_type or 'nothing'!r}")
    charset = found[0].parameters.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"the body must be in utf-8; Content-Type says charset={charset}")


def is_whole(scope: Scope) -> bool:
    """Whether the server has the whole body already; a server that cannot say has it not."""
    whole: Callable[[], bool] | None = scope.get("extensions", {}).get(WHOLE_BODY)
    return whole is not None and whole()


async def read_body(
    receive: Receive, headers: Mapping[str, str], *, limit: int, within: Seconds | None = None
) -> bytes:
    """The whole body. `within`: None waits for as long as it takes, or where nothing of it is still to come.

    Raises: PayloadTooLarge as soon as it is longer than `limit` bytes; BodyTimeout; ClientGone.
    """
    declared = headers.get("content-length", "")
    if is_number(declared) and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    if within is None:
        return await _read(receive, limit=limit)
    waiting = asyncio.timeout(within)
    try:
        async with waiting:
            return await _read(receive, limit=limit)
    except TimeoutError as error:
        if not waiting.expired():
            raise
        raise BodyTimeout(f"the body did not come within {within:g} s: send the request again") from error


async def _read(receive: Receive, *, limit: int) -> bytes:
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


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is longer than {limit} bytes")


_USUAL = frozenset({JSON, *(f"{JSON};{space}charset={name}" for space in ("", " ") for name in ("utf-8", "UTF-8"))})
"""What nearly all clients send: told by a look-up."""
