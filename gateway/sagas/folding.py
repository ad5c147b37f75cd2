"""The saga as a fold: `fold(plan, progress, event) -> progress`. What has happened, never what to do.

Invariants: pure and total over histories that `core` made; an event that cannot follow its predecessors is CorruptHistory, so a
journal that was changed from outside is not half-believed. Recovery is `replay`: there is no second path.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ..clock import Epoch
from .events import (
    NULL,
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    DeadlinePassed,
    Event,
    FindFailed,
    FindIntended,
    FoundDone,
    FoundNotDone,
    OperatorEvent,
    OperatorResolved,
    OperatorRetried,
    OperatorSkipped,
    SagaEnded,
    SagaStarted,
    SignalReceived,
    StepDone,
    StepIntended,
    StepRejected,
    TimerFired,
    UndoDone,
    UndoFailed,
    UndoIntended,
    WaitBegan,
    WaitExpired,
)
from .plan import SagaPlan, StepPlan
from .progress import Cause, SagaProgress, StepProgress
from .states import SagaState, StepState

BROKEN = frozenset({StepState.REJECTED, StepState.FAILED, StepState.UNKNOWN})
TOOK_EFFECT = frozenset({StepState.DONE, StepState.UNKNOWN})
NOT_IN_TIME = "NOT_IN_TIME"
"""Code of a signal that did not come in time, where its step declares no refusal."""

_Forward = StepIntended | StepDone | StepRejected | AttemptFailed | AttemptInterrupted
_Waiting = WaitBegan | TimerFired | SignalReceived | WaitExpired
_Finding = FindIntended | FoundDone | FoundNotDone | FindFailed
_Undoing = UndoIntended | UndoDone | UndoFailed


class CorruptHistory(ValueError):
    """An event that cannot follow its predecessors: a bug of the host, or a journal that was changed from outside."""


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
    if not _may_follow(progress.state, event):
        raise CorruptHistory(f"{event!r} after the saga was settled as {progress.state}")
    match event:
        case AttemptInterrupted() if progress.steps[event.step].state is not StepState.RUNNING:
            return _with_step(progress, event.step, _interrupted(progress.steps[event.step], event))
        case StepIntended() | StepDone() | StepRejected() | AttemptFailed() | AttemptInterrupted():
            return _settle_stops(plan, _fold_step(plan, progress, event), at=event.at)
        case WaitBegan() | TimerFired() | SignalReceived() | WaitExpired():
            return _settle_stops(plan, _fold_wait(plan, progress, event), at=event.at)
        case FindIntended() | FoundDone() | FoundNotDone() | FindFailed():
            return _with_step(progress, event.step, _fold_find(progress.steps[event.step], event))
        case UndoIntended() | UndoDone() | UndoFailed():
            return _with_step(progress, event.step, _fold_undo(progress.steps[event.step], event))
        case OperatorRetried() | OperatorSkipped() | OperatorResolved():
            return _settle_stops(plan, _fold_operation(plan, progress, event), at=event.at)
        case DeadlinePassed():
            expired = replace(progress, deadline_recorded=True)
            return _settle_stops(plan, _asked_to_stop(expired, Cause("DEADLINE_EXCEEDED")), at=event.at)
        case CancelRequested():
            return _settle_stops(plan, _asked_to_stop(progress, Cause("CANCELLED")), at=event.at)
        case SagaEnded():
            return _ended(progress, event)
        case SagaStarted():
            raise CorruptHistory("a saga starts once")


def _may_follow(state: SagaState, event: Event) -> bool:
    """A saga that needs attention hears operators and signals; one that has ended hears nothing."""
    if state is SagaState.NEEDS_ATTENTION:
        return isinstance(event, OperatorRetried | OperatorSkipped | OperatorResolved | SignalReceived)
    return not state.is_settled


def _ended(progress: SagaProgress, event: SagaEnded) -> SagaProgress:
    if event.state.is_final:
        return replace(progress, state=event.state, ended_at=event.at)
    return replace(progress, state=event.state, resumes_as=progress.state)


# -- attempts ----------------------------------------------------------------------------------------------------------


def _fold_step(plan: SagaPlan, progress: SagaProgress, event: _Forward) -> SagaProgress:
    step = progress.steps[event.step]
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
            counted = replace(step, counted=step.counted + 1)
            return _done(plan, progress, event.step, replace(counted, result=event.result, ended_at=event.at))
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


def _done(plan: SagaPlan, progress: SagaProgress, name: str, step: StepProgress) -> SagaProgress:
    """Once the pivot is done there is no way back, and nobody's wish to stop counts any more."""
    done = replace(_landed(step, StepState.DONE), code=None, retry_at=None, is_operated=False, is_unknown=False)
    after = _with_step(progress, name, done)
    return replace(after, state=SagaState.FORWARD_ONLY, stop=None) if name == plan.pivot else after


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
    return replace(step, state=state, retry_at=None, is_operated=False)


def _broke(plan: SagaPlan, progress: SagaProgress, cause: Cause) -> SagaProgress:
    """A step will not be done: back if there is a way back, else stay for a person."""
    known = progress if progress.cause is not None else replace(progress, cause=cause)
    pivot_is_unknown = plan.pivot is not None and progress.steps[plan.pivot].state is StepState.UNKNOWN
    if progress.state is not SagaState.RUNNING or pivot_is_unknown:
        return known
    return replace(known, state=SagaState.COMPENSATING)


# -- stopping ----------------------------------------------------------------------------------------------------------


def _asked_to_stop(progress: SagaProgress, cause: Cause) -> SagaProgress:
    """Obeyed by `_settle_stops`; forgotten unless there is still a way back."""
    if progress.state is not SagaState.RUNNING or progress.stop is not None:
        return progress
    return replace(progress, stop=cause)


def _settle_stops(plan: SagaPlan, progress: SagaProgress, *, at: Epoch) -> SagaProgress:
    """Turn back if asked and possible; while compensating nothing is tried again and nothing new is begun."""
    if progress.state is SagaState.RUNNING and progress.stop is not None and not _pivot_may_be_done(plan, progress):
        progress = replace(progress, state=SagaState.COMPENSATING, cause=progress.cause or progress.stop)
    if progress.state is not SagaState.COMPENSATING:
        return progress
    return replace(progress, steps={name: _stopped(step, at=at) for name, step in progress.steps.items()})


def _pivot_may_be_done(plan: SagaPlan, progress: SagaProgress) -> bool:
    if plan.pivot is None:
        return False
    pivot = progress.steps[plan.pivot]
    return pivot.state is StepState.RUNNING or (pivot.is_unknown and pivot.state is not StepState.REJECTED)


def _stopped(step: StepProgress, *, at: Epoch) -> StepProgress:
    if step.state is StepState.RETRYING:
        return replace(_given_up(step), ended_at=at)
    if step.state in (StepState.PENDING, StepState.WAITING):
        return replace(step, state=StepState.SKIPPED, waits_until=None)
    return step


# -- waiting for the outside world -------------------------------------------------------------------------------------


def _fold_wait(plan: SagaPlan, progress: SagaProgress, event: _Waiting) -> SagaProgress:
    step = progress.steps[event.step]
    match event:
        case WaitBegan():
            _expect(step.state is StepState.PENDING, event)
            waiting = replace(step, state=StepState.WAITING, waits_until=event.until, started_at=event.at)
            if step.received is None:
                return _with_step(progress, event.step, waiting)
            return _done(plan, progress, event.step, replace(waiting, result=step.received, ended_at=event.at))
        case SignalReceived():
            _expect(step.state in (StepState.PENDING, StepState.WAITING) and step.received is None, event)
            received = replace(step, received=event.payload)
            if step.state is StepState.PENDING:
                return _with_step(progress, event.step, received)
            return _done(plan, progress, event.step, replace(received, result=event.payload, ended_at=event.at))
        case TimerFired():
            _expect(step.state is StepState.WAITING, event)
            return _done(plan, progress, event.step, replace(step, result=NULL, ended_at=event.at))
        case WaitExpired():
            _expect(step.state is StepState.WAITING, event)
            return _not_in_time(plan, progress, event)


def _not_in_time(plan: SagaPlan, progress: SagaProgress, event: WaitExpired) -> SagaProgress:
    wait, step = plan.steps[event.step].wait, progress.steps[event.step]
    refusal = None if wait is None else wait.refusal
    state = StepState.FAILED if refusal is None else StepState.REJECTED
    code, message = (NOT_IN_TIME, None) if refusal is None else refusal
    missed = replace(step, state=state, code=code, ended_at=event.at, waits_until=None)
    return _broke(plan, _with_step(progress, event.step, missed), Cause(code, message))


# -- back --------------------------------------------------------------------------------------------------------------


def _interrupted(step: StepProgress, event: AttemptInterrupted) -> StepProgress:
    """An undo, or a question, that was in flight when the process died."""
    _expect(step.in_flight and step.state in (StepState.UNDOING, StepState.FINDING_OUT), event)
    return replace(step, in_flight=False, retry_at=event.at)


def _fold_find(step: StepProgress, event: _Finding) -> StepProgress:
    if isinstance(event, FindIntended):
        is_asked_again = step.state is StepState.FINDING_OUT and not step.in_flight
        _expect((step.state is StepState.UNKNOWN or is_asked_again) and event.attempt == step.find_attempts + 1, event)
        return replace(step, state=StepState.FINDING_OUT, in_flight=True, find_attempts=event.attempt, retry_at=None)
    _expect(step.state is StepState.FINDING_OUT and step.in_flight and event.attempt == step.find_attempts, event)
    found = replace(step, find_counted=step.find_counted + 1, ended_at=event.at)
    match event:
        case FoundDone():
            return replace(_landed(found, StepState.DONE), is_unknown=False, result=event.result)
        case FoundNotDone():
            return replace(_landed(found, StepState.FAILED), is_unknown=False)
        case FindFailed():
            state = StepState.UNDO_STUCK if event.retry_at is None else StepState.FINDING_OUT
            return replace(_landed(found, state), code=event.code, retry_at=event.retry_at)


def _fold_undo(step: StepProgress, event: _Undoing) -> StepProgress:
    if isinstance(event, UndoIntended):
        can_begin = step.state in TOOK_EFFECT or (step.state is StepState.UNDOING and not step.in_flight)
        _expect(can_begin and event.attempt == step.undo_attempts + 1, event)
        return replace(step, state=StepState.UNDOING, in_flight=True, undo_attempts=event.attempt, retry_at=None)
    _expect(step.state is StepState.UNDOING and step.in_flight and event.attempt == step.undo_attempts, event)
    counted = step.undo_counted + 1
    if isinstance(event, UndoDone):
        return replace(_landed(step, StepState.UNDONE), undo_counted=counted, ended_at=event.at)
    state = StepState.UNDO_STUCK if event.retry_at is None else StepState.UNDOING
    return replace(_landed(step, state), undo_counted=counted, code=event.code, retry_at=event.retry_at)


# -- operators ---------------------------------------------------------------------------------------------------------


def _fold_operation(plan: SagaPlan, progress: SagaProgress, event: OperatorEvent) -> SagaProgress:
    """What an operator may do when is `operating`'s business; here it only must not contradict what is in flight."""
    step = progress.steps[event.step]
    _expect(not step.in_flight, event)
    led_back = _led_back(progress)
    match event:
        case OperatorRetried():
            return _with_step(led_back, event.step, _retried(plan.steps[event.step], step, event))
        case OperatorSkipped() if step.state in (StepState.UNDO_STUCK, StepState.UNDOING, StepState.FINDING_OUT):
            return _with_step(led_back, event.step, replace(step, state=StepState.UNDO_SKIPPED, ended_at=event.at))
        case OperatorSkipped():
            skipped = replace(step, state=StepState.SKIPPED, is_operated=True, retry_at=None, ended_at=event.at)
            return _with_step(led_back, event.step, skipped)
        case OperatorResolved():
            return _resolved(plan, led_back, event)


def _led_back(progress: SagaProgress) -> SagaProgress:
    """Out of NEEDS_ATTENTION. Forward, what went wrong is forgotten: it is being mended."""
    if progress.resumes_as is None:
        return progress
    cause = progress.cause if progress.resumes_as is SagaState.COMPENSATING else None
    return replace(progress, state=progress.resumes_as, resumes_as=None, cause=cause)


def _retried(plan: StepPlan, step: StepProgress, event: OperatorRetried) -> StepProgress:
    fresh = replace(step, retry_at=event.at, counted=0, undo_counted=0, find_counted=0, is_operated=True, ended_at=None)
    if step.state is StepState.UNDO_STUCK:
        is_to_be_found = plan.is_found_out and step.is_unknown
        return replace(fresh, state=StepState.FINDING_OUT if is_to_be_found else StepState.UNDOING)
    if step.state not in BROKEN:  # between two attempts: the next one is made at once
        return fresh
    return replace(fresh, state=StepState.RETRYING if plan.wait is None else StepState.PENDING)


def _resolved(plan: SagaPlan, progress: SagaProgress, event: OperatorResolved) -> SagaProgress:
    step = replace(progress.steps[event.step], ended_at=event.at, is_unknown=False, retry_at=None, waits_until=None)
    match event.verdict:
        case "done":
            return _done(plan, progress, event.step, replace(step, result=event.result))
        case "undone":
            return _with_step(progress, event.step, replace(step, state=StepState.UNDONE))
        case "not_done":
            failed = replace(step, state=StepState.FAILED, is_operated=False)
            return _broke(plan, _with_step(progress, event.step, failed), Cause(step.code or "RESOLVED_BY_OPERATOR"))


def _with_step(progress: SagaProgress, name: str, step: StepProgress) -> SagaProgress:
    return replace(progress, steps={**progress.steps, name: step})


def _expect(holds: bool, event: Event) -> None:
    if not holds:
        raise CorruptHistory(f"{event!r} cannot follow what is known")
