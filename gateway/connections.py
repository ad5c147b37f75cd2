"""Connections of clients over HTTP: uvicorn's, bounded, and with words of their own for the edge.

Invariants: the head of a request is bounded in bytes, in number and in time, and so is what comes after it that is no body; nothing
after the head is taken for a header; what is refused here was not begun; whoever asks is told once that the client has left; nobody
keeps a connection by reading or writing next to nothing; while the gateway leaves, each answer is the last one of its connection,
and says so.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .clock import Instant
from .edge import Doorstep
from .edge.authentication import PEER
from .edge.leaving import ABORT, EXTENSION, Left
from .edge.parameters import WHOLE_BODY
from .edge.tls import names_of
from .head_limits import HeadLimits
from .unread import Unread

USUAL = HeadLimits()

MAX_PIPELINED = 32
"""Requests that may wait behind the one that is being answered: clients that send so send some sixteen at once. Each costs 3 KB,
and a single packet may hold thousands."""


class Connection(HttpToolsProtocol):
    """uvicorn's, which also tells whoever asks that the client has left, and that the body is here: else each request needs a task
    that listens, and a timer. The head of a request is bounded in bytes, in number and in time; a doorstep may judge it."""

    def __init__(
        self,
        *args: Any,
        doorstep: Doorstep | None = None,
        heads: HeadLimits = USUAL,
        is_leaving: Callable[[], bool] = lambda: False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._is_leaving = is_leaving
        self._watching: set[Left] = set()
        self._peer: frozenset[str] = frozenset()
        self._doorstep = doorstep
        self._held: list[bytes] | None = None
        self._heads = heads
        self._head_since: Instant | None = None
        """When the head began that is not whole yet; None: no head is being read."""
        self._head_size = 0
        self._is_in_body = False
        self._has_moved = False
        """Whether the last bytes held some of a body, or the end of a head."""
        self._besides = 0
        """Bytes after a head that were no body: trailers, chunks' extensions."""
        self._answered_since: Instant | None = None
        """When the answer was given to a request whose body is not whole yet."""
        self._unread = Unread()
        self._is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))  # of a socket, as uvicorn knows
        self._peer = names_of(transport.get_extra_info("peercert"))
        self._head_since = Instant(self.loop.time())
        if len(self.connections) > self._heads.connections:
            self._end("503 Service Unavailable", "too many connections: try again in a moment")

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return  # what was under way when it ended
        if self._head_since is not None:
            self._head_size += len(data)
        self._has_moved = False
        super().data_received(data)
        self._besides = 0 if self._has_moved or not self._is_in_body else self._besides + len(data)
        if self._held is not None:  # its body is not whole: whoever lets us wait is read as it comes
            self._let_in()
        elif (
            self._head_since is not None and self._head_size > self._heads.bytes
        ) or self._besides > self._heads.bytes:
            self._end(*self._too_large())

    def end_if_late(self, now: Instant) -> None:
        """End the connection of a client that takes too long: over a head, over the rest of a body that nobody waits for any more,
        or over reading."""
        within = self._heads.within
        if self._head_since is not None and now - self._head_since > within:
            self._end("408 Request Timeout", f"the head of a request must be here within {within:g} s")
        elif self._answered_since is not None and now - self._answered_since > within:
            self.transport.close()
        elif self._unread.is_stuck(self.transport.get_write_buffer_size(), now=now):
            cut(self.transport)

    def end_with_next_answer(self) -> None:
        """Have the answer under way say that it is the last one. Who asks for nothing now is told with the answer to come."""
        if not self._is_free:
            self.cycle.keep_alive = False  # of the newest: those before it are answered first

    def on_url(self, url: bytes) -> None:
        if not self._is_over:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_over and self._head_since is not None:  # else a trailer: nobody in front of us has judged it
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_since, self._head_size = None, 0
        self._has_moved = True
        if self._is_over:
            return
        if len(self.headers) > self._heads.count or self._size_of_head() > self._heads.bytes:
            self._end(*self._too_large())
        elif len(self.pipeline) >= MAX_PIPELINED:
            self._end("429 Too Many Requests", f"at most {MAX_PIPELINED} requests may wait on a connection")
        else:
            self._is_in_body = True
            if self._doorstep is not None and self._doorstep.is_on and self._parser.get_method() == b"POST":
                self._held = []
            else:
                self._begin()

    def _begin(self) -> None:
        super().on_headers_complete()
        if self._is_leaving():
            self.end_with_next_answer()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _too_large(self) -> tuple[str, str]:
        limits = self._heads
        return "431 Request Header Fields Too Large", f"a head may have {limits.count} headers and {limits.bytes} bytes"

    def _end(self, status: str, why: str) -> None:
        """The connection is over: nothing of what it sends is read any more."""
        self._is_over, self._head_since = True, None
        if self._is_in_body and self._is_free:
            self.transport.close()  # it has its answer
        elif self._is_free or self._is_unanswered:
            body = why.encode()
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                % (status.encode(), len(body), body)
            )
            self.transport.close()
        else:  # the answers under way are the last ones
            self.cycle.keep_alive = False

    @property
    def _is_unanswered(self) -> bool:
        """Whether a body is being read, and nothing is answered: who waits for the body then learns that the client has gone."""
        return self._is_in_body and not self.pipeline and not self.cycle.response_started

    def on_body(self, body: bytes) -> None:
        self._has_moved = True
        if self._is_over:
            return
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        self._is_in_body, self._answered_since = False, None
        if self._is_over:
            return
        if self._held is not None:
            body = b"".join(self._held)
            refusal = self._refusal(body)
            if refusal is not None:
                self._refuse(refusal)
                return
            self._let_in()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_in_body and self._is_free:
            self._answered_since = Instant(self.loop.time())

    def _refusal(self, body: bytes) -> bytes | None:
        if self._doorstep is None or not self._is_free or self._parser.should_upgrade():
            return None
        peer = None if self.client is None else self.client[0]
        return self._doorstep.refusal(self.url, self.headers, body, peer=peer, now=Instant(self.loop.time()))

    def _refuse(self, refusal: bytes) -> None:
        """Nothing of the request was begun."""
        self._held = None
        self.transport.write(refusal)
        if self._parser.should_keep_alive():
            self.on_response_complete()
        else:
            self.transport.close()

    @property
    def _is_free(self) -> bool:
        """Whether nothing is being answered."""
        latest = cast("RequestResponseCycle | None", self.cycle)
        return latest is None or latest.response_complete

    @property
    def _parser(self) -> HttpRequestParser:
        known: HttpRequestParser = cast("Any", self.parser)  # uvicorn sets it to None in the end
        return known

    def _let_in(self) -> None:
        """Begin what was held."""
        held, self._held = self._held or [], None
        self._begin()
        for body in held:
            super().on_body(body)

    def on_message_begin(self) -> None:
        if self._is_over:
            return
        self._head_since = Instant(self.loop.time())
        super().on_message_begin()
        extensions: dict[str, Any] = {
            ABORT: self._abort,
            EXTENSION: self._watch,
            PEER: self._peer,
            WHOLE_BODY: self._has_whole_body,
        }
        self.scope["extensions"] = extensions

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        while self._watching:
            self._watching.pop()()

    def _has_whole_body(self) -> bool:
        """Of the newest request: when another one asks, its body has been read, for bodies stand one after another."""
        return not self.cycle.more_body

    def _abort(self) -> None:
        cut(self.transport)

    def _watch(self, left: Left) -> Left:
        self.flow.resume_reading()  # paused after a long body: who does not read does not see the end
        if self.transport.is_closing():
            left()
        else:
            self._watching.add(left)
        return lambda: self._watching.discard(left)


def cut(transport: asyncio.Transport) -> None:
    """Reset the connection: what it has not sent is thrown away, in the kernel too, which would else hold it for the reader."""
    held = transport.get_extra_info("socket")
    if held is not None and not transport.is_closing():
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
