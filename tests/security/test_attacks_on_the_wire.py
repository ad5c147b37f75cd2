"""Bytes on real connections that want to be held or read for ever: each ends as is told, leaves no traceback, and holds little."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.attacks.frames import CONTINUED, PING, PONG, frame
from benchmarks.attacks.gateway import Query, graph_settings
from benchmarks.attacks.wire import INIT, ON_THE_WIRE, OnTheWire, post
from gateway.clock import Instant
from gateway.connections import MAX_PIPELINED, Connection
from gateway.graph import build_graph
from gateway.head_limits import HeadLimits
from gateway.testing import GatewayUnderTest
from gateway.websocket_connections import SocketConnection
from tests.security.serving import Client, Served, served

GRAPH = build_graph(Query)


@asynccontextmanager
async def gateway() -> AsyncGenerator[Served]:
    async with GatewayUnderTest(graph_settings(), GRAPH, wires={}) as under_test, served(under_test.app) as here:
        yield here


async def introduced(here: Served) -> Client:
    client = await here.open()
    assert b"101 Switching" in await client.upgrade()
    await client.send(INIT)
    assert b"connection_ack" in (await client.frame())[1]
    return client


def statuses(answer: bytes) -> list[int]:
    return [int(each[:3]) for each in answer.split(b"HTTP/1.1 ")[1:]]


async def settled() -> None:
    """What has arrived is read."""
    for _ in range(50):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("attack", ON_THE_WIRE, ids=lambda attack: attack.name)
async def test_an_attack_on_the_wire_ends_as_it_is_told(attack: OnTheWire, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway() as here:
        client = await here.open()
        if attack.is_socket:
            await client.upgrade(*attack.headers)
        ended = await ends(client, attack)
        assert ended == attack.ends
        after = await here.open()
        await after.send(post(b'{"query": "{ __typename }"}', b"connection: close"))
        assert statuses(await after.rest()) == [200], "others are served"
    assert [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info] == []


async def ends(client: Client, attack: OnTheWire) -> int:
    """How it ends: the close frame's code, or the last status."""
    await client.send(attack.sent())
    if attack.then:
        await settled()
        await client.send(attack.then)
    return await client.closed_with() if attack.is_socket else statuses(await client.rest())[-1]


def test_the_page_of_attacks_has_each_on_the_wire_with_its_answer() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security-tests.md").read_text(encoding="utf-8")
    for attack in ON_THE_WIRE:
        assert f"| {attack.name} | {'closed with' if attack.is_socket else 'status'} {attack.ends} |" in page


# -- what is held ------------------------------------------------------------------------------------------------------


async def test_nothing_is_held_for_a_client_that_pings_and_does_not_read() -> None:
    async with gateway() as here:
        client = await introduced(here)
        (connection,) = here.state.connections
        connection.pause_writing()  # as the transport does when too much waits for the client
        await client.send(frame(b"unread", opcode=PING) * 20)
        await settled()
        connection.resume_writing()
        await client.send(frame(b"read", opcode=PING))
        assert await client.frame() == (PONG, b"read")


async def test_fragments_of_a_message_that_is_too_large_are_let_go() -> None:
    async with gateway() as here:
        client = await introduced(here)
        await client.send(frame(b"{", fin=False) + frame(b"", opcode=CONTINUED, fin=False) * 900)
        await settled()
        (connection,) = here.state.connections
        assert isinstance(connection, SocketConnection)
        assert len(connection.frames) == 901
        await asyncio.sleep(0)
        client.writer.write(frame(b"", opcode=CONTINUED, fin=False) * 200)
        assert await client.closed_with() == 1009
        assert connection.frames == []


async def test_a_flood_of_messages_is_read_between_those_of_others() -> None:
    async with gateway() as here:
        flooding, calm = await introduced(here), await introduced(here)
        flooding.writer.write(frame(b'{"type": "ping"}') * 8_000)
        await asyncio.sleep(0)
        await calm.send(frame(b'{"type": "ping"}'))
        assert await calm.frame() == (1, b'{"type":"pong"}')
        for _ in range(8_000):
            assert (await flooding.frame())[1] == b'{"type":"pong"}'


# -- HTTP --------------------------------------------------------------------------------------------------------------


class Remembering:
    """An application that remembers what it was asked, and answers when it may."""

    def __init__(self, answer: bytes = b"") -> None:
        self.headers = list[list[tuple[bytes, bytes]]]()
        self.answer = answer
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.reads_body = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while self.reads_body and (await receive()).get("more_body"):
            pass
        self.headers.append(list(scope["headers"]))
        await self.may_answer.wait()
        length = b"%d" % len(self.answer)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": self.answer})


async def test_a_trailer_is_no_header() -> None:
    app = Remembering()
    async with served(app) as here:
        client = await here.open()
        await client.send(
            b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-user-id: root\r\n\r\n"
            b"GET / HTTP/1.1\r\nhost: h\r\nx-a: b\r\nconnection: close\r\n\r\n"
        )
        assert statuses(await client.rest()) == [200, 200]
    assert [[name for name, _ in each] for each in app.headers] == [
        [b"host", b"transfer-encoding"],
        [b"host", b"x-a", b"connection"],
    ]


async def test_what_waits_on_one_connection_is_bounded() -> None:
    app = Remembering()
    app.may_answer.clear()
    async with served(app) as here:
        client = await here.open()
        client.writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" * 5_000)
        await settled()
        (connection,) = here.state.connections
        assert isinstance(connection, Connection)
        assert len(connection.pipeline) == MAX_PIPELINED
        app.may_answer.set()
        assert statuses(await client.rest()) == [200] * (MAX_PIPELINED + 1)


@pytest.mark.parametrize("more", [b"", b"a"], ids=["silent", "trickling"])
async def test_a_body_that_nobody_waits_for_any_more_ends_with_its_connection(more: bytes) -> None:
    app = Remembering()
    app.reads_body = False
    async with served(app, heads=HeadLimits()) as here:
        client = await here.open()
        await client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n")
        if more:
            await client.send(more)
        await settled()
        (connection,) = here.state.connections
        assert isinstance(connection, Connection)
        now = asyncio.get_running_loop().time()
        connection.end_if_late(Instant(now + 9.0))
        assert not connection.transport.is_closing()
        connection.end_if_late(Instant(now + 11.0))
        assert connection.transport.is_closing()


async def test_who_does_not_read_an_answer_is_cut_off() -> None:
    async with served(Remembering(b"a" * 20_000_000)) as here:
        client = await here.open()
        transport = client.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await client.send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        await settled()
        (connection,) = here.state.connections
        assert isinstance(connection, Connection)
        now = asyncio.get_running_loop().time()
        for later in (0.0, 29.0):
            connection.end_if_late(Instant(now + later))
            assert not connection.transport.is_closing()
        connection.end_if_late(Instant(now + 31.0))
        await settled()
        assert here.state.connections == set()


async def test_what_a_client_subscribes_to_reaches_it_through_real_frames() -> None:
    async with gateway() as here:
        client = await introduced(here)
        asked = {"type": "subscribe", "id": "a", "payload": {"query": "{ products(first: 1) { id } }"}}
        await client.send(frame(json.dumps(asked).encode()))
        assert json.loads((await client.frame())[1])["payload"] == {"data": {"products": [{"id": "0"}]}}
