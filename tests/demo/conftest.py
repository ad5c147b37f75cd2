from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from demo.kit.application import application, database
from demo.serve import SERVICES
from tests.demo.front import Front, OpenService


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seven databases on their first day, to be copied."""
    data = tmp_path_factory.mktemp("seeded")
    for service in SERVICES.values():
        database(service, data=data).close()
    return data


@pytest.fixture
async def open_service(seeded: Path, tmp_path: Path) -> AsyncGenerator[OpenService]:
    """Opens a service in this process, on its own copy of the seed."""
    async with AsyncExitStack() as stack:

        async def opened(name: str) -> Front:
            shutil.copy(seeded / f"{name}.sqlite3", tmp_path)
            served = application(SERVICES[name], data=tmp_path)
            await stack.enter_async_context(served.router.lifespan_context(served))
            transport = httpx.ASGITransport(served)
            client = httpx.AsyncClient(transport=transport, base_url="http://service")
            return Front(await stack.enter_async_context(client))

        yield opened


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def found() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return found


StartService = Callable[..., tuple[subprocess.Popen[bytes], str]]


@pytest.fixture
def start_service(
    seeded: Path, tmp_path: Path, free_port: Callable[[], int]
) -> Generator[Callable[..., tuple[subprocess.Popen[bytes], str]]]:
    """Starts a service in a process of its own; the same name again is the same data."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *options: str) -> tuple[subprocess.Popen[bytes], str]:
        if not (tmp_path / f"{name}.sqlite3").exists():
            shutil.copy(seeded / f"{name}.sqlite3", tmp_path)
        port = free_port()
        command = [sys.executable, "-m", "demo.serve", name, "--port", str(port), "--data", str(tmp_path), *options]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        _await_health(process, url)
        return process, url

    yield start
    for process in started:
        process.kill()
        process.wait(5)
        assert process.stdin is not None
        process.stdin.close()


def _await_health(process: subprocess.Popen[bytes], url: str) -> None:
    ends_at = time.monotonic() + 10
    while time.monotonic() < ends_at:
        assert process.poll() is None, f"the service exited with {process.returncode}"
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as response:
                assert response.status == 200
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the service was not ready within 10 s")
