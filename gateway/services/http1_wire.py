"""The wire: HTTP/1.1 to a service's instances, over connections that are kept.

Invariants: one `send` is one request on the network; nothing waits in the pool (the bulkhead owns waiting); no cookie is
kept, no redirect followed, no proxy read from the environment; a write never goes out on a connection that has been idle for
long enough to be closing under it. Certificates are always verified.
Why our own: at 50 concurrent requests one costs a fifth of aiohttp's CPU and a hundredth of httpx's (docs/decisions/0010);
the parser is llhttp. HTTP/2 is not spoken: with warm connections it wins nothing inside a data centre.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections import deque
from functools import lru_cache
from itertools import chain
from math import isinf
from urllib.parse import quote, urlsplit

from ..clock import Clock, Seconds
from ..errors import ServiceContractBroken, ServiceError, ServiceTimeout, ServiceUnavailable
from ..telemetry import Telemetry
from .config import ServiceConfig
from .headers import NEVER_GIVEN, is_sendable, is_token
from .http1_connection import MAX_HEAD, Broken, Connection, ExchangeBroken
from .request import Priority, ServiceRequest, ServiceResponse

_ALLOWANCE_MS = 5
"""For the way there and back: the service should give up a little before we do."""

_PATH_SAFE = "/%:@!$&'()*+,;=~"
"""What stays as it is in a path (RFC 3986 pchar, and escapes already made)."""

_ENCODED_DOT = re.compile("%2e", re.IGNORECASE).sub
_SLASH = re.compile(r"/|\\|%2f|%5c", re.IGNORECASE).split
"""What somebody on the way may take for one, or decode to one."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_LINE_BREAKS = re.compile(r"[\r\n\0]").search

LONGEST_IDLE = Seconds(15.0)
"""After which a connection is closed by us. Shorter than what load balancers allow (60 s), longer than a pause of traffic."""

SHORT_IDLE = Seconds(2.0)
"""What a write accepts: servers keep idle connections for 5 s and more, so one that was used just now is not closing."""

MAX_IDLE = 128
"""Idle connections to one address: two bulkheads of the default size."""


class Http1Wire:
    """The connections of one service. State: those that are idle, by address, and all that are open."""

    def __init__(self, service: str, config: ServiceConfig, *, telemetry: Telemetry, clock: Clock) -> None:
        self._service = service
        self._config = config
        self._constant = _constant(config)
        self._telemetry = telemetry
        self._clock = clock
        self._origins: dict[str, _Origin] = {}
        self._open: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self._is_started = False

    def __repr__(self) -> str:
        idle = sum(len(origin.idle) for origin in self._origins.values())
        return f"<Http1Wire {self._service} {len(self._open)} open, {idle} idle>"

    async def start(self) -> None:
        self._is_started = True

    async def close(self) -> None:
        self._is_started = False
        for connection in [*self._open]:
            connection.abort()
        self._open.clear()
        self._origins.clear()

    def configure(self, config: ServiceConfig) -> None:
        """Other settings from now on. Connections to addresses that are gone, or verified otherwise than now, are closed: the
        idle ones at once, those in use when they are done."""
        has_other_ca = config.ca_file != self._config.ca_file
        if has_other_ca:
            self._tls = None
        self._config = config
        self._constant = _constant(config)
        known = set[str]() if has_other_ca else {*config.instances, *config.fallback}
        for address in [each for each in self._origins if each not in known]:
            for connection in self._origins.pop(address).idle:
                self._open.discard(connection)
                connection.abort()

    async def send(self, request: ServiceRequest, *, timeout: Seconds) -> ServiceResponse:  # noqa: ASYNC109  (the protocol's)
        if not self._is_started:
            raise RuntimeError(f"the wire to {self._service} is not started: call `await services.start()` first")
        origin = self._origin(request.instance or self._config.instances[0])
        message = self._message(request, origin)
        if isinf(timeout):
            return await self._exchange(request, origin, message)
        try:
            async with asyncio.timeout(timeout):
                return await self._exchange(request, origin, message)
        except TimeoutError as error:
            text = f"{self._service} did not answer within {timeout * 1000:.0f} ms"
            raise ServiceTimeout(text, service=self._service) from error

    async def _exchange(self, request: ServiceRequest, origin: _Origin, message: bytes) -> ServiceResponse:
        connection = self._kept(origin, is_write=not request.is_safe) or await self._connect(origin)
        try:
            response = await connection.exchange(
                message, is_head=request.method == "HEAD", max_response=self._config.max_response
            )
        except ExchangeBroken as error:
            self._open.discard(connection)
            raise self._translated(error) from error
        except BaseException:  # nobody waits any more: what would come belongs to nobody
            self._open.discard(connection)
            connection.abort()
            raise
        self._keep(connection, origin)
        return response

    # -- connections ---------------------------------------------------------------------------------------------------

    def _kept(self, origin: _Origin, *, is_write: bool) -> Connection | None:
        """The connection used last, unless it has been idle for too long."""
        now, idle = self._clock.now(), origin.idle
        while idle:
            connection = idle.pop()
            longest = SHORT_IDLE if is_write else LONGEST_IDLE
            if connection.keep_alive is not None:
                longest = Seconds(min(longest, connection.keep_alive - 1.0))
            if connection.is_reusable and now - connection.idle_since <= longest:
                return connection
            self._open.discard(connection)
            connection.abort()
        return None

    def _keep(self, connection: Connection, origin: _Origin) -> None:
        now, idle = self._clock.now(), origin.idle
        is_current = self._origins.get(origin.address) is origin  # the address may be gone since the exchange began
        if connection.is_reusable and is_current:
            connection.idle_since = now
            idle.append(connection)
        else:
            self._open.discard(connection)
            connection.abort()
        while idle and (len(idle) > MAX_IDLE or now - idle[0].idle_since > LONGEST_IDLE or not idle[0].is_reusable):
            oldest = idle.popleft()
            self._open.discard(oldest)
            oldest.abort()

    async def _connect(self, origin: _Origin) -> Connection:
        limit = self._config.connect_timeout
        try:
            tls = (
                self._context() if origin.is_tls else None
            )  # outside: reading certificates is not in the service's time
            async with asyncio.timeout(limit):
                _, connection = await asyncio.get_running_loop().create_connection(
                    Connection, origin.host, origin.port, ssl=tls
                )
        except TimeoutError as error:
            raise self._not_reached(f"accepted no connection within {limit * 1000:.0f} ms") from error
        except socket.gaierror as error:
            raise self._not_reached("has a name that could not be resolved") from error
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise self._not_reached("could not agree on TLS") from error
        except OSError as error:
            raise self._not_reached("refused the connection") from error
        self._open.add(connection)
        return connection

    def _origin(self, address: str) -> _Origin:
        origin = self._origins.get(address)
        if origin is None:
            origin = self._origins[address] = _Origin(address)
        return origin

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._config.ca_file)
        return self._tls

    # -- the request ---------------------------------------------------------------------------------------------------

    def _message(self, request: ServiceRequest, origin: _Origin) -> bytes:
        """Head and body. Raises: ValueError for a path or a header that would be another request than it says."""
        if not is_token(request.method):
            raise ValueError(f"{request.endpoint}: {request.method!r} is no method")
        lines = [f"{request.method} {origin.path}{_target(request)} HTTP/1.1", origin.common]
        has_type = has_accept = False
        for name, value in request.headers:
            lower = name.lower()
            if lower in NEVER_GIVEN or lower in self._constant:
                continue
            if not is_sendable(name, value):
                raise ValueError(
                    f"{request.endpoint}: the header {name!r} cannot be sent: its name or value breaks the line"
                )
            has_type = has_type or lower == "content-type"
            has_accept = has_accept or lower == "accept"
            lines.append(f"{name}: {value}")
        lines += self._constant.values()
        if not (has_accept or "accept" in self._constant):
            lines.append("Accept: */*")
        if request.idempotency_key is not None:
            lines.append(f"Idempotency-Key: {_one_line(request.idempotency_key, request)}")
        if request.deadline.at != float("inf"):
            left = int(request.deadline.remaining(self._clock) * 1000) - _ALLOWANCE_MS
            lines.append(f"X-Request-Timeout-Ms: {max(1, left)}")
        if request.priority is not Priority.NORMAL:
            lines.append(f"X-Request-Priority: {request.priority.word}")
        lines += [f"{name}: {value}" for name, value in self._telemetry.trace_headers().items()]
        body = request.body
        if body is not None:
            if not has_type and "content-type" not in self._constant:
                lines.append("Content-Type: application/json")
            lines.append(f"Content-Length: {len(body)}")
        elif request.method not in {"GET", "HEAD", "OPTIONS", "DELETE"}:
            lines.append("Content-Length: 0")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return head if body is None else head + body

    # -- the border: what became of it ---------------------------------------------------------------------------------

    def _translated(self, error: ExchangeBroken) -> ServiceError:
        match error.how:
            case Broken.CLOSED:
                return self._unknown("closed the connection before it answered")
            case Broken.NOT_HTTP:
                return self._unknown("answered with something that is not HTTP")
            case Broken.CUT_OFF:
                return self._unknown("broke off in the middle of its answer")
            case Broken.OVERSIZE:
                return self._unusable(f"with more than {self._config.max_response} bytes", error.status)
            case Broken.HEAD:
                return self._unusable(f"with headers of more than {MAX_HEAD} bytes", error.status)
            case Broken.ENCODING:
                return self._unusable("in an encoding that was not asked for", error.status)

    def _not_reached(self, what: str) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self._service} {what}", service=self._service, applied=False)

    def _unknown(self, what: str) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self._service} {what}", service=self._service, applied=None)

    def _unusable(self, how: str, status: int) -> ServiceContractBroken:
        applied = True if 200 <= status < 300 else None
        return ServiceContractBroken(f"{self._service} answered {how}", service=self._service, applied=applied)


class _Origin:
    """One address, taken apart once; and its idle connections, the one used last at the end."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.address = address
        self.is_tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.is_tls else 80)
        self.path = parts.path.rstrip("/")
        self.common = f"Host: {parts.netloc}\r\nUser-Agent: sagaql\r\nAccept-Encoding: gzip, deflate"
        self.idle: deque[Connection] = deque()


def _constant(config: ServiceConfig) -> dict[str, str]:
    """The lines that go with every request, by the name of their header."""
    return {each.name: f"{each.name}: {each.value}" for each in config.set_headers}


def _target(request: ServiceRequest) -> str:
    """Path and query, encoded. Raises: ValueError for a path that names another resource than the endpoint."""
    path = _path(request.path)
    if path is None:
        raise ValueError(f"{request.endpoint}: a path starts with a slash and has no . or .. segments")
    if not request.query:
        return path
    pairs = request.query
    if not _PLAIN("".join(chain.from_iterable(pairs))):
        pairs = tuple((quote(name, safe=""), quote(value, safe="")) for name, value in pairs)
    return f"{path}?{'&'.join(map('='.join, pairs))}"


@lru_cache(1024)
def _path(path: str) -> str | None:
    """The path as it is sent; None for one that is none. Most paths are an endpoint's own, so they are encoded once."""
    return None if not path.startswith("/") or climbs(path) else quote(path, safe=_PATH_SAFE)


def climbs(path: str) -> bool:
    """Whether a segment is `.` or `..`, which a server would resolve to another resource than the endpoint names; also where its
    dots are encoded (the same path by RFC 3986, 6.2.2.2), its slashes are (which some proxies decode first), or where parameters
    follow, which some servers cut off first."""
    if "." not in path and "%2" not in path:
        return False
    return any(_ENCODED_DOT(".", segment).partition(";")[0] in {".", ".."} for segment in _SLASH(path))


def _one_line(text: str, request: ServiceRequest) -> str:
    if _LINE_BREAKS(text):
        raise ValueError(f"{request.endpoint}: the idempotency key breaks the line")
    return text
