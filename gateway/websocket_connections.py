"""Connections of clients over WebSocket: uvicorn's, which bounds a message, bounded in what comes besides.

Invariants: a message has a bounded number of frames; who sends frames without end is let go, whatever they say; for a client that
does not read nothing is held but what the application has sent it; a handshake is answered, or its connection ends; one client's
messages are read between those of others.
Source: RFC 6455, 5.4 (fragments), 5.5.2 and 5.5.3 (pings; not every one of them has to be answered), 7.4.1 (codes).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from .clock import Instant, Seconds
from .connections import cut
from .edge.authentication import PEER
from .edge.leaving import ABORT
from .edge.tls import names_of
from .unread import Unread

MAX_FRAGMENTS = 1_000
"""Frames of one message. A MiB in a thousand of them is a KiB in each, and nobody cuts it finer."""

MAX_BESIDES = 1_000
"""Fragments in `SPAN`; a ping or a pong counts as `PING`, and keeping a connection alive takes one in several seconds."""

PING = 10

SPAN = Seconds(1.0)

_BITE = 4096
"""Bytes that are parsed before it is looked what they were: some 700 frames of no content, which take 5 ms."""


class SocketConnection(WebSocketsSansIOProtocol):
    """One client's. It can be cut off, too: uvicorn's closes only when all is sent, which who does not read never lets happen."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_over = False
        self._besides = 0
        self._span_since = Instant(self.loop.time())
        self._unread = Unread()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _BITE):
            if self._is_over:
                return
            super().data_received(data[start : start + _BITE])
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self._refuse_handshake()

    def end_if_late(self, now: Instant) -> None:
        """Cut off a client that does not read."""
        if self._unread.is_stuck(self.transport.get_write_buffer_size(), now=now):
            self._abort()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was well-formed; the application has not begun yet
            extensions: dict[str, Any] = {
                **(self.scope.get("extensions") or {}),
                ABORT: self._abort,
                PEER: names_of(self.transport.get_extra_info("peercert")),
            }
            self.scope["extensions"] = extensions

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message may have {MAX_FRAGMENTS} frames")
        elif self._may_go_on(1):
            super().handle_cont(event)

    def handle_ping(self) -> None:
        if not self.writable.is_set():
            self.conn.data_to_send()  # who does not read needs no pong
        elif self._may_go_on(PING):
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._may_go_on(PING):
            super().handle_pong(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(
            b"".join(self.frames)
        ):  # uvicorn logs it with its traceback
            self._fail(CloseCode.INVALID_DATA, "a text message is UTF-8")
        else:
            super().send_receive_event_to_app()

    async def receive(self) -> ASGIReceiveEvent:
        if not self.queue.empty():
            await asyncio.sleep(0)  # others' turn: one packet may hold thousands of messages
        return await super().receive()

    def _may_go_on(self, weight: int) -> bool:
        """Count a frame that is no message."""
        if self._is_over:
            return False
        now = Instant(self.loop.time())
        if now - self._span_since >= SPAN:
            self._span_since, self._besides = now, 0
        self._besides += weight
        if self._besides > MAX_BESIDES:
            self._fail(CloseCode.POLICY_VIOLATION, f"too many frames that are no messages within {SPAN:g} s")
            return False
        return True

    def _fail(self, code: CloseCode, why: str) -> None:
        """The connection is over: nothing of what it sends is read any more."""
        if self._is_over:
            return
        self._is_over, self.frames = True, []
        self.conn.fail(code, why)
        if self.conn.close_sent is not None:
            self.handle_parser_exception()

    def _refuse_handshake(self) -> None:
        """One that cannot be read: `websockets` has written its answer, if there is one, and uvicorn is not told."""
        self._is_over = self.handshake_complete = self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def _abort(self) -> None:
        cut(self.transport)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
