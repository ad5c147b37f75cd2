from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import httpx
import pytest

from demo.supervisor import Child, ChildDied, NotReady, PortTaken, Supervisor, service_children
from tests.demo.front import until
from tests.processes import lives

pytestmark = pytest.mark.e2e

# A child that answers 200 to everything, without the cost of a whole service.
ANSWERS = """
import http.server, sys
class Ok(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ok).serve_forever()
"""
# The same, deaf to SIGTERM, with a child of its own that is deaf as well.
STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
"""


# A parent in its own process, so that it can be killed.
PARENT = """
import asyncio, pathlib, sys
from demo.supervisor import Supervisor, service_children

async def main(data, environment):
    supervisor = Supervisor(data / "logs")
    await supervisor.start([c for c in service_children(data, environment) if c.name == "customers"])
    print(supervisor.pids()["customers"], flush=True)
    await supervisor.wait()

asyncio.run(main(pathlib.Path(sys.argv[1]), {"DEMO_PORT_BASE": sys.argv[2]}))
"""


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncGenerator[Supervisor]:
    supervisor = Supervisor(tmp_path / "logs")
    yield supervisor
    await supervisor.stop()


def _child(name: str, port: int, code: str = ANSWERS) -> Child:
    return Child(name, [sys.executable, "-c", code, str(port)], port, ready_url=f"http://127.0.0.1:{port}/")


def _first_number_in(log: Path) -> int:
    return int(log.read_text().split()[0])


def _parent_of_customers(data: Path, *, port_base: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PARENT, str(data), str(port_base)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def _gone(pid: int) -> None:
    async def is_gone() -> bool:
        return not lives(pid)

    await until(is_gone)


async def _freed(port: int) -> None:
    # A process whose first thread is a zombie may still be closing its sockets.
    async def is_free() -> bool:
        return _is_free(port)

    await until(is_free)


def _base_of_seven_free_ports() -> int:
    for base in range(20_000 + os.getpid() % 10_000, 60_000, 7):
        if all(_is_free(base + offset) for offset in range(7)):
            return base
    raise AssertionError("no seven free ports in a row")


async def test_all_seven_services_start_answer_and_stop_without_a_trace(seeded: Path, tmp_path: Path) -> None:
    shutil.copytree(seeded, tmp_path, dirs_exist_ok=True)
    base = _base_of_seven_free_ports()
    ready: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", on_ready=lambda child: ready.append(child.name))
    children = service_children(tmp_path, {"DEMO_PORT_BASE": str(base)})
    await supervisor.start(children, timeout=20)
    try:
        assert sorted(ready) == [child.name for child in children]
        async with httpx.AsyncClient() as client:
            for child in children:
                assert (await client.get(child.ready_url)).json()["service"] == child.name
    finally:
        await supervisor.stop()
    assert all(_is_free(child.port) for child in children)
    assert repr(supervisor) == "<Supervisor 0 alive: none>"
    await supervisor.stop()


async def test_a_taken_port_is_named_with_the_variable_that_moves_it(supervisor: Supervisor) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} for taken .*DEMO_PORT_BASE") as caught:
            await supervisor.start([_child("taken", port)])
    assert (caught.value.name, caught.value.port) == ("taken", port)
    assert supervisor.pids() == {}


async def test_a_child_that_dies_takes_its_siblings_with_it_and_says_why(
    supervisor: Supervisor, free_port: Callable[[], int]
) -> None:
    sound, broken = free_port(), free_port()
    children = [_child("sound", sound), _child("broken", broken, "print('no luck today'); raise SystemExit(7)")]
    with pytest.raises(ChildDied, match="no luck today") as caught:
        await supervisor.start(children)
    assert (caught.value.name, caught.value.exit_code) == ("broken", 7)
    assert _is_free(sound)


async def test_a_child_that_is_never_ready_is_stopped(supervisor: Supervisor, free_port: Callable[[], int]) -> None:
    with pytest.raises(NotReady, match="asleep"):
        await supervisor.start([_child("asleep", free_port(), "import time; time.sleep(60)")], timeout=0.2)
    assert repr(supervisor) == "<Supervisor 0 alive: none>"


async def test_a_child_that_exits_later_ends_the_wait(supervisor: Supervisor, free_port: Callable[[], int]) -> None:
    children = [_child("steady", free_port()), _child("leaver", free_port())]
    await supervisor.start(children)
    pids = supervisor.pids()
    os.kill(pids["leaver"], signal.SIGKILL)
    async with asyncio.timeout(5):
        assert (await supervisor.wait()).name == "leaver"
    await supervisor.stop()
    assert not any(lives(pid) for pid in pids.values())


async def test_a_cancelled_start_leaves_nothing_running(supervisor: Supervisor, free_port: Callable[[], int]) -> None:
    start = asyncio.create_task(supervisor.start([_child("asleep", free_port(), "import time; time.sleep(60)")]))

    async def has_spawned() -> bool:
        return bool(supervisor.pids())

    await until(has_spawned)
    pids = supervisor.pids()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    await _gone(pids["asleep"])


async def test_what_is_deaf_to_sigterm_is_killed_with_all_its_children(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    supervisor = Supervisor(tmp_path / "logs", stop_within=0.1)
    port = free_port()
    await supervisor.start([_child("stubborn", port, STUBBORN + ANSWERS)])
    grandchild = _first_number_in(tmp_path / "logs" / "stubborn.log")
    assert lives(grandchild)
    await supervisor.stop()
    await _gone(grandchild)
    assert _is_free(port)


async def test_children_with_a_lifeline_do_not_survive_their_parents_sigkill(
    seeded: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    shutil.copy(seeded / "customers.sqlite3", tmp_path)
    port = free_port()
    process = _parent_of_customers(tmp_path, port_base=port - 1)
    assert process.stdout is not None
    try:
        child = int(await asyncio.to_thread(process.stdout.readline))
        assert lives(child)
    finally:
        process.kill()
        process.wait(5)
        process.stdout.close()
    await _gone(child)
    await _freed(port)
