"""What knowing an operation's cost takes: CPU with `operation.cost = "enforce"` beside the same without, in turns of one run.

Everything from the request's text to the bytes of the answer counts, as in `engine.py`, and nothing of HTTP: so the share is larger
here than in a gateway that is served. A figure is the median of the rounds' ratios; each begins every other round.
Lengths that were never asked for have to be estimated anew, which is told beside.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

from benchmarks.execution.engine import gateway_of
from benchmarks.execution.served import FIRST, TEXTS
from benchmarks.figures import Figure, at_most
from gateway.execution import GraphQLRequest
from gateway.testing import GatewayUnderTest

ROUNDS = 40
TURNS = {"A": 24, "B": 8, "C": 4, "D": 60}
"""Operations in a turn: some 20 ms."""
MEASURED = {"cost": "enforce", "max_cost": 10**9}
SHARE = 2.0
"""Percent of an operation's CPU."""

Ask = Callable[[], Awaitable[object]]


def figures() -> list[Figure]:
    return asyncio.run(_figures())


async def _figures() -> list[Figure]:
    found: list[Figure] = []
    async with gateway_of(compile=True) as without, gateway_of(compile=True, **MEASURED) as knowing:
        for name in TEXTS:
            plain, costed = await _turns([_asking(without, name), _asking(knowing, name)], TURNS[name])
            share = _share(plain, costed)
            print(
                f"  {name} without {_ms(plain)}, with {_ms(costed)}, the look-up alone {_look_up(knowing, name):.2f} µs"
            )
            found.append(at_most(f"{name}: CPU that knowing its cost takes", SHARE, share, unit=" %"))
        for name in FIRST:
            plain, costed = await _turns([_anew(without, name), _anew(knowing, name)], TURNS[name])
            print(f"  {name} with a length that is new each time: {_share(plain, costed):.1f} %, with {_ms(costed)}")
    return found


def _share(plain: list[float], costed: list[float]) -> float:
    """Percent. Less than nothing is nothing: it is noise."""
    return max(0.0, (statistics.median(dear / cheap for cheap, dear in zip(plain, costed, strict=True)) - 1) * 100)


def _ms(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.3f} ms"


def _variables(name: str) -> dict[str, Any]:
    return {"first": FIRST[name]} if name in FIRST else {"key": "1"}


def _asking(gateway: GatewayUnderTest, name: str) -> Ask:
    return lambda: _answered(gateway, name, _variables(name))


def _anew(gateway: GatewayUnderTest, name: str) -> Ask:
    """With one more than was asked for before, so that nothing is known of it."""
    lengths = count(FIRST[name])
    return lambda: _answered(gateway, name, {"first": FIRST[name] + next(lengths) % 97})


async def _answered(gateway: GatewayUnderTest, name: str, variables: Mapping[str, Any]) -> bytes:
    result = await gateway.parts.engine.answer(GraphQLRequest(text=TEXTS[name], variables=variables))
    if result.errors:
        raise RuntimeError(f"{name} fails: {result.errors[0]['message']}")
    return result.encoded()


def _look_up(gateway: GatewayUnderTest, name: str) -> float:
    """µs of an estimate that is known."""
    engine, variables = gateway.parts.engine, _variables(name)
    operation = engine.documents.operation(TEXTS[name], None)
    began = time.process_time()
    for _ in range(10_000):
        engine.costs.estimate(operation, variables)
    return (time.process_time() - began) * 100


async def _turns(contenders: list[Ask], times: int) -> list[list[float]]:
    """CPU seconds an operation, a number a round, for each contender."""
    spent: list[list[float]] = [[] for _ in contenders]
    for ask in contenders:
        for _ in range(4):
            await ask()
    for number in range(ROUNDS):
        order = [*enumerate(contenders)]
        for place, ask in order if number % 2 else reversed(order):
            gc.collect()
            began = time.process_time()
            for _ in range(times):
                await ask()
            spent[place].append((time.process_time() - began) / times)
    return spent
