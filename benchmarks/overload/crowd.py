"""Clients over raw sockets, each with a rate of its own: what they ask for does not depend on what they are answered.

Invariant: a request that finds no free connection of its client counts as offered and not served, like one that is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import cast

_HEAD_ENDS = b"\r\n\r\n"


@dataclass(slots=True)
class Told:
    """What one client was answered, since it was last asked."""

    offered: int = 0
    served: int = 0
    refused: int = 0
    others: Counter[str] = field(default_factory=Counter[str])
    waits: list[float] = field(default_factory=list[float])
    degraded: int = 0


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._buffer = b""
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has its methods, and is no subclass
        self._client.free.append(self)

    def ask(self, request: bytes) -> None:
        self._began = time.perf_counter()
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, ends, body = self._buffer.partition(_HEAD_ENDS)
        if not ends:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        if len(body) < int(length):
            return
        self._buffer = b""
        self._client.answered(head[9:12], body, time.perf_counter() - self._began)
        self._client.free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.lost(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Client:
    """Sends at a rate. `request`: makes the bytes of the next one."""

    def __init__(self, name: str, port: int, request: Callable[[], bytes], *, connections: int, random: Random) -> None:
        self.name = name
        self.told = Told()
        self.free: deque[_Connection] = deque()
        """The one that has been free for longest goes first: a connection that nobody uses is closed."""
        self._all: list[_Connection] = []
        self._port = port
        self._request = request
        self._connections = connections
        self._random = random

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self._connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
            self._all.append(connection)

    def answered(self, status: bytes, body: bytes, took: float) -> None:
        if status == b"200" and b'"errors"' not in body:
            self.told.served += 1
            self.told.waits.append(took)
            self.told.degraded += b'"degraded"' in body
        elif status == b"503":
            self.told.refused += 1
        else:
            self.told.others[f"{status.decode()} {body[:80].decode(errors='replace')}"] += 1

    def lost(self, connection: _Connection) -> None:
        if connection in self.free:
            self.free.remove(connection)
        else:
            self.told.others["lost"] += 1

    def look(self) -> Told:
        told, self.told = self.told, Told()
        return told

    async def send(self, rate: float, until: float) -> None:
        """At `rate` a second on the average, at random instants, until the loop's time `until`."""
        loop = asyncio.get_running_loop()
        at = loop.time()
        while at < until:
            at += self._random.expovariate(rate)
            if (wait := at - loop.time()) > 0.001:
                await asyncio.sleep(wait)
            self.once()

    def once(self) -> None:
        self.told.offered += 1
        if self.free:
            self.free.popleft().ask(self._request())
        else:
            self.told.others["no free connection"] += 1

    async def keep_asking(self, until: float) -> None:
        """As fast as it is answered, on all connections."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            while self.free:
                self.once()
            await asyncio.sleep(0.001)

    def close(self) -> None:
        for each in self._all:
            each.close()


def posted(body: bytes, *, token: str, extra: bytes = b"") -> bytes:
    return (
        b"POST /graphql HTTP/1.1\r\nhost: h\r\naccept: application/graphql-response+json\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %s\r\n%scontent-length: %d\r\n\r\n%s"
    ) % (token.encode(), extra, len(body), body)
