"""The wire over real sockets, on both event loops: what it sends, and what every kind of misbehaviour becomes."""

import asyncio
import gzip
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.clock import Deadline, Instant, LoopClock, Seconds
from gateway.errors import ServiceContractBroken, ServiceTimeout, ServiceUnavailable
from gateway.services import Priority, ServiceConfig, ServiceRequest, ServiceResponse
from gateway.services.http1_wire import Http1Wire
from gateway.telemetry import Telemetry, json_log

CLOCK = LoopClock()
STOCK = ServiceRequest(service="catalog", path="/stock", endpoint="GET /stock")
ORDER = replace(STOCK, method="POST", path="/orders", endpoint="POST /orders", body=b'{"n":1}', idempotency_key="k-1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Behaviour = Callable[["Visit"], Awaitable[None]]


@dataclass
class Visit:
    """One request as the server reads it, and the means to answer."""

    line: str
    headers: dict[str, str]
    body: bytes
    number: int
    """Counts the requests of this connection, from 1."""
    writer: asyncio.StreamWriter
    fields: list[str]
    """The lines of its headers, also of those that come twice."""

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


@dataclass
class Server:
    port: int = 0
    visits: list[Visit] = field(default_factory=list[Visit])
    connections: int = 0


async def read_visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, number: int) -> Visit:
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Visit(line, headers, body, number, writer, fields)


@asynccontextmanager
async def serving(behaviour: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server, connections = Server(), dict[asyncio.Task[None], asyncio.StreamWriter]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        number = 0
        try:
            while not writer.is_closing():
                number += 1
                visit = await read_visit(reader, writer, number=number)
                server.visits.append(visit)
                await behaviour(visit)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the wire went away, or the test is over
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(connected(reader, writer))
        connections[task] = writer

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=256, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task, writer in connections.items():
            task.cancel()
            writer.transport.abort()  # for one that came at the last moment: its task has not begun, and closes nothing
        for ended in await asyncio.gather(*connections, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


def always(data: bytes) -> Behaviour:
    return lambda visit: visit.write(data)


@asynccontextmanager
async def wire_to(
    port: int, *, path: str = "", max_response: int = 1000, clock: LoopClock = CLOCK, connect: float = 5.0
) -> AsyncIterator[Http1Wire]:
    config = ServiceConfig(  # a loaded machine is no service that is not there
        instances=(f"http://127.0.0.1:{port}{path}",), max_response=max_response, connect_timeout=Seconds(connect)
    )
    telemetry = Telemetry(log=json_log(StringIO(), level="error"))
    wire = Http1Wire("catalog", config, telemetry=telemetry, clock=clock)
    with telemetry.span("test"):
        await wire.start()
        try:
            yield wire
        finally:
            await wire.close()


async def ask(wire: Http1Wire, request: ServiceRequest = STOCK, *, within: float = 5.0) -> ServiceResponse:
    return await wire.send(request, timeout=Seconds(within))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- what is sent ------------------------------------------------------------------------------------------------------


async def test_a_write_carries_its_key_its_deadline_and_its_trace() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        await ask(wire, replace(ORDER, deadline=Deadline.after(2.0, clock=CLOCK), headers=(("X-Tenant", "t"),)))
    (visit,) = server.visits
    assert visit.line == "POST /orders HTTP/1.1"
    assert visit.body == b'{"n":1}'
    assert visit.headers["content-type"] == "application/json"
    assert visit.headers["idempotency-key"] == "k-1"
    assert visit.headers["x-tenant"] == "t"
    assert visit.headers["traceparent"].startswith("00-")
    assert 1000 < int(visit.headers["x-request-timeout-ms"]) <= 1995


async def test_a_read_without_a_deadline_says_none() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        await ask(wire)
    (visit,) = server.visits
    assert not {"x-request-timeout-ms", "idempotency-key", "content-type", "cookie"} & set(visit.headers)


@pytest.mark.parametrize(
    ("path", "query", "line"),
    [
        (
            "/stock",
            (("skus", "a b"), ("skus", "c&d=e/ü")),
            "GET /api/stock?skus=a%20b&skus=c%26d%3De%2F%C3%BC HTTP/1.1",
        ),
        ("/a%2Fb", (), "GET /api/a%2Fb HTTP/1.1"),
        ("/what?now#then ü", (), "GET /api/what%3Fnow%23then%20%C3%BC HTTP/1.1"),
        ("/a.b/%2Eb/..c/x%2e", (), "GET /api/a.b/%2Eb/..c/x%2e HTTP/1.1"),
    ],
)
async def test_foreign_text_cannot_leave_its_place_in_the_address(
    path: str, query: tuple[tuple[str, str], ...], line: str
) -> None:
    async with serving(always(OK)) as server, wire_to(server.port, path="/api/") as wire:
        await ask(wire, replace(STOCK, path=path, query=query))
    assert server.visits[0].line == line


@pytest.mark.parametrize(
    "path",
    [
        "stock",
        "/customers/../admin",
        "/.",
        "/a/..",
        "/customers/%2e%2E/admin",
        "/customers/.%2e",
        "/customers/..;x=1/admin",
        "/customers/..%2fadmin",
        "/customers/..%5Cadmin",
        "/customers/a%2F..%2F..%2Fadmin",
        "/customers/..\\admin",
    ],
)
async def test_a_path_that_would_climb_is_not_sent(path: str) -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        with pytest.raises(ValueError, match="GET /stock"):
            await ask(wire, replace(STOCK, path=path))
    assert server.visits == []


async def test_a_line_break_in_a_header_is_not_sent() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        with pytest.raises(ValueError, match="breaks the line"):
            await ask(wire, replace(STOCK, headers=(("X-Tenant", "t\r\nX-Admin: yes"),)))
    assert server.visits == []


@pytest.mark.parametrize("method", ["GET /admin HTTP/1.1\r\nX: y\r\n\r\nGET", "G ET", ""])
async def test_a_method_that_is_another_request_is_not_sent(method: str) -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        with pytest.raises(ValueError, match="method"):
            await ask(wire, replace(STOCK, method=method))
    assert server.visits == []


async def test_what_the_wire_writes_itself_is_there_once_whoever_else_gives_it() -> None:
    """Two deadlines, keys or traces are none: a service takes either, and a client's own may have been forwarded."""
    given = (
        "Idempotency-Key",
        "X-Request-Timeout-Ms",
        "X-Request-Priority",
        "traceparent",
        "tracestate",
        "Accept-Encoding",
    )
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        headers = (*((name, "theirs") for name in given), ("Accept", "text/csv"))
        deadline = Deadline.after(2.0, clock=CLOCK)
        await ask(wire, replace(ORDER, headers=headers, deadline=deadline, priority=Priority.CRITICAL))
    (visit,) = server.visits
    assert len(visit.fields) == len(visit.headers)
    assert "theirs" not in visit.headers.values()
    assert visit.headers["accept"] == "text/csv"


async def test_a_service_may_answer_in_any_type_unless_somebody_says_otherwise() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        await ask(wire)
    assert server.visits[0].headers["accept"] == "*/*"


async def test_a_wire_that_was_not_started_says_so() -> None:
    wire = Http1Wire(
        "catalog",
        ServiceConfig(instances=("http://catalog",)),
        telemetry=Telemetry(log=json_log(StringIO())),
        clock=CLOCK,
    )
    with pytest.raises(RuntimeError, match="the wire to catalog is not started"):
        await ask(wire)


# -- answers -----------------------------------------------------------------------------------------------------------


async def test_an_answer_has_lower_case_headers_and_only_its_own() -> None:
    head = b"HTTP/1.1 404 Nope\r\nX-Reason: a\r\nX-Reason: b\r\nSet-Cookie: s=1\r\nContent-Length: 2\r\n\r\nno"
    async with serving(always(head)) as server, wire_to(server.port) as wire:
        response = await ask(wire)
        await ask(wire)
    assert (response.status, response.body) == (404, b"no")
    assert response.headers == {"x-reason": "a, b", "set-cookie": "s=1"}
    assert "cookie" not in server.visits[1].headers


async def test_a_redirect_is_an_answer() -> None:
    found = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
    async with serving(always(found)) as server, wire_to(server.port) as wire:
        assert (await ask(wire)).status == 302
    assert len(server.visits) == 1


async def sends_chunks(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in (b'5\r\n{"a":\r\n', b"3;x=y\r\n", b" 1}\r\n0\r\n", b"X-Trailer: t\r\n\r\n"):
        await asyncio.sleep(0.01)
        await visit.write(piece)


async def test_a_chunked_answer_is_put_together_and_its_connection_is_used_again() -> None:
    async with serving(sends_chunks) as server, wire_to(server.port) as wire:
        for _ in range(2):
            assert (await ask(wire)).body == b'{"a": 1}'
    assert server.connections == 1


def zipped(body: bytes) -> bytes:
    packed = gzip.compress(body)
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed


async def test_a_compressed_answer_is_unpacked_and_says_nothing_of_it() -> None:
    async with serving(always(zipped(b"x" * 900))) as server, wire_to(server.port) as wire:
        response = await ask(wire)
    assert response.body == b"x" * 900
    assert response.headers == {}
    assert "gzip" in server.visits[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3
        + b"0\r\n\r\n",
        zipped(b"x" * 50_000_000),
    ],
    ids=["plain", "chunked", "bomb"],
)
async def test_an_oversize_answer_is_given_up_and_the_next_call_is_well(data: bytes) -> None:
    async def oversize_first(visit: Visit) -> None:
        await visit.write(data if len(server.visits) == 1 else OK)

    async with serving(oversize_first) as server, wire_to(server.port) as wire:
        with pytest.raises(ServiceContractBroken, match="catalog answered with more than 1000 bytes") as caught:
            await ask(wire)
        assert caught.value.applied is True
        assert (await ask(wire)).status == 200


# -- failures ----------------------------------------------------------------------------------------------------------


async def test_a_refused_connection_means_that_nothing_was_applied() -> None:
    async with wire_to(unused_port()) as wire:
        with pytest.raises(ServiceUnavailable, match=r"^catalog refused the connection$") as caught:
            await ask(wire, ORDER)
    assert caught.value.applied is False


async def test_a_name_that_does_not_resolve_means_that_nothing_was_applied() -> None:
    telemetry = Telemetry(log=json_log(StringIO()))
    wire = Http1Wire("catalog", ServiceConfig(instances=("http://catalog.invalid",)), telemetry=telemetry, clock=CLOCK)
    await wire.start()
    with pytest.raises(ServiceUnavailable) as caught:
        await ask(wire, ORDER)
    await wire.close()
    assert caught.value.applied is False
    assert "invalid" not in caught.value.message


async def test_a_full_backlog_means_that_nothing_was_applied() -> None:
    with socket.socket() as listener:  # never accepts; two connections fill its backlog, the next gets no answer
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
            async with wire_to(port, connect=0.25) as wire:
                with pytest.raises(ServiceUnavailable, match="no connection within 250 ms") as caught:
                    await ask(wire, ORDER)
        finally:
            for filler in fillers:
                filler.close()
    assert caught.value.applied is False


async def closes(visit: Visit) -> None:
    visit.writer.close()


async def resets(visit: Visit) -> None:
    visit.reset()


@pytest.mark.parametrize("behaviour", [closes, resets])
@pytest.mark.parametrize("request_", [STOCK, ORDER], ids=["read", "write"])
async def test_a_connection_lost_before_the_answer_leaves_it_unknown(
    behaviour: Behaviour, request_: ServiceRequest
) -> None:
    async with serving(behaviour) as server, wire_to(server.port) as wire:
        with pytest.raises(ServiceUnavailable, match="catalog closed the connection before it answered") as caught:
            await ask(wire, request_)
    assert caught.value.applied is None
    assert str(server.port) not in caught.value.message


async def closes_midway(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    visit.writer.close()


async def resets_midway(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await asyncio.sleep(0.02)
    visit.reset()


async def sends_broken_chunks(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.02)
    await visit.write(b"zz\r\nnonsense\r\n")


async def sends_broken_gzip(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n")
    await asyncio.sleep(0.02)
    await visit.write(b"notgzip!")


@pytest.mark.parametrize("behaviour", [closes_midway, resets_midway, sends_broken_gzip, sends_broken_chunks])
async def test_an_answer_that_breaks_off_is_not_used(behaviour: Behaviour) -> None:
    async with serving(behaviour) as server, wire_to(server.port) as wire:
        with pytest.raises(ServiceUnavailable, match="catalog broke off") as caught:
            await ask(wire)
    assert caught.value.applied is None


async def test_an_answer_that_is_not_http_leaves_it_unknown() -> None:
    async with serving(always(b"220 mail.example ESMTP\r\n\r\n")) as server, wire_to(server.port) as wire:
        with pytest.raises(ServiceUnavailable, match="not HTTP") as caught:
            await ask(wire)
    assert caught.value.applied is None


async def sleeps(_: Visit) -> None:
    await asyncio.sleep(30)


async def trickles(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    while True:
        await visit.write(b"x")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("behaviour", [sleeps, trickles])
async def test_a_slow_answer_times_out_and_leaves_it_unknown(behaviour: Behaviour) -> None:
    async with serving(behaviour) as server, wire_to(server.port) as wire:
        with pytest.raises(ServiceTimeout, match="catalog did not answer within 50 ms") as caught:
            await ask(wire, within=0.05)
    assert caught.value.applied is None


async def test_a_cancelled_call_closes_its_connection_and_only_that() -> None:
    arrived = asyncio.Event()

    async def slow_then_well(visit: Visit) -> None:
        arrived.set()
        if len(server.visits) == 1:
            await asyncio.sleep(30)
        await visit.write(OK)

    async with serving(slow_then_well) as server, wire_to(server.port) as wire:
        call = asyncio.create_task(ask(wire))
        await arrived.wait()
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert (await ask(wire)).status == 200
    assert server.connections == 2


# -- connections -------------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        for _ in range(3):
            await ask(wire)
    assert server.connections == 1


async def answers_once(visit: Visit) -> None:
    await visit.write(OK)
    visit.writer.close()


async def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    async with serving(answers_once) as server, wire_to(server.port) as wire:
        for _ in range(3):
            await ask(wire)
            await asyncio.sleep(0.02)
    assert server.connections == 3


async def test_a_write_after_the_server_closed_an_idle_connection_is_sent_once_and_succeeds() -> None:
    async with serving(answers_once) as server, wire_to(server.port) as wire:
        await ask(wire)
        await asyncio.sleep(0.02)
        assert (await ask(wire, ORDER)).status == 200
    assert [visit.line for visit in server.visits] == ["GET /stock HTTP/1.1", "POST /orders HTTP/1.1"]


async def closes_on_the_second(visit: Visit) -> None:
    if visit.number == 1:
        await visit.write(OK)
    else:
        visit.writer.close()


async def test_a_reused_connection_that_dies_is_reported_and_not_silently_repeated() -> None:
    async with serving(closes_on_the_second) as server, wire_to(server.port) as wire:
        await ask(wire)
        with pytest.raises(ServiceUnavailable) as caught:
            await ask(wire)  # a GET, which some clients would send again by themselves
        assert caught.value.applied is None
        assert len(server.visits) == 2


async def test_no_call_waits_for_a_connection_of_another() -> None:
    all_are_here = asyncio.Event()

    async def all_at_once(visit: Visit) -> None:
        if len(server.visits) == 120:
            all_are_here.set()
        await all_are_here.wait()
        await visit.write(OK)

    async with serving(all_at_once) as server, wire_to(server.port) as wire:
        responses = await asyncio.gather(*(ask(wire) for _ in range(120)))
    assert {response.status for response in responses} == {200}
    assert server.connections == 120


async def says_how_long_it_keeps(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\n{}")


async def test_a_connection_that_the_service_is_about_to_close_is_not_used() -> None:
    async with serving(says_how_long_it_keeps) as server, wire_to(server.port) as wire:
        await ask(wire)
        await asyncio.sleep(0.01)
        await ask(wire)  # a second less one of keeping is none
    assert server.connections == 2


class Later(LoopClock):
    """The loop's clock, some seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> Instant:
        return Instant(super().now() + self.ahead)


@pytest.mark.parametrize(("idle", "read", "write"), [(1.0, 1, 1), (3.0, 1, 2), (16.0, 2, 2)])
async def test_a_read_may_use_an_idle_connection_for_longer_than_a_write(idle: float, read: int, write: int) -> None:
    for request, connections in ((STOCK, read), (ORDER, write)):
        clock = Later()
        async with serving(always(OK)) as server, wire_to(server.port, clock=clock) as wire:
            await ask(wire, request)
            clock.ahead = idle
            await ask(wire, request)
        assert server.connections == connections


async def test_the_priority_travels_with_the_call_and_what_is_normal_says_nothing() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        for priority in Priority:
            await ask(wire, replace(STOCK, priority=priority))
    assert [visit.headers.get("x-request-priority") for visit in server.visits] == ["sheddable", None, "critical"]


async def test_each_instance_has_connections_of_its_own() -> None:
    async with serving(always(OK)) as one, serving(always(OK)) as other, wire_to(one.port) as wire:
        addresses = [f"http://127.0.0.1:{server.port}" for server in (one, other)]
        for address in addresses * 3:
            await ask(wire, replace(STOCK, instance=address))
        assert [(server.connections, len(server.visits)) for server in (one, other)] == [(1, 3), (1, 3)]
        wire.configure(ServiceConfig(instances=(addresses[0],)))
        assert repr(wire) == "<Http1Wire catalog 1 open, 1 idle>"


async def test_a_request_under_way_to_an_address_that_is_gone_leaves_no_connection_behind() -> None:
    async with serving(_later) as server, wire_to(server.port) as wire:
        asking = [asyncio.create_task(ask(wire)) for _ in range(5)]
        while len(server.visits) < 5:  # noqa: ASYNC110 - what a server has seen sets no event
            await asyncio.sleep(0.001)
        wire.configure(ServiceConfig(instances=("http://127.0.0.1:1",)))
        assert {each.status for each in await asyncio.gather(*asking)} == {200}
        assert repr(wire) == "<Http1Wire catalog 0 open, 0 idle>"


async def _later(visit: Visit) -> None:
    await asyncio.sleep(0.05)
    await visit.write(OK)


async def test_a_cancelled_request_takes_its_connection_along() -> None:
    async with serving(sleeps) as server, wire_to(server.port) as wire:
        asking = asyncio.create_task(ask(wire))
        while not server.visits:  # noqa: ASYNC110 - what a server has seen sets no event
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert repr(wire) == "<Http1Wire catalog 0 open, 0 idle>"


async def test_whoever_still_waits_when_the_wire_is_closed_is_told_at_once() -> None:
    async with serving(sleeps) as server, wire_to(server.port) as wire:
        asking = asyncio.create_task(ask(wire, ORDER))
        while not server.visits:  # noqa: ASYNC110 - what a server has seen sets no event
            await asyncio.sleep(0.001)
        await wire.close()
        with pytest.raises(ServiceUnavailable) as caught:
            await asyncio.wait_for(asking, 1.0)
    assert caught.value.applied is None


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate for 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 "
        f"-keyout {folder}/key.pem -out {folder}/cert.pem".split(),
        check=True,
        capture_output=True,
    )
    return folder


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@asynccontextmanager
async def tls_wire_to(address: str, ca_file: Path | None, *, connect: float = 5.0) -> AsyncIterator[Http1Wire]:
    config = ServiceConfig(
        instances=(address,), ca_file=None if ca_file is None else str(ca_file), connect_timeout=Seconds(connect)
    )
    wire = Http1Wire("catalog", config, telemetry=Telemetry(), clock=CLOCK)
    await wire.start()
    yield wire
    await wire.close()


async def test_https_is_spoken_with_a_certificate_that_is_known(certificate: Path) -> None:
    async with serving(always(OK), tls=server_tls(certificate)) as server:
        async with tls_wire_to(f"https://127.0.0.1:{server.port}", certificate / "cert.pem") as wire:
            for _ in range(2):
                assert (await ask(wire)).body == b"{}"
        assert server.connections == 1


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_an_unknown_certificate_and_one_for_another_name_are_refused(certificate: Path, name: str) -> None:
    known = certificate / "cert.pem" if name == "localhost" else None
    async with serving(always(OK), tls=server_tls(certificate)) as server:
        async with tls_wire_to(f"https://{name}:{server.port}", known) as wire:
            with pytest.raises(ServiceUnavailable, match="could not agree on TLS") as caught:
                await ask(wire)
        assert (server.visits, caught.value.applied) == ([], False)


class ReadsCertificatesSlowly(Http1Wire):
    """As on a machine that has much else to do."""

    def _context(self) -> ssl.SSLContext:
        time.sleep(0.6)  # reading them does stop the loop
        return super()._context()


async def test_reading_certificates_is_not_in_the_time_that_a_connection_has(certificate: Path) -> None:
    async with serving(always(OK), tls=server_tls(certificate)) as server:
        config = ServiceConfig(
            instances=(f"https://127.0.0.1:{server.port}",),
            ca_file=str(certificate / "cert.pem"),
            connect_timeout=Seconds(0.5),
        )
        wire = ReadsCertificatesSlowly("catalog", config, telemetry=Telemetry(), clock=CLOCK)
        await wire.start()
        try:
            assert (await ask(wire)).status == 200
        finally:
            await wire.close()


async def test_a_service_that_speaks_no_tls_is_not_reached() -> None:
    async with serving(always(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        async with tls_wire_to(f"https://127.0.0.1:{server.port}", None, connect=0.2) as wire:
            with pytest.raises(ServiceUnavailable, match="accepted no connection within 200 ms") as caught:
                await ask(wire)
        assert caught.value.applied is False
