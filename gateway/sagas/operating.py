"""What may be done to a saga from outside, decided purely: an operator's retry, skip and resolve, a cancel, a signal.

Invariants: nothing is decided about a step that has something in flight; whatever is allowed leads to a history that `folding`
takes; a refusal is a sentence that says what is possible instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from ..clock import Epoch
from .events import CancelRequested, Event, OperatorResolved, OperatorRetried, OperatorSkipped, SignalReceived
from .folding import BROKEN
from .plan import SagaPlan, StepPlan
from .progress import SagaProgress, StepProgress
from .states import SagaState, StepState

Verdict = Literal["done", "not_done", "undone"]


@dataclass(frozen=True, slots=True)
class RetryStep:
    """Try it again, or its undo, now."""

    step: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class SkipStep:
    """Go on without it; or let the effect of one stand that cannot be undone."""

    step: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class ResolveStep:
    """Say what became of it. `result`, as the journal holds it, goes with "done"."""

    step: str
    actor: str
    reason: str
    verdict: Verdict
    result: msgspec.Raw | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Undo it, if there is still a way back."""

    reason: str
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """What a waiting step waits for, from whoever may send it; `payload` as the journal holds it."""

    step: str
    sender: str
    payload: msgspec.Raw


Request = RetryStep | SkipStep | ResolveStep | Cancel | Signal


@dataclass(frozen=True, slots=True)
class Taken:
    """The journal has it. `is_repeated`: it had it before, and nothing was added."""

    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot be done now; `why` is a sentence for whoever asked."""

    why: str


Answer = Taken | Refused


def decide_request(plan: SagaPlan, progress: SagaProgress, request: Request, *, at: Epoch) -> Event | Taken | Refused:
    """The event that the request amounts to; Taken when there is nothing to add; Refused with the reason."""
    if isinstance(
        request, Signal
    ):  # first: a signal that is sent again finds that it was taken, however the saga ended
        return _received(plan, progress, request, at=at)
    if progress.state.is_final:
        return Refused(f"the saga is {progress.state} and has ended")
    match request:
        case Cancel(reason, actor):
            return _cancelled(progress, reason=reason, actor=actor, at=at)
        case _:
            return _operated(plan, progress, request, at=at)


def _cancelled(progress: SagaProgress, *, reason: str, actor: str | None, at: Epoch) -> Event | Refused:
    """After the pivot, or while compensating, it is recorded and changes nothing."""
    if progress.state is SagaState.NEEDS_ATTENTION:
        return Refused("it waits for a person: retry, skip or resolve the step that is in the way")
    return CancelRequested(at=at, reason=reason, actor=actor)


def _received(plan: SagaPlan, progress: SagaProgress, signal: Signal, *, at: Epoch) -> Event | Taken | Refused:
    step = plan.steps.get(signal.step)
    if step is None or step.wait is None or step.wait.kind != "signal":
        waiting = [name for name, each in plan.steps.items() if each.wait is not None and each.wait.kind == "signal"]
        return Refused(f"{plan.name} has no signal {signal.step!r} (it has: {', '.join(waiting) or 'none'})")
    now = progress.steps[signal.step]
    if now.received is not None:
        return Taken(is_repeated=True)
    if progress.state.is_final or now.state not in (StepState.PENDING, StepState.WAITING):
        return Refused(f"{signal.step} is {now.state} and waits no longer: the saga is {progress.state}")
    return SignalReceived(at=at, step=signal.step, sender=signal.sender, payload=signal.payload)


def _operated(
    plan: SagaPlan, progress: SagaProgress, request: RetryStep | SkipStep | ResolveStep, *, at: Epoch
) -> Event | Refused:
    step = plan.steps.get(request.step)
    if step is None:
        return Refused(f"{plan.name} has no step {request.step!r} (it has: {', '.join(plan.steps)})")
    now = progress.steps[request.step]
    if now.in_flight:
        return Refused(f"an attempt at {request.step} is under way: ask again when it has ended")
    match request:
        case RetryStep():
            return _retry(step, now, request, at=at, forward=_goes_forward(progress))
        case SkipStep():
            return _skip(step, now, request, at=at, progress=progress)
        case ResolveStep():
            return _resolve(step, now, request, at=at, progress=progress)


def _retry(step: StepPlan, now: StepProgress, request: RetryStep, *, at: Epoch, forward: bool) -> Event | Refused:
    is_between = now.state in (StepState.RETRYING, StepState.UNDOING, StepState.FINDING_OUT)
    if is_between or now.state is StepState.UNDO_STUCK or (forward and now.state in BROKEN):
        return OperatorRetried(at=at, step=step.name, actor=request.actor, reason=request.reason)
    return Refused(f"{step.name} is {now.state}: there is nothing to try again")


def _skip(
    step: StepPlan, now: StepProgress, request: SkipStep, *, at: Epoch, progress: SagaProgress
) -> Event | Refused:
    event = OperatorSkipped(at=at, step=step.name, actor=request.actor, reason=request.reason)
    if now.state in (StepState.UNDO_STUCK, StepState.UNDOING, StepState.FINDING_OUT):
        return event
    if _phase(progress) is not SagaState.FORWARD_ONLY or now.state not in {
        *BROKEN,
        StepState.RETRYING,
        StepState.WAITING,
    }:
        return Refused(
            f"{step.name} is {now.state}, and only what is in the way after the pivot, or an undo, is skipped"
        )
    if step.is_read:
        return Refused(f"what {step.name} yields is read later: resolve it as done, with its result")
    return event


def _resolve(
    step: StepPlan, now: StepProgress, request: ResolveStep, *, at: Epoch, progress: SagaProgress
) -> Event | Refused:
    allowed = _verdicts(step, now, progress)
    if request.verdict not in allowed:
        possible = " or ".join(allowed) or "nothing"
        return Refused(f"{step.name} is {now.state} and can be resolved as {possible}, not as {request.verdict}")
    said = OperatorResolved(at=at, step=step.name, actor=request.actor, reason=request.reason, verdict=request.verdict)
    if request.verdict != "done":
        return said
    if request.result is None:
        return Refused(f"{step.name} is resolved as done with its result: say what it yielded")
    return replace(said, result=request.result)


def _verdicts(step: StepPlan, now: StepProgress, progress: SagaProgress) -> list[Verdict]:
    """What a person may say of a step as it stands."""
    phase, may_have_happened = _phase(progress), now.is_unknown or now.state is StepState.UNKNOWN
    match now.state:
        case StepState.UNDOING | StepState.UNDO_STUCK if may_have_happened and step.is_found_out:
            return ["done", "not_done", "undone"]
        case StepState.UNDOING | StepState.UNDO_STUCK:
            return ["undone"]
        case StepState.FINDING_OUT:
            return ["done", "not_done"]
        case StepState.WAITING:
            return ["done"]
        case StepState.UNKNOWN if phase is SagaState.COMPENSATING:
            return ["done", "not_done"]
        case StepState.RETRYING | StepState.UNKNOWN if phase is SagaState.RUNNING:
            return ["done", "not_done"]
        case StepState.RETRYING | StepState.UNKNOWN | StepState.FAILED | StepState.REJECTED if _goes_forward(progress):
            return ["done"]
        case _:
            return []


def _phase(progress: SagaProgress) -> SagaState:
    """The direction it goes in, or went in before it needed attention."""
    return progress.resumes_as or progress.state


def _goes_forward(progress: SagaProgress) -> bool:
    return _phase(progress) in (SagaState.RUNNING, SagaState.FORWARD_ONLY)
