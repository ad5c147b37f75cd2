"""One process, one port, one application: from a free port to the last answered request.

Invariants: the port is held before anything slow begins, so a taken one is told at once; SIGINT or SIGTERM makes the process leave
stage by stage, as `departure.py` has it, and end with 0.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import collector
from .admin_server import TICKS, AdminPort, AdminServer, end_who_is_late
from .clock import Seconds
from .connections import USUAL, Connection
from .departure import Departure, Stage
from .edge import Doorstep
from .edge.security_headers import strict_transport
from .edge.tls import Tls
from .head_limits import HeadLimits
from .telemetry import Log
from .websocket_connections import SocketConnection

_KEEP_ALIVE = (
    75  # seconds that an idle connection is kept: longer than load balancers keep theirs, so that they close first
)
GONE_AFTER = Seconds(60.0)
"""How long sent bytes may stay unacknowledged, or the other end's window closed: then the peer is gone, though nobody said so. Else
the kernel tries for a quarter of an hour."""
MOVES_CLIENTS = "set SAGAQL_PORT or give --port"
MOVES_ADMINS = "set SAGAQL_ADMIN__PORT"
_BACKLOG = 2048  # connections that wait to be accepted; uvicorn's own default
_ACCEPTS = 16
"""Connections that are accepted in one turn of the event loop. libuv takes one a turn from each socket, and a turn of a busy
process lasts tens of milliseconds: whoever connects then would wait for seconds before anybody could see how important it is."""
_LIBRARIES = "WARNING"  # what other people's code has to say to be heard


class PortTaken(Exception):
    """The address cannot be listened on; says why, and what moves it."""


class StartFailed(Exception):
    """The application's start raised; `__cause__` is what it raised."""


def hold_port(
    host: str, port: int, *, gone_after: Seconds = GONE_AFTER, moved_by: str = MOVES_CLIENTS
) -> socket.socket:
    """A socket that listens on the address: whoever connects waits until `serve` answers. Raises: PortTaken.

    Peers that acknowledge nothing for `gone_after` seconds are cut off. `moved_by`: how another port is chosen.

    Bound is not enough: two processes may bind one port as long as neither listens, and would find out after their slow start.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        held = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _taken(host, port, error, moved_by=moved_by) from error
    # Connections of an earlier run that linger in TIME_WAIT do not count; a listener does.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections that are accepted have it too
        held.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(gone_after * 1000))
    try:
        held.bind(address)
        held.listen(_BACKLOG)
    except OSError as error:
        held.close()
        raise _taken(host, port, error, moved_by=moved_by) from error
    return held


def accepting(held: socket.socket, ends: ExitStack) -> list[socket.socket]:
    """The socket, and descriptors of the same queue that are closed with `ends`: so many connections are accepted in a turn."""
    return [held, *(ends.enter_context(held.dup()) for _ in range(_ACCEPTS - 1))]


def inherited(fd: int) -> socket.socket:
    """The socket that a supervisor holds and listens on: workers accept from one queue."""
    return socket.socket(fileno=fd)


def serve(
    app: ASGIApp,
    held: socket.socket,
    *,
    drain: Seconds,
    log: Log,
    drain_delay: Seconds = Seconds(0.0),
    on_announce: Callable[[], None] = lambda: None,
    on_leave: Callable[[], None] = lambda: None,
    ws_max_size: int = 1024 * 1024,
    tls: Tls | None = None,
    doorstep: Doorstep | None = None,
    heads: HeadLimits = USUAL,
    admin: AdminPort | None = None,
) -> None:
    """Answer until a signal comes, then drain for at most `drain` seconds. `tls`: None speaks plain HTTP.

    `on_announce`: called at SIGTERM, `drain_delay` seconds before the drain; requests come meanwhile. `on_leave`: called when the
    drain begins. `doorstep`: judges requests before they are read. `heads`: what they may send until then. `admin`: a second port,
    for admins.

    Raises: StartFailed, PortTaken.
    """
    try:
        context = None if tls is None else tls.context()
    except ValueError as error:
        raise StartFailed(f"the gateway could not start: {error}") from error
    host, port = held.getsockname()[:2]
    speak_through(log)
    collector.leave_what_is_there()
    watched, departure = _WatchedStart(app), Departure(drain_delay)
    config = uvicorn.Config(
        watched,
        host=host,
        port=port,
        loop="uvloop",
        http=cast(
            "type[Connection]",
            partial(Connection, doorstep=doorstep, heads=heads, is_leaving=lambda: departure.has_begun),
        ),
        ws=SocketConnection,
        ws_max_size=ws_max_size,
        ws_ping_interval=None,  # `graphql-transport-ws` has pings of its own
        lifespan="on",
        proxy_headers=False,  # nothing here asks for the client's address
        access_log=False,
        log_config=None,
        server_header=False,
        headers=[] if tls is None else strict_transport(tls.hsts),
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(drain),
        ssl_context_factory=None if context is None else _handing_out(context),
    )
    beside = None if admin is None else AdminServer(admin, tls=config.ssl_context_factory)
    with held, ExitStack() as ends:
        try:
            server = Server(
                config, log=log, departure=departure, on_announce=on_announce, on_leave=on_leave, admin=beside
            )
            server.run(sockets=accepting(held, ends))
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


class Server(uvicorn.Server):
    """A server for which a signal is a request to leave: uvicorn's own dies of the signal once it has left."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        log: Log,
        departure: Departure,
        on_announce: Callable[[], None],
        on_leave: Callable[[], None],
        admin: AdminServer | None = None,
    ) -> None:
        super().__init__(config)
        self._admin = admin
        self._log = log
        self._departure = departure
        self._on_announce = on_announce
        self._on_leave = on_leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._admin is not None:
            await self._admin.open()
        collector.leave_what_is_there()
        self._log.info(
            "listening", url=_url(self.config), admin=None if self._admin is None else _url(self._admin.config)
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self._admin is not None:
            await self._admin.close(at_once=self.force_exit)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.asked, number)
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            end_who_is_late(self)
        if self._admin is not None:
            await self._admin.on_tick(counter)
        return await super().on_tick(counter)

    def asked(self, number: signal.Signals) -> None:
        """A signal has come."""
        match self._departure.asked(number):
            case Stage.ANNOUNCED:
                delay = self._departure.delay
                self._log.info("not ready any more", signal=number.name, drains_in=delay)
                self._on_announce()
                for each in self._connections():
                    each.end_with_next_answer()
                asyncio.get_running_loop().call_later(delay, self._waited)
            case Stage.DRAINING:
                self._drain(signal=number.name)
            case _:
                self._log.info("not waiting any longer", signal=number.name)
                self.force_exit = True

    def _waited(self) -> None:
        if self._departure.waited():
            self._drain(after=self._departure.delay)

    def _drain(self, **why: object) -> None:
        self._log.info("draining", **why)
        self._on_leave()
        self.should_exit = True

    def _connections(self) -> list[Connection]:
        return [each for each in self.server_state.connections if isinstance(each, Connection)]


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


def _url(config: uvicorn.Config) -> str:
    return url_of(config.host, config.port, is_tls=config.is_ssl)


def _taken(host: str, port: int, error: OSError, *, moved_by: str = MOVES_CLIENTS) -> PortTaken:
    return PortTaken(
        f"port {port} on {host} cannot be used ({error.strerror or error}): {moved_by} to take another one"
    )
