"""Whole gateways beside one another: CPU that a server spends on a client's query, from its socket to its services' and back.

The server has one core, the load and the stand-in services the other. Contenders run all the time and take turns; each is asked
the same, and every answer is compared with that of the plain peer, whose resolvers have nothing clever in them. Queries come
with variables, as clients send them, and no two of A and D at once ask for the same product; ours shares no call between
queries (`coalesce = false`), since the others do not. Apollo Gateway calls nothing but GraphQL: its services are subgraphs with
the same data, on the load's core too. A figure is the median of the rounds' ratios. A second gateway of ours has two workers
under its supervisor, all on the same core: what they cost together is compared with what one costs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.execution.graph import SERVICES
from benchmarks.figures import Figure, at_least, at_most

ROOT = Path(__file__).parents[2]
NODE = ROOT / "benchmarks" / "peers" / "node"
ROUNDS, AT_ONCE, STARTS_WITHIN = 7, 8, 30.0
TWO, APOLLO = "two workers", "apollo"
SLOW = ("plain", "tuned")
TURNS = {"A": 200, "B": 80, "C": 60, "D": 400}
"""Queries in a turn."""
QUICKER = 3
"""How many times as many for whoever is not written in plain Python's way: its turns would be short, and Node warms up."""

TARGETS = {"A": 20.0, "B": 40.0, "C": 35.0, "D": 10.0}
"""CPU of what a Python user writes today / ours."""

GROWTH = (100, 1_000, 10_000)
FIRST = {"B": 50, "C": 1_000}
KEYS = 100
"""Different products that A and D ask for."""

TEXTS = {
    "A": "query A($key: String!) { product(key: $key) { id name stock { quantity warehouse } price { amount currency } "
    "reviews { stars body } } }",
    "B": "query B($first: Int!) { products(first: $first) { id name reviews { id stars body author { id name } } } }",
    "C": "query C($first: Int!) { products(first: $first) { sku name description category brand weight pieces isNew } }",
    "D": "query D($key: String!) { product(key: $key) { id name } }",
}


_TOML = """
[graph]
query = "benchmarks.execution.graph:Query"
[server]
port = {port}
"""

SHALLOWER = "query S($first: Int!) { products(first: $first) { id name reviews { id stars body } } }"


@dataclass
class Contender:
    """One server. `spent`, `waits`: seconds of CPU a query by round, seconds of waiting of each query, by workload."""

    name: str
    pid: int
    url: str
    started_in: float
    spent: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TEXTS})
    waits: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in TEXTS})
    calls: dict[str, float] = field(default_factory=dict)
    good: set[tuple[tuple[str, str], bytes]] = field(default_factory=set)
    """Questions and answers that were compared already."""

    def turn(self, workload: str) -> int:
        """Queries of a turn."""
        return TURNS[workload] * (1 if self.name in SLOW else QUICKER)

    def cpu(self) -> float:
        """Seconds of its processes so far, to the nanosecond."""
        return sum(map(_cpu_of, _with_children(self.pid)))

    def peak(self) -> float:
        """MiB of memory at its most, of all its processes."""
        return sum(map(_peak_of, _with_children(self.pid)))


def _cpu_of(pid: int) -> float:
    """Of the threads that it has now: a server's do not come and go."""
    return sum(int(each.read_text().split()[0]) for each in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _peak_of(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _with_children(pid: int) -> list[int]:
    """The process and those that it has started."""
    parents = {
        int(each.parent.name): int(each.read_text().rpartition(")")[2].split()[1])
        for each in Path("/proc").glob("[0-9]*/stat")
    }
    return [pid, *(each for each, parent in parents.items() if parent == pid)]


def figures() -> list[Figure]:
    return asyncio.run(_figures())


async def _figures() -> list[Figure]:
    _pin(1)
    async with AsyncExitStack() as open_:
        folder = Path(open_.enter_context(tempfile.TemporaryDirectory()))
        node = _node()
        services = await _stand_in(open_, "services", [sys.executable, "-m", "benchmarks.execution.services"])
        subgraphs = await _stand_in(open_, "subgraphs", [node, str(NODE / "subgraphs.mjs")]) if node else ""
        connector = aiohttp.TCPConnector(keepalive_timeout=2)  # shorter than any server's: none is closed under a query
        plain = {"accept-encoding": "identity"}  # what compressing costs is no part of it: not all contenders do it
        client = await open_.enter_async_context(aiohttp.ClientSession(connector=connector, headers=plain))
        contenders: list[Contender] = []
        commands = _commands(folder, services) | (_node_commands(node, services, subgraphs) if node else {})
        for name, make in commands.items():
            port = _free_port()
            running = _running(name, make(port), f"http://127.0.0.1:{port}/livez", core=0)
            contenders.append(await open_.enter_async_context(running))
        truth = await _truth(client, contenders)
        for contender in contenders:
            for workload in TEXTS:
                await _turn(client, contender, workload, truth, count=20)
                called = subgraphs if contender.name == APOLLO else services
                contender.calls[workload] = await _calls(client, contender, workload, called)
        for _ in range(ROUNDS):
            for workload in TURNS:
                for contender in contenders:
                    began, count = contender.cpu(), contender.turn(workload)
                    contender.waits[workload] += await _turn(client, contender, workload, truth, count=count)
                    contender.spent[workload].append((contender.cpu() - began) / count)
        print(_table(contenders), flush=True)
        await _tell_floor(client, services)
        await _ensure_counted(client, _named(contenders, TWO), contenders[0])
        found = [*_compared(contenders), *await _grown(client, contenders[0])]
        found.append(await _deeper(client, contenders[0], services))
        await _tell_stages(client, folder, contenders[0], services)
        return found


# -- contenders --------------------------------------------------------------------------------------------------------


def _commands(folder: Path, services: str) -> dict[str, Callable[[int], list[str]]]:
    """By name, ours first and then Python's: the command that serves on a port."""
    python = sys.executable

    def ours(port: int) -> list[str]:
        return [python, "-m", "gateway", "serve", "--config", str(_config(folder, port, services=services))]

    return {
        "SagaQL": ours,
        TWO: lambda port: [*ours(port), "--workers", "2"],
        "plain": lambda port: [python, "-m", "benchmarks.peers.plain", str(port), services],
        "tuned": lambda port: [python, "-m", "benchmarks.peers.tuned", str(port), services],
    }


def _node() -> str | None:
    """Where Node is, if the peers can run."""
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules").is_dir():
        print("  graphql-yoga, Mercurius and Apollo Gateway are left out, for want of Node or of their packages")
        return None
    return node


def _node_commands(node: str, services: str, subgraphs: str) -> dict[str, Callable[[int], list[str]]]:
    called = {"yoga": services, "mercurius": services, APOLLO: subgraphs}
    return {name: partial(_node_command, node, NODE / f"{name}.mjs", url) for name, url in called.items()}


def _node_command(node: str, script: Path, called: str, port: int) -> list[str]:
    return [node, str(script), str(port), called]


def _config(folder: Path, port: int, *, services: str) -> Path:
    tables = "".join(f'[services.{name}]\nurl = "{services}"\ncoalesce = false\n' for name in SERVICES)
    path = folder / f"{port}.toml"
    path.write_text(_TOML.format(port=port) + tables, encoding="utf-8")
    return path


@asynccontextmanager
async def _running(name: str, command: list[str], live: str, *, core: int) -> AsyncGenerator[Contender]:
    """The server, once it answers; ended at the end."""
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NODE_ENV": "production"}
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=DEVNULL)
    try:
        os.sched_setaffinity(process.pid, {core % (os.cpu_count() or 1)})
        async with aiohttp.ClientSession() as client:
            while not await _answers(client, live):
                if process.returncode is not None or time.monotonic() - began > STARTS_WITHIN:
                    raise RuntimeError(f"{name} does not start: {' '.join(command)}")
                await asyncio.sleep(0.02)
        yield Contender(name, process.pid, live.rpartition("/")[0] + "/graphql", time.monotonic() - began)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _stand_in(open_: AsyncExitStack, name: str, command: list[str]) -> str:
    """Starts it on the load's core, until the end. Returns: its address."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    await open_.enter_async_context(_running(name, [*command, str(port)], url + "/count", core=1))
    return url


async def _answers(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _pin(core: int) -> None:
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


# -- asking ------------------------------------------------------------------------------------------------------------


def _variables(workload: str, number: int) -> dict[str, Any]:
    return {"key": str(number % KEYS)} if workload in "AD" else {"first": FIRST[workload]}


async def _ask(client: aiohttp.ClientSession, contender: Contender, workload: str, variables: dict[str, Any]) -> bytes:
    async with client.post(contender.url, json={"query": TEXTS[workload], "variables": variables}) as response:
        body = await response.read()
        if response.status != 200:
            raise RuntimeError(f"{contender.name} answers {response.status}: {body[:300]!r}")
        return body


Truth = dict[tuple[str, str], Any]
"""The data by workload and variables."""


async def _turn(
    client: aiohttp.ClientSession, contender: Contender, workload: str, truth: Truth, *, count: int
) -> list[float]:
    """`count` queries, `AT_ONCE` at a time, each answer compared. Seconds that each took."""
    numbers, waits = iter(range(count)), list[float]()

    async def ask_on() -> None:
        for number in numbers:
            variables = _variables(workload, number)
            began = time.perf_counter()
            body = await _ask(client, contender, workload, variables)
            waits.append(time.perf_counter() - began)
            which = workload, str(variables)
            if (which, body) not in contender.good:
                if _data(contender, body) != truth[which]:
                    raise RuntimeError(f"{contender.name} answers {which} otherwise: {body[:300]!r}")
                contender.good.add((which, body))

    await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))
    return waits


async def _truth(client: aiohttp.ClientSession, contenders: list[Contender]) -> Truth:
    """What the plain peer says, which has nothing that could be wrong by being clever."""
    plain = _named(contenders, "plain")
    asked = [(workload, _variables(workload, number)) for workload in TEXTS for number in range(KEYS)]
    return {
        (workload, str(variables)): _data(plain, await _ask(client, plain, workload, variables))
        for workload, variables in {str(each): each for each in asked}.values()
    }


def _data(contender: Contender, body: bytes) -> Any:
    answer = json.loads(body)
    if answer.get("errors"):
        raise RuntimeError(f"{contender.name} has errors: {answer['errors'][:3]}")
    return _with_own_ids(answer["data"]) if contender.name in ("SagaQL", TWO) else answer["data"]


def _with_own_ids(plain: Any) -> Any:
    """Ours are of the whole graph (base64 of type and key), the peers' are the services' keys."""
    if isinstance(plain, dict):
        return {
            name: base64.urlsafe_b64decode(inner + "==").decode().partition(":")[2]
            if name == "id"
            else _with_own_ids(inner)
            for name, inner in plain.items()
        }
    return [_with_own_ids(inner) for inner in plain] if isinstance(plain, list) else plain


async def _calls(client: aiohttp.ClientSession, contender: Contender, workload: str, services: str) -> float:
    """Requests to services that one query makes when it is alone."""
    before = await _count(client, services)
    for number in range(5):
        await _ask(client, contender, workload, _variables(workload, number))
    return (await _count(client, services) - before) / 5


async def _count(client: aiohttp.ClientSession, services: str) -> int:
    async with client.get(services + "/count") as response:
        return int(await response.read())


async def _deeper(client: aiohttp.ClientSession, ours: Contender, services: str) -> Figure:
    """B without authors, then B: a layer of joins more."""
    before = await _count(client, services)
    async with client.post(ours.url, json={"query": SHALLOWER, "variables": {"first": FIRST["B"]}}) as response:
        response.raise_for_status()
    calls = await _count(client, services) - before
    return at_most("calls that one more layer of joins costs", 1, ours.calls["B"] - calls)


async def _tell_floor(client: aiohttp.ClientSession, services: str) -> None:
    """What C and D cost whoever calls the one service and sends its bytes on: the way in, the call, and the way out."""
    port, spent = _free_port(), dict[str, float]()
    command = [sys.executable, "-m", "benchmarks.peers.passing", str(port), services]
    async with _running("passing", command, f"http://127.0.0.1:{port}/livez", core=0) as passing:
        for workload in "CD":
            await _ask_all(client, passing, workload, 60)
            rounds = list[float]()
            for _ in range(ROUNDS):
                began, count = passing.cpu(), passing.turn(workload)
                await _ask_all(client, passing, workload, count)
                rounds.append((passing.cpu() - began) / count * 1e3)
            spent[workload] = statistics.median(rounds)
    print(f"  bytes passed on, nothing else: C {spent['C']:.3g} ms, D {spent['D']:.3g} ms", flush=True)


# -- stage by stage ----------------------------------------------------------------------------------------------------


async def _tell_stages(client: aiohttp.ClientSession, folder: Path, ours: Contender, services: str) -> None:
    """Where the CPU of a query goes: shares of samples, times what the query costs when nobody looks."""
    samples, port = folder / "samples.json", _free_port()
    config = _config(folder, port, services=services)
    command = [sys.executable, "-m", "benchmarks.execution.sampled", str(samples), str(config)]
    shares: dict[str, dict[str, float]] = {}
    async with _running("sampled", command, f"http://127.0.0.1:{port}/livez", core=0) as sampled:
        for workload, count in TURNS.items():
            await _ask_all(client, sampled, workload, count // 4)
            os.kill(sampled.pid, signal.SIGUSR1)
            await _ask_all(client, sampled, workload, 2 * count)
            samples.unlink(missing_ok=True)
            os.kill(sampled.pid, signal.SIGUSR2)
            while not samples.exists():
                await asyncio.sleep(0.02)
                await _ask_all(client, sampled, workload, 1)  # a signal is taken when Python next runs
            await asyncio.sleep(0.1)
            counts: dict[str, int] = json.loads(samples.read_bytes())
            shares[workload] = {stage: number / sum(counts.values()) for stage, number in counts.items()}
    print("  stage                   " + "".join(f"{name:>10}" for name in TURNS) + "   ms of CPU a query, by samples")
    for stage in dict.fromkeys(stage for each in shares.values() for stage in each):
        told = (f"{shares[name].get(stage, 0.0) * statistics.median(ours.spent[name]) * 1e3:10.3f}" for name in TURNS)
        print(f"  {stage:<24}" + "".join(told), flush=True)


async def _ask_all(client: aiohttp.ClientSession, contender: Contender, workload: str, count: int) -> None:
    numbers = iter(range(count))

    async def ask_on() -> None:
        for number in numbers:
            await _ask(client, contender, workload, _variables(workload, number))

    await asyncio.gather(*(ask_on() for _ in range(AT_ONCE)))


# -- what comes of it --------------------------------------------------------------------------------------------------


def _compared(contenders: list[Contender]) -> list[Figure]:
    ours = contenders[0]
    found = [
        at_least(
            f"{name} CPU, plain Python / ours",
            TARGETS[name],
            _ratio(_named(contenders, "plain"), ours, name),
            unit=" x",
        )
        for name in TEXTS
    ]
    for peer, workloads in (("yoga", "ABCD"), ("mercurius", "BC")):
        other = next((each for each in contenders if each.name == peer), None)
        if other is not None:
            found += [
                at_least(f"{name} CPU, {peer} / ours", 1.0, _ratio(other, ours, name), unit=" x") for name in workloads
            ]
    two = _named(contenders, TWO)
    return [
        *found,
        *(at_most(f"{name} CPU, two workers / one", 1.25, _ratio(two, ours, name), unit=" x") for name in TEXTS),
    ]


async def _ensure_counted(client: aiohttp.ClientSession, *gateways: Contender) -> None:
    """Raises: RuntimeError, unless both were asked as much, and the metrics of several workers say as much as those of one."""
    told: list[float] = []
    for each in gateways:
        async with client.get(each.url.replace("/graphql", "/metrics")) as response:
            lines = (await response.text()).splitlines()
        counts = [line.split()[-1] for line in lines if line.startswith("sagaql_operation_duration_seconds_count")]
        told.append(sum(map(float, counts)))
    if len(set(told)) > 1:
        raise RuntimeError(f"gateways that were asked the same say that they were asked {told} times")


def _named(contenders: list[Contender], name: str) -> Contender:
    return next(each for each in contenders if each.name == name)


def _ratio(other: Contender, ours: Contender, workload: str) -> float:
    return statistics.median(
        theirs / mine for theirs, mine in zip(other.spent[workload], ours.spent[workload], strict=True)
    )


async def _grown(client: aiohttp.ClientSession, ours: Contender) -> list[Figure]:
    """C with more and fewer items: what an item costs must not grow with their number."""
    spent: list[float] = []
    for items in GROWTH:
        count = max(4, 30_000 // items)
        for _ in range(4):
            await _ask(client, ours, "C", {"first": items})
        began = ours.cpu()
        for _ in range(count):
            await _ask(client, ours, "C", {"first": items})
        spent.append((ours.cpu() - began) / count)
        print(
            f"  C with {items:>6} items: {spent[-1] * 1e3:8.2f} ms, {spent[-1] / items * 1e6:6.2f} µs an item",
            flush=True,
        )
    return [at_most("C, an item of 10,000 / an item of 1,000", 1.25, spent[2] / spent[1] / 10, unit=" x")]


def _table(contenders: list[Contender]) -> str:
    lines = ["  contender   " + "".join(f"{name:>10}" for name in TEXTS) + "   ms of CPU a query"]
    tables: dict[str, Callable[[Contender, str], float]] = {
        "": lambda each, name: statistics.median(each.spent[name]) * 1e3,
        f"p50, ms, {AT_ONCE} at once": lambda each, name: statistics.median(each.waits[name]) * 1e3,
        f"p99, ms, {AT_ONCE} at once": lambda each, name: statistics.quantiles(each.waits[name], n=100)[98] * 1e3,
        "calls, of a query alone": lambda each, name: each.calls[name],
    }
    for title, told in tables.items():
        lines += [f"  {title}"] if title else []
        lines += [f"  {each.name:<12}" + "".join(f"{told(each, name):>10.3g}" for name in TEXTS) for each in contenders]
    lines.append("  memory at its most, and start")
    lines += [f"  {each.name:<12}{each.peak():>10.0f} MiB {each.started_in:>8.2f} s" for each in contenders]
    return "\n".join(lines)
