"""`saga(id)` and `sagas`: how sagas stand, for whoever began them, and for operators and overseers.

Invariant: a saga that is not the caller's is not there: the answer does not tell "no such saga" from "not yours".
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import strawberry
from strawberry.scalars import JSON

from ..clock import Epoch, utc
from ..errors import BadUserInput, SagaNotFound, SagasUnavailable, Violation
from ..identity import Identity
from ..sagas import Host, Owner, SagaQuery, SagaRecord, SagaState, SagaView, StepState, StepView
from ..sagas.codec import redacted
from .access import refusal
from .connection import Connection, Edge, PageInfo
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
    next_at: datetime | None = strawberry.field(
        description="When it is tried again, its timer fires, or its patience with a signal ends."
    )
    result: JSON | None = strawberry.field(description="What it yielded, without secrets.")


@strawberry.type(description="A mutation over several services that ends, done or undone.")
class SagaProgress:
    id: strawberry.ID = strawberry.field(description="As the mutation's payload gave it.")
    name: str = strawberry.field(description="Which saga it is.")
    version: int = strawberry.field(description="Of its definition.")
    status: SagaStatus = strawberry.field(description="How far it is.")  # type: ignore[valid-type]
    steps: list[SagaStep] = strawberry.field(description="In the order of dependency.")
    created_at: datetime = strawberry.field(description="When it became durable.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")
    deadline_at: datetime | None = strawberry.field(description="When it turns back, if there is still a way back.")
    cause: str | None = strawberry.field(description="Code of the first thing that went wrong.")
    input: JSON | None = strawberry.field(description="What it was begun with, without secrets.")


@strawberry.type(description="A saga in a list.")
class SagaSummary:
    id: strawberry.ID = strawberry.field(description="`saga(id)` has the rest.")
    name: str = strawberry.field(description="Which saga it is.")
    version: int = strawberry.field(description="Of its definition.")
    status: SagaStatus = strawberry.field(description="How far it is.")  # type: ignore[valid-type]
    tenant: str = strawberry.field(description="Whose it is.")
    subject: str = strawberry.field(description="Who began it.")
    created_at: datetime = strawberry.field(description="When it became durable.")
    ended_at: datetime | None = strawberry.field(description="When it ended.")


async def find_sagas(
    ctx: Ctx,
    *,
    status: Sequence[SagaState] | None = None,
    name: str | None = None,
    first: int = 50,
    after: str | None = None,
) -> Connection[SagaSummary]:
    """The caller's own sagas, the newest first; everybody's for operators and overseers.

    Raises: Unauthenticated for an anonymous caller, who is not told apart from others; BadUserInput for a cursor that is not ours.
    """
    if ctx.identity.is_anonymous:
        raise refusal(ctx.identity)
    query = SagaQuery(
        states=frozenset(status or ()),
        saga=name,
        owner=None if _sees_all(ctx) else _owner(ctx.identity),
        limit=first + 1,
        before=None if after is None else _place(after),
    )
    records = await host_of(ctx).search(query)
    edges = [Edge(cursor=_cursor(record), node=_summary(record)) for record in records[:first]]
    return Connection(
        edges=edges,
        page_info=PageInfo(
            has_next_page=len(records) > first,
            has_previous_page=after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
        total_count=None,
    )


def host_of(ctx: Ctx) -> Host:
    """Raises: SagasUnavailable where no sagas are run."""
    if ctx.sagas is None:
        raise SagasUnavailable("this gateway runs no sagas: set [sagas] in gateway.toml")
    return ctx.sagas


async def find_saga(ctx: Ctx, id: str) -> SagaProgress:  # noqa: A002 - the argument's name in the graph
    """The saga, if the caller began it, oversees sagas, or operates them. Raises: SagaNotFound."""
    view = None if ctx.sagas is None else await ctx.sagas.view(id)
    if view is None or not may_see(view.owner, ctx):
        raise not_there(ctx)
    return progress_of(view)


def may_see(owner: Owner, ctx: Ctx) -> bool:
    """Whether the caller began it, oversees sagas, or operates them."""
    return owner == _owner(ctx.identity) or _sees_all(ctx)


def not_there(ctx: Ctx) -> SagaNotFound:
    """The same whether there is none or it is another's; to an anonymous caller with what may help."""
    remedy = '; if you began it, send a header "Authorization: Bearer …" with your token'
    return SagaNotFound(
        f"there is no such saga, or it is not yours to see{remedy if ctx.identity.is_anonymous else ''}"
    )


def _sees_all(ctx: Ctx) -> bool:
    identity, overseer = ctx.identity, ctx.overseer_scope
    return identity.has(ctx.operator_scope) or (overseer is not None and identity.has(overseer))


def _owner(identity: Identity) -> Owner:
    return Owner(identity.tenant, identity.subject)


def progress_of(view: SagaView) -> SagaProgress:
    return SagaProgress(
        id=strawberry.ID(view.id),
        name=view.saga,
        version=view.version,
        status=view.status,
        steps=[_step(step) for step in view.steps],
        created_at=utc(view.created_at),
        ended_at=_utc(view.ended_at),
        deadline_at=_utc(view.deadline_at),
        cause=view.cause,
        input=_json(view.input),
    )


def _step(step: StepView) -> SagaStep:
    return SagaStep(
        name=step.name,
        status=step.status,
        attempts=step.attempts,
        undo_attempts=step.undo_attempts,
        code=step.code,
        started_at=_utc(step.started_at),
        ended_at=_utc(step.ended_at),
        next_at=_utc(step.next_at),
        result=None if step.result is None else _json(step.result),
    )


def _summary(record: SagaRecord) -> SagaSummary:
    return SagaSummary(
        id=strawberry.ID(record.id),
        name=record.saga,
        version=record.version,
        status=record.state,
        tenant=record.owner.tenant,
        subject=record.owner.subject,
        created_at=utc(record.created_at),
        ended_at=_utc(record.ended_at),
    )


def _utc(at: Epoch | None) -> datetime | None:
    return None if at is None else utc(at)


def _json(stored: bytes | msgspec.Raw) -> Any:
    return redacted(msgspec.json.decode(stored))


def _cursor(record: SagaRecord) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((record.created_at, record.id))).decode().rstrip("=")


def _place(cursor: str) -> tuple[Epoch, str]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        created_at, saga_id = msgspec.json.decode(raw, type=tuple[float, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        problem = "is not a cursor of this list"
        raise BadUserInput(f"after {problem}", violations=[Violation(("after",), problem, "cursor")]) from error
    return Epoch(created_at), saga_id
