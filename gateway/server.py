"""One process, one port, one application: from a free port to the last answered request.

Invariants: the port is held before anything slow begins, so a taken one is told at once; the first SIGINT or SIGTERM
drains and the process ends with 0, the second one does not wait any longer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

import uvicorn
from httptools import HttpRequestParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from . import collector
from .clock import Instant, Seconds
from .edge import Doorstep
from .edge.authentication import PEER
from .edge.leaving import ABORT, EXTENSION, Left
from .edge.parameters import WHOLE_BODY
from .edge.tls import Tls, names_of
from .head_limits import HeadLimits
from .telemetry import Log

_KEEP_ALIVE = (
    75  # seconds that an idle connection is kept: longer than load balancers keep theirs, so that they close first
)
GONE_AFTER = Seconds(60.0)
"""How long sent bytes may stay unacknowledged, or the other end's window closed: then the peer is gone, though nobody said so. Else
the kernel tries for a quarter of an hour."""
_USUAL = HeadLimits()
_BACKLOG = 2048  # connections that wait to be accepted; uvicorn's own default
_TICKS = 10
"""Of a tenth of a second each, between two looks for clients that take too long over a head."""
_LIBRARIES = "WARNING"  # what other people's code has to say to be heard


class PortTaken(Exception):
    """The address cannot be listened on; says why, and what moves it."""


class StartFailed(Exception):
    """The application's start raised; `__cause__` is what it raised."""


def hold_port(host: str, port: int, *, gone_after: Seconds = GONE_AFTER) -> socket.socket:
    """A socket that listens on the address: whoever connects waits until `serve` answers. Raises: PortTaken.

    Peers that acknowledge nothing for `gone_after` seconds are cut off.

    Bound is not enough: two processes may bind one port as long as neither listens, and would find out after their slow start.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        held = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _taken(host, port, error) from error
    # Connections of an earlier run that linger in TIME_WAIT do not count; a listener does.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections that are accepted have it too
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(gone_after * 1000))
    try:
        held.bind(address)
        held.listen(_BACKLOG)
    except OSError as error:
        held.close()
        raise _taken(host, port, error) from error
    return held


def inherited(fd: int) -> socket.socket:
    """The socket that a supervisor holds and listens on: workers accept from one queue."""
    return socket.socket(fileno=fd)


def serve(
    app: ASGIApp,
    held: socket.socket,
    *,
    drain: Seconds,
    log: Log,
    on_leave: Callable[[], None] = lambda: None,
    ws_max_size: int = 1024 * 1024,
    tls: Tls | None = None,
    doorstep: Doorstep | None = None,
    heads: HeadLimits = _USUAL,
) -> None:
    """Answer until a signal comes, call `on_leave`, then drain for at most `drain` seconds. `tls`: None speaks plain HTTP.

    `doorstep`: judges requests before they are read. `heads`: what they may send until then.

    Raises: StartFailed, PortTaken.
    """
    try:
        context = None if tls is None else tls.context()
    except ValueError as error:
        raise StartFailed(f"the gateway could not start: {error}") from error
    host, port = held.getsockname()[:2]
    speak_through(log)
    collector.leave_what_is_there()
    watched = _WatchedStart(app)
    config = uvicorn.Config(
        watched,
        host=host,
        port=port,
        loop="uvloop",
        http=cast("type[_Connection]", partial(_Connection, doorstep=doorstep, heads=heads)),
        ws=_Socket,
        ws_max_size=ws_max_size,
        ws_ping_interval=None,  # `graphql-transport-ws` has pings of its own
        lifespan="on",
        proxy_headers=False,  # nothing here asks for the client's address
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(drain),
        ssl_context_factory=None if context is None else _handing_out(context),
    )
    with held:
        try:
            _Server(config, log=log, on_leave=on_leave).run(sockets=[held])
        except SystemExit as error:
            raise StartFailed(f"the gateway could not start: {watched.told()}") from (watched.failure or error)
        except OSError as error:
            raise _taken(host, port, error) from error


def _handing_out(
    context: ssl.SSLContext,
) -> Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext]:
    return lambda _, __: context


def end_with_stdin() -> None:
    """From now on, drain when standard input ends: so no gateway outlives the parent that holds the other end."""

    def watch() -> None:
        with suppress(OSError):
            while os.read(0, 4096):
                pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


class _Server(uvicorn.Server):
    """A server for which a signal is a request to leave: uvicorn's own dies of the signal once it has left."""

    def __init__(self, config: uvicorn.Config, *, log: Log, on_leave: Callable[[], None]) -> None:
        super().__init__(config)
        self._log = log
        self._on_leave = on_leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        collector.leave_what_is_there()
        self._log.info("listening", url=url_of(self.config.host, self.config.port, is_tls=self.config.is_ssl))

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._leave, number)
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            now = Instant(asyncio.get_running_loop().time())
            for each in list(self.server_state.connections):
                if isinstance(each, _Connection):
                    each.end_if_late(now)
        return await super().on_tick(counter)

    def _leave(self, number: signal.Signals) -> None:
        self._log.info("draining", signal=number.name)
        self._on_leave()
        self.force_exit = self.should_exit
        self.should_exit = True


class _Connection(HttpToolsProtocol):
    """uvicorn's, which also tells whoever asks that the client has left, and that the body is here: else each request needs a task
    that listens, and a timer. The head of a request is bounded in bytes, in number and in time; a doorstep may judge it."""

    def __init__(self, *args: Any, doorstep: Doorstep | None = None, heads: HeadLimits = _USUAL, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watching: set[Left] = set()
        self._peer: frozenset[str] = frozenset()
        self._doorstep = doorstep
        self._held: list[bytes] | None = None
        self._heads = heads
        self._head_since: Instant | None = None
        """When the head began that is not whole yet; None: no head is being read."""
        self._head_size = 0
        self._is_over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._peer = names_of(transport.get_extra_info("peercert"))
        self._head_since = Instant(self.loop.time())
        if len(self.connections) > self._heads.connections:
            self._end("503 Service Unavailable", "too many connections: try again in a moment")

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return  # what was under way when it ended
        if self._head_since is not None:
            self._head_size += len(data)
        super().data_received(data)
        if self._held is not None:  # its body is not whole: whoever lets us wait is read as it comes
            self._let_in()
        elif self._head_since is not None and self._head_size > self._heads.bytes:
            self._end(*self._too_large())

    def end_if_late(self, now: Instant) -> None:
        """End the connection of a client that takes too long over a head."""
        if self._head_since is not None and now - self._head_since > self._heads.within:
            self._end("408 Request Timeout", f"the head of a request must be here within {self._heads.within:g} s")

    def on_url(self, url: bytes) -> None:
        if not self._is_over:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_over:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_since, self._head_size = None, 0
        if self._is_over:
            return
        if len(self.headers) > self._heads.count or self._size_of_head() > self._heads.bytes:
            self._end(*self._too_large())
        elif self._doorstep is not None and self._doorstep.is_on and self._parser.get_method() == b"POST":
            self._held = []
        else:
            super().on_headers_complete()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _too_large(self) -> tuple[str, str]:
        limits = self._heads
        return "431 Request Header Fields Too Large", f"a head may have {limits.count} headers and {limits.bytes} bytes"

    def _end(self, status: str, why: str) -> None:
        """The connection is over: nothing of what it sends is read any more."""
        self._is_over, self._head_since = True, None
        if self._is_free:  # else the answer under way is the last one
            body = why.encode()
            self.transport.write(
                b"HTTP/1.1 %s\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                % (status.encode(), len(body), body)
            )
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if self._is_over:
            return
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
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
        super().on_headers_complete()
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
        _cut(self.transport)

    def _watch(self, left: Left) -> Left:
        self.flow.resume_reading()  # paused after a long body: who does not read does not see the end
        if self.transport.is_closing():
            left()
        else:
            self._watching.add(left)
        return lambda: self._watching.discard(left)


class _Socket(WebSocketsSansIOProtocol):
    """uvicorn's, which can also be cut off: it closes only when all is sent, which a reader that has stalled never lets happen."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):  # the handshake was well-formed; the application has not begun yet
            extensions: dict[str, Any] = {
                **(self.scope.get("extensions") or {}),
                ABORT: self._abort,
                PEER: names_of(self.transport.get_extra_info("peercert")),
            }
            self.scope["extensions"] = extensions

    def _abort(self) -> None:
        _cut(self.transport)


def _cut(transport: asyncio.Transport) -> None:
    """Reset the connection: what it has not sent is thrown away, in the kernel too, which would else hold it for the reader."""
    held = transport.get_extra_info("socket")
    if held is not None and not transport.is_closing():
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class _WatchedStart:
    """The application, with what its start raised kept for a sentence, instead of a traceback in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: Exception | None = None

    def told(self) -> str:
        return "no reason given" if self.failure is None else f"{type(self.failure).__name__}: {self.failure}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _without_text(send))
        except Exception as error:  # a border: what it was is told by `serve`
            self.failure = error


def _without_text(send: Send) -> Send:
    async def quiet(message: Message) -> None:
        await send({**message, "message": ""} if message["type"] == "lifespan.startup.failed" else message)

    return quiet


class _JsonLines(logging.Handler):
    """Other people's log records, as lines of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def speak_through(log: Log) -> None:
    """Other people's log lines become ours. The process is ours, so its root logger is."""
    logging.basicConfig(handlers=[_JsonLines(log)], level=_LIBRARIES, force=True)


def url_of(host: str, port: int, *, is_tls: bool = False) -> str:
    """Where a person on this machine finds it."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - it is translated, not listened on
    scheme = "https" if is_tls else "http"
    return f"{scheme}://[{reachable}]:{port}" if ":" in reachable else f"{scheme}://{reachable}:{port}"


def _taken(host: str, port: int, error: OSError) -> PortTaken:
    return PortTaken(
        f"port {port} on {host} cannot be used ({error.strerror or error}): "
        "set SAGAQL_PORT or give --port to take another one"
    )
