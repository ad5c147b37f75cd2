"""The whole system as real processes on ports of their own: seven services, the gateway, and switches for all of them.

Invariants: every test that takes `demo` begins with all of it running, without faults, calls counted from nothing; when
the session ends no process and no port is left. Effects stay: a test buys what no other test counts.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from demo.addresses import NAMES
from demo.people import PEOPLE
from demo.supervisor import Child, Supervisor

T = TypeVar("T")
Json = Any

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN = 60.0  # seconds: seeding on a machine that others use too
ANSWER_WITHIN = 30.0  # seconds: longer than any deadline of ours, so that ours is what ends a request
GATEWAY = "gateway"
CUSTOMER, SUPPORT, OPERATOR = ({"authorization": f"Bearer {person.token}"} for person in PEOPLE)


_STRETCH = 3_000
"""Ports; four processes have room below those that the system hands out."""


def free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on, below those that the system hands out.

    Each process of a parallel run draws from a stretch of its own: between the look and the use a port is nobody's.
    """
    stretch = 20_000 + _STRETCH * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4)
    for base in random.sample(range(stretch, stretch + _STRETCH - count), k=200):
        if all(_is_free(port) for port in range(base, base + count)):
            return base
    raise RuntimeError(f"no {count} free ports in a row")


def is_listening(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class ServiceSwitches:
    """One running service, as a test sees it."""

    name: str
    url: str

    def fault(self, fault: Mapping[str, Json]) -> None:
        """Break it as `fault` says, until `heal`."""
        httpx.put(f"{self.url}/__fault", json=dict(fault), timeout=ANSWER_WITHIN).raise_for_status()

    def heal(self) -> None:
        httpx.delete(f"{self.url}/__fault", timeout=ANSWER_WITHIN).raise_for_status()

    def calls(self) -> Json:
        """{"total": n, "byEndpoint": {...}} since the last reset."""
        return self._get("__calls")

    def traces(self) -> Json:
        """[{"endpoint", "traceparent"}], the newest last."""
        return self._get("__traces")

    def headers(self) -> Json:
        """[{"endpoint", "headers"}] of the last business requests."""
        return self._get("__headers")

    def ledger(self) -> Json:
        """Every effect, in order."""
        return self._get("__ledger")

    def get(self, path: str, **params: Json) -> Json:
        """A business request of its own, as no gateway would send it; counted among the calls."""
        return self._get(path.removeprefix("/"), **params)

    def reset(self) -> None:
        """No fault, and calls counted from nothing."""
        self.heal()
        httpx.delete(f"{self.url}/__calls", timeout=ANSWER_WITHIN).raise_for_status()

    def _get(self, path: str, **params: Json) -> Json:
        return httpx.get(f"{self.url}/{path}", params=params, timeout=ANSWER_WITHIN).raise_for_status().json()


@dataclass
class Demo:
    """The running system. Whatever is killed or stopped in a test stands again before the next."""

    data: Path
    base: int
    """Port of the gateway; the services follow in their order."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _supervisors: dict[str, Supervisor] = field(default_factory=dict[str, Supervisor])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.base}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells `sagaql` and the shop to live here."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        return {
            "SAGAQL_PORT": str(self.base),
            "DEMO_PORT_BASE": str(self.base + 1),
            "DEMO_DATA": str(self.data),
            "PYTHONPATH": path,
        }

    def service(self, name: str) -> ServiceSwitches:
        return ServiceSwitches(name, f"http://127.0.0.1:{self._port(name)}")

    def graphql(
        self, query: str, variables: Mapping[str, Json] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Json]:
        """The answer's JSON: data, errors, extensions."""
        answer: dict[str, Json] = self.post(query, variables, headers).json()
        return answer

    def post(
        self, query: str, variables: Mapping[str, Json] | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The same, with status and headers."""
        body = {"query": query, "variables": dict(variables or {})}
        return httpx.post(f"{self.url}/graphql", json=body, headers=dict(headers or {}), timeout=ANSWER_WITHIN)

    def kill_gateway(self) -> None:
        """SIGKILL: no farewell, nothing drained."""
        self._kill(GATEWAY)

    def start_gateway(self) -> None:
        self._start(GATEWAY)

    def stop_gateway(self) -> None:
        self._stop(GATEWAY)

    def kill_service(self, name: str) -> None:
        self._kill(name)

    def stop_service(self, name: str) -> None:
        self._stop(name)

    def start_service(self, name: str) -> None:
        self._start(name)

    def log(self, name: str = GATEWAY) -> str:
        """What the process has written, since it was last started."""
        return (self.data / "logs" / f"{name}.log").read_text(encoding="utf-8")

    # -- for the fixtures ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Demo:
        threading.Thread(target=self._loop.run_forever, name="supervision", daemon=True).start()
        self.stand_up()
        return self

    def __exit__(self, *_: object) -> None:
        for name in (GATEWAY, *NAMES):
            self._stop(name)
        self._loop.call_soon_threadsafe(self._loop.stop)
        wait_until(lambda: not self._loop.is_running(), saying="the supervision's loop ends")
        self._loop.close()

    def stand_up(self) -> None:
        """Start what does not run, and take back every fault."""
        self._run(self._start_all([name for name in (*NAMES, GATEWAY) if name not in self._supervisors]))
        for name in NAMES:
            self.service(name).reset()

    async def _start_all(self, names: list[str]) -> None:
        await asyncio.gather(*(self._started(name) for name in names))

    async def _started(self, name: str) -> None:
        supervisor = Supervisor(self.data / "logs")
        await supervisor.start([self._child(name)], timeout=READY_WITHIN)
        self._supervisors[name] = supervisor

    def _start(self, name: str) -> None:
        self._run(self._started(name))

    def _stop(self, name: str) -> None:
        supervisor = self._supervisors.pop(name, None)
        if supervisor is not None:
            self._run(supervisor.stop())

    def _kill(self, name: str) -> None:
        for _, process in self._supervisors[name]._running:  # pyright: ignore[reportPrivateUsage] - nobody else kills
            process.kill()
        self._stop(name)  # reaps it

    def _child(self, name: str) -> Child:
        port = self._port(name)
        ready, command = ("readyz", self._serve()) if name == GATEWAY else ("health", self._serve_shop(name, port))
        return Child(name, [sys.executable, "-m", *command], port, f"http://127.0.0.1:{port}/{ready}", self.environment)

    def _serve(self) -> list[str]:
        return ["gateway", "serve", "--config", str(ROOT / "gateway.toml"), "--lifeline"]

    def _serve_shop(self, name: str, port: int) -> list[str]:
        return ["demo.serve", name, "--port", str(port), "--data", str(self.data), "--lifeline"]

    def _port(self, name: str) -> int:
        return self.base if name == GATEWAY else self.base + 1 + NAMES.index(name)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=2 * READY_WITHIN)


def wait_until(met: Callable[[], bool], *, saying: str, within: float = 20.0) -> None:
    """Returns as soon as `met` holds. Raises: AssertionError after `within` seconds."""
    ends = time.monotonic() + within
    while not met():
        assert time.monotonic() < ends, f"waited {within:g} s for: {saying}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with Demo(tmp_path_factory.mktemp("demo"), free_ports(1 + len(NAMES))) as demo:
        yield demo


@pytest.fixture
def demo(running_demo: Demo) -> Demo:
    """All of it running, nothing broken, nothing counted."""
    running_demo.stand_up()
    return running_demo
