"""`sagaEvents(id, after)`: a saga's history as it grows, from any number on. `class Subscription(SagaEvents)` has it.

Invariants: events come in their order, none twice, none left out; a client that goes on after the number it saw last has missed
nothing, whichever gateway it asks. The stream ends when the saga has ended. Nothing is queued: a slow reader is read for slowly.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

import strawberry

from ..clock import Seconds, utc
from ..errors import BadUserInput, Violation
from ..sagas import SagaHistory
from ..sagas.events import Event, kind_of
from .context import Ctx
from .resolver import context_of
from .saga_progress import SagaProgress, find_saga, host_of, may_see, not_there

FOLLOW = Seconds(20.0)
"""How long a host is asked to wait for news; then it is asked again."""


@strawberry.type(description="One entry of a saga's history.")
class SagaEvent:
    sequence: int = strawberry.field(description="Counts from 1: pass the last one seen as `after` to go on.")
    at: datetime = strawberry.field(description="When it happened.")
    kind: str = strawberry.field(description="What happened, such as StepDone, UndoIntended or OperatorRetried.")
    step: str | None = strawberry.field(description="Which step it is about.")
    attempt: int | None = strawberry.field(description="Which attempt, from 1.")
    code: str | None = strawberry.field(description="Code of the refusal or failure.")
    actor: str | None = strawberry.field(description="The operator, or the sender of the signal.")
    reason: str | None = strawberry.field(description="What the operator gave as the reason.")
    saga_id: strawberry.Private[str]

    @property
    def event_id(self) -> str:
        """What a client that connects again says back."""
        return str(self.sequence)

    @strawberry.field(description="The saga as it stands now, which may be further than this event.")  # type: ignore[untyped-decorator]
    async def saga(self, info: strawberry.Info) -> SagaProgress:
        return await find_saga(context_of(info), self.saga_id)


@strawberry.type(description="What can be followed.")
class SagaEvents:
    @strawberry.subscription(  # type: ignore[untyped-decorator]  # strawberry's has no types
        description="A saga's history, from after the event with the number `after`; ends when the saga has ended."
    )
    async def saga_events(
        self,
        info: strawberry.Info,
        id: strawberry.ID,  # noqa: A002 - the argument's name in the graph
        after: int = 0,
    ) -> AsyncGenerator[SagaEvent, None]:
        ctx = context_of(info)
        async with aclosing(follow_saga(ctx, id, after=max(after, _seen(ctx)))) as events:
            async for event in events:
                yield event


async def follow_saga(ctx: Ctx, id: str, *, after: int) -> AsyncGenerator[SagaEvent, None]:  # noqa: A002
    """Raises: SagaNotFound for one that is not there, or not the caller's; BadUserInput for a number that it has not reached."""
    await _ensure_there(ctx, id, after=after)
    host = host_of(ctx)
    while True:
        history = await host.history(id, after=after, timeout=FOLLOW)
        if history is None:  # pruned while it was followed
            return
        for number, event in enumerate(history.events, start=history.first):
            yield _shown(event, number=number, saga_id=id)
        after = history.last
        if history.state.is_final:
            return


def _seen(ctx: Ctx) -> int:
    """The number of the event that the client says it has seen last, by its connection's own word; 0 without one of ours."""
    said = ctx.last_event_id or ""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0


async def _ensure_there(ctx: Ctx, id: str, *, after: int) -> SagaHistory:  # noqa: A002
    history = await host_of(ctx).history(id)
    if history is None or not may_see(history.owner, ctx):
        raise not_there(ctx)
    if not 0 <= after <= history.last:
        problem = f"must be a sequence number of this saga, from 0 to {history.last}"
        raise BadUserInput(f"after {problem}", violations=[Violation(("after",), problem, "range")])
    return history


def _shown(event: Event, *, number: int, saga_id: str) -> SagaEvent:
    """Without payloads: what a step yielded is read at `saga`."""
    return SagaEvent(
        sequence=number,
        at=utc(event.at),
        kind=kind_of(event),
        step=getattr(event, "step", None),
        attempt=getattr(event, "attempt", None),
        code=getattr(event, "code", None),
        actor=getattr(event, "actor", None) or getattr(event, "sender", None),
        reason=getattr(event, "reason", None),
        saga_id=saga_id,
    )
