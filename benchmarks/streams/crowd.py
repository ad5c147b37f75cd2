"""A crowd of subscribers over raw sockets, and what a process has used: a client that costs as little as can be."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

NEXT = b"event: next"
_TICK = os.sysconf("SC_CLK_TCK")


class Crowd:
    """Connections that count events. `told`: how many events have come, of all."""

    def __init__(self, port: int) -> None:
        self.told = 0
        self.begun = 0
        self._port = port
        self._transports = list[asyncio.Transport]()
        self._enough = asyncio.Event()
        self._all_begun = asyncio.Event()
        self._expected = 0
        self._until = 0

    async def join(self, count: int, query: str) -> None:
        """`count` subscriptions, each heard by the gateway when this returns."""
        loop = asyncio.get_running_loop()
        request = posted("text/event-stream", query)
        for first in range(0, count, 100):
            together = min(100, count - first)
            opened = [loop.create_connection(lambda: _Follower(self), "127.0.0.1", self._port) for _ in range(together)]
            for transport, _ in await asyncio.gather(*opened):
                self._transports.append(transport)
                transport.write(request)
        self._expected = count
        self._all_begun.clear()
        if self.begun < count:
            await self._all_begun.wait()

    async def until(self, told: int) -> None:
        """Returns when so many events have come."""
        self._until = told
        self._enough.clear()
        if self.told < told:
            await self._enough.wait()

    def heard(self, data: bytes) -> None:
        self.told += data.count(NEXT)
        self.begun += data.count(b"retry:")
        if self.told >= self._until:
            self._enough.set()
        if self.begun >= self._expected:
            self._all_begun.set()

    def leave(self) -> None:
        for transport in self._transports:
            transport.abort()


class _Follower(asyncio.Protocol):
    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    def data_received(self, data: bytes) -> None:
        self._crowd.heard(data)


async def asked(port: int, query: str, *, times: int) -> None:
    """A query, again and again over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(posted("application/json", query))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()


def posted(accept: str, query: str) -> bytes:
    body = json.dumps({"query": query}).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: gateway\r\naccept: {accept}\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%s" % (len(body), body)


def resident(pid: int) -> int:
    """Bytes of memory that the process holds."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def cpu(pid: int) -> float:
    """Seconds of processor that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
