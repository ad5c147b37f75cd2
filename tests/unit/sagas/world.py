"""A small world for sagas: services that honour keys and tombstones, orders that need them, a process that can die."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.clock import Clock, Deadline, Seconds
from gateway.errors import ServiceRefused, ServiceTimeout
from gateway.sagas import (
    CommandLike,
    Done,
    EmbeddedHost,
    IdempotencyConflict,
    Journal,
    LoaderLike,
    Owner,
    Retry,
    Saga,
    SagaView,
    StepCtx,
    Ticket,
    Unknown,
    step,
)
from gateway.sagas.embedded import new_saga_id
from gateway.sagas.running import Observer
from gateway.telemetry import Telemetry, json_log
from gateway.testing import VirtualClock

V = TypeVar("V")

OWNER = Owner("shop", "ada")
FAST = Retry(attempts=3, base="1ms", cap="2ms")
FAST_UNTIL_DONE = Retry(attempts=None, base="1ms", cap="2ms")


@dataclass
class Order:
    sku: str = "a"


@dataclass
class Receipt:
    key: str


@dataclass(frozen=True)
class Write:
    """A command of a service of this world."""

    path: str
    service: str = "world"
    method: str = "POST"
    into: type[Receipt] = Receipt
    rejects: Mapping[str, str] = field(default_factory=lambda: {"SOLD_OUT": "It is sold out."})
    attempt_timeout: Seconds | None = None


Fault = Callable[[str, int], str]
"""Path and nth call -> "ok", "reject", "refuse", "lost before", "lost after", "hang"."""


def always_ok(path: str, nth: int) -> str:
    return "ok"


def total(telemetry: Telemetry, metric: str) -> float:
    """What a metric without labels has counted."""
    return telemetry.metrics.registry.get_sample_value(metric) or 0.0


class World:
    """Effects by idempotency key. `undone` keys are tombstones: a forward request that comes later is refused."""

    def __init__(self, fault: Fault | None = None, *, around: Callable[[str], Awaitable[None]] | None = None) -> None:
        self.fault = fault or always_ok
        self.around = around
        self.effects: Counter[str] = Counter()
        self.reversed: Counter[str] = Counter()
        self.undone: set[str] = set()
        self.calls: list[str] = []
        self.keys: list[str] = []

    async def send(
        self,
        command: CommandLike[V],
        body: object,
        *,
        owner: Owner,
        idempotency_key: str,
        deadline: Deadline,
        attempt_timeout: Seconds | None,
    ) -> V:
        self.calls.append(command.path)
        self.keys.append(idempotency_key)
        fault = self.fault(command.path, self.calls.count(command.path))
        await self._point(f"before {command.path}")
        if fault == "hang":
            await asyncio.Event().wait()
        if fault == "lost before":
            raise ServiceTimeout("no answer", service="world")
        if fault in ("reject", "refuse"):
            raise ServiceRefused(
                "no", service="world", http_status=409, reason="SOLD_OUT" if fault == "reject" else None
            )
        self._apply(idempotency_key, body)
        await self._point(f"after {command.path}")
        if fault == "lost after":
            raise ServiceTimeout("no answer", service="world")
        return command.into(idempotency_key)  # type: ignore[call-arg]

    async def load(
        self, loader: LoaderLike[V], key: str, *, arguments: Mapping[str, object], owner: Owner, deadline: Deadline
    ) -> V | None:
        return loader.yields()

    async def load_many(
        self, loader: LoaderLike[V], keys: Sequence[str], *, owner: Owner, deadline: Deadline
    ) -> list[V | None]:
        return [loader.yields() for _ in keys]

    def balance(self) -> dict[str, int]:
        """Effects that stand, by step."""
        standing: Counter[str] = Counter()
        for key, count in sorted((self.effects - self.reversed).items()):
            standing[key.split(":", 1)[1]] += count
        return dict(standing)

    def _apply(self, key: str, body: object) -> None:
        if isinstance(body, dict) and "undo" in body:
            forward = body["undo"]
            if forward in self.effects and forward not in self.undone:
                self.reversed[forward] += 1
            self.undone.add(forward)
            return
        if key in self.undone:
            raise ServiceRefused("it was undone before", service="world", http_status=410)
        if key not in self.effects:
            self.effects[key] += 1

    async def _point(self, name: str) -> None:
        if self.around is not None:
            await self.around(name)


class PlaceOrder(Saga[Order, Receipt], version=1, deadline="60s"):
    """reservation and authorization beside one another, then capture (the pivot), then shipment."""

    @step(retry=FAST, overtaken="tombstone")
    async def reservation(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/reserve"), {"sku": order.sku})

    @reservation.undo
    async def release(self, ctx: StepCtx, reservation: Done[Receipt] | Unknown) -> None:
        await ctx.send(Write("/release"), {"undo": ctx.forward_key})

    @step(retry=FAST, overtaken="tombstone")
    async def authorization(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/authorize"), {"sku": order.sku})

    @authorization.undo
    async def void(self, ctx: StepCtx, order: Order, authorization: Done[Receipt] | Unknown) -> None:
        await ctx.send(Write("/void"), {"undo": ctx.forward_key})

    @step(pivot=True, after=["reservation"], retry=FAST)
    async def capture(self, ctx: StepCtx, authorization: Receipt) -> Receipt:
        return await ctx.send(Write("/capture"), {"authorization": authorization.key})

    @step(retry=FAST_UNTIL_DONE, invalidates=["orders"])
    async def shipment(self, ctx: StepCtx, reservation: Receipt, capture: Receipt) -> Receipt:
        return await ctx.send(Write("/ship"), {"reservation": reservation.key})

    def result(self, order: Order, shipment: Receipt) -> Receipt:
        return shipment


class Chain(Saga[Order, int], version=1, deadline="60s"):
    """Three steps one after another, each undone; no pivot."""

    @step(retry=FAST, invalidates=["one"], overtaken="tombstone")
    async def one(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(Write("/one"), {})

    @one.undo
    async def undo_one(self, ctx: StepCtx) -> None:
        await ctx.send(Write("/undo-one"), {"undo": ctx.forward_key})

    @step(retry=FAST, overtaken="tombstone")
    async def two(self, ctx: StepCtx, one: Receipt) -> Receipt:
        return await ctx.send(Write("/two"), {})

    @two.undo
    async def undo_two(self, ctx: StepCtx, one: Receipt) -> None:
        await ctx.send(Write("/undo-two"), {"undo": ctx.forward_key})

    @step(retry=FAST, overtaken="tombstone")
    async def three(self, ctx: StepCtx, two: Receipt) -> Receipt:
        return await ctx.send(Write("/three"), {})

    @three.undo
    async def undo_three(self, ctx: StepCtx) -> None:
        await ctx.send(Write("/undo-three"), {"undo": ctx.forward_key})

    def result(self, three: Receipt) -> int:
        return 3


def quiet() -> tuple[Telemetry, io.StringIO]:
    """A telemetry and what it logs."""
    stream = io.StringIO()
    return Telemetry(log=json_log(stream)), stream


Hosting = Callable[[EmbeddedHost], EmbeddedHost]
"""Puts something before a host, which then stands for it in every test that makes one."""

HOSTING: ContextVar[Hosting] = ContextVar("hosting", default=lambda host: host)


def host_of(
    journal: Journal,
    world: World,
    *,
    sagas: Iterable[type[Saga[Any, Any]]] = (PlaceOrder, Chain),
    telemetry: Telemetry | None = None,
    clock: Clock | None = None,
    observer: Observer | None = None,
    max_open: int = 100,
    new_id: Callable[[], str] = new_saga_id,
) -> EmbeddedHost:
    host = EmbeddedHost(
        sagas,
        journal,
        sender=world,
        reader=world,
        telemetry=telemetry or quiet()[0],
        clock=clock or VirtualClock(),
        observer=observer,
        max_open=max_open,
        new_id=new_id,
    )
    return HOSTING.get()(host)


async def begin(
    host: EmbeddedHost, saga: type[Saga[Any, Any]] = PlaceOrder, *, key: str | None = "k", input_hash: str = "h"
) -> Ticket:
    ticket = await host.begin(saga, Order(), owner=OWNER, key=key, input_hash=input_hash, trace={})
    assert not isinstance(ticket, IdempotencyConflict)
    return ticket


async def settle(host: EmbeddedHost, ticket: Ticket, *, within: float = 10.0) -> SagaView:
    view = await host.wait(ticket.saga_id, timeout=Seconds(within))
    assert view.is_settled, view
    return view
