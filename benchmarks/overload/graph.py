"""The graph of the workloads, with one saga of two steps."""

from __future__ import annotations

import msgspec
import strawberry

from benchmarks.execution.graph import Query, catalog, inventory
from gateway import UNTIL_DONE, Done, Saga, StepCtx, Unknown, entity, field, input_type, saga_field, step

__all__ = ["Mutation", "Query"]


@input_type
class BuyInput:
    sku: str = field("What.")


@entity
class Receipt:
    sku: str = field("What was bought.")


class Made(msgspec.Struct):
    done: str


reserve = inventory.command("POST", "/reserve", into=Made)
release = inventory.command("POST", "/release", into=Made)
charge = catalog.command("POST", "/charge", into=Made)


class Buy(Saga[BuyInput, Receipt], version=1, deadline="1m", key="required"):
    """Reserve, and charge."""

    @step(overtaken="tombstone")
    async def reservation(self, ctx: StepCtx, order: BuyInput) -> Made:
        return await ctx.send(reserve, {"sku": order.sku})

    @reservation.undo
    async def release(self, ctx: StepCtx, reservation: Done[Made] | Unknown) -> None:
        await ctx.send(release, {"forwardKey": ctx.forward_key})

    @step(pivot=True, retry=UNTIL_DONE)
    async def payment(self, ctx: StepCtx, order: BuyInput, reservation: Made) -> Made:
        return await ctx.send(charge, {"sku": order.sku})

    def result(self, order: BuyInput, payment: Made) -> Receipt:
        return Receipt(sku=order.sku)


@strawberry.type
class Mutation:
    buy = saga_field(Buy)
