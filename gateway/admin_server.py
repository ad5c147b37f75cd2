"""A second port of the same process, for admins: it opens after the clients' port and closes after it, so that whoever watches sees
the whole of a drain.

Invariant: it has bounds of its own and shares none of the clients' doors, so that neither can be crowded out by the other.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from .clock import Instant
from .connections import Connection
from .head_limits import HeadLimits
from .websocket_connections import SocketConnection

ContextFactory = Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]

HEADS = HeadLimits(bytes=8 * 1024, connections=64)
"""Collectors of metrics and a few people: they keep some connections, and send short heads."""
TICKS = 10
"""Of a tenth of a second each, between two looks for clients that take too long."""
_LEAVES_WITHIN = 2  # seconds, for an exposition that is under way


@dataclass(frozen=True, kw_only=True)
class AdminPort:
    """What is served, and on which socket. `tls`: whether the clients' certificate is shown."""

    app: ASGIApp
    held: socket.socket
    tls: bool = False


class AdminServer(uvicorn.Server):
    """Lives within another server, whose loop and ticks it shares; no signal is its own."""

    def __init__(self, port: AdminPort, *, tls: ContextFactory | None) -> None:
        host, number = port.held.getsockname()[:2]
        super().__init__(
            uvicorn.Config(
                port.app,
                host=host,
                port=number,
                http=cast("type[Connection]", partial(Connection, heads=HEADS)),
                ws=SocketConnection,
                lifespan="off",
                proxy_headers=False,
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=_LEAVES_WITHIN,
                ssl_context_factory=tls if port.tls else None,
            )
        )
        self._held = port.held

    async def open(self) -> None:
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=[self._held])

    async def close(self, *, at_once: bool) -> None:
        if self.started:
            self.force_exit = at_once
            await self.shutdown(sockets=[self._held])

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            end_who_is_late(self)
        return await super().on_tick(counter)


def end_who_is_late(server: uvicorn.Server) -> None:
    """End the connections of clients that take too long, over a head or over reading."""
    now = Instant(asyncio.get_running_loop().time())
    for each in list(server.server_state.connections):
        if isinstance(each, Connection | SocketConnection):
            each.end_if_late(now)
