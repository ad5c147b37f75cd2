"""The aiohttp wire over real sockets: what it sends, and what every kind of misbehaviour becomes."""

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import StringIO

import pytest
from msgspec.structs import replace

from gateway.clock import Deadline, LoopClock, Seconds
from gateway.errors import ServiceContractBroken, ServiceTimeout, ServiceUnavailable
from gateway.services import ServiceConfig, ServiceRequest, ServiceResponse
from gateway.services.aiohttp_wire import AiohttpWire
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
    return Visit(line, headers, body, number, writer)


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[Server]:
    server, connections = Server(), set[asyncio.Task[None]]()

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
        connections.add(task)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=256)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections)


def always(data: bytes) -> Behaviour:
    return lambda visit: visit.write(data)


@asynccontextmanager
async def wire_to(port: int, *, path: str = "", max_response: int = 1000) -> AsyncIterator[AiohttpWire]:
    config = ServiceConfig(instances=(f"http://127.0.0.1:{port}{path}",), max_response=max_response)
    telemetry = Telemetry(log=json_log(StringIO(), level="error"))
    wire = AiohttpWire("catalog", config, telemetry=telemetry, clock=CLOCK)
    with telemetry.span("test"):
        await wire.start()
        try:
            yield wire
        finally:
            await wire.close()


async def ask(wire: AiohttpWire, request: ServiceRequest = STOCK, *, within: float = 5.0) -> ServiceResponse:
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
    ],
)
async def test_foreign_text_cannot_leave_its_place_in_the_address(
    path: str, query: tuple[tuple[str, str], ...], line: str
) -> None:
    async with serving(always(OK)) as server, wire_to(server.port, path="/api/") as wire:
        await ask(wire, replace(STOCK, path=path, query=query))
    assert server.visits[0].line == line


@pytest.mark.parametrize("path", ["stock", "/customers/../admin", "/.", "/a/.."])
async def test_a_path_that_would_climb_is_not_sent(path: str) -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        with pytest.raises(ValueError, match="GET /stock"):
            await ask(wire, replace(STOCK, path=path))
    assert server.visits == []


async def test_a_line_break_in_a_header_is_not_sent() -> None:
    async with serving(always(OK)) as server, wire_to(server.port) as wire:
        with pytest.raises(ValueError):  # noqa: PT011  (aiohttp's own words)
            await ask(wire, replace(STOCK, headers=(("X-Tenant", "t\r\nX-Admin: yes"),)))
    assert server.visits == []


async def test_a_wire_that_was_not_started_says_so() -> None:
    wire = AiohttpWire(
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
    wire = AiohttpWire(
        "catalog", ServiceConfig(instances=("http://catalog.invalid",)), telemetry=telemetry, clock=CLOCK
    )
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
            async with wire_to(port) as wire:
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


@pytest.mark.parametrize("behaviour", [closes_midway, resets_midway, sends_broken_gzip])
async def test_an_answer_that_breaks_off_is_not_used(behaviour: Behaviour) -> None:
    async with serving(behaviour) as server, wire_to(server.port) as wire:
        with pytest.raises(ServiceUnavailable, match="catalog broke off") as caught:
            await ask(wire)
    assert caught.value.applied is None


async def test_broken_chunks_end_at_the_latest_with_the_attempt() -> None:
    # aiohttp 3.14 closes the connection and tells the reader of the body nothing; the timeout is what ends it.
    async with serving(sends_broken_chunks) as server, wire_to(server.port) as wire:
        with pytest.raises((ServiceTimeout, ServiceUnavailable)) as caught:
            await ask(wire, within=0.1)
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


async def closes_on_the_second(visit: Visit) -> None:
    if visit.number == 1:
        await visit.write(OK)
    else:
        visit.writer.close()


async def test_a_reused_connection_that_dies_is_reported_and_not_silently_repeated() -> None:
    async with serving(closes_on_the_second) as server, wire_to(server.port) as wire:
        await ask(wire)
        with pytest.raises(ServiceUnavailable) as caught:
            await ask(wire)  # a GET: aiohttp by itself would send it again
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
