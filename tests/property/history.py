"""A journal of one saga, read with other eyes than the core's: what was promised, asserted event by event.

Invariant: nothing here is computed by `gateway.sagas.core`, `folding` or `operating`; only the plan and the stored events are
believed. A `History` can be forked, and tells two equal pasts by `key`, so a search may join paths that have become one.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, fields
from typing import Self

from gateway.clock import Epoch
from gateway.sagas.events import (
    AttemptFailed,
    AttemptInterrupted,
    CancelRequested,
    DeadlinePassed,
    Event,
    FindFailed,
    FindIntended,
    FoundDone,
    FoundNotDone,
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
from gateway.sagas.plan import SagaPlan
from gateway.sagas.states import SagaState

Steps = frozenset[str]
NONE: Steps = frozenset()


@dataclass
class History:
    """What is known after the events that were read. Every set holds names of steps."""

    plan: SagaPlan
    has_started: bool = False
    done: Steps = NONE
    rejected: Steps = NONE
    given_up: Steps = NONE
    """No further attempt, or no more patience with a signal."""
    maybe: Steps = NONE
    """Some attempt may have taken effect, and nobody has found out."""
    skipped: Steps = NONE
    """An operator went on without."""
    retried: Steps = NONE
    """An operator asked for another attempt, and it is not known yet what it came to."""
    waiting: Steps = NONE
    signalled: Steps = NONE
    undoing: Steps = NONE
    undone: Steps = NONE
    undo_skipped: Steps = NONE
    """An operator let the effect stand."""
    finding: Steps = NONE
    stuck: Steps = NONE
    in_flight: frozenset[tuple[str, str]] = frozenset()
    """(kind, step): what was intended and has not been answered."""
    attempts: frozenset[tuple[str, str, int]] = frozenset()
    """(kind, step, how many)."""
    due: frozenset[tuple[str, str, Epoch]] = frozenset()
    """(kind, step, not before): when the next attempt, undo or question may be, or a wait ends."""
    deadline_at: Epoch = Epoch(0.0)
    deadline_passed: bool = False
    wishes_to_stop: bool = False
    """A deadline or a cancel that came before the pivot was done."""
    has_failed: bool = False
    """Some step was rejected, given up, not signalled in time, or said by an operator not to be done."""
    has_turned_back: bool = False
    ended: SagaState | None = None

    def read(self, events: Iterable[Event]) -> Self:
        """Raises: AssertionError that names the promise."""
        for event in events:
            self._see(event)
        return self

    def fork(self) -> History:
        return copy(self)

    @property
    def key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in _KEPT)

    # -- what follows from it ------------------------------------------------------------------------------------------

    @property
    def broken(self) -> Steps:
        """Steps that will not be done by themselves."""
        return (self.rejected | self.given_up) - self.done - self.skipped

    @property
    def pivot_may_be_done(self) -> bool:
        return self.plan.pivot is not None and self.took_effect(self.plan.pivot)

    @property
    def steps_in_flight(self) -> Steps:
        return frozenset(step for kind, step in self.in_flight if kind == "step")

    def took_effect(self, step: str) -> bool:
        return (step in self.done or step in self.maybe) and step not in self.rejected

    @property
    def to_undo(self) -> Steps:
        """What took effect, or may have, and has a way back."""
        return frozenset(name for name, step in self.plan.steps.items() if step.has_undo and self.took_effect(name))

    # -- one event -----------------------------------------------------------------------------------------------------

    def _see(self, event: Event) -> None:  # noqa: C901  (one case an event)
        self._may_follow(event)
        self._clock_reads(event.at)
        match event:
            case SagaStarted():
                assert not self.has_started, "started twice"
                self.has_started, self.deadline_at = True, event.deadline_at
            case StepIntended():
                self._step_intended(event)
            case StepDone():
                self._answered("step", event.step)
                self._is_done(event.step)
            case StepRejected():
                self._answered("step", event.step)
                self.rejected |= {event.step}
                self._broke(event.step)
            case AttemptFailed():
                self._attempt_failed(event)
            case AttemptInterrupted():
                self._interrupted(event)
            case WaitBegan():
                self._wait_began(event)
            case TimerFired() | WaitExpired():
                self._wait_ended(event)
            case SignalReceived():
                self._signal_received(event.step)
            case FindIntended():
                self._find_intended(event)
            case FoundDone():
                self._answered("find", event.step)
                self._is_done(event.step)
                self.finding -= {event.step}
            case FoundNotDone():
                self._answered("find", event.step)
                self.maybe -= {event.step}
                self.finding -= {event.step}
            case FindFailed() | UndoFailed():
                self._back_failed(event)
            case UndoIntended():
                self._undo_intended(event)
            case UndoDone():
                self._answered("undo", event.step)
                self.undoing -= {event.step}
                self.undone |= {event.step}
            case OperatorRetried() | OperatorSkipped() | OperatorResolved():
                self._operated(event)
            case DeadlinePassed():
                assert not self.deadline_passed, "the deadline passed twice"
                assert event.at >= self.deadline_at, "the deadline passed too early"
                self.deadline_passed = True
                self._wish_to_stop()
            case CancelRequested():
                self._wish_to_stop()
            case SagaEnded():
                self._ended(event.state)

    def _may_follow(self, event: Event) -> None:
        assert self.has_started or isinstance(event, SagaStarted), "something happened before the start"
        if self.ended is SagaState.NEEDS_ATTENTION:
            is_heard = isinstance(event, OperatorRetried | OperatorSkipped | OperatorResolved | SignalReceived)
            assert is_heard, "a saga that waits for a person went on by itself"
        else:
            assert self.ended is None, "something happened after the end"

    # -- onwards -------------------------------------------------------------------------------------------------------

    def _may_begin(self, step: str) -> None:
        assert not self.has_turned_back, "a step was begun after an undo"
        assert step not in self.done | self.skipped | self.waiting, "a step was begun that was over"
        assert step not in self.broken or step in self.retried, "a step was tried again after it was given up"
        assert not self.broken - self.retried or step in self.retried, "a step was begun beside one that is broken"
        assert set(self.plan.steps[step].needs) <= self.done | self.skipped, "a step was begun before what it needs"
        is_past_stopping = self.plan.pivot is not None and self.plan.pivot in self.done
        is_asked_again = step == self.plan.pivot and step in self.maybe
        assert not self.wishes_to_stop or is_past_stopping or is_asked_again, "a step was begun after a wish to stop"
        if step == self.plan.pivot:
            assert not self.steps_in_flight, "the pivot was begun beside a step that may still fail"

    def _step_intended(self, event: StepIntended) -> None:
        self._may_begin(event.step)
        assert self.plan.steps[event.step].wait is None, "a wait was called"
        self._intended("step", event.step, attempt=event.attempt, at=event.at)

    def _attempt_failed(self, event: AttemptFailed) -> None:
        self._answered("step", event.step)
        if event.applied_unknown:
            self.maybe |= {event.step}
        if event.retry_at is None:
            self.given_up |= {event.step}
            self._broke(event.step)
        else:
            self._not_before("step", event.step, event.retry_at)
        self._not_before("find", event.step, event.at)

    def _interrupted(self, event: AttemptInterrupted) -> None:
        (kind,) = (kind for kind, step in self.in_flight if step == event.step)
        self._answered(kind, event.step)
        self._not_before(kind, event.step, event.at)
        if kind == "step":
            self.maybe |= {event.step}
            self._not_before("find", event.step, event.at)

    def _broke(self, step: str) -> None:
        self.has_failed = True
        self.retried -= {step}

    def _is_done(self, step: str) -> None:
        self.done |= {step}
        for name in ("maybe", "rejected", "given_up", "retried", "waiting", "stuck"):
            setattr(self, name, getattr(self, name) - {step})

    # -- waiting -------------------------------------------------------------------------------------------------------

    def _wait_began(self, event: WaitBegan) -> None:
        self._may_begin(event.step)
        wait = self.plan.steps[event.step].wait
        assert wait is not None, "a call was waited for"
        assert event.until == (None if wait.lasts is None else event.at + wait.lasts), (
            "waits for another time than said"
        )
        self.retried -= {event.step}
        self.given_up -= {event.step}
        self.rejected -= {event.step}
        if event.step in self.signalled:
            self._is_done(event.step)
            return
        self.waiting |= {event.step}
        if event.until is not None:
            self._not_before("wait", event.step, event.until)

    def _wait_ended(self, event: TimerFired | WaitExpired) -> None:
        wait = self.plan.steps[event.step].wait
        assert event.step in self.waiting, "what did not wait came to an end"
        assert wait is not None
        assert not self.has_turned_back
        assert event.at >= self._due("wait", event.step), "a wait ended too early"
        self.waiting -= {event.step}
        if isinstance(event, TimerFired):
            assert wait.kind == "timer"
            self._is_done(event.step)
        else:
            assert wait.kind == "signal"
            assert event.step not in self.signalled, "a signal that came was not in time"
            self.given_up |= {event.step}
            self._broke(event.step)

    def _signal_received(self, step: str) -> None:
        wait = self.plan.steps[step].wait
        assert wait is not None
        assert wait.kind == "signal"
        assert step not in self.signalled, "a signal was taken twice"
        over = self.done | self.skipped | (self.given_up - self.retried)
        assert step not in over, "a signal was taken that nobody waits for"
        assert not self.has_turned_back
        self.signalled |= {step}
        if step in self.waiting:
            self._is_done(step)

    # -- back ----------------------------------------------------------------------------------------------------------

    def _turns_back(self) -> None:
        self.has_turned_back = True
        assert not self.steps_in_flight, "a way back was begun beside a step in flight"
        assert not self.pivot_may_be_done, "turned back although the pivot may be done"
        assert self.has_failed or self.wishes_to_stop, "turned back for nothing"

    def _find_intended(self, event: FindIntended) -> None:
        step = self.plan.steps[event.step]
        self._turns_back()
        assert step.is_found_out, "asked about a step that need not be found out"
        assert event.step in self.maybe, "asked about what is known"
        assert self.took_effect(event.step), "asked about what was rejected"
        assert event.step not in self.undone | self.undo_skipped | self.undoing
        assert event.step not in self.stuck, "asked again after it was given up"
        is_asked_again = event.step in self.finding
        settled = Epoch(self._due("find", event.step) + (0.0 if is_asked_again else step.settles_after))
        assert event.at >= settled, "asked before the answer can mean anything"
        self.finding |= {event.step}
        self._intended("find", event.step, attempt=event.attempt, at=event.at)

    def _undo_intended(self, event: UndoIntended) -> None:
        self._turns_back()
        step = self.plan.steps[event.step]
        assert step.has_undo
        assert event.step not in self.rejected, "a rejected step was undone"
        assert self.took_effect(event.step), "what never happened was undone"
        assert not step.is_found_out or event.step in self.done, "undone before it was found out"
        assert event.step not in self.undone | self.undo_skipped, "undone again"
        assert event.step not in self.stuck, "undone again after it was given up"
        for later in step.dependents:
            is_out_of_the_way = later not in self.to_undo or later in self.undone | self.undo_skipped
            assert is_out_of_the_way, "undone before what depends on it"
        self.undoing |= {event.step}
        self._intended("undo", event.step, attempt=event.attempt, at=event.at)

    def _back_failed(self, event: FindFailed | UndoFailed) -> None:
        kind = "find" if isinstance(event, FindFailed) else "undo"
        self._answered(kind, event.step)
        if event.retry_at is None:
            self.stuck |= {event.step}
            self.finding -= {event.step}
        else:
            self._not_before(kind, event.step, event.retry_at)

    # -- people --------------------------------------------------------------------------------------------------------

    def _wish_to_stop(self) -> None:
        assert self.ended is None
        self.wishes_to_stop = self.wishes_to_stop or self.plan.pivot is None or self.plan.pivot not in self.done

    def _operated(self, event: OperatorRetried | OperatorSkipped | OperatorResolved) -> None:
        step = event.step
        assert all(name != step for _, name in self.in_flight), "an operator spoke of what is in flight"
        self.ended = None
        match event:
            case OperatorRetried():
                self._retried(event)
            case OperatorSkipped() if step in self.undoing | self.finding | self.stuck:
                self.undo_skipped |= {step}
                self.undoing -= {step}
                self.finding -= {step}
                self.stuck -= {step}
            case OperatorSkipped():
                assert self.plan.pivot in self.done, "skipped while there was a way back"
                assert not self.plan.steps[step].is_read, "skipped what is read"
                self.skipped |= {step}
                self.waiting -= {step}
                self.retried -= {step}
            case OperatorResolved():
                self._resolved(event)

    def _retried(self, event: OperatorRetried) -> None:
        step = event.step
        assert step not in self.done or step in self.undoing | self.stuck, "tried again what was done"
        self._not_before("step", step, event.at)
        if step in self.undoing:  # one that was never begun is due at once, whatever the wall clock says by then
            self._not_before("undo", step, event.at)
        if step in self.finding | self.stuck:
            self._not_before("find", step, event.at)
        if step in self.stuck:
            self.stuck -= {step}
            if self.plan.steps[step].is_found_out and step in self.maybe:
                self.finding |= {step}
            return
        if not self.has_turned_back:
            self.retried |= {step}

    def _resolved(self, event: OperatorResolved) -> None:
        step = event.step
        assert bytes(event.result) == b"null" or event.verdict == "done", "a result of what was not done"
        self.stuck -= {step}
        self.finding -= {step}
        match event.verdict:
            case "done":
                assert step not in self.done, "said to be done what was known to be done"
                self._is_done(step)
                self.undoing -= {step}
            case "not_done":
                assert step not in self.done, "said not to be done what was known to be done"
                self.maybe -= {step}
                self.undoing -= {step}
                self.given_up |= {step}
                self._broke(step)
            case "undone":
                self.undoing -= {step}
                self.undone |= {step}

    # -- the end -------------------------------------------------------------------------------------------------------

    def _ended(self, state: SagaState) -> None:
        self.ended = state
        assert not self.in_flight, "ended with something in flight"
        must_undo = self.to_undo
        if state is SagaState.COMPLETED:
            assert self.done | self.skipped == set(self.plan.steps), "completed without a step"
            assert not self.has_turned_back, "completed after turning back"
        elif state is SagaState.COMPENSATED:
            assert must_undo == self.undone | self.undo_skipped, "compensated, and an effect stands"
            assert not self.pivot_may_be_done, "compensated although the pivot may be done"
            assert self.has_failed or self.wishes_to_stop, "compensated for nothing"
            assert not self.stuck
        else:
            stays = self.pivot_may_be_done and self.broken
            assert stays or self.stuck, "a person was called for nothing"

    # -- bookkeeping ---------------------------------------------------------------------------------------------------

    def _intended(self, kind: str, step: str, *, attempt: int, at: Epoch) -> None:
        before = next((count for k, name, count in self.attempts if (k, name) == (kind, step)), 0)
        assert all(name != step for _, name in self.in_flight), "intended while something was in flight"
        assert attempt == before + 1, "attempts are numbered one after another"
        assert at >= self._due(kind, step), "tried again too early"
        self.in_flight |= {(kind, step)}
        self.attempts = self.attempts - {(kind, step, before)} | {(kind, step, attempt)}
        if kind == "step":
            self.given_up -= {step}
            self.rejected -= {step}

    def _answered(self, kind: str, step: str) -> None:
        assert (kind, step) in self.in_flight, "an answer without an intention"
        self.in_flight -= {(kind, step)}

    def _due(self, kind: str, step: str) -> Epoch:
        return next((at for k, name, at in self.due if (k, name) == (kind, step)), Epoch(0.0))

    def _clock_reads(self, at: Epoch) -> None:
        """Where the wall clock jumped back, what a lookup has to wait is counted from the jump."""
        self.due = frozenset(
            (k, s, min(due, at) if k == "find" and s not in self.finding else due) for k, s, due in self.due
        )

    def _not_before(self, kind: str, step: str, at: Epoch) -> None:
        self.due = frozenset(one for one in self.due if one[:2] != (kind, step)) | {(kind, step, at)}


_KEPT = tuple(each.name for each in fields(History) if each.name != "plan")
