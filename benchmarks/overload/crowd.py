"""Clients over raw sockets, each with a rate of its own: what they ask for does not depend on what they are answered.

One loop over epoll and bytes that were made before, so that a crowd of ten times what a gateway can do leaves most of its core to
the services: of an answer it reads the status and the length, and looks for two words in it.

Invariants: a request that finds no free connection of its client counts as offered and not served, like one that is refused; an
answer counts as served only if it came whole, with status 200 and without errors.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heapreplace
from random import Random

_HEAD_ENDS, _LENGTH = b"\r\n\r\n", b"content-length:"
_READ_AT_ONCE = 256 * 1024
_TICK = 0.001
"""Seconds between two looks at whose turn it is to ask."""


@dataclass(slots=True)
class Told:
    """What one client was answered, since it was last asked."""

    offered: int = 0
    served: int = 0
    refused: int = 0
    others: Counter[str] = field(default_factory=Counter[str])
    waits: list[float] = field(default_factory=list[float])
    degraded: int = 0


@dataclass(slots=True, eq=False)
class _Connection:
    """One request at a time."""

    client: Client
    socket: socket.socket
    is_asking: bool = False
    began: float = 0.0
    head: bytes = b""
    """Of the answer that is under way."""
    parts: list[bytes] = field(default_factory=list[bytes])
    missing: int = -1
    """Bytes of its body that are not here yet; negative: the head is not whole."""

    def ask(self, request: bytes) -> None:
        self.is_asking, self.began = True, time.perf_counter()
        self.socket.sendall(request)  # it has the buffer to itself

    def heard(self, data: bytes) -> None:
        """Some bytes of the answer."""
        if self.missing < 0:
            self.head += data
            head, ends, data = self.head.partition(_HEAD_ENDS)
            if not ends:
                return
            self.head = head
            self.missing = int(head.lower().partition(_LENGTH)[2].partition(b"\r")[0])
        self.parts.append(data)
        self.missing -= len(data)
        if self.missing == 0:
            self._whole()

    def _whole(self) -> None:
        status, body = self.head[9:12], b"".join(self.parts)
        self.is_asking, self.head, self.missing = False, b"", -1
        self.parts.clear()
        self.client.answered(self, status, body)


class Client:
    """Sends at a rate. `request`: makes the bytes of the next one."""

    def __init__(self, name: str, request: Callable[[], bytes], *, connections: int) -> None:
        self.name = name
        self.told = Told()
        self.connections = connections
        self.free: deque[_Connection] = deque()
        """The one that has been free for longest goes first: a connection that nobody uses is closed."""
        self._request = request

    def once(self) -> None:
        self.told.offered += 1
        if self.free:
            self.free.popleft().ask(self._request())
        else:
            self.told.others["no free connection"] += 1

    def answered(self, connection: _Connection, status: bytes, body: bytes) -> None:
        self.free.append(connection)
        if status == b"200" and b'"errors"' not in body:
            self.told.served += 1
            self.told.waits.append(time.perf_counter() - connection.began)
            self.told.degraded += b'"degraded"' in body
        elif status == b"503":
            self.told.refused += 1
        else:
            self.told.others[f"{status.decode()} {body[:80].decode(errors='replace')}"] += 1

    def lost(self, connection: _Connection) -> None:
        if connection.is_asking:
            self.told.others["lost"] += 1
        else:
            self.free.remove(connection)

    def look(self) -> Told:
        told, self.told = self.told, Told()
        return told


class Crowd:
    """The loop of some clients of one port. Connects at once."""

    def __init__(self, clients: Sequence[Client], port: int, random: Random) -> None:
        self.clients = clients
        self._random = random
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._buffer = memoryview(bytearray(_READ_AT_ONCE))
        for client in clients:
            for _ in range(client.connections):
                self._connect(client, port)

    def _connect(self, client: Client, port: int) -> None:
        connected = socket.create_connection(("127.0.0.1", port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(client, connected)
        self._connections[connected.fileno()] = connection
        self._epoll.register(connected.fileno(), select.EPOLLIN)
        client.free.append(connection)

    def send(self, rates: Sequence[float], seconds: float) -> None:
        """Each client at its rate a second on the average, at random instants."""
        began = time.perf_counter()
        next_ones = [(began + self._random.expovariate(rate), number) for number, rate in enumerate(rates)]
        heapify(next_ones)
        until = began + seconds
        while (now := time.perf_counter()) < until:
            while next_ones[0][0] <= now:
                at, number = next_ones[0]
                self.clients[number].once()
                heapreplace(next_ones, (at + self._random.expovariate(rates[number]), number))
            self._listen()

    def keep_asking(self, seconds: float) -> None:
        """As fast as they are answered, on all connections."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for client in self.clients:
                while client.free:
                    client.once()
            self._listen()

    def wait(self, seconds: float) -> None:
        """Only listen: for what is still under way."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self._listen()

    def _listen(self) -> None:
        for number, _ in self._epoll.poll(_TICK):
            connection = self._connections[number]
            try:
                size = connection.socket.recv_into(self._buffer)
            except ConnectionError:
                size = 0
            if size:
                connection.heard(bytes(self._buffer[:size]))
            else:
                self._lost(number, connection)

    def _lost(self, number: int, connection: _Connection) -> None:
        self._epoll.unregister(number)
        del self._connections[number]
        connection.socket.close()
        connection.client.lost(connection)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._epoll.close()


def posted(body: bytes, *, token: str, extra: bytes = b"") -> bytes:
    return (
        b"POST /graphql HTTP/1.1\r\nhost: h\r\naccept: application/graphql-response+json\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %s\r\n%scontent-length: %d\r\n\r\n%s"
    ) % (token.encode(), extra, len(body), body)
