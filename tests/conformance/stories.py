"""Sagas of every kind for the suite: beside one another, one after another, waiting, and found out before they are undone."""

from __future__ import annotations

from typing import cast

from gateway.sagas import Done, NotDone, Reject, Retry, Saga, StepCtx, Unknown, signal, step, timer
from tests.unit.sagas.world import FAST, FAST_UNTIL_DONE, Order, Receipt, World, Write


class Asking(World):
    """A world whose services can be asked whether something took effect."""

    async def took_effect(self, key: str) -> bool:
        await self._point("before asking")
        answer = self.effects[key] > 0
        await self._point("after asking")
        return answer


class Booking(Saga[Order, Receipt], version=1, deadline="60s"):
    """A reservation; payment, which is told by a signal, beside a pause; then the pivot, and a wait for the courier."""

    @step(retry=FAST, overtaken="tombstone")
    async def reservation(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/reserve"), {})

    @reservation.undo
    async def release(self, ctx: StepCtx) -> None:
        await ctx.send(Write("/release"), {"undo": ctx.forward_key})

    payment = signal(int, within="20s", after=["reservation"], otherwise=Reject("NOT_PAID", "Nobody paid."))
    pause = timer("5s", after=["reservation"])

    @step(pivot=True, retry=FAST, after=["pause"])
    async def booking(self, ctx: StepCtx, payment: int) -> Receipt:
        return await ctx.send(Write("/book"), {"amount": payment})

    courier = signal(str, within=None, after=["booking"])

    @step(retry=FAST_UNTIL_DONE)
    async def delivery(self, ctx: StepCtx, courier: str) -> Receipt:
        return await ctx.send(Write("/deliver"), {"courier": courier})

    def result(self, delivery: Receipt) -> Receipt:
        return delivery


class Careful(Saga[Order, Receipt], version=1, deadline="60s"):
    """Two steps whose services leave no tombstone: one is looked up, the other sent again; then one that may say no."""

    @step(retry=FAST)
    async def seat(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/seat"), {})

    @seat.lookup(settles_after="2s")
    async def find_seat(self, ctx: StepCtx) -> Done[Receipt] | NotDone:
        took_effect = await cast("Asking", ctx.sender).took_effect(ctx.forward_key)
        return Done(Receipt(ctx.forward_key)) if took_effect else NotDone()

    @seat.undo
    async def free(self, ctx: StepCtx, seat: Done[Receipt] | Unknown) -> None:
        assert isinstance(seat, Done), "undone before it was found out"
        await ctx.send(Write("/free"), {"undo": ctx.forward_key})

    @step(retry=FAST, overtaken="resend")
    async def meal(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/meal"), {})

    @meal.undo
    async def return_meal(self, ctx: StepCtx, meal: Done[Receipt] | Unknown) -> None:
        assert isinstance(meal, Done), "undone before it was found out"
        await ctx.send(Write("/return"), {"undo": ctx.forward_key})

    @step(pivot=True, retry=FAST)
    async def ticket(self, ctx: StepCtx, seat: Receipt, meal: Receipt) -> Receipt:
        return await ctx.send(Write("/ticket"), {})

    def result(self, ticket: Receipt) -> Receipt:
        return ticket


class Failing(Saga[Order, int], version=1, deadline="60s"):
    """A pivot, and a step after it that gives up."""

    @step(pivot=True)
    async def payment(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/pay"), {})

    @step(retry=Retry(attempts=1))
    async def mail(self, ctx: StepCtx, payment: Receipt) -> Receipt:
        return await ctx.send(Write("/mail"), {})

    def result(self, mail: Receipt) -> int:
        return 1
