"""`sagaql serve` steered while it is under load: no request fails, and what was taken out is called no more."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from .conftest import ROOT, free_ports, wait_until

pytestmark = pytest.mark.e2e

GRAPH = '''
"""A graph over one service."""

import strawberry

from gateway import Ctx, Service, entity, resolver

stock = Service("stock")


@strawberry.type
class Item:
    """What is there."""

    id: str
    count: int


items = stock.loader("/items", keys="ids", key="id", into=Item)


@entity
class Query:
    """The root."""

    @resolver
    async def count(self, ctx: Ctx, id: str) -> int | None:
        """How many."""
        found = await ctx.load(items, id)
        return None if found is None else found.count
'''
KEY = "a-key-of-a-game-day-that-nobody-guesses"


class Instance:
    """One instance of the service, as threads of this process. Its calls are what it was asked, in order."""

    def __init__(self) -> None:
        calls: list[dict[str, str]] = []

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                calls.append({name.lower(): value for name, value in self.headers.items()})
                ids = [value for name, value in parse_qsl(urlsplit(self.path).query) if name == "ids"]
                body = json.dumps([{"id": each, "count": 7} for each in ids]).encode()
                time.sleep(0.01)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self.calls = calls
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@contextmanager
def instances(count: int) -> Iterator[list[Instance]]:
    running = [Instance() for _ in range(count)]
    try:
        yield running
    finally:
        for each in running:
            each.server.shutdown()
            each.server.server_close()


@dataclass
class Load:
    """Clients that ask on and on, each waiting for its answer."""

    url: str
    answers: list[Any] = field(default_factory=list[Any])
    _ends: threading.Event = field(default_factory=threading.Event)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._ends.is_set():
                query = f'{{ count(id: "{next(self._numbers)}") }}'
                try:
                    self.answers.append(client.post(self.url, json={"query": query}).json())
                except httpx.TransportError as error:
                    self.answers.append(error)

    @contextmanager
    def under_way(self, clients: int = 6) -> Iterator[Load]:
        threads = [threading.Thread(target=self.run) for _ in range(clients)]
        for each in threads:
            each.start()
        try:
            yield self
        finally:
            self._ends.set()
            for each in threads:
                each.join(15)

    def goes_on(self, answers: int = 60) -> None:
        """Returns when that many more have been answered."""
        enough = len(self.answers) + answers
        wait_until(lambda: len(self.answers) >= enough, saying="the load goes on")

    @property
    def failures(self) -> list[Any]:
        return [each for each in self.answers if each != {"data": {"count": 7}}]


class Gateway:
    """A served gateway, and `sagaql` beside it."""

    def __init__(self, folder: Path, urls: list[str], *, more: str = "") -> None:
        self.folder, self.more = folder, more
        self.file = folder / "gateway.toml"
        self.port = free_ports(1)
        (folder / "counting.py").write_text(GRAPH, encoding="utf-8")
        self.write(urls)
        self.output = (folder / "output").open("wb")
        self.process = subprocess.Popen(
            [*SAGAQL, "serve", "--config", str(self.file), "--port", str(self.port), "--lifeline"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def said(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8")

    def write(self, urls: list[str], *, more: str | None = None) -> None:
        """Beside, and renamed: as whoever deploys should."""
        beside = self.folder / "gateway.toml.new"
        beside.write_text(
            f'server.watch = "100ms"\ngraph.query = "counting:Query"\ngraph.sdl = ""\nsagas.journal = "j"\n'
            f"{self.more if more is None else more}\n[services.stock]\ninstances = {json.dumps(urls)}\n",
            encoding="utf-8",
        )
        beside.replace(self.file)

    def sagaql(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*SAGAQL, *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False)

    def changed(self, *arguments: str) -> list[str]:
        done = self.sagaql("services", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.said or self.process.poll() is not None, saying=text)
        assert text in self.said, self.said

    def close(self) -> None:
        self.process.kill()
        self.process.wait(15)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.output.close()


SAGAQL = [sys.executable, "-m", "gateway"]


@pytest.fixture(autouse=True)
def checkout_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """`sagaql` is started in the project's folder, and is this checkout's."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))


@contextmanager
def serving(urls: list[str], *, more: str = "") -> Iterator[Gateway]:
    with TemporaryDirectory(prefix="sagaql") as folder:  # a socket's path must be short
        gateway = Gateway(Path(folder), urls, more=more)
        try:
            gateway.wait_for("listening")
            yield gateway
        finally:
            gateway.close()


def test_instances_are_swapped_by_file_and_by_command_under_load_and_no_request_fails() -> None:
    with instances(4) as (one, two, three, four), serving([one.url, two.url]) as gateway:
        with Load(gateway.url).under_way() as load:
            load.goes_on()
            gateway.write([two.url, three.url])
            gateway.wait_for(f"instances {one.url}, {two.url} → {two.url}, {three.url}")
            load.goes_on(20)  # what was under way has ended
            gone = len(one.calls)
            load.goes_on()
            assert len(one.calls) == gone

            assert gateway.changed("drain", "stock", two.url)[0].startswith(f"stock: {two.url} is drained; ")
            load.goes_on(20)
            gone = len(two.calls)
            load.goes_on()
            assert len(two.calls) == gone

            assert gateway.changed("undrain", "stock", two.url) == [f"stock: {two.url} is used again"]
            wait_until(lambda: len(two.calls) > gone, saying="it is called again")

            assert gateway.changed("set", f'stock.instances=["{four.url}"]', "stock.bulkhead.limit=32") == [
                f"stock: instances {two.url}, {three.url} → {four.url}",
                "stock: bulkhead.limit 64 → 32",
            ]
            load.goes_on(20)
            gone = len(three.calls)
            load.goes_on()
            assert len(three.calls) == gone

            assert f"stock: instances {four.url} → {two.url}, {three.url}" in gateway.changed("reload")
            load.goes_on()
        assert load.failures == []
        assert len(load.answers) > 300
        assert four.calls
        assert f'"by":"uid {os.getuid()}"' in gateway.said


def test_an_invalid_file_is_told_once_and_the_gateway_serves_as_before() -> None:
    with instances(1) as (one,), serving([one.url]) as gateway:
        with Load(gateway.url).under_way(2) as load:
            load.goes_on(5)
            gateway.write([one.url], more="servces.stock = 1")
            gateway.wait_for("settings invalid, the former ones stay")
            load.goes_on(30)
            refused = gateway.sagaql("services", "reload", "--socket", str(gateway.folder / "control.sock"))
        assert (refused.returncode, "did you mean services?" in refused.stderr) == (2, True)
        assert load.failures == []
        told = [line for line in gateway.said.splitlines() if "settings invalid" in line and '"the file"' in line]
        assert len(told) == 1


def test_the_services_are_a_table_for_people_and_json_for_machines() -> None:
    with instances(2) as (one, two), serving([one.url, two.url]) as gateway:
        httpx.post(gateway.url, json={"query": '{ count(id: "1") }'}).raise_for_status()
        table = gateway.sagaql("services").stdout
        (stock,) = json.loads(gateway.sagaql("services", "--json").stdout)["services"]

    assert [line.split()[0] for line in table.splitlines()] == ["service", "stock", two.url]
    assert [each["address"] for each in stock["instances"]] == [one.url, two.url]
    assert stock["latencySeconds"]["attempts"] == 1


def test_mistakes_are_told_and_exit_with_2_and_a_gateway_that_is_not_there_with_1() -> None:
    with instances(1) as (one,), serving([one.url]) as gateway:
        mistaken = gateway.sagaql("services", "set", "stock.bulkhead.limti=3", "stok.coalesce=false")
        last = gateway.sagaql("services", "drain", "stock", one.url)
        gateway.process.terminate()
        gateway.process.wait(15)
        gone = gateway.sagaql("services")

    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert "did you mean services.stock.bulkhead.limit?" in mistaken.stderr
    assert "did you mean 'stock'?" in mistaken.stderr
    assert (last.returncode, "is the last instance" in last.stderr) == (2, True)
    assert gone.returncode == 1
    assert "no gateway listens at" in gone.stderr
    assert "sagaql serve" in gone.stderr


def test_a_gateway_that_was_killed_leaves_a_socket_that_the_next_one_takes_over() -> None:
    with instances(1) as (one,), serving([one.url]) as gateway:
        gateway.process.kill()
        gateway.process.wait(15)
        socket_file = gateway.folder / "control.sock"
        assert socket_file.is_socket()
        again = Gateway(gateway.folder, [one.url])
        try:
            wait_until(lambda: again.sagaql("services").returncode == 0, saying="the next one listens")
        finally:
            again.close()


def test_a_game_day_is_one_client_s_and_comes_over_the_command_line() -> None:
    with instances(1) as (one,), serving([one.url], more=f'operation.game_day_key = "{KEY}"') as gateway:
        name, _, value = (
            gateway.sagaql("faults", '{"stock": {"error": 1}}', "--for", "1m").stdout.strip().partition(": ")
        )
        query = {"query": '{ count(id: "1") }'}
        harmed = httpx.post(gateway.url, json=query, headers={name: value}).json()
        tampered = value[:-1] + ("B" if value.endswith("A") else "A")
        forged = httpx.post(gateway.url, json=query, headers={name: tampered, "accept": "*/*"})
        spared = httpx.post(gateway.url, json=query).json()

    assert harmed["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
    assert harmed["extensions"] == {"faults": True}
    assert forged.status_code == 400
    assert spared == {"data": {"count": 7}}


def test_a_header_that_would_break_a_request_apart_reaches_no_service() -> None:
    body = b'{"query": "{ count(id: \\"1\\") }"}'
    breaking = ["x-tenant: a\rx-admin: 1", "x-tenant: a\0b", "x-tenant: a\n x-admin: 1"]
    with instances(1) as (one,), serving([one.url]) as gateway:
        text = gateway.file.read_text(encoding="utf-8")
        gateway.file.write_text(f'{text}send_headers = ["x-tenant"]\n', encoding="utf-8")
        gateway.wait_for("send_headers none → x-tenant")
        said = [posted(gateway.port, header, body) for header in breaking]
        fine = httpx.post(gateway.url, content=body, headers={"content-type": "application/json", "x-tenant": "acme"})

    assert fine.json() == {"data": {"count": 7}}
    assert [each[:12] for each in said] == [b"HTTP/1.1 400"] * len(breaking)
    assert [(call.get("x-tenant"), "x-admin" in call) for call in one.calls] == [("acme", False)]


def posted(port: int, header: str, body: bytes) -> bytes:
    """What is answered to a request whose bytes no client library would send."""
    head = f"POST /graphql HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as client:
        client.sendall(f"{head}{header}\r\nConnection: close\r\n\r\n".encode("latin-1") + body)
        said = b""
        while piece := client.recv(4096):
            said += piece
        return said
