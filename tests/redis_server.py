"""A real Redis on a port of loopback, for tests: without persistence, ended by its pid. Valkey's server takes the same options."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
STARTS_WITHIN = 10.0

needs_redis = pytest.mark.skipif(  # in CI a server that nobody installed is a broken build: the test runs, and fails
    SERVER is None and os.environ.get("CI") != "true", reason="there is no Redis: apt-get install redis-server"
)


@dataclass
class RedisServer:
    """One that runs, until it is killed."""

    process: subprocess.Popen[bytes]
    port: int

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(STARTS_WITHIN)

    def is_up(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def redis_server(
    folder: Path, *options: str, port: int | None = None, tls: Sequence[str] = ()
) -> Iterator[RedisServer]:
    """`options` as on its command line; `tls`: those of one that is spoken to by TLS only."""
    assert SERVER is not None, "there is no Redis: apt-get install redis-server"
    port = port or _free_port()
    listening = ["--port", "0", "--tls-port", str(port), *tls] if tls else ["--port", str(port)]
    command = [SERVER, "--bind", "127.0.0.1", *listening, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = RedisServer(process, port)
    try:
        _wait_for(server)
        yield server
    finally:
        if process.poll() is None:
            server.kill()


def _wait_for(server: RedisServer) -> None:
    ends = time.monotonic() + STARTS_WITHIN
    while not server.is_up():
        assert server.process.poll() is None, "the server ended at once"
        assert time.monotonic() < ends, f"no server within {STARTS_WITHIN:g} s"
        time.sleep(0.01)  # another process starts: there is nothing to be woken by


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
