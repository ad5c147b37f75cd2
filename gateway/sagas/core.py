"""The saga as two pure functions: `fold(plan, progress, event)` and `decide(plan, progress) -> actions`.

No clock, no I/O, no randomness: an action carries the instant at which it is due, an event the one at which it happened.
Recovery is the same functions over the stored events, plus `interruptions` for what was in flight: no second path.
Invariants: before any undo no step is in flight; a step is undone after all that depends on it; a rejected step is never
undone; nothing is undone once the pivot is done, nor while it may be; at most one SagaEnded.
Source: the saga execution component of Garcia-Molina and Salem, 1987; Chassaing's "decider", 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from ..clock import Epoch
from .events import (
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    DeadlinePassed,
    Event,
    SagaEnded,
    SagaStarted,
    StepDone,
    StepIntended,
    StepRejected,
    UndoDone,
    UndoFailed,
    UndoIntended,
)
from .outcome import Completed, Failed, NeedsAttention, Outcome, Rejected
from .plan import SagaPlan, StepPlan
from .progress import Cause, SagaProgress, StepProgress
from .retry import PIVOT_UNKNOWN, UNDO, Retry
from .states import SagaState, StepState

AT_ONCE = Epoch(0.0)

_BROKEN = frozenset({StepState.REJECTED, StepState.FAILED, StepState.UNKNOWN})
_TOOK_EFFECT = frozenset({StepState.DONE, StepState.UNKNOWN})
_IN_THE_WAY = frozenset({StepState.UNDOING, StepState.UNDO_STUCK})


class CorruptHistory(ValueError):
    """An event that cannot follow its predecessors: a bug of the host, or a journal that was changed from outside."""


# -- what to do --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """Intend, then call, `step`."""

    step: str
    attempt: int
    due: Epoch = AT_ONCE


@dataclass(frozen=True, slots=True)
class Undo:
    """Intend, then call, the undo of `step`."""

    step: str
    attempt: int
    due: Epoch = AT_ONCE


@dataclass(frozen=True, slots=True)
class Expire:
    """Record that the saga's deadline has passed."""

    due: Epoch


@dataclass(frozen=True, slots=True)
class End:
    """Settle."""

    state: SagaState
    due: Epoch = AT_ONCE


Action = Attempt | Undo | Expire | End


def decide(plan: SagaPlan, progress: SagaProgress) -> Sequence[Action]:
    """Everything that may be done, now or when it is due. Empty: wait for what is in flight, or settled."""
    match progress.state:
        case SagaState.RUNNING | SagaState.FORWARD_ONLY:
            return tuple(_onwards(plan, progress))
        case SagaState.COMPENSATING:
            return tuple(_backwards(plan, progress))
        case _:
            return ()


def _onwards(plan: SagaPlan, progress: SagaProgress) -> Iterator[Action]:
    if progress.any_in(_BROKEN):  # after the pivot, or a pivot that stays unknown: neither back nor on
        if not progress.has_in_flight:
            yield End(SagaState.NEEDS_ATTENTION)
        return
    if all(step.state is StepState.DONE for step in progress.steps.values()):
        yield End(SagaState.COMPLETED)
        return
    if not progress.deadline_recorded:
        yield Expire(progress.deadline_at)
    for step in plan.steps.values():
        done = progress.steps[step.name]
        if done.state is StepState.RETRYING:
            yield Attempt(step.name, done.attempts + 1, done.retry_at or AT_ONCE)
        elif done.state is StepState.PENDING and _has_what_it_needs(step, progress):
            yield Attempt(step.name, 1)


def _has_what_it_needs(step: StepPlan, progress: SagaProgress) -> bool:
    return all(progress.steps[name].state is StepState.DONE for name in step.needs)


def _backwards(plan: SagaPlan, progress: SagaProgress) -> Iterator[Action]:
    if any(step.state is StepState.RUNNING for step in progress.steps.values()):
        return  # siblings in flight are awaited before any undo
    undos = list(_undos(plan, progress))
    yield from undos
    if undos or progress.has_in_flight:
        return
    stuck = progress.any_in({StepState.UNDO_STUCK})
    yield End(SagaState.NEEDS_ATTENTION if stuck else SagaState.COMPENSATED)


def _undos(plan: SagaPlan, progress: SagaProgress) -> Iterator[Undo]:
    for step in reversed(list(plan.steps.values())):
        now = progress.steps[step.name]
        if now.state is StepState.UNDOING and not now.in_flight:
            yield Undo(step.name, now.undo_attempts + 1, now.retry_at or AT_ONCE)
        elif must_undo(step, now) and not any(_blocks(plan.steps[name], progress) for name in step.dependents):
            yield Undo(step.name, 1)


def must_undo(step: StepPlan, progress: StepProgress) -> bool:
    """It took effect, or may have, and there is a way back that has not been begun."""
    return step.has_undo and progress.state in _TOOK_EFFECT


def _blocks(step: StepPlan, progress: SagaProgress) -> bool:
    now = progress.steps[step.name]
    return must_undo(step, now) or now.state in _IN_THE_WAY


# -- what has happened -------------------------------------------------------------------------------------------------


def begun(plan: SagaPlan, started: SagaStarted) -> SagaProgress:
    """The progress of a saga of which only the start is known."""
    steps = dict.fromkeys(plan.steps, StepProgress())
    return SagaProgress(SagaState.RUNNING, steps, deadline_at=started.deadline_at, started_at=started.at)


def replay(plan: SagaPlan, events: Iterable[Event]) -> SagaProgress:
    """Fold a whole history. Raises: CorruptHistory."""
    history = iter(events)
    first = next(history, None)
    if not isinstance(first, SagaStarted):
        raise CorruptHistory(f"a history of {plan.name} must begin with SagaStarted, not with {first!r}")
    progress = begun(plan, first)
    for event in history:
        progress = fold(plan, progress, event)
    return progress


def fold(plan: SagaPlan, progress: SagaProgress, event: Event) -> SagaProgress:
    """The progress after `event`. Raises: CorruptHistory when it cannot have happened now."""
    if progress.state.is_settled:
        raise CorruptHistory(f"{event!r} after the saga was settled as {progress.state}")
    match event:
        case StepIntended() | StepDone() | StepRejected() | AttemptFailed() | AttemptInterrupted():
            return _settle_stops(plan, _fold_step(plan, progress, event))
        case UndoIntended() | UndoDone() | UndoFailed():
            return _with_step(progress, event.step, _fold_undo(progress.steps[event.step], event))
        case DeadlinePassed():
            expired = replace(progress, deadline_recorded=True)
            return _settle_stops(plan, _asked_to_stop(expired, Cause("DEADLINE_EXCEEDED")))
        case CancelRequested():
            return _settle_stops(plan, _asked_to_stop(progress, Cause("CANCELLED")))
        case SagaEnded():
            ended_at = event.at if event.state.is_final else None
            return replace(progress, state=event.state, ended_at=ended_at)
        case SagaStarted():
            raise CorruptHistory("a saga starts once")


def _fold_step(
    plan: SagaPlan,
    progress: SagaProgress,
    event: StepIntended | StepDone | StepRejected | AttemptFailed | AttemptInterrupted,
) -> SagaProgress:
    step = progress.steps[event.step]
    if isinstance(event, AttemptInterrupted) and step.state is StepState.UNDOING:
        _expect(step.in_flight, event)
        return _with_step(progress, event.step, replace(step, in_flight=False, retry_at=event.at))
    if isinstance(event, StepIntended):
        _expect(step.state in (StepState.PENDING, StepState.RETRYING) and event.attempt == step.attempts + 1, event)
    else:
        _expect(step.state is StepState.RUNNING and event.attempt == step.attempts, event)
    match event:
        case StepIntended():
            return _with_step(progress, event.step, _intended(step, event))
        case AttemptInterrupted():
            retrying = replace(_landed(step, StepState.RETRYING), is_unknown=True, retry_at=event.at)
            return _with_step(progress, event.step, retrying)
        case StepDone():
            done = replace(_landed(step, StepState.DONE), counted=step.counted + 1, result=event.result, code=None)
            after = _with_step(progress, event.step, replace(done, ended_at=event.at))
            return replace(after, state=SagaState.FORWARD_ONLY, stop=None) if event.step == plan.pivot else after
        case StepRejected():
            rejected = replace(_landed(step, StepState.REJECTED), code=event.code, ended_at=event.at)
            return _broke(plan, _with_step(progress, event.step, rejected), Cause(event.code, event.message))
        case AttemptFailed():
            return _fold_failure(plan, progress, event)


def _intended(step: StepProgress, event: StepIntended) -> StepProgress:
    return replace(
        step,
        state=StepState.RUNNING,
        attempts=event.attempt,
        in_flight=True,
        retry_at=None,
        started_at=step.started_at if step.started_at is not None else event.at,
    )


def _landed(step: StepProgress, state: StepState) -> StepProgress:
    return replace(step, state=state, in_flight=False)


def _fold_failure(plan: SagaPlan, progress: SagaProgress, event: AttemptFailed) -> SagaProgress:
    step = progress.steps[event.step]
    failed = replace(
        _landed(step, StepState.RETRYING),
        counted=step.counted + 1,
        code=event.code,
        is_unknown=step.is_unknown or event.applied_unknown,
        retry_at=event.retry_at,
    )
    if event.retry_at is not None:
        return _with_step(progress, event.step, failed)
    after = _with_step(progress, event.step, replace(_given_up(failed), ended_at=event.at))
    return _broke(plan, after, Cause(event.code))


def _given_up(step: StepProgress) -> StepProgress:
    """A step that will not be tried again: certainly not applied, or nobody can tell."""
    state = StepState.UNKNOWN if step.is_unknown else StepState.FAILED
    return replace(step, state=state, retry_at=None)


def _broke(plan: SagaPlan, progress: SagaProgress, cause: Cause) -> SagaProgress:
    """A step will not be done: back if there is a way back, else stay for a person."""
    known = progress if progress.cause is not None else replace(progress, cause=cause)
    pivot_is_unknown = plan.pivot is not None and progress.steps[plan.pivot].state is StepState.UNKNOWN
    if progress.state is not SagaState.RUNNING or pivot_is_unknown:
        return known
    return replace(known, state=SagaState.COMPENSATING)


def _asked_to_stop(progress: SagaProgress, cause: Cause) -> SagaProgress:
    """Obeyed by `_settle_stops`; forgotten unless there is still a way back."""
    if progress.state is not SagaState.RUNNING or progress.stop is not None:
        return progress
    return replace(progress, stop=cause)


def _settle_stops(plan: SagaPlan, progress: SagaProgress) -> SagaProgress:
    """Turn back if asked and possible; while compensating nothing is tried again and nothing new is begun."""
    if progress.state is SagaState.RUNNING and progress.stop is not None and not _pivot_may_be_done(plan, progress):
        progress = replace(progress, state=SagaState.COMPENSATING, cause=progress.cause or progress.stop)
    if progress.state is not SagaState.COMPENSATING:
        return progress
    return replace(progress, steps={name: _stopped(step) for name, step in progress.steps.items()})


def _pivot_may_be_done(plan: SagaPlan, progress: SagaProgress) -> bool:
    if plan.pivot is None:
        return False
    pivot = progress.steps[plan.pivot]
    return pivot.state is StepState.RUNNING or (pivot.is_unknown and pivot.state is not StepState.REJECTED)


def _stopped(step: StepProgress) -> StepProgress:
    if step.state is StepState.RETRYING:
        return _given_up(step)
    if step.state is StepState.PENDING:
        return replace(step, state=StepState.SKIPPED)
    return step


def _fold_undo(step: StepProgress, event: UndoIntended | UndoDone | UndoFailed) -> StepProgress:
    if isinstance(event, UndoIntended):
        can_begin = step.state in _TOOK_EFFECT or (step.state is StepState.UNDOING and not step.in_flight)
        _expect(can_begin and event.attempt == step.undo_attempts + 1, event)
        return replace(step, state=StepState.UNDOING, in_flight=True, undo_attempts=event.attempt, retry_at=None)
    _expect(step.state is StepState.UNDOING and step.in_flight and event.attempt == step.undo_attempts, event)
    if isinstance(event, UndoDone):
        return replace(_landed(step, StepState.UNDONE), undo_counted=step.undo_counted + 1, ended_at=event.at)
    state = StepState.UNDO_STUCK if event.retry_at is None else StepState.UNDOING
    counted = step.undo_counted + 1
    return replace(_landed(step, state), undo_counted=counted, code=event.code, retry_at=event.retry_at)


def _with_step(progress: SagaProgress, name: str, step: StepProgress) -> SagaProgress:
    return replace(progress, steps={**progress.steps, name: step})


def _expect(holds: bool, event: Event) -> None:
    if not holds:
        raise CorruptHistory(f"{event!r} cannot follow what is known")


# -- the driver's half: still pure -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advance:
    """What a host does next: journal `events` in one transaction, then run `launches`, then wait until `wake_at`."""

    progress: SagaProgress
    events: tuple[Event, ...]
    launches: tuple[Attempt | Undo, ...]
    wake_at: Epoch | None


def advance(plan: SagaPlan, progress: SagaProgress, *, now: Epoch) -> Advance:
    """Take every action that is due at `now`, until none is left."""
    events: list[Event] = []
    launches: list[Attempt | Undo] = []
    while True:
        actions = decide(plan, progress)
        due = next((action for action in actions if action.due <= now), None)
        if due is None:
            wake_at = min((action.due for action in actions), default=None)
            return Advance(progress, tuple(events), tuple(launches), wake_at)
        event = _event_of(due, at=now)
        progress = fold(plan, progress, event)
        events.append(event)
        if isinstance(due, Attempt | Undo):
            launches.append(due)


def _event_of(action: Action, *, at: Epoch) -> Event:
    match action:
        case Attempt():
            return StepIntended(at=at, step=action.step, attempt=action.attempt)
        case Undo():
            return UndoIntended(at=at, step=action.step, attempt=action.attempt)
        case Expire():
            return DeadlinePassed(at=at)
        case End():
            return SagaEnded(at=at, state=action.state)


def interruptions(progress: SagaProgress, *, at: Epoch) -> Sequence[AttemptInterrupted]:
    """What a recovered saga must be told: these were in flight when the process died."""
    if progress.state.is_settled:
        return ()
    return tuple(
        AttemptInterrupted(at=at, step=name, attempt=_attempt_in_flight(step))
        for name, step in progress.steps.items()
        if step.in_flight
    )


def _attempt_in_flight(step: StepProgress) -> int:
    return step.undo_attempts if step.state is StepState.UNDOING else step.attempts


# -- what an attempt came to -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt, or an undo, that neither succeeded nor was rejected."""

    code: str
    applied_unknown: bool = True
    is_retryable: bool = True


def after_failure(
    plan: SagaPlan, progress: SagaProgress, *, saga_id: str, step: str, failure: Failure, at: Epoch
) -> AttemptFailed | UndoFailed:
    """The event of a failed attempt in flight: with the instant of the next one, or None when it is given up."""
    now = progress.steps[step]
    if now.state is StepState.UNDOING:
        again = not UNDO.is_spent(now.undo_counted + 1)
        delay = UNDO.delay(attempt=now.undo_attempts, saga_id=saga_id, step=f"{step}:undo")
        return UndoFailed(
            at=at,
            step=step,
            attempt=now.undo_attempts,
            code=failure.code,
            retry_at=Epoch(at + delay) if again else None,
        )
    is_unknown = now.is_unknown or failure.applied_unknown
    policy, is_retryable = _policy(plan.steps[step], is_unknown=is_unknown, failure=failure)
    again = is_retryable and not policy.is_spent(now.counted + 1)
    delay = policy.delay(attempt=now.attempts, saga_id=saga_id, step=step)
    return AttemptFailed(
        at=at,
        step=step,
        attempt=now.attempts,
        code=failure.code,
        applied_unknown=failure.applied_unknown,
        retry_at=Epoch(at + delay) if again else None,
    )


def _policy(step: StepPlan, *, is_unknown: bool, failure: Failure) -> tuple[Retry, bool]:
    """A step that never gives up, and a pivot that may be done, are tried again whatever the error says."""
    if step.retry.attempts is None:
        return step.retry, True
    if step.is_pivot and is_unknown:
        return PIVOT_UNKNOWN, True
    return step.retry, failure.is_retryable


def outcome(progress: SagaProgress) -> Outcome | None:
    """How it ended, for the client; None while it is open."""
    code = progress.cause.code if progress.cause is not None else "INTERNAL_SERVER_ERROR"
    match progress.state:
        case SagaState.COMPLETED:
            return Completed()
        case SagaState.COMPENSATED if progress.cause is not None and progress.cause.message is not None:
            return Rejected(progress.cause.code, progress.cause.message)
        case SagaState.COMPENSATED:
            undone = [name for name, step in progress.steps.items() if step.state is StepState.UNDONE]
            return Failed(code, tuple(undone))
        case SagaState.NEEDS_ATTENTION:
            return NeedsAttention(code)
        case _:
            return None
