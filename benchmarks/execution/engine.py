"""CPU of an operation by its compiled plan, beside graphql-core and the physical floor.

Everything from the request's text to the bytes of the answer counts, calls to services included (their stack over wires that answer
from memory); HTTP on both sides does not. Each round runs all contenders in turns; a figure is the median of the rounds' ratios.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.execution.graph import SERVICES, graph, listed, listing, wires
from benchmarks.figures import Figure, at_least
from gateway.execution import GraphQLRequest
from gateway.loading.records import page_codec
from gateway.settings import Settings
from gateway.telemetry import Telemetry, tracer_provider
from gateway.testing import GatewayUnderTest

ROUNDS = 7


@dataclass(frozen=True)
class Workload:
    name: str
    text: str
    count: int
    """Operations in a turn."""
    target: float
    """How many times less CPU than graphql-core."""


WORKLOADS = (
    Workload(
        "A one product, 3 joins",
        '{ product(key: "1") { id name stock { quantity warehouse } price { amount currency } reviews { stars body } } }',
        60,
        0.95,
    ),
    Workload(
        "B 50 products x 5 reviews x author",
        "{ products(first: 50) { id name reviews { id stars body author { id name } } } }",
        15,
        5.0,
    ),
    Workload(
        "C 1000 products x 8 fields",
        "{ products(first: 1000) { sku name description category brand weight pieces isNew } }",
        5,
        8.0,
    ),
    Workload("D one product, 2 fields", '{ product(key: "1") { id name } }', 100, 0.9),
)

Operation = Callable[[], Awaitable[object]]


def figures() -> list[Figure]:
    return asyncio.run(_figures())


async def _figures() -> list[Figure]:
    found: list[Figure] = []
    async with gateway_of(compile=True) as ours, gateway_of(compile=False) as theirs:
        for workload in WORKLOADS:
            plan, core = await _turns([_operation(ours, workload), _operation(theirs, workload)], workload.count)
            ratio = statistics.median(slow / quick for quick, slow in zip(plan, core, strict=True))
            print(f"  {workload.name:<36} plan {_ms(plan)}  graphql-core {_ms(core)}", flush=True)
            found.append(at_least(f"CPU of {workload.name}: graphql-core / plan", workload.target, ratio, unit=" x"))
        (floor,) = await _turns([_floor], 5)
        print(f"  {'C decoded and encoded, nothing else':<36} {_ms(floor)}")
    return found


def _ms(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:8.3f} ms"


def gateway_of(**operation: Any) -> GatewayUnderTest:
    """A gateway over services in memory, with these settings of operations."""
    services = {name: {"url": f"http://{name}.test"} for name in SERVICES}
    settings = Settings.model_validate({"services": services, "operation": operation})
    provider = tracer_provider(service_name="bench", sample_ratio=0.0, exporter=None)
    return GatewayUnderTest(settings, graph, wires=wires(), telemetry=Telemetry(provider=provider))


def _operation(gateway: GatewayUnderTest, workload: Workload) -> Operation:
    request = GraphQLRequest(text=workload.text)

    async def run() -> bytes:
        result = await gateway.parts.engine.answer(request)
        assert not result.errors
        return result.encoded()

    return run


_DECODER = page_codec(listing).row
_BODY = listed(1000)


async def _floor() -> object:
    """What nobody can avoid: the service's bytes checked and read, the answer's bytes written."""
    page = _DECODER.decode(_BODY)
    return msgspec.json.encode(page.items)


async def _turns(contenders: list[Operation], count: int) -> list[list[float]]:
    """CPU seconds an operation, a number a round, for each contender."""
    times: list[list[float]] = [[] for _ in contenders]
    for run in contenders:
        for _ in range(4):
            await run()
    for _ in range(ROUNDS):
        for run, spent in zip(contenders, times, strict=True):
            gc.collect()
            began = time.process_time()
            for _ in range(count):
                await run()
            spent.append((time.process_time() - began) / count)
    return times
