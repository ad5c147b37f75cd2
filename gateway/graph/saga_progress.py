"""`saga(id)`: how a saga stands, for whoever began it.

Invariant: a saga that is not the caller's is not there: the answer does not tell "no such saga" from "not yours".
"""

from datetime import datetime

import strawberry

from ..clock import utc
from ..errors import SagaNotFound
from ..identity import Identity
from ..sagas import Owner, SagaView, StepState, StepView
from .context import Ctx
from .saga_field import SagaStatus

StepStatus = strawberry.enum(StepState, name="StepStatus", description="How far a step of a saga is.")

_STATUS_MEANING = {
    StepState.PENDING: "Not begun.",
    StepState.RUNNING: "An attempt is under way.",
    StepState.RETRYING: "Between two attempts.",
    StepState.WAITING: "Waits for a timer or a signal.",
    StepState.DONE: "It took effect.",
    StepState.REJECTED: "The business said no; nothing took effect.",
    StepState.FAILED: "Given up, and certainly not applied.",
    StepState.UNKNOWN: "Given up, and nobody can tell whether it took effect; it will be undone.",
    StepState.SKIPPED: "Never begun, and never will be.",
    StepState.FINDING_OUT: "Whether it took effect is being found out, before its undo.",
    StepState.UNDOING: "Its undo is under way.",
    StepState.UNDONE: "Undone.",
    StepState.UNDO_STUCK: "Its undo was given up and waits for a person.",
    StepState.UNDO_SKIPPED: "An operator let its effect stand.",
}
for _value in StepStatus.__strawberry_definition__.values:  # type: ignore[attr-defined]
    _value.description = _STATUS_MEANING[StepState(_value.name)]


@strawberry.type(description="A step of a saga as far as it is.")
class SagaStep:
    name: str = strawberry.field(description="What the step yields.")
    status: StepStatus = strawberry.field(description="How far it is.")  # type: ignore[valid-type]
    attempts: int = strawberry.field(description="Attempts to do it.")
    undo_attempts: int = strawberry.field(description="Attempts to undo it.")
    code: str | None = strawberry.field(description="Code of the last refusal or failure.")
    started_at: datetime | None = strawberry.field(description="When its first attempt was intended.")
    ended_at: datetime | None = strawberry.field(description="When it was settled.")


@strawberry.type(description="A mutation over several services that ends, done or undone.")
class SagaProgress:
    id: strawberry.ID = strawberry.field(description="As the mutation's payload gave it.")
    name: str = strawberry.field(description="Which saga it is.")
    version: int = strawberry.field(description="Of its definition.")
    status: SagaStatus = strawberry.field(description="How far it is.")  # type: ignore[valid-type]
    steps: list[SagaStep] = strawberry.field(description="In the order of dependency.")
    created_at: datetime = strawberry.field(description="When it became durable.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")


async def find_saga(ctx: Ctx, id: str, *, overseer: str) -> SagaProgress:  # noqa: A002 - the argument's name in the graph
    """The saga, if the caller began it or has the scope `overseer`. Raises: SagaNotFound."""
    view = None if ctx.sagas is None else await ctx.sagas.view(id)
    if view is None or not (_is_owner(view.owner, ctx.identity) or ctx.identity.has(overseer)):
        raise SagaNotFound("there is no such saga, or it is not yours to see")
    return _progress(view)


def _is_owner(owner: Owner, identity: Identity) -> bool:
    return owner == Owner(identity.tenant, identity.subject)


def _progress(view: SagaView) -> SagaProgress:
    return SagaProgress(
        id=strawberry.ID(view.id),
        name=view.saga,
        version=view.version,
        status=view.status,
        steps=[_step(step) for step in view.steps],
        created_at=utc(view.created_at),
        ended_at=None if view.ended_at is None else utc(view.ended_at),
    )


def _step(step: StepView) -> SagaStep:
    return SagaStep(
        name=step.name,
        status=step.status,
        attempts=step.attempts,
        undo_attempts=step.undo_attempts,
        code=step.code,
        started_at=None if step.started_at is None else utc(step.started_at),
        ended_at=None if step.ended_at is None else utc(step.ended_at),
    )
