"""GraphQL over HTTP to the letter: the public audits of the package graphql-http, and what only a socket shows."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import ROOT, free_ports, is_listening, wait_until
from .test_serve import Serving, serving

pytestmark = pytest.mark.e2e

TOML = 'server.body_timeout = "1s"\nserver.partial_success_status = 294'
CLIENTS = ROOT / "tests" / "clients"
AUDITS = 61


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("audited"), toml=TOML) as gateway:
        gateway.wait_for("listening")
        yield gateway


@pytest.mark.skipif(  # in CI clients that nobody installed are a broken build: the test runs, and fails
    not (CLIENTS / "node_modules").is_dir() and os.environ.get("CI") != "true",
    reason="the clients are not installed: with Node 20.19 or newer and npm, run `make .stamps/clients`",
)
def test_every_public_audit_is_passed(gateway: Serving) -> None:
    url = f"http://127.0.0.1:{gateway.port}/graphql"
    ended = subprocess.run(
        ["node", "audit.mjs", url], cwd=CLIENTS, capture_output=True, text=True, timeout=60, check=True
    )
    audits: list[dict[str, Any]] = json.loads(ended.stdout)

    assert [each for each in audits if each["status"] != "ok"] == []
    assert len(audits) == AUDITS


NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))


@contextmanager
def proxied(folder: Path, *, to: int) -> Generator[int]:
    """The port of an nginx before the gateway's port, as its package configures nothing else."""
    port = free_ports(1)
    config = folder / "nginx.conf"
    config.write_text(
        "daemon off; worker_processes 1; error_log stderr; pid nginx.pid; events {}\n"
        "http { access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
        "  uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
        f"  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{to}; }} }} }}\n",
        encoding="utf-8",
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port) or process.poll() is not None, saying="nginx listens")
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(
    NGINX is None and os.environ.get("CI") != "true", reason="there is no nginx: apt-get install nginx-light"
)
def test_partial_success_passes_a_real_proxy_unchanged(gateway: Serving, tmp_path: Path) -> None:
    request = {"query": "{ __typename failing }"}
    headers = {"accept": "application/graphql-response+json", "accept-encoding": "identity"}
    with proxied(tmp_path, to=gateway.port) as port:
        direct, passed = (
            httpx.post(f"http://127.0.0.1:{each}/graphql", json=request, headers=headers)
            for each in (gateway.port, port)
        )

    assert (direct.status_code, passed.status_code) == (294, 294)
    assert direct.json()["data"] == passed.json()["data"] == {"__typename": "Query", "failing": None}
    own = {"connection", "date", "server"}
    assert [{k: v for k, v in each.headers.items() if k not in own} for each in (direct, passed)] == [
        {k: v for k, v in direct.headers.items() if k not in own}
    ] * 2


def told(gateway: Serving, *packets: bytes) -> bytes:
    """All that the gateway says to these until it closes the connection."""
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=10)) as client:
        said = b""
        for packet in packets:
            client.sendall(packet)
            time.sleep(0.05)  # so that they arrive apart; were they read as one, the answer would be the same
        while piece := client.recv(65_536):
            said += piece
        return said


HEAD = b"POST /graphql HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n"


def test_a_body_that_does_not_come_is_408_and_the_end_of_the_connection(gateway: Serving) -> None:
    began = time.monotonic()
    said = told(gateway, HEAD + b'content-length: 30\r\n\r\n{"query": ')

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in said
    assert time.monotonic() - began >= 1


def test_a_body_that_comes_by_and_by_is_read_and_the_connection_kept(gateway: Serving) -> None:
    body = b'{"query": "{ __typename }"}'
    length = b"content-length: %d\r\n\r\n" % len(body)
    said = told(gateway, HEAD + length, body[:5], body[5:], HEAD + b"connection: close\r\n" + length + body)
    assert said.count(b"HTTP/1.1 200 ") == 2


def test_a_body_that_is_said_to_be_too_long_is_refused_before_it_is_sent(gateway: Serving) -> None:
    said = told(gateway, HEAD + b"expect: 100-continue\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 413 ")


def test_a_head_is_answered_without_a_body(gateway: Serving) -> None:
    said = told(gateway, b"HEAD /graphql?query=%7B__typename%7D HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n")
