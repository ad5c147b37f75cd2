"""One HTTP/1.1 connection to a service: one exchange at a time, parsed by llhttp (through httptools).

Invariants: an exchange ends in exactly one way, an answer or one failure; a connection on which anything was unusual (cut
off, early answer, bytes nobody asked for) is never used again; no more than `max_response` bytes of an answer are held, and
no more than `MAX_HEAD` of what is not its body.
Source: RFC 9112. llhttp is what Node uses; it is strict about framing, so that no answer can be smuggled into the next.
"""

from __future__ import annotations

import asyncio
import zlib
from enum import Enum, auto
from typing import cast

import httptools

from ..clock import Instant
from .request import ServiceResponse

_OF_THE_CONNECTION = frozenset(
    {b"content-encoding", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"trailer"}
)
"""Response headers that describe bytes which nobody above the wire sees."""

_EITHER = 32 + zlib.MAX_WBITS
"""zlib's own recognition of gzip and of deflate as HTTP means it."""


MAX_HEAD = 64 * 1024
"""Bytes that may follow one another without being body: headers, trailers, chunk extensions, answers that only come before the
answer (1xx). Eight times what servers accept of a request's head by default."""


_GZIP = b"\x1f\x8b"
"""How a gzip member begins."""

_MEMBERS = 16
"""Members of one body: they simply follow one another (RFC 1952, 2.2), and each one copies what is left."""


class Broken(Enum):
    """What became of an exchange that has no answer."""

    CLOSED = auto()
    """The connection ended before the answer began."""
    CUT_OFF = auto()
    """It ended, or became unreadable, in the middle of the answer."""
    NOT_HTTP = auto()
    OVERSIZE = auto()
    HEAD = auto()
    """What is not its body does not end."""
    ENCODING = auto()
    """Compressed in a way that was not asked for."""


class ExchangeBroken(Exception):
    """The exchange has no answer. `status` is the answer's; 0 if it had none yet."""

    def __init__(self, how: Broken, status: int = 0) -> None:
        super().__init__(how)
        self.how = how
        self.status = status


class Connection(asyncio.Protocol):
    """An open connection. State: the exchange under way, if any; `is_reusable` says whether there may be another."""

    def __init__(self) -> None:
        self.idle_since = Instant(0.0)
        self.exchanges = 0
        """Answers read so far."""
        self.keep_alive: float | None = None
        """Seconds that the service says it keeps an idle connection."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[ServiceResponse] | None = None
        self._is_open = True
        self._is_spent = False
        self._is_head = False
        self._max_response = 0
        self._besides = 0
        self._headers: dict[str, str] = {}
        self._held: bytes | bytearray = b""
        self._size = 0
        self._length: int | None = None
        self._begin_message()

    def __repr__(self) -> str:
        state = "busy" if self._answer is not None else ("idle" if self.is_reusable else "closed")
        return f"<Connection {state}, {self.exchanges} exchanges>"

    @property
    def is_reusable(self) -> bool:
        return self._is_open and not self._is_spent

    def exchange(self, request: bytes, *, is_head: bool, max_response: int) -> asyncio.Future[ServiceResponse]:
        """Send `request`; the future is the answer. Whoever stops waiting for it must `abort`. Raises (through the future):
        ExchangeBroken."""
        assert self._transport is not None  # noqa: S101 - the loop hands out connected protocols only
        answer: asyncio.Future[ServiceResponse] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._is_head = is_head
        self._max_response = max_response
        self._besides = 0
        self._begin_message()
        self._transport.write(request)
        return answer

    def abort(self) -> None:
        """Close at once: what comes now belongs to nobody, and whoever still waits is told."""
        self._fail(Broken.CLOSED)

    # -- what the loop calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # a stream; uvloop's is none of asyncio's classes

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.abort()  # bytes that nobody asked for: the two ends disagree on where an answer ends
            return
        size = self._size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(Broken.CUT_OFF if self._in_body else Broken.NOT_HTTP)
        except httptools.HttpParserUpgrade:
            self._fail(Broken.NOT_HTTP)
        self._besides = 0 if self._size > size else self._besides + len(data)
        if self._besides > MAX_HEAD:
            self._fail(Broken.HEAD)

    def eof_received(self) -> None:
        # By returning nothing it is closed, too: a service that will not read any more will not answer another request. The
        # loop says so by `connection_lost`, but a turn later.
        self._is_spent = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        if self._answer is None:
            return
        if exc is None and self._in_body and self._ends_with_connection:
            self._finish()
        elif not self._has_begun:
            self._fail(Broken.CLOSED)
        else:
            self._fail(Broken.CUT_OFF)

    # -- what the parser calls -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is None:  # a second answer in the same packet as the first one's end
            self._is_spent = True
        self._has_begun = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # a trailer, or of an answer to nothing: the head of the one that was asked for is over
            return
        key = name.lower()
        if key in _OF_THE_CONNECTION:
            self._note(key, value)
            return
        text, shown = key.decode("latin-1"), value.decode("latin-1")
        headers = self._headers
        headers[text] = f"{headers[text]}, {shown}" if text in headers else shown

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._in_body = True
        if self._status < 100:
            self._fail(Broken.NOT_HTTP)
        elif self._length is not None and self._length > self._max_response and not self._is_head:
            self._fail(Broken.OVERSIZE)
        elif self._is_head and self._status >= 200:
            self._is_spent = True  # llhttp would wait for the body that Content-Length speaks of
            self._finish()

    def on_body(self, body: bytes) -> None:
        if self._answer is None:
            return
        self._size += len(body)
        if self._size > self._max_response:
            self._fail(Broken.OVERSIZE)
        elif not self._held:
            self._held = body  # most answers come in one piece, which is not copied
        elif isinstance(self._held, bytearray):
            self._held += body
        else:
            self._held = bytearray(self._held) + body

    def on_message_complete(self) -> None:
        if self._answer is None:
            return
        if self._status < 200:  # 100 and 103 come before the answer
            self._begin_message()
            return
        if not self._parser.should_keep_alive():
            self._is_spent = True
        self._finish()

    # -- the exchange --------------------------------------------------------------------------------------------------

    def _begin_message(self) -> None:
        self._headers = {}
        self._held = b""
        self._size = 0
        self._status = 0  # until the head is complete
        self._length = None
        self._encoding = b""
        self._has_begun = self._in_body = False
        self._ends_with_connection = True

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-encoding":
            self._encode(value)
        elif name == b"content-length":
            self._ends_with_connection = False
            self._length = int(value) if value.strip().isdigit() else None  # llhttp has refused anything else
        elif name == b"transfer-encoding":
            self._ends_with_connection = False
            if value.strip().lower() != b"chunked":
                self._encode(value)
        elif name == b"keep-alive":
            self.keep_alive = _timeout_of(value)

    def _encode(self, value: bytes) -> None:
        """One more encoding of the body: they add up, on one line or on several."""
        self._encoding = b", ".join(filter(None, (self._encoding, value.strip().lower())))

    def _finish(self) -> None:
        assert self._transport is not None  # noqa: S101 - something came over it
        try:
            body = self._body()
        except ExchangeBroken as error:
            self._fail(error.how)
            return
        if self._transport.get_write_buffer_size():
            self._is_spent = True  # it answered before it had read everything: what is left would be read as a request
        answer, self._answer = self._answer, None
        self.exchanges += 1
        if answer is not None and not answer.done():
            answer.set_result(ServiceResponse(self._status, self._headers, body))
        if self._is_spent:
            self._transport.close()

    def _body(self) -> bytes:
        body = bytes(self._held)
        if not self._encoding or self._encoding == b"identity" or not body:
            return body
        if self._encoding not in {b"gzip", b"x-gzip", b"deflate"}:
            raise ExchangeBroken(Broken.ENCODING)
        return _inflated(body, longest=self._max_response)

    def _fail(self, how: Broken) -> None:
        answer, self._answer, self._is_spent = self._answer, None, True
        status = self._status
        if self._transport is not None:
            self._transport.abort()
        if answer is not None and not answer.done():
            answer.set_exception(ExchangeBroken(how, status))


def _inflated(body: bytes, *, longest: int) -> bytes:
    """`body` decompressed, never holding more than `longest` bytes. Raises: ExchangeBroken."""
    plain, rest = _member(body, longest=longest)
    for _ in range(_MEMBERS - 1):
        if not rest.startswith(_GZIP):
            break
        more, rest = _member(rest, longest=longest - len(plain))
        plain += more
    if rest.strip(b"\0"):  # some fill up with zeros; anything else is a part that we did not understand
        raise ExchangeBroken(Broken.CUT_OFF)
    return plain


def _member(body: bytes, *, longest: int) -> tuple[bytes, bytes]:
    """The first member of `body` decompressed, and what follows it. Raises: ExchangeBroken."""
    inflater = zlib.decompressobj(_EITHER)
    try:
        try:
            plain = inflater.decompress(body, longest + 1)
        except zlib.error:  # some servers' deflate is the bare stream
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            plain = inflater.decompress(body, longest + 1)
    except zlib.error as error:
        raise ExchangeBroken(Broken.CUT_OFF) from error
    if len(plain) > longest:
        raise ExchangeBroken(Broken.OVERSIZE)
    if not inflater.eof:
        raise ExchangeBroken(Broken.CUT_OFF)
    return plain, inflater.unused_data


def _timeout_of(value: bytes) -> float | None:
    """Seconds of `Keep-Alive: timeout=5, max=100`."""
    for part in value.split(b","):
        name, _, number = part.strip().partition(b"=")
        if name.lower() == b"timeout" and number.isdigit():
            return float(number)
    return None
