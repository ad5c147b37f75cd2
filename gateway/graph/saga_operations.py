"""What operators do to sagas, and what services tell them, in GraphQL: `class Mutation(SagaOperations)` has it all.

Invariants: operators only (`sagas.operator_scope`), senders of signals only (`sagas.signal_scope`); each operation carries a
reason, and stands in the saga's history with its actor before it is answered. That it cannot be done now is data, with the reason.
"""

from enum import Enum
from typing import Annotated

import msgspec
import strawberry
from strawberry.scalars import JSON

from ..errors import SagaNotFound
from ..sagas import Answer, Cancel, Refused, Request, ResolveStep, RetryStep, Signal, SkipStep, Verdict
from .context import Ctx
from .entity import entity
from .resolver import resolver
from .rules import Length
from .saga_progress import SagaProgress, host_of, progress_of

Reason = Annotated[str, Length(1, 500)]
StepName = Annotated[str, Length(1, 100)]


@strawberry.enum(description="What a person has found out about a step.")
class SagaVerdict(Enum):
    DONE = strawberry.enum_value("DONE", description="It took effect, and yielded `result`.")
    NOT_DONE = strawberry.enum_value("NOT_DONE", description="It took no effect, and never will.")
    UNDONE = strawberry.enum_value("UNDONE", description="Its effect is taken back.")


@strawberry.type(description="It is in the saga's history.")
class SagaOperationTaken:
    saga: SagaProgress = strawberry.field(description="As it stood right after.")
    is_repeated: bool = strawberry.field(
        description="It was there already, and nothing was added: a signal sent twice."
    )


@strawberry.type(description="It cannot be done now; nothing was changed.")
class SagaOperationRefused:
    saga: SagaProgress = strawberry.field(description="As it stands.")
    reason: str = strawberry.field(description="Why, and what is possible instead.")


SagaOperationPayload = Annotated[
    SagaOperationTaken | SagaOperationRefused,
    strawberry.union("SagaOperationPayload", description="What became of an operation."),
]


@entity
class SagaOperations:
    """Sagas in the hands of people and services; a base of the root type of mutations."""

    @resolver
    async def retry_saga_step(
        self, ctx: Ctx, saga_id: strawberry.ID, step: StepName, reason: Reason
    ) -> SagaOperationPayload:
        """Try a step, or its undo, again now, with all its patience. For operators."""
        return await _operate(ctx, saga_id, RetryStep(step, _actor(ctx), reason))

    @resolver
    async def skip_saga_step(
        self, ctx: Ctx, saga_id: strawberry.ID, step: StepName, reason: Reason
    ) -> SagaOperationPayload:
        """Go on without a step after the pivot, or let the effect of one stand that cannot be undone. For operators."""
        return await _operate(ctx, saga_id, SkipStep(step, _actor(ctx), reason))

    @resolver
    async def resolve_saga_step(
        self,
        ctx: Ctx,
        saga_id: strawberry.ID,
        step: StepName,
        verdict: SagaVerdict,
        reason: Reason,
        result: JSON | None = None,
    ) -> SagaOperationPayload:
        """Say what became of a step; `result`, as the step yields it, goes with DONE. For operators."""
        stored = msgspec.Raw(msgspec.json.encode(result)) if verdict is SagaVerdict.DONE else None
        return await _operate(ctx, saga_id, ResolveStep(step, _actor(ctx), reason, _VERDICTS[verdict], stored))

    @resolver
    async def cancel_saga(self, ctx: Ctx, saga_id: strawberry.ID, reason: Reason) -> SagaOperationPayload:
        """Undo it, if there is still a way back; after the pivot it is recorded and not obeyed. For operators."""
        return await _operate(ctx, saga_id, Cancel(reason, actor=_actor(ctx)))

    @resolver
    async def send_saga_signal(
        self, ctx: Ctx, saga_id: strawberry.ID, signal: StepName, payload: JSON
    ) -> SagaOperationPayload:
        """What a step waits for. Sending it again is safe: the first one counts. For the services that know."""
        ctx.require(ctx.signal_scope)
        sent = Signal(signal, _actor(ctx), msgspec.Raw(msgspec.json.encode(payload)))
        return await _answered(ctx, saga_id, sent)


_VERDICTS: dict[SagaVerdict, Verdict] = {
    SagaVerdict.DONE: "done",
    SagaVerdict.NOT_DONE: "not_done",
    SagaVerdict.UNDONE: "undone",
}


async def _operate(ctx: Ctx, saga_id: str, request: Request) -> SagaOperationTaken | SagaOperationRefused:
    ctx.require(ctx.operator_scope)
    return await _answered(ctx, saga_id, request)


async def _answered(ctx: Ctx, saga_id: str, request: Request) -> SagaOperationTaken | SagaOperationRefused:
    """Raises: SagaNotFound; SagasUnavailable and Draining, where nothing was done."""
    host = host_of(ctx)
    answer: Answer | None = await host.ask(saga_id, request)
    view = None if answer is None else await host.view(saga_id)
    if answer is None or view is None:
        raise SagaNotFound("there is no such saga")
    if isinstance(answer, Refused):
        return SagaOperationRefused(saga=progress_of(view), reason=answer.why)
    return SagaOperationTaken(saga=progress_of(view), is_repeated=answer.is_repeated)


def _actor(ctx: Ctx) -> str:
    """Who, as the history holds it."""
    return f"{ctx.identity.tenant}/{ctx.identity.subject}"
