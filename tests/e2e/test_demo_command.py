"""`sagaql demo` as a person meets it: a real process that says what there is, works, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from demo import tour
from demo.addresses import NAMES
from demo.people import CUSTOMER, PEOPLE

from .conftest import ROOT, free_ports, is_listening, wait_until

pytestmark = pytest.mark.e2e

ENDS_WITHIN = 20.0  # seconds for a Ctrl-C to have stopped eight processes
STARTS_WITHIN = 60.0


@dataclass
class Command:
    """A running `sagaql demo` and what it has said so far."""

    process: subprocess.Popen[bytes]
    output: Path
    base: int

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.base}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.base + 1 + len(NAMES)}"

    @property
    def ports(self) -> list[int]:
        return list(range(self.base, self.base + 1 + len(NAMES)))

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.said or self.has_ended, saying=f"{text!r} in the output", within=STARTS_WITHIN)
        assert text in self.said, self.said

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def exit_code(self) -> int:
        return self.process.wait(ENDS_WITHIN)

    def left_behind(self) -> list[str]:
        """Processes that carry this demo's port base in their environment, and ports that still answer."""
        processes = [" ".join(command) for command in self.processes().values()]
        return processes + [f"port {port}" for port in self.ports if is_listening(port)]

    def does_without(self) -> list[str]:
        """Services that an answer names as degraded."""
        query = "{ products(first: 1) { edges { node { name reviews { rating } } } } }"
        answer = httpx.post(f"{self.url}/graphql", json={"query": query}, timeout=30).json()
        assert answer["data"]["products"]["edges"][0]["node"]["name"]
        return [note["service"] for note in answer.get("extensions", {}).get("degraded", [])]

    def processes(self) -> dict[int, list[str]]:
        return processes_with(f"DEMO_PORT_BASE={self.base + 1}")


@contextmanager
def sagaql_demo(data: Path, *arguments: str, base: int | None = None) -> Generator[Command]:
    base = free_ports(2 + len(NAMES)) if base is None else base
    output = data / "output.txt"
    environment = os.environ | {
        "SAGAQL_PORT": str(base),
        "DEMO_PORT_BASE": str(base + 1),
        "DEMO_DATA": str(data / "shop"),
        "PYTHONUNBUFFERED": "1",
    }
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "demo", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    command = Command(process, output, base)
    try:
        yield command
    finally:
        if not command.has_ended:
            process.terminate()
            process.wait(ENDS_WITHIN)


def processes_with(variable: str) -> dict[int, list[str]]:
    """The command lines, by process id, of all whose environment holds `variable`."""
    found: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # gone meanwhile, or not ours to read
                if variable.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")
    return found


def test_one_command_says_what_there_is_and_one_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path) as demo:
        demo.wait_for("Ctrl-C stops everything")

        assert httpx.get(f"{demo.url}/graphiql").status_code == 200
        assert f"{demo.url}/graphiql" in demo.said
        assert f"{demo.url}/graphql" in demo.said
        assert all(f"http://127.0.0.1:{port}" in demo.said for port in demo.ports)
        for person in PEOPLE:
            assert person.may in demo.said
            assert f"{demo.url}/graphiql#token={person.token}" in demo.said
        assert httpx.get(f"{demo.url}/readyz").status_code == 200
        told = [
            httpx.get(f"{demo.admin_url}/metrics", headers={"authorization": f"Bearer {person.token}"}).status_code
            for person in PEOPLE
        ]
        assert (told, httpx.get(f"{demo.url}/metrics").status_code) == ([401, 401, 200], 404)
        for title, _, look_for in tour.tour(f"{demo.url}/graphql"):
            assert title in demo.said
            assert look_for in demo.said

        demo.press_ctrl_c()
        assert demo.exit_code() == 0
        assert demo.left_behind() == []


def test_the_four_things_to_try_work_as_they_are_printed(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path) as demo:
        demo.wait_for("Ctrl-C stops everything")
        asking, buying, looking, breaking = re.findall(r"^curl .*$", demo.said, flags=re.MULTILINE)

        (products,) = pasted(asking)
        (order,) = pasted(buying)
        (again,) = pasted(buying)
        (mine,) = pasted(looking)
        (nobodys,) = pasted(looking.replace(f"-H '{CUSTOMER.header}' ", ""))
        _, broken, _ = pasted(breaking)

    assert "errors" not in products
    assert all(edge["node"]["reviews"] for edge in products["data"]["products"]["edges"])
    assert order["data"]["placeOrder"]["__typename"] == "PlaceOrderCompleted"
    assert again["data"]["placeOrder"]["order"] == order["data"]["placeOrder"]["order"]
    assert order["data"]["placeOrder"]["order"]["id"] == mine["data"]["me"]["orders"]["edges"][0]["node"]["id"]
    assert [edge["node"]["id"] for edge in mine["data"]["sagas"]["edges"]] == [order["data"]["placeOrder"]["sagaId"]]
    assert {error["extensions"]["code"] for error in nobodys["errors"]} == {"UNAUTHENTICATED"}
    assert {each["service"] for each in broken["extensions"]["degraded"]} == {"reviews"}


def pasted(line: str) -> list[Any]:
    """What each command of `line` answers to a person who pastes it; curl itself need not be there."""
    return [orjson.loads(_curl(shlex.split(command)[1:])) for command in line.split(" && ")]


def _curl(arguments: list[str]) -> bytes:
    method, url, body, headers = "GET", "", None, {}
    words = iter(arguments)
    for word in words:
        match word:
            case "-sX":
                method = next(words)
            case "-d":
                body, method = next(words), "POST" if method == "GET" else method
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-s":
                pass
            case _:
                url = word
    return httpx.request(method, url, content=body, headers=headers, timeout=30).content


def test_the_services_can_be_started_alone(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path, "--services") as demo:
        demo.wait_for("Ctrl-C stops everything")

        assert all(is_listening(port) for port in demo.ports[1:])
        assert not is_listening(demo.base)

        demo.press_ctrl_c()
        assert demo.exit_code() == 0
        assert demo.left_behind() == []


@pytest.mark.parametrize("after", [0.6, 1.2])
def test_ctrl_c_during_start_up_leaves_nothing(tmp_path: Path, after: float) -> None:
    with sagaql_demo(tmp_path) as demo:
        wait_until(
            lambda: "Starting" in demo.said or (tmp_path / "shop").exists(), saying="it begins", within=STARTS_WITHIN
        )
        time.sleep(after - 0.6)
        demo.press_ctrl_c()

        assert demo.exit_code() == 0, demo.said
        assert demo.left_behind() == []
        assert "Traceback" not in demo.said


def test_ctrl_c_pressed_again_and_again_leaves_nothing(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path) as demo:
        demo.wait_for("Ctrl-C stops everything")
        for _ in range(3):
            demo.press_ctrl_c()
            time.sleep(0.05)

        assert demo.exit_code() == 0, demo.said
        assert demo.left_behind() == []
        assert "Traceback" not in demo.said


def test_a_taken_port_is_one_clear_line_before_anything_is_started(tmp_path: Path) -> None:
    base = free_ports(2 + len(NAMES))
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", base))
        taken.listen()
        with sagaql_demo(tmp_path, base=base) as demo:
            assert demo.exit_code() == 1

    assert f"port {base} for gateway" in demo.said
    assert "SAGAQL_PORT" in demo.said
    assert "Traceback" not in demo.said


def test_two_children_on_one_port_are_told_apart_before_anything_is_started(tmp_path: Path) -> None:
    base = free_ports(2 + len(NAMES))
    environment = os.environ | {"SAGAQL_PORT": str(base), "DEMO_PORT_BASE": str(base), "DEMO_DATA": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )

    assert ended.returncode == 1
    assert f"port {base} is wanted by catalog and by gateway" in ended.stderr


def test_a_service_that_dies_is_named_the_rest_goes_on_and_it_can_be_started_again(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path) as demo:
        demo.wait_for("Ctrl-C stops everything")
        os.kill(next(pid for pid, command in demo.processes().items() if "reviews" in command), signal.SIGKILL)
        demo.wait_for("Start it again, in this folder: ")

        assert "reviews has ended by itself" in demo.said
        assert demo.does_without() == ["reviews"]
        again = demo.said.partition("Start it again, in this folder: ")[2].splitlines()[0]
        with subprocess.Popen(again, shell=True, cwd=ROOT, start_new_session=True) as started:
            try:
                wait_until(lambda: demo.does_without() == [], saying="reviews are back")
            finally:
                os.killpg(started.pid, signal.SIGTERM)
        demo.press_ctrl_c()

        assert demo.exit_code() == 0
        assert demo.left_behind() == []


def test_when_nothing_is_left_the_demo_ends(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path, "--services") as demo:
        demo.wait_for("Ctrl-C stops everything")
        for pid, command in demo.processes().items():
            if "demo.serve" in command:
                os.kill(pid, signal.SIGKILL)

        assert demo.exit_code() == 1
        assert "every process has ended by itself" in demo.said


def test_a_killed_demo_takes_its_children_with_it(tmp_path: Path) -> None:
    with sagaql_demo(tmp_path) as demo:
        demo.wait_for("Ctrl-C stops everything")
        demo.process.kill()
        demo.process.wait(ENDS_WITHIN)

        wait_until(lambda: demo.left_behind() == [], saying="the children notice")
