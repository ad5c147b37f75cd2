"""What whole gateways do: identical reads, a service that hangs, an outage behind a stale field. A small graph over two services.

The gateway is the real application, from HTTP to the wire, without sockets. Outage and reads run in virtual time; the hanging
service in real time, because what is asked is whether it costs the others any.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Generator
from random import Random

import strawberry

from benchmarks.figures import Figure, at_least, at_most
from gateway import Ctx, Service, entity, field, join, resolver, stale
from gateway.graph import build_graph
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, VirtualClock, answer, hang, run_virtual

catalog, inventory = Service("catalog"), Service("inventory")


@entity
class Stock:
    quantity: int = field("Pieces.")


stock_by_sku = inventory.loader("/stock", keys="skus", key="sku", into=Stock, shared="public")


@entity
class Product:
    sku: str = field("Its name in the warehouse.")
    stock: Stock | None = join(stock_by_sku, on="sku", otherwise=stale("15m"))


products = catalog.loader("/products", keys="skus", key="sku", into=Product, shared="public")


@strawberry.type
class Query:
    @resolver
    async def product(self, ctx: Ctx, sku: str) -> Product | None:
        """A product by its sku."""
        return await ctx.load(products, sku)


graph = build_graph(Query)
SETTINGS = Settings.model_validate(
    {"services": {"catalog": {"url": "http://catalog.test"}, "inventory": {"url": "http://inventory.test"}}}
)
ONE = "query ($sku: String!) { product(sku: $sku) { sku } }"
WITH_STOCK = "query ($sku: String!) { product(sku: $sku) { sku stock { quantity } } }"

Behaviour = Callable[[ServiceRequest], ServiceResponse | Awaitable[ServiceResponse]]


def figures() -> Generator[Figure]:
    yield from identical_reads()
    yield from hanging_service()
    yield from outage_behind_stale()


def rows(request: ServiceRequest) -> ServiceResponse:
    """Every key that is asked for has a row."""
    skus = [value for name, value in request.query if name == "skus"]
    return answer([{"sku": sku, "quantity": 3} for sku in skus])


def later(seconds: float) -> Behaviour:
    async def behaviour(request: ServiceRequest) -> ServiceResponse:
        await asyncio.sleep(seconds)
        return rows(request)

    return behaviour


def gateway(catalog_does: Behaviour, inventory_does: Behaviour, clock: VirtualClock | None = None) -> GatewayUnderTest:
    wires = {"catalog": ScriptedWire(otherwise=catalog_does), "inventory": ScriptedWire(otherwise=inventory_does)}
    return GatewayUnderTest(SETTINGS, graph, wires=wires, telemetry=Telemetry(), clock=clock)


# -- a thousand identical reads ----------------------------------------------------------------------------------------


def identical_reads() -> Generator[Figure]:
    """1000 clients ask two workers for one product of a public loader at once, 500 each; nothing is cached before."""

    async def run() -> int:
        workers = [(ScriptedWire(otherwise=later(0.05)), ScriptedWire(otherwise=rows)) for _ in range(2)]
        most = 0
        for products_wire, stock_wire in workers:
            async with GatewayUnderTest(
                SETTINGS.model_copy(),
                graph,
                wires={"catalog": products_wire, "inventory": stock_wire},
                telemetry=Telemetry(),
                clock=VirtualClock(),
            ) as worker:
                answers = await asyncio.gather(*(worker.execute(ONE, {"sku": "a"}) for _ in range(500)))
                assert all(each.data["product"]["sku"] == "a" for each in answers)
            most = max(most, len(products_wire.sent))
        return most

    yield at_most("1000 identical reads, 2 workers: calls per worker", 1, run_virtual(run()))


# -- one service hangs -------------------------------------------------------------------------------------------------


def hanging_service() -> Generator[Figure]:
    """80 operations/s that need only the catalog (5 ms), beside 20/s that need the inventory, which hangs; 6 s each, in turns."""

    async def p50(inventory_does: Behaviour) -> float:
        random, latencies = Random(1), list[float]()
        async with gateway(later(0.005), inventory_does) as running:

            async def one(document: str, *, is_counted: bool) -> None:
                began = time.perf_counter()
                await running.execute(
                    document, {"sku": f"s{random.randrange(1000)}"}, headers={"x-request-timeout-ms": "3000"}
                )
                if is_counted:
                    latencies.append(time.perf_counter() - began)

            async with asyncio.TaskGroup() as clients:
                for number in range(600):
                    needs_stock = number % 5 == 0
                    clients.create_task(one(WITH_STOCK if needs_stock else ONE, is_counted=not needs_stock))
                    await asyncio.sleep(0.01)
        return statistics.median(latencies)

    ratios: list[float] = []
    for _ in range(3):
        healthy = asyncio.run(p50(later(0.005)))
        hanging = asyncio.run(p50(hang))  # type: ignore[arg-type]  # it never answers
        ratios.append(hanging / healthy)
        print(
            f"  p50 of operations that do not need it: {healthy * 1e3:.2f} ms healthy, {hanging * 1e3:.2f} ms hanging"
        )
    yield at_most("one service hanging: p50 of the others", 1.1, statistics.median(ratios), unit=" x")


# -- five minutes without the service ----------------------------------------------------------------------------------


def outage_behind_stale() -> Generator[Figure]:
    """200 products read once, then 20 operations/s for 5 minutes with the inventory down, each for a random one of them."""

    async def run() -> float:
        is_down = False

        def stock(request: ServiceRequest) -> ServiceResponse:
            return ServiceResponse(503, {}, b"") if is_down else rows(request)

        random, served, asked = Random(1), 0, 6_000
        async with gateway(rows, stock, clock=VirtualClock()) as running:
            for number in range(200):
                await running.execute(WITH_STOCK, {"sku": f"s{number}"})
            is_down = True
            for _ in range(asked):
                await asyncio.sleep(0.05)
                found = await running.execute(WITH_STOCK, {"sku": f"s{random.randrange(200)}"})
                served += found.data["product"]["stock"] == {"quantity": 3}
        return 100 * served / asked

    yield at_least('availability of a warmed stale("15m") field, 5 min outage', 99.9, run_virtual(run()), unit=" %")
