"""`sagaql serve` as a real process: how it begins, how it leaves, and what it says when it cannot."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.edge import hashed

from .conftest import ROOT, free_ports, is_listening, wait_until

pytestmark = pytest.mark.e2e

GRAPH = '''
"""A graph that answers at once, or late."""

import asyncio

import strawberry


@strawberry.type
class Query:
    @strawberry.field
    async def late(self, seconds: float) -> str:
        print("asked", flush=True)
        await asyncio.sleep(seconds)
        return "there you are"

    @strawberry.field
    def failing(self) -> str | None:
        raise ValueError("on purpose")
'''
ENDS_WITHIN = 15.0


@dataclass
class Serving:
    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def said(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.said or self.process.poll() is not None, saying=text)
        assert text in self.said, self.said

    def ask_late(self, seconds: float) -> Asking:
        asking = Asking(self.port, seconds)
        asking.start()
        self.wait_for("asked")
        return asking

    def exit_code(self) -> int:
        return self.process.wait(ENDS_WITHIN)


class Asking(threading.Thread):
    """A client that waits for its answer."""

    def __init__(self, port: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{port}/graphql"
        self._query = f"{{ late(seconds: {seconds}) }}"
        self._answer: Any = None

    def run(self) -> None:
        try:
            self._answer = httpx.post(self._url, json={"query": self._query}, timeout=30).json()
        except httpx.TransportError as error:
            self._answer = error

    def answer(self) -> Any:
        self.join(ENDS_WITHIN)
        return self._answer


@contextmanager
def serving(
    folder: Path, *arguments: str, toml: str = "", port: int | None = None, graph: str = "late:Query"
) -> Generator[Serving]:
    port = free_ports(1) if port is None else port
    (folder / "late.py").write_text(GRAPH, encoding="utf-8")
    (folder / "gateway.toml").write_text(f'graph.query = "{graph}"\ngraph.sdl = ""\n{toml}', encoding="utf-8")
    config = str(folder / "gateway.toml")
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve", "--config", config, "--port", str(port), *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Serving(process, folder, port)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(ENDS_WITHIN)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_running_operations_finish_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as gateway:
        gateway.wait_for("listening")
        asking = gateway.ask_late(0.6)
        gateway.process.send_signal(number)

        assert asking.answer() == {"data": {"late": "there you are"}}
        assert gateway.exit_code() == 0
        assert not is_listening(gateway.port)
        assert "Traceback" not in gateway.said


@pytest.mark.parametrize(("delay", "second"), [("2s", None), ("60s", signal.SIGTERM)], ids=["its time", "told again"])
def test_before_it_drains_it_is_not_ready_and_still_answers(
    tmp_path: Path, delay: str, second: signal.Signals | None
) -> None:
    """With workers: each of them is a whole server, and they hear of it from their supervisor."""
    with serving(tmp_path, "--workers", "2", toml=f'server.drain_delay = "{delay}"') as gateway:
        gateway.wait_for("all processes ready")
        url = f"http://127.0.0.1:{gateway.port}"
        with httpx.Client(base_url=url) as settled:
            assert settled.get("/readyz").headers.get("connection") is None
            asking = gateway.ask_late(1.5)
            gateway.process.terminate()
            wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 503, saying="not ready")

            wait_until(lambda: is_answered_for_the_last_time(settled), saying="this connection's worker knows it too")
        if second is not None:
            gateway.process.send_signal(second)
        wait_until(lambda: not is_listening(gateway.port), saying="the port is closed")
        assert asking.answer() == {"data": {"late": "there you are"}}
        assert gateway.exit_code() == 0
        assert "Traceback" not in gateway.said


def is_answered_for_the_last_time(client: httpx.Client) -> bool:
    answer = client.post("/graphql", json={"query": "{ late(seconds: 0) }"})
    assert answer.json() == {"data": {"late": "there you are"}}
    return str(answer.headers.get("connection")) == "close"


def test_the_drain_is_bounded(tmp_path: Path) -> None:
    with serving(tmp_path, toml='server.drain = "1s"') as gateway:
        gateway.wait_for("listening")
        asking = gateway.ask_late(9)
        gateway.process.terminate()
        began = time.monotonic()

        assert asking.answer()["errors"][0]["extensions"] == {"code": "DRAINING", "retryable": True}
        assert gateway.exit_code() == 0
        assert time.monotonic() - began < 6
        assert "Traceback" not in gateway.said


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        gateway.wait_for("listening")
        gateway.ask_late(9)
        gateway.process.terminate()
        gateway.wait_for("draining")
        gateway.process.terminate()
        began = time.monotonic()

        assert gateway.exit_code() == 0
        assert time.monotonic() - began < 6


def test_a_gateway_on_a_lifeline_leaves_when_its_parent_does(tmp_path: Path) -> None:
    with serving(tmp_path, "--lifeline") as gateway:
        gateway.wait_for("listening")
        assert gateway.process.stdin is not None
        gateway.process.stdin.close()

        assert gateway.exit_code() == 0


def test_it_logs_json_lines_and_names_no_server_software(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        gateway.wait_for("listening")
        answer = httpx.get(f"http://127.0.0.1:{gateway.port}/livez")
        gateway.process.terminate()
        gateway.exit_code()

        assert "server" not in answer.headers
        events = [json.loads(line)["event"] for line in gateway.said.splitlines()]
        assert {"listening", "draining"} <= set(events)


@pytest.mark.parametrize("workers", [1, 2])
def test_production_shows_itself_to_admins_only_and_to_the_end(tmp_path: Path, workers: int) -> None:
    ports, token = free_ports(2), "0123456789abcdef" * 4
    toml = f'[admin]\nport = {ports + 1}\nsha256 = "{hashed(token)}"'

    def asked(path: str, headers: Mapping[str, str] | None = None, *, port: int = ports + 1) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=10)

    options = ("--profile", "production", "--workers", str(workers))
    with serving(tmp_path, *options, toml=toml, port=ports) as gateway:
        gateway.wait_for("all processes ready" if workers > 1 else "listening")
        bearer = {"authorization": f"Bearer {token}"}
        public = [asked(path, port=ports).status_code for path in ("/readyz", "/livez", "/metrics", "/graphiql", "/")]
        metrics = asked("/metrics", bearer).text

        assert public == [200, 200, 404, 404, 404]
        assert [asked(path).status_code for path in ("/readyz", "/metrics")] == [401, 401]
        assert asked("/readyz", bearer).json() == {"ready": True, "services": {}, "sagas": "none"}
        assert metrics.count("sagaql_process_up{") == (0 if workers == 1 else workers)

        asking = gateway.ask_late(0.6)
        gateway.process.terminate()
        gateway.wait_for("draining")
        wait_until(lambda: asked("/readyz", bearer).status_code == 503, saying="admins see the drain")
        assert asking.answer() == {"data": {"late": "there you are"}}
        assert gateway.exit_code() == 0
        assert "Traceback" not in gateway.said


def test_a_taken_port_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with serving(tmp_path, port=taken.getsockname()[1]) as gateway:
            assert gateway.exit_code() == 1

    assert "cannot be used (Address already in use): set SAGAQL_PORT" in gateway.said
    assert len(gateway.said.splitlines()) == 1


def test_two_gateways_that_start_at_once_do_not_share_a_port(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with serving(tmp_path / "one") as one, serving(tmp_path / "two", port=one.port) as two:
        wait_until(
            lambda: None not in {one.process.poll(), two.process.poll()} or "listening" in one.said + two.said,
            saying="one wins",
        )
        wait_until(lambda: {one.process.poll(), two.process.poll()} == {None, 1}, saying="the other leaves")

        assert is_listening(one.port)
        assert "cannot be used" in one.said + two.said
        assert "Traceback" not in one.said + two.said


def test_a_start_that_fails_is_a_sentence_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "import contextlib\nfrom starlette.applications import Starlette\n"
        "from gateway import server\nfrom gateway.clock import Seconds\nfrom gateway.telemetry import json_log\n"
        "@contextlib.asynccontextmanager\nasync def lifespan(app):\n    raise RuntimeError('the journal is locked')\n    yield\n"
        f"with server.hold_port('127.0.0.1', {free_ports(1)}) as held:\n"
        "    try:\n        server.serve(Starlette(lifespan=lifespan), held, drain=Seconds(1), log=json_log())\n"
        "    except server.StartFailed as error:\n        print('told:', error)\n",
        encoding="utf-8",
    )
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "failing.py")],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert "told: the gateway could not start: RuntimeError: the journal is locked" in ended.stdout, ended.stderr
    assert "Traceback" not in ended.stderr
