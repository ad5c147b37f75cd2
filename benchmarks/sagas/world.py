"""Four steps without a network: what is left is the engine and its journal.

The saga has what the shop's has: two steps that are undone, a pivot, and one that must happen. Its services are a function
that answers at once, so every figure is the gateway's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.clock import Clock, Deadline, LoopClock, Seconds
from gateway.sagas import (
    UNTIL_DONE,
    CommandLike,
    Done,
    EmbeddedHost,
    IdempotencyConflict,
    Journal,
    LoaderLike,
    Owner,
    Saga,
    StepCtx,
    Unknown,
    step,
)
from gateway.telemetry import Telemetry, tracer_provider

V = TypeVar("V")

OWNER = Owner("shop", "ada")


@dataclass
class Order:
    sku: str
    quantity: int


@dataclass
class Receipt:
    key: str


@dataclass(frozen=True)
class Write:
    """A command of a service that answers at once."""

    path: str
    service: str = "world"
    method: str = "POST"
    into: type[Receipt] = Receipt
    rejects: Mapping[str, str] = field(default_factory=dict[str, str])
    attempt_timeout: Seconds | None = None


RESERVE, RELEASE, AUTHORIZE, VOID = Write("/reserve"), Write("/release"), Write("/authorize"), Write("/void")
CAPTURE, SHIP = Write("/capture"), Write("/ship")


class Instant:
    """Services that answer at once; counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

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
        self.calls += 1
        return command.into(idempotency_key)  # type: ignore[call-arg]  # every command here yields a Receipt

    async def load(
        self, loader: LoaderLike[V], key: str, *, arguments: Mapping[str, object], owner: Owner, deadline: Deadline
    ) -> V | None:
        raise LookupError("no step here reads")

    async def load_many(
        self, loader: LoaderLike[V], keys: Sequence[str], *, owner: Owner, deadline: Deadline
    ) -> list[V | None]:
        raise LookupError("no step here reads")


class FourSteps(Saga[Order, Receipt], version=1, deadline="10m"):
    """reservation, authorization, capture (the pivot), shipment: each needs the one before it."""

    @step(overtaken="tombstone")
    async def reservation(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(RESERVE, {"sku": order.sku})

    @reservation.undo
    async def release(self, ctx: StepCtx, reservation: Done[Receipt] | Unknown) -> None:
        await ctx.send(RELEASE, {"undo": ctx.forward_key})

    @step(overtaken="tombstone")
    async def authorization(self, ctx: StepCtx, reservation: Receipt) -> Receipt:
        return await ctx.send(AUTHORIZE, {"for": reservation.key})

    @authorization.undo
    async def void(self, ctx: StepCtx, authorization: Done[Receipt] | Unknown) -> None:
        await ctx.send(VOID, {"undo": ctx.forward_key})

    @step(pivot=True)
    async def capture(self, ctx: StepCtx, authorization: Receipt) -> Receipt:
        return await ctx.send(CAPTURE, {"for": authorization.key})

    @step(retry=UNTIL_DONE)
    async def shipment(self, ctx: StepCtx, capture: Receipt) -> Receipt:
        return await ctx.send(SHIP, {"for": capture.key})

    def result(self, shipment: Receipt) -> Receipt:
        return shipment


def telemetry() -> Telemetry:
    """As `sagaql serve` has it without an exporter: metrics on, traces not recorded."""
    return Telemetry(provider=tracer_provider(service_name="bench", sample_ratio=1.0, exporter=None))


def host(
    journal: Journal, *, told: Telemetry, sender: Instant | None = None, clock: Clock | None = None
) -> EmbeddedHost:
    services = sender or Instant()
    return EmbeddedHost(
        [FourSteps],
        journal,
        sender=services,
        reader=services,
        telemetry=told,
        clock=clock or LoopClock(),
        max_open=20_000,
    )


async def one(host: EmbeddedHost, key: str) -> None:
    """Begin a saga and wait for its end, as a mutation does."""
    ticket = await host.begin(FourSteps, Order("kettle", 1), owner=OWNER, key=key, input_hash="h", trace={})
    if isinstance(ticket, IdempotencyConflict):
        raise LookupError(f"the key {key} was used before")
    view = await host.wait(ticket.saga_id, timeout=Seconds(60.0))
    if not view.is_settled:
        raise TimeoutError(f"{ticket.saga_id} is {view.status} after a minute")
    view.result()
