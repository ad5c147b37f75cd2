"""The saga as a pure decision: `decide(plan, progress) -> actions`. What may be done; `folding` says what has happened.

No clock, no I/O, no randomness: an action carries the instant at which it is due, an event the one at which it happened.
Recovery is the same functions over the stored events, plus `interruptions` for what was in flight: no second path.
Invariants: before any undo no step is in flight; a step is undone after all that depends on it; a rejected step is never
undone; nothing is undone once the pivot is done, nor while it may be; at most one SagaEnded, unless an operator led it back.
Source: the saga execution component of Garcia-Molina and Salem, 1987; Chassaing's "decider", 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..clock import Epoch
from .events import (
    AttemptFailed,
    AttemptInterrupted,
    DeadlinePassed,
    Event,
    FindFailed,
    FindIntended,
    SagaEnded,
    StepIntended,
    TimerFired,
    UndoFailed,
    UndoIntended,
    WaitBegan,
    WaitExpired,
)
from .folding import BROKEN, TOOK_EFFECT, fold
from .outcome import Completed, Failed, NeedsAttention, Outcome, Rejected
from .plan import SagaPlan, StepPlan
from .progress import SagaProgress, StepProgress
from .retry import FIND_OUT, PIVOT_UNKNOWN, UNDO, Retry
from .states import SagaState, StepState

CORE_VERSION = 1
"""Of what is decided when: counted up with any change of the traces in tests/golden, which tells those who run open sagas on it."""

AT_ONCE = Epoch(0.0)

_MAY_GO_ON = frozenset({StepState.PENDING, StepState.RETRYING, StepState.WAITING})
_IN_THE_WAY = frozenset({StepState.UNDOING, StepState.UNDO_STUCK, StepState.FINDING_OUT})


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
class Find:
    """Intend, then find out, whether `step` took effect."""

    step: str
    attempt: int
    due: Epoch = AT_ONCE


@dataclass(frozen=True, slots=True)
class BeginWait:
    """From now on `step` waits, for as long as its plan says."""

    step: str
    due: Epoch = AT_ONCE


@dataclass(frozen=True, slots=True)
class Fire:
    """The timer of `step`."""

    step: str
    due: Epoch


@dataclass(frozen=True, slots=True)
class GiveUpWait:
    """The signal of `step` has not come in time."""

    step: str
    due: Epoch


@dataclass(frozen=True, slots=True)
class Expire:
    """Record that the saga's deadline has passed."""

    due: Epoch


@dataclass(frozen=True, slots=True)
class End:
    """Settle."""

    state: SagaState
    due: Epoch = AT_ONCE


Launch = Attempt | Undo | Find
"""What calls the outside world."""

Action = Launch | BeginWait | Fire | GiveUpWait | Expire | End


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
    if progress.any_in(BROKEN):  # after the pivot, or a pivot that stays unknown: neither back nor on
        operated = list(_operated(plan, progress))
        yield from operated
        if not operated and not progress.has_in_flight:
            yield End(SagaState.NEEDS_ATTENTION)
        return
    if _all_passed(progress, progress.steps):
        yield End(SagaState.COMPLETED)
        return
    if not progress.deadline_recorded:
        yield Expire(progress.deadline_at)
    for step in plan.steps.values():
        if progress.steps[step.name].state in _MAY_GO_ON:
            yield from _next_of(step, progress)


def _next_of(step: StepPlan, progress: SagaProgress) -> Iterator[Action]:
    now = progress.steps[step.name]
    match now.state:
        case StepState.RETRYING:
            yield Attempt(step.name, now.attempts + 1, now.retry_at or AT_ONCE)
        case StepState.PENDING if _all_passed(progress, step.needs):
            yield Attempt(step.name, now.attempts + 1) if step.wait is None else BeginWait(step.name)
        case StepState.WAITING if now.waits_until is not None and step.wait is not None:
            is_timer, due = step.wait.kind == "timer", now.waits_until
            yield Fire(step.name, due) if is_timer else GiveUpWait(step.name, due)
        case _:
            pass


def _operated(plan: SagaPlan, progress: SagaProgress) -> Iterator[Action]:
    """What an operator asked for goes on although something else is broken."""
    for step in plan.steps.values():
        now = progress.steps[step.name]
        if now.is_operated and now.state is not StepState.SKIPPED:
            yield from _next_of(step, progress)


def _all_passed(progress: SagaProgress, names: Iterable[str]) -> bool:
    """Each is done, or skipped by an operator: what needs them may begin."""
    for name in names:
        step = progress.steps[name]
        if step.state is not StepState.DONE and not (step.state is StepState.SKIPPED and step.is_operated):
            return False
    return True


def _backwards(plan: SagaPlan, progress: SagaProgress) -> Iterator[Action]:
    if any(step.state is StepState.RUNNING for step in progress.steps.values()):
        return  # siblings in flight are awaited before any undo
    back: list[Launch] = [*_finds(plan, progress), *_undos(plan, progress)]
    yield from back
    if back or progress.has_in_flight:
        return
    stuck = progress.any_in({StepState.UNDO_STUCK})
    yield End(SagaState.NEEDS_ATTENTION if stuck else SagaState.COMPENSATED)


def _finds(plan: SagaPlan, progress: SagaProgress) -> Iterator[Find]:
    """Steps of unknown outcome whose undo must know: they are asked about first."""
    for step in plan.steps.values():
        now = progress.steps[step.name]
        if now.state is StepState.UNKNOWN and step.is_found_out:
            yield Find(step.name, now.find_attempts + 1, Epoch((now.ended_at or AT_ONCE) + step.settles_after))
        elif now.state is StepState.FINDING_OUT and not now.in_flight:
            yield Find(step.name, now.find_attempts + 1, now.retry_at or AT_ONCE)


def _undos(plan: SagaPlan, progress: SagaProgress) -> Iterator[Undo]:
    for step in reversed(list(plan.steps.values())):
        now = progress.steps[step.name]
        if now.state is StepState.UNDOING and not now.in_flight:
            yield Undo(step.name, now.undo_attempts + 1, now.retry_at or AT_ONCE)
        elif _can_undo(step, now) and not any(_blocks(plan.steps[name], progress) for name in step.dependents):
            yield Undo(step.name, now.undo_attempts + 1)


def _can_undo(step: StepPlan, progress: StepProgress) -> bool:
    is_known = progress.state is StepState.DONE or not step.is_found_out
    return must_undo(step, progress) and is_known


def must_undo(step: StepPlan, progress: StepProgress) -> bool:
    """It took effect, or may have, and there is a way back that has not been begun."""
    return step.has_undo and progress.state in TOOK_EFFECT


def _blocks(step: StepPlan, progress: SagaProgress) -> bool:
    now = progress.steps[step.name]
    return must_undo(step, now) or now.state in _IN_THE_WAY


# -- the driver's half: still pure -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Advance:
    """What a host does next: journal `events` in one transaction, then run `launches`, then wait until `wake_at`."""

    progress: SagaProgress
    events: tuple[Event, ...]
    launches: tuple[Launch, ...]
    wake_at: Epoch | None


def advance(plan: SagaPlan, progress: SagaProgress, *, now: Epoch) -> Advance:
    """Take every action that is due at `now`, until none is left.

    An intention changes nothing about what else may be done, so the launches in front are taken from one decision.
    """
    events: list[Event] = []
    launches: list[Launch] = []
    while True:
        later: list[Epoch] = []
        for action in decide(plan, progress):
            if action.due > now:
                later.append(action.due)
                continue
            event = _event_of(plan, action, at=now)
            progress = fold(plan, progress, event)
            events.append(event)
            if not isinstance(action, Attempt | Undo | Find):
                break  # what may be done now is decided anew
            launches.append(action)
        else:
            return Advance(progress, tuple(events), tuple(launches), min(later, default=None))


def _event_of(plan: SagaPlan, action: Action, *, at: Epoch) -> Event:
    match action:
        case Attempt(step, attempt):
            return StepIntended(at=at, step=step, attempt=attempt)
        case Undo(step, attempt):
            return UndoIntended(at=at, step=step, attempt=attempt)
        case Find(step, attempt):
            return FindIntended(at=at, step=step, attempt=attempt)
        case BeginWait(step):
            return WaitBegan(at=at, step=step, until=_waits_until(plan.steps[step], at=at))
        case Fire(step):
            return TimerFired(at=at, step=step)
        case GiveUpWait(step):
            return WaitExpired(at=at, step=step)
        case Expire():
            return DeadlinePassed(at=at)
        case End(state):
            return SagaEnded(at=at, state=state)


def _waits_until(step: StepPlan, *, at: Epoch) -> Epoch | None:
    return None if step.wait is None or step.wait.lasts is None else Epoch(at + step.wait.lasts)


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
    match step.state:
        case StepState.UNDOING:
            return step.undo_attempts
        case StepState.FINDING_OUT:
            return step.find_attempts
        case _:
            return step.attempts


# -- what an attempt came to -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt, an undo or a question that neither succeeded nor was rejected."""

    code: str
    applied_unknown: bool = True
    is_retryable: bool = True


def after_failure(
    plan: SagaPlan, progress: SagaProgress, *, saga_id: str, step: str, failure: Failure, at: Epoch
) -> AttemptFailed | UndoFailed | FindFailed:
    """The event of a failed attempt in flight: with the instant of the next one, or None when it is given up."""
    now = progress.steps[step]
    if now.state is StepState.UNDOING:
        retry_at = _retry_at(
            UNDO, attempt=now.undo_attempts, counted=now.undo_counted, key=(saga_id, f"{step}:undo"), at=at
        )
        return UndoFailed(at=at, step=step, attempt=now.undo_attempts, code=failure.code, retry_at=retry_at)
    if now.state is StepState.FINDING_OUT:
        retry_at = _retry_at(
            FIND_OUT, attempt=now.find_attempts, counted=now.find_counted, key=(saga_id, f"{step}:find"), at=at
        )
        return FindFailed(at=at, step=step, attempt=now.find_attempts, code=failure.code, retry_at=retry_at)
    is_unknown = now.is_unknown or failure.applied_unknown
    policy, is_retryable = _policy(plan.steps[step], is_unknown=is_unknown, failure=failure)
    retry_at = _retry_at(policy, attempt=now.attempts, counted=now.counted, key=(saga_id, step), at=at)
    return AttemptFailed(
        at=at,
        step=step,
        attempt=now.attempts,
        code=failure.code,
        applied_unknown=failure.applied_unknown,
        retry_at=retry_at if is_retryable else None,
    )


def _retry_at(policy: Retry, *, attempt: int, counted: int, key: tuple[str, str], at: Epoch) -> Epoch | None:
    if policy.is_spent(counted + 1):
        return None
    saga_id, step = key
    return Epoch(at + policy.delay(attempt=attempt, saga_id=saga_id, step=step))


def _policy(step: StepPlan, *, is_unknown: bool, failure: Failure) -> tuple[Retry, bool]:
    """A step that never gives up, and a pivot that may be done, are tried again whatever the error says."""
    if step.retry.attempts is None:
        return step.retry, True
    if step.is_pivot and is_unknown:
        return PIVOT_UNKNOWN, True
    return step.retry, failure.is_retryable


def outcome(progress: SagaProgress) -> Outcome | None:
    """How it ended, for the client; None while it is open."""
    code = progress.cause.code if progress.cause is not None else _code_of_what_is_broken(progress)
    match progress.state:
        case SagaState.COMPLETED:
            return Completed()
        case SagaState.COMPENSATED if _is_clean_rejection(progress):
            return Rejected(code, progress.cause.message if progress.cause and progress.cause.message else "")
        case SagaState.COMPENSATED:
            undone = [name for name, step in progress.steps.items() if step.state is StepState.UNDONE]
            return Failed(code, tuple(undone))
        case SagaState.NEEDS_ATTENTION:
            return NeedsAttention(code)
        case _:
            return None


def _is_clean_rejection(progress: SagaProgress) -> bool:
    """Whether the client may read that nothing of it remains: no effect was left standing by an operator."""
    said_no = progress.cause is not None and progress.cause.message is not None
    return said_no and not progress.any_in({StepState.UNDO_SKIPPED})


def _code_of_what_is_broken(progress: SagaProgress) -> str:
    """Where the first cause was mended, and something else stays broken."""
    codes = (step.code for step in progress.steps.values() if step.state in BROKEN and step.code is not None)
    return next(codes, "INTERNAL_SERVER_ERROR")
