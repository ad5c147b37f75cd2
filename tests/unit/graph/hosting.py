"""A host that does what a test tells it, and an engine whose one mutation is a saga."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Annotated, Any

import strawberry

from gateway import Between, Ctx, Length, Saga, SagaProgress, StepCtx, entity, field, find_saga, input_type, resolver
from gateway import saga_field as field_of
from gateway import step as saga_step
from gateway.admission import Admission
from gateway.clock import NEVER, Epoch, Seconds
from gateway.execution import Engine, GraphQLRequest, GraphQLResult
from gateway.execution.document import Documents
from gateway.execution.limits import OperationLimits, SagaScopes
from gateway.execution.plans import Plans
from gateway.graph import build_graph
from gateway.loading import Loaders
from gateway.sagas import (
    Answer,
    Host,
    IdempotencyConflict,
    Outcome,
    Owner,
    Request,
    SagaHistory,
    SagaQuery,
    SagaRecord,
    SagaState,
    SagaView,
    StepState,
    StepView,
    Ticket,
)
from gateway.services import Services
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock

ANN = Owner("public", "anonymous")


@entity
class Parcel:
    """What is sent."""

    name: str = field("What is in it.")


@input_type
class SendInput:
    """What to send."""

    name: Annotated[str, Length(1, 5)] = field("What is in it.")
    count: Annotated[int, Between(1, 9)] = field("How many.", default=1)
    note: str | None = field("A note.", default=None)


class SendParcel(Saga[SendInput, Parcel], version=1, deadline="30s", key="required"):
    """Send a parcel."""

    @saga_step(undo=None)
    async def label(self, ctx: StepCtx, send: SendInput) -> str:
        return send.name

    def result(self, label: str) -> Parcel:
        return Parcel(name=label)


class LeaveNote(Saga[SendInput, Parcel], version=1, deadline="30s", key="optional"):
    """Leave a note."""

    @saga_step(undo=None)
    async def label(self, ctx: StepCtx, send: SendInput) -> str:
        return send.name

    def result(self, label: str) -> Parcel:
        return Parcel(name=label)


@strawberry.type
class Query:
    @resolver
    async def saga(self, ctx: Ctx, id: strawberry.ID) -> SagaProgress | None:  # noqa: A002
        """How a saga stands."""
        return await find_saga(ctx, id)


@strawberry.type
class Mutation:
    send_parcel = field_of(SendParcel)
    leave_note = field_of(LeaveNote)


graph = build_graph(Query, Mutation)


def view(
    status: SagaState, outcome: Outcome | None = None, *, owner: Owner = ANN, result: object | None = None
) -> SagaView:
    step = StepView(
        name="label",
        status=StepState.DONE,
        attempts=2,
        undo_attempts=0,
        code=None,
        started_at=Epoch(1_750_000_000.0),
        ended_at=None,
    )
    return SagaView(
        id="s1",
        saga="SendParcel",
        version=1,
        owner=owner,
        status=status,
        outcome=outcome,
        steps=(step,),
        created_at=Epoch(1_750_000_000.0),
        ended_at=None,
        compute_result=None if result is None else lambda: result,
    )


class FakeHost:
    """Begins with `ticket`, waits into `seen`; remembers what it was asked."""

    def __init__(
        self,
        seen: SagaView | None = None,
        *,
        ticket: Ticket | IdempotencyConflict | Exception | None = None,
    ) -> None:
        self.seen = seen or view(SagaState.RUNNING)
        self.ticket = ticket or Ticket("s1", created=True)
        self.begun: list[dict[str, Any]] = []
        self.waits: list[float] = []

    is_healthy = True

    async def start(self) -> None: ...

    async def stop(self, drain: Seconds) -> None: ...

    async def begin(
        self,
        saga: type[Saga[Any, Any]],
        input_value: object,
        *,
        owner: Owner,
        key: str | None,
        input_hash: str,
        trace: Mapping[str, str],
        saga_id: str | None = None,
    ) -> Ticket | IdempotencyConflict:
        self.begun.append(
            {"saga": saga, "input": input_value, "owner": owner, "key": key, "hash": input_hash, "trace": dict(trace)}
        )
        if isinstance(self.ticket, Exception):
            raise self.ticket
        return self.ticket

    async def wait(self, saga_id: str, *, timeout: Seconds) -> SagaView:  # noqa: ASYNC109
        self.waits.append(timeout)
        return self.seen

    async def view(self, saga_id: str) -> SagaView | None:
        return self.seen if saga_id == self.seen.id else None

    async def history(self, saga_id: str, *, after: int = 0, timeout: Seconds = NEVER) -> SagaHistory | None:  # noqa: ASYNC109
        return None

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        return []

    async def ask(self, saga_id: str, request: Request) -> Answer | None:
        return None


def engine(host: Host | None) -> Engine:
    telemetry, clock = Telemetry(), VirtualClock()
    services = Services({}, telemetry=telemetry, clock=clock, random=Random(1))
    return Engine(
        graph,
        documents=Documents(graph.core, max_entries=10, max_tokens=1000, metrics=telemetry.metrics),
        plans=Plans(graph.core, is_on=True, telemetry=telemetry),
        loaders=Loaders(services=services, telemetry=telemetry, clock=clock),
        admission=Admission(10, telemetry=telemetry, clock=clock, random=Random(1)),
        limits=OperationLimits(),
        telemetry=telemetry,
        clock=clock,
        sagas=host,
        scopes=SagaScopes(overseer="support"),
    )


async def sent(text: str, host: Host | None, **request: Any) -> GraphQLResult:
    return await engine(host).answer(GraphQLRequest(text=text, **request))
