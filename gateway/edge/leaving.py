"""A client that leaves before it has its answer: what is done for it ends.

A server that can say so itself is asked to (`EXTENSION`); any other is listened to by `receive`, which takes a task for each
request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive, Scope

V = TypeVar("V")

EXTENSION = "sagaql.leaving"
"""Under this name in the `extensions` of an ASGI scope: the server's `Watch` for that connection."""

ABORT = "sagaql.abort"
"""Under this name in the `extensions` of an ASGI scope: cuts the connection, with whatever it has not sent yet."""

Left = Callable[[], None]
Watch = Callable[[Left], Left]
"""Calls what it is given, once, when the client has left; returns what takes that back."""


def aborting(scope: Scope) -> Callable[[], None]:
    """What cuts the connection of this request. A server that has no such thing closes it when the response ends unfinished."""
    abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT)
    return abort or _nothing


def _nothing() -> None: ...


class ClientGone(Exception):
    """Nobody is left to answer."""


def watching(scope: Scope, receive: Receive) -> Watch:
    """How to learn that the client of this request has left, once its body was read."""
    watch: Watch | None = scope.get("extensions", {}).get(EXTENSION)
    return watch or (lambda left: _listening(receive, left))


async def while_connected(work: Coroutine[Any, Any, V], watch: Watch) -> V:
    """`work`'s result, unless the client leaves first: then `work` is cancelled. Raises: ClientGone.

    The client's leaving is a timeout whose time comes when it happens: `asyncio.timeout` knows its own cancellation from others'.
    """
    loop, connection = asyncio.get_running_loop(), asyncio.timeout(None)
    try:
        async with connection:
            take_back = watch(lambda: connection.reschedule(loop.time()))
            try:
                return await work
            finally:
                take_back()
    except TimeoutError:
        if connection.expired():
            raise ClientGone from None
        raise


def _listening(receive: Receive, left: Left) -> Left:
    listening = asyncio.get_running_loop().create_task(_disconnect(receive))

    def ended(listened: asyncio.Task[None]) -> None:
        if not listened.cancelled():
            listened.exception()  # a connection that broke is a client that left
            left()

    def take_back() -> None:
        listening.remove_done_callback(ended)
        listening.cancel()

    listening.add_done_callback(ended)
    return take_back


async def _disconnect(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
