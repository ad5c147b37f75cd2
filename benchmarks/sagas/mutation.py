"""What the journal costs the shop's own `placeOrder`: seven real services in processes of their own, the gateway in this one.

Turns alternate between a journal on the disk and one in memory. Sixteen clients at once, as many orders each turn.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom
from statistics import median
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.figures import Figure, at_most
from benchmarks.sagas.world import telemetry
from demo.addresses import NAMES, PORT_BASE_VARIABLE
from demo.supervisor import Supervisor, service_children
from gateway.clock import LoopClock
from gateway.sagas import SqliteJournal
from gateway.sagas.journal import Journal
from gateway.settings import load_settings
from gateway.testing import GatewayUnderTest, MemoryJournal

ROOT = Path(__file__).resolve().parents[2]
CLIENTS, ORDERS, ROUNDS = 16, 320, 5
PLACE = """
mutation ($input: PlaceOrderInput!, $key: String) {
  placeOrder(input: $input, idempotencyKey: $key) { __typename ... on SagaOutcome { status } }
}
"""
INPUT = {
    "customerId": "Q3VzdG9tZXI6Yy0wMDE",
    "lines": [{"sku": "SKU-0003", "quantity": 1}],
    "paymentToken": "tok_ok",
    "address": {
        "name": "Ada Lovelace",
        "street": "12 St James Square",
        "city": "London",
        "postalCode": "SW1Y 4JH",
        "country": "GB",
    },
}


def restock(data: Path) -> None:
    """More than all turns buy."""
    connection = sqlite3.connect(data / "inventory.sqlite3")
    connection.execute("UPDATE stock SET on_hand = 1000000000 WHERE sku = 'SKU-0003'")
    connection.commit()
    connection.close()


async def orders_a_second(journal: Journal, *, name: str) -> float:
    import mutations
    import resolvers
    from gateway.graph import build_graph

    graph = build_graph(resolvers.Query, mutations.Mutation, resolvers.Subscription)
    settings = load_settings(ROOT / "gateway.toml")
    numbers = iter(range(ORDERS + CLIENTS))
    async with GatewayUnderTest(
        settings, graph, wires={}, telemetry=telemetry(), clock=LoopClock(), journal=journal
    ) as gateway:

        async def client(until: int) -> None:
            for number in numbers:
                answer = await gateway.execute(
                    PLACE,
                    {"input": INPUT, "key": f"{name}-{number}"},
                    headers={"authorization": "Bearer demo-customer"},
                )
                if answer.data["placeOrder"]["__typename"] != "PlaceOrderCompleted":
                    raise AssertionError(answer.body.decode())
                if number >= until:
                    return

        await client(CLIENTS - 1)  # connections are open, the document is known
        began = time.perf_counter()
        await asyncio.gather(*(client(ORDERS + CLIENTS) for _ in range(CLIENTS)))
        return ORDERS / (time.perf_counter() - began)


async def compare(data: Path) -> list[tuple[float, float]]:
    """Orders a second (with the file, in memory), turn by turn, whoever is first alternating."""
    turns: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        taken: dict[str, float] = {}
        kinds = ["file", "memory"] if number % 2 else ["memory", "file"]
        for kind in kinds:
            told = telemetry()
            journal: Journal = (
                MemoryJournal()
                if kind == "memory"
                else SqliteJournal(data / f"journal{number}.sqlite3", telemetry=told)
            )
            taken[kind] = await orders_a_second(journal, name=f"{kind}{number}")
        print(
            f"  {taken['file']:6.1f} orders/s with the journal on the disk, {taken['memory']:6.1f} in memory",
            flush=True,
        )
        turns.append((taken["file"], taken["memory"]))
    return turns


async def measure(data: Path) -> list[tuple[float, float]]:
    supervisor = Supervisor(data / "logs")
    await supervisor.start(service_children(data), timeout=60.0)
    try:
        restock(data)
        return await compare(data)
    finally:
        await supervisor.stop()


def free_base() -> int:
    """A first port, where nobody is likely to listen; a taken one is told by the shop."""
    return SystemRandom().randrange(20_000, 31_000 - len(NAMES))


def figures() -> Iterator[Figure]:
    with TemporaryDirectory() as name:
        os.environ[PORT_BASE_VARIABLE] = str(free_base())
        os.environ["DEMO_DATA"] = name
        turns = uvloop.run(measure(Path(name)))
    costs = [1 - on_disk / in_memory for on_disk, in_memory in turns]
    yield at_most("throughput of placeOrder that the journal costs", 25, median(costs) * 100, unit=" %")
