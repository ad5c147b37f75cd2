"""Real sockets: readers that stall, clients that vanish, a gateway that drains; over each transport nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import free_ports, is_listening, wait_until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
TRANSPORTS = ["sse", "multipart", "websocket"]
ACCEPTS = {"sse": "text/event-stream", "multipart": "multipart/mixed;subscriptionSpec=1.0, application/json"}
HELD = ("operations", "streams", "tasks", "objects")


@dataclass(frozen=True, slots=True)
class Served:
    port: int
    process: subprocess.Popen[bytes]

    def counts(self) -> dict[str, Any]:
        with httpx.Client(timeout=10.0) as client:
            found: dict[str, Any] = client.get(
                f"http://127.0.0.1:{self.port}/counts", headers={"connection": "close"}
            ).json()
        return found

    def opened(self, transport: str, name: str, *, small: bool = False) -> socket.socket:
        """A subscription under way, of which nothing has been read but its beginning."""
        client = socket.socket()
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10.0)
        client.connect(("127.0.0.1", self.port))
        if transport == "websocket":
            client.sendall(handshake())
            assert b" 101 " in client.recv(4096)
            client.sendall(framed({"type": "connection_init"}))
            assert b"connection_ack" in client.recv(4096)
            client.sendall(
                framed({"id": "1", "type": "subscribe", "payload": {"query": f"subscription {name} {{ n }}"}})
            )
        else:
            client.sendall(posted(ACCEPTS[transport], f"subscription {name} {{ n }}"))
            assert b" 200 " in client.recv(64)
        return client


def read_to_the_end(client: socket.socket) -> None:
    """Raises: ConnectionResetError, where it is no end."""
    while client.recv(65_536):
        pass


def posted(accept: str, query: str) -> bytes:
    body = json.dumps({"query": query}).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: h\r\naccept: {accept}\r\ncontent-type: application/json\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n%s" % (len(body), body)


def handshake() -> bytes:
    return (
        b"GET /graphql HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n"
    )


def framed(message: dict[str, Any]) -> bytes:
    """One masked text frame of less than 126 bytes."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def may_have_a_network() -> bool:
    """Whether this user may make one, with nothing in it but a loopback interface."""
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "--net", "true"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    port = free_ports(1)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("streaming_gateway.py")), str(port)], env=environment
    ) as process:
        wait_until(lambda: is_listening(port), saying="the gateway listens")
        yield Served(port, process)
        process.terminate()


def settled(served: Served, before: dict[str, Any]) -> None:
    """Whatever was held is held no more: operations, streams, tasks, objects."""

    def same() -> bool:
        now = served.counts()
        return all(now[name] <= before[name] for name in HELD)

    wait_until(same, saying=f"nothing is left but {before}: {served.counts()}", within=15.0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_that_stalls_is_cut_off_and_leaves_nothing(served: Served, transport: str) -> None:
    before = served.counts()
    with closing(served.opened(transport, "loud", small=True)) as client:
        wait_until(lambda: served.counts()["operations"] == 1, saying="the subscription is under way")
        settled(served, before)
        with pytest.raises(ConnectionResetError):
            read_to_the_end(client)
    assert served.counts()["ended"][f"{transport} stalled"] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", ["quiet", "loud"])
@pytest.mark.parametrize("how", ["closes", "resets", "half-closes"])
def test_a_client_that_vanishes_leaves_nothing(served: Served, transport: str, name: str, how: str) -> None:
    before = served.counts()
    clients = [served.opened(transport, name) for _ in range(5)]
    wait_until(lambda: served.counts()["operations"] == 5, saying="the subscriptions are under way")
    for client in clients:
        if how == "resets":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "half-closes":
            client.shutdown(socket.SHUT_WR)
        else:
            client.close()
    settled(served, before)
    for client in clients:
        client.close()


@pytest.mark.skipif(  # in CI a machine that cannot make one is a broken build: the test runs, and fails
    os.environ.get("CI") != "true" and not may_have_a_network(), reason="a network of its own takes root and `unshare`"
)
def test_clients_behind_a_cut_cable_are_given_up_though_nobody_says_so() -> None:
    command = ["unshare", "--net", sys.executable, str(Path(__file__).with_name("cut_cable.py")), str(free_ports(1))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=60.0, check=True)

    told = json.loads(ended.stdout)
    assert told["with streams"]["operations"] == 9
    assert {name: told["after"][name] for name in HELD} == {name: told["before"][name] for name in HELD}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_gateway_that_drains_ends_every_stream_with_a_word_and_at_once(transport: str) -> None:
    port = free_ports(1)
    script = str(Path(__file__).with_name("streaming_gateway.py"))
    with subprocess.Popen([sys.executable, script, str(port)], env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        wait_until(lambda: is_listening(port), saying="the gateway listens")
        served = Served(port, process)
        with closing(served.opened(transport, "quiet")) as client:
            wait_until(lambda: served.counts()["operations"] == 1, saying="the subscription is under way")
            process.send_signal(signal.SIGTERM)
            began, received = time.monotonic(), b""
            while piece := client.recv(65_536):
                received += piece
                if transport == "websocket" and b"restarting" in received:
                    break
        assert process.wait(timeout=10.0) == 0
        assert time.monotonic() - began < 5.0, "it waited for the drain to run out"
    match transport:
        case "sse":
            assert received.endswith(b": restarting\nretry: 1000\n\n\r\n0\r\n\r\n")
        case "multipart":
            assert received.endswith(b"\r\n--graphql--\r\n\r\n0\r\n\r\n")
        case _:
            assert struct.pack("!H", 1012) + b"restarting" in received
