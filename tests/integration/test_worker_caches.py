"""Two workers, each with caches of its own, and one saga process: clients read their own writes from either."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.clock import Seconds
from gateway.loading import Loaders
from gateway.saga_ports import CacheInvalidation
from gateway.sagas import IdempotencyConflict, Saga, StepCtx, step
from gateway.sagas.remote import RemoteHost
from gateway.services import ServiceRequest, ServiceResponse
from gateway.testing import answer, in_virtual_time
from gateway.testing.journal import MemoryJournal

from ..unit.loading.reading import CLOCK, INVENTORY, Stock, inventory, keys_of, loaders_over, request_of
from ..unit.sagas.served import SagaProcess, new_place
from ..unit.sagas.world import OWNER, Order, Receipt, World, Write, host_of, quiet

stock = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, fresh="1h", shared="public")


class Take(Saga[Order, Receipt], version=1):
    """Takes one from the stock."""

    @step(undo=None, pivot=True, invalidates=[stock])
    async def taken(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/take"), {})

    def result(self, taken: Receipt) -> Receipt:
        return taken


@dataclass
class Shelf:
    """The service behind both workers."""

    left: int = 10

    def serve(self, request: ServiceRequest) -> ServiceResponse:
        return answer([{"sku": key, "quantity": self.left} for key in keys_of(request)])


async def look(loaders: Loaders) -> int:
    found = await request_of(loaders).load(stock, "a")
    assert found is not None
    return found.quantity


@in_virtual_time
async def test_what_one_worker_was_told_is_done_the_other_does_not_serve_an_older_answer_of() -> None:
    shelf, telemetry = Shelf(), quiet()[0]
    world = World()

    async def take(point: str) -> None:
        shelf.left -= point == "after /take"

    world.around = take
    host = host_of(MemoryJournal(), world, sagas=[Take], clock=CLOCK)
    process = SagaProcess(host, new_place(), telemetry=telemetry)
    await process.start()
    caches = [loaders_over(inventory(shelf.serve)) for _ in range(2)]
    workers: list[RemoteHost] = [
        process.worker(telemetry=telemetry, clock=CLOCK, observer=CacheInvalidation(each)) for each in caches
    ]
    for worker in workers:
        await worker.start()
    await asyncio.sleep(1)  # at the instant of the handshake nothing is trusted yet
    assert [await look(each) for each in caches] == [10, 10]
    shelf.left -= 1
    assert [await look(each) for each in caches] == [10, 10], "both serve from their caches"

    ticket = await workers[0].begin(Take, Order(), owner=OWNER, key="k", input_hash="h", trace={})
    assert not isinstance(ticket, IdempotencyConflict)
    assert (await workers[0].wait(ticket.saga_id, timeout=Seconds(10))).is_settled

    assert [await look(each) for each in caches] == [8, 8]
    for worker in workers:
        await worker.stop(Seconds(0))
    await process.stop()
