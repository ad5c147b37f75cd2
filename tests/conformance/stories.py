"""Sagas of every kind for the suite: beside one another, one after another, waiting, and found out before they are undone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from gateway.clock import Seconds
from gateway.sagas import Done, NotDone, Retry, Saga, StepCtx, Unknown, definition_of, step
from gateway.sagas import definition as definitions
from gateway.sagas.definition import Argument
from gateway.sagas.plan import Overtaken, StepPlan, Wait, compile_plan
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

    @step(retry=FAST)
    async def reservation(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/reserve"), {})

    @reservation.undo
    async def release(self, ctx: StepCtx) -> None:
        await ctx.send(Write("/release"), {"undo": ctx.forward_key})

    @step(undo=None, after=["reservation"])
    async def payment(self, ctx: StepCtx) -> int:
        raise AssertionError("a wait is never called")

    @step(undo=None, after=["reservation"])
    async def pause(self, ctx: StepCtx) -> None:
        raise AssertionError("a wait is never called")

    @step(pivot=True, retry=FAST, after=["pause"])
    async def booking(self, ctx: StepCtx, payment: int) -> Receipt:
        return await ctx.send(Write("/book"), {"amount": payment})

    @step(after=["booking"])
    async def courier(self, ctx: StepCtx) -> str:
        raise AssertionError("a wait is never called")

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

    @seat.undo
    async def free(self, ctx: StepCtx, seat: Done[Receipt] | Unknown) -> None:
        assert isinstance(seat, Done), "undone before it was found out"
        await ctx.send(Write("/free"), {"undo": ctx.forward_key})

    @step(retry=FAST)
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


async def _lookup_seat(saga: object, ctx: StepCtx) -> Done[Receipt] | NotDone:
    took_effect = await cast("Asking", ctx.sender).took_effect(ctx.forward_key)
    return Done(Receipt(ctx.forward_key)) if took_effect else NotDone()


def _planned(saga: type[Saga[Any, Any]], **changes: dict[str, Any]) -> None:
    """Give steps what a plan knows and the class does not say."""
    built = definition_of(saga)
    steps = [_changed(each, changes.get(name, {})) for name, each in built.plan.steps.items()]
    plan = compile_plan(built.name, version=built.version, deadline=built.deadline, steps=steps)
    definitions._DEFINITIONS[saga] = replace(built, plan=plan)


def _changed(step: StepPlan, changes: dict[str, Any]) -> StepPlan:
    return replace(step, **changes)


def _looked_up(saga: type[Saga[Any, Any]], step_name: str, lookup: Any) -> None:
    built = definition_of(saga)
    binding = replace(built.bindings[step_name], lookup=lookup, lookup_arguments=(Argument("ctx", "ctx"),))
    definitions._DEFINITIONS[saga] = replace(built, bindings={**built.bindings, step_name: binding})


_planned(
    Booking,
    payment={"wait": Wait("signal", Seconds(20.0), ("NOT_PAID", "Nobody paid."))},
    pause={"wait": Wait("timer", Seconds(5.0))},
    courier={"wait": Wait("signal", None)},
)
_planned(
    Careful, seat={"overtaken": Overtaken.LOOKUP, "settles_after": Seconds(2.0)}, meal={"overtaken": Overtaken.RESEND}
)
_looked_up(Careful, "seat", _lookup_seat)
