"""What a service can do to one connection besides answering: read all of it, notice that the caller left, or cut it.

Invariant: after `cut` not one byte of an answer is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Message, Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Seconds = float

# The key in the scope's extensions under which the protocol offers to abort its transport.
ABORT = "demo.abort"
MAX_BODY_BYTES = 1 << 20


class BodyTooLarge(Exception):
    """The body is longer than MAX_BODY_BYTES."""


class CallerLeft(Exception):
    """The connection ended before the whole request had arrived."""


class AbortableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, whose scopes carry a way to abort the transport."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = {ABORT: self.transport.abort}


async def whole_body(receive: Receive) -> bytes:
    """The request's body. Raises: BodyTooLarge, CallerLeft."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerLeft
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge
        more = message.get("more_body", False)
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then whatever the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def caller_left(receive: Receive, *, within: Seconds) -> bool:
    """Waits, at most `within`, for the caller to close the connection."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def cut(scope: Scope) -> None:
    """Abort the connection. Raises: ConnectionAbortedError where there is none, as in a call without sockets."""
    abort = cast("Callable[[], None] | None", scope.get("extensions", {}).get(ABORT))
    if abort is None:
        raise ConnectionAbortedError("the service cut the connection without an answer")
    abort()
