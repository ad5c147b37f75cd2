"""CPU of a read call: plain httpx, aiohttp, the bare wire and our whole stack, against the same server, in turns.

The server is another process, so its CPU does not count; each contender has the loop (uvloop) to itself in its turn, and reads the
same 2 KB of JSON over warm connections, 50 requests at once. Two loads, because httpx's cost depends on how many connections of its
pool are idle when a request comes: waves (50 reads start together and the next wave when all are answered, as the layers of a query
do) and steady (each of 50 workers asks again as soon as it was answered). Two clients: with the default limits (20 connections are
kept, so others are opened anew), and with a pool of 50, as its documentation advises for that many. The figure is the wave over the
pool of 50; the others are printed beside it.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random

import aiohttp
import httpx
import uvloop
from msgspec.structs import replace

from benchmarks.figures import Figure, at_least, at_most
from gateway.clock import Deadline, LoopClock, Seconds
from gateway.services import HedgeSettings, ServiceConfig, ServiceRequest, ServiceResponse, Sharing
from gateway.services.http1_wire import Http1Wire
from gateway.services.policies import BulkheadSettings
from gateway.services.stack import Stack, compose, over
from gateway.services.wire import Wire
from gateway.telemetry import Telemetry, tracer_provider

ROOT = Path(__file__).parents[2]
CONCURRENCY = 50
CLOCK = LoopClock()
READ = ServiceRequest(service="stock", path="/stock", endpoint="GET /stock", query=(("skus", "a"), ("skus", "b")))

Call = Callable[[int], Awaitable[object]]


def figures(*, rounds: int = 5) -> Generator[Figure]:
    """The figures of this file, and the budget stage by stage on the screen."""
    measured = uvloop.run(_turns(rounds))
    for (name, kind), times in measured.items():
        ratio = _ratio(times, measured["stack", kind])
        print(
            f"  {name:<14} {kind:<7} {statistics.median(times) * 1e6:7.0f} µs a call, {ratio:6.1f} x ours (of {rounds} turns)"
        )
    ratio = _ratio(measured["httpx, pool 50", "waves"], measured["stack", "waves"])
    yield at_least("CPU per read call, waves of 50: httpx / ours", 40, ratio, unit=" x")
    stages = uvloop.run(_stages())
    print("  what each policy adds, over a wire that does nothing:")
    before = 0.0
    for stage, microseconds in stages:
        print(f"  {stage:<28} {microseconds - before:6.1f} µs")
        before = microseconds
    yield at_most("CPU that all policies add", 60, before - stages[0][1], unit=" µs")


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(each / own for each, own in zip(theirs, ours, strict=True))


async def _turns(rounds: int) -> dict[tuple[str, str], list[float]]:
    """CPU seconds a call, one number a round, by contender and load."""
    with _server() as url:
        async with (
            _httpx(url, httpx.Limits(max_connections=100, max_keepalive_connections=20)) as plain,  # its defaults
            _httpx(url, httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)) as pooled,
            _aiohttp(url) as peer,
            _wire(url) as wire,
            _stack(url) as stack,
        ):
            contenders: dict[str, tuple[Call, int]] = {
                "httpx, default": (plain, 300),
                "httpx, pool 50": (pooled, 300),
                "aiohttp": (peer, 3_000),
                "bare wire": (wire, 6_000),
                "stack": (stack, 6_000),
            }
            times: dict[tuple[str, str], list[float]] = {(name, load): [] for load in _LOADS for name in contenders}
            for load, run in _LOADS.items():
                for call, count in contenders.values():
                    await run(call, count // 4)
                for _ in range(rounds):
                    for name, (call, count) in contenders.items():
                        times[name, load].append(await run(call, count))
    return times


async def _steady(call: Call, count: int) -> float:
    """CPU seconds of this process per call, with CONCURRENCY under way all the time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await call(number)

    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return (time.process_time() - began) / count


async def _waves(call: Call, count: int) -> float:
    """The same with CONCURRENCY at once, and then the next."""
    began = time.process_time()
    for first in range(0, count, CONCURRENCY):
        await asyncio.gather(*(call(number) for number in range(first, first + CONCURRENCY)))
    return (time.process_time() - began) / (-(-count // CONCURRENCY) * CONCURRENCY)


_LOADS: dict[str, Callable[[Call, int], Awaitable[float]]] = {"waves": _waves, "steady": _steady}


# -- the contenders ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _httpx(url: str, limits: httpx.Limits) -> AsyncGenerator[Call]:
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30.0) as client:

        async def call(_: int) -> object:
            response = await client.get("/stock", params=READ.query)
            return response.content

        yield call


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncGenerator[Call]:
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:

        async def call(_: int) -> object:
            async with client.get("/stock", params=READ.query) as response:
                return await response.read()

        yield call


@asynccontextmanager
async def _wire(url: str) -> AsyncGenerator[Call]:
    telemetry = Telemetry(provider=tracer_provider(service_name="bench", sample_ratio=0.0, exporter=None))
    wire = Http1Wire("stock", ServiceConfig(instances=(url,)), telemetry=telemetry, clock=CLOCK)
    await wire.start()
    bare = replace(READ, instance=url)

    async def call(_: int) -> object:
        return await wire.send(bare, timeout=Seconds(float("inf")))

    with telemetry.span("query"):
        yield call
    await wire.close()


@asynccontextmanager
async def _stack(url: str) -> AsyncGenerator[Call]:
    telemetry = Telemetry(provider=tracer_provider(service_name="bench", sample_ratio=0.0, exporter=None))
    config = _all_on(url)
    wire = Http1Wire("stock", config, telemetry=telemetry, clock=CLOCK)
    await wire.start()
    stack = Stack(wire, config, service="stock", telemetry=telemetry, clock=CLOCK, random=Random(1))

    async def call(number: int) -> object:
        return await stack(_read(number))

    with telemetry.span("query"):  # sampled out, as most are
        yield call
    await wire.close()


def _all_on(url: str) -> ServiceConfig:
    """Every policy on; none of them refuses anything here. Two addresses of one server: what is picked has a choice."""
    other = url.replace("127.0.0.1", "localhost")
    return ServiceConfig(
        instances=(url, other),
        hedge=HedgeSettings(enabled=True, least=Seconds(1.0)),
        bulkhead=BulkheadSettings(limit=128),
    )


def _read(number: int) -> ServiceRequest:
    """Each a read of its own, as a batch of a layer is: nothing is coalesced, and its key is made all the same."""
    query = (*READ.query, ("skus", str(number)))
    return replace(READ, query=query, tried=[], share=(Sharing.PUBLIC, 0), deadline=Deadline.after(10.0, clock=CLOCK))


# -- stage by stage ----------------------------------------------------------------------------------------------------

_ANSWER = ServiceResponse(200, {}, b"{}")


class _NoWire:
    """Answers at once: what is measured is the policies."""

    async def send(self, request: ServiceRequest, *, timeout: Seconds) -> ServiceResponse:  # noqa: ASYNC109  (the protocol's)
        return _ANSWER

    def configure(self, config: ServiceConfig) -> None: ...
    async def start(self) -> None: ...
    async def close(self) -> None: ...


async def _stages() -> list[tuple[str, float]]:
    """Microseconds a call with no policy, then with each more, from the innermost outwards."""
    telemetry = Telemetry(provider=tracer_provider(service_name="bench", sample_ratio=0.0, exporter=None))
    wire: Wire = _NoWire()
    config = _all_on("http://127.0.0.1:1")
    found: list[tuple[str, float]] = []
    with telemetry.span("query"):
        for name, inner in _by_depth(telemetry, wire, config):
            found.append((name, await _quickest(inner)))
    return found


def _by_depth(
    telemetry: Telemetry, wire: Wire, config: ServiceConfig
) -> Generator[tuple[str, Callable[[ServiceRequest], Awaitable[ServiceResponse]]]]:
    names = (
        "coalesce",
        "retry",
        "hedge",
        "breaker",
        "bulkhead",
        "balance",
        "observe",
        "attempt timeout",
        "classify",
        "faults",
    )
    for depth in range(len(names) + 1):
        stack = Stack(wire, config, service="stock", telemetry=telemetry, clock=CLOCK, random=Random(1))
        policies = stack.policies("stock", telemetry=telemetry, clock=CLOCK, random=Random(1))
        assert len(policies) == len(names)  # a new policy has its line here
        inner = policies[len(policies) - depth :]
        yield ("the request and the wire" if depth == 0 else names[-depth]), compose(inner, over(wire))


async def _quickest(call: Callable[[ServiceRequest], Awaitable[ServiceResponse]]) -> float:
    """The quickest of several runs: what is slower was disturbed."""
    best = float("inf")
    for _ in range(15):
        began = time.perf_counter()
        for number in range(1_000):
            await call(_read(number))
        best = min(best, (time.perf_counter() - began) * 1e3)
    return best


# -- the server --------------------------------------------------------------------------------------------------------


@contextmanager
def _server() -> Generator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.resilience.server", str(port)], cwd=ROOT)
    try:
        _wait(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(5)


def _wait(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
