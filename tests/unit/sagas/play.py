"""A saga on a table, for tests of the core: time is set by hand, outcomes are dealt by name."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from gateway.clock import Epoch, Seconds
from gateway.sagas import Outcome, Retry, SagaState, StepState
from gateway.sagas.core import Failure, Find, Launch, Undo, advance, after_failure, interruptions, outcome
from gateway.sagas.events import (
    CancelRequested,
    Event,
    SagaStarted,
    StepDone,
    StepRejected,
    UndoDone,
    decode_event,
    encode_event,
)
from gateway.sagas.folding import begun, fold, replay
from gateway.sagas.plan import StepPlan, compile_plan

UNKNOWN = Failure("SERVICE_TIMEOUT")
CERTAIN = Failure("SERVICE_BREAKER_OPEN", applied_unknown=False)
REFUSED = Failure("SERVICE_REFUSED", applied_unknown=False, is_retryable=False)
BROKEN = Failure("SERVICE_CONTRACT_BROKEN", is_retryable=False)


def node(name: str, *needs: str, undo: bool = True, pivot: bool = False, attempts: int | None = 3) -> StepPlan:
    return StepPlan(
        name=name,
        needs=needs,
        has_undo=undo and not pivot,
        is_pivot=pivot,
        retry=Retry(attempts=attempts),
        timeout=Seconds(1.0),
    )


@dataclass
class Play:
    """A saga on a table: time is set by hand, outcomes are dealt by name."""

    steps: tuple[StepPlan, ...]
    now: Epoch = Epoch(100.0)
    events: list[Event] = field(default_factory=list[Event])
    log: list[str] = field(default_factory=list[str])
    """What was launched: "a", "a#2", "undo a"."""

    def __post_init__(self) -> None:
        self.plan = compile_plan("Play", version=1, deadline=Seconds(30.0), steps=self.steps)
        started = SagaStarted(at=self.now, deadline_at=Epoch(self.now + 30))
        self.events.append(started)
        self.progress = begun(self.plan, started)
        self.turn()

    def turn(self) -> Play:
        decided = advance(self.plan, self.progress, now=self.now)
        self.events += decided.events
        self.progress, self.wake_at = decided.progress, decided.wake_at
        self.log += [_shown(launch) for launch in decided.launches]
        return self

    def add(self, event: Event) -> Play:
        event = decode_event(encode_event(event))  # what cannot be stored and read again has not happened
        self.progress = fold(self.plan, self.progress, event)
        self.events.append(event)
        return self.turn()

    def done(self, *names: str) -> Play:
        for name in names:
            step = self.progress.steps[name]
            if step.state is StepState.UNDOING:
                self.add(UndoDone(at=self.now, step=name, attempt=step.undo_attempts))
            else:
                self.add(StepDone(at=self.now, step=name, attempt=step.attempts, result=msgspec.Raw(b"1")))
        return self

    def reject(self, name: str) -> Play:
        attempt = self.progress.steps[name].attempts
        return self.add(StepRejected(at=self.now, step=name, attempt=attempt, code="NO", message="No."))

    def fail(self, name: str, failure: Failure) -> Play:
        event = after_failure(self.plan, self.progress, saga_id="s", step=name, failure=failure, at=self.now)
        return self.add(event)

    def cancel(self) -> Play:
        return self.add(CancelRequested(at=self.now, reason="changed my mind"))

    def sleep(self) -> Play:
        """Until something is launched."""
        before = len(self.log)
        while len(self.log) == before:
            assert self.wake_at is not None
            self.now = max(self.now, self.wake_at)
            self.turn()
        return self

    def until_deadline(self) -> Play:
        self.now = Epoch(130.0)
        return self.turn()

    def crash(self) -> Play:
        self.progress = replay(self.plan, self.events)
        for event in interruptions(self.progress, at=self.now):
            self.progress = fold(self.plan, self.progress, event)
            self.events.append(event)
        return self.turn()

    def state_of(self, name: str) -> StepState:
        return self.progress.steps[name].state

    @property
    def state(self) -> SagaState:
        return self.progress.state

    @property
    def outcome(self) -> Outcome | None:
        return outcome(self.progress)


def _shown(launch: Launch) -> str:
    what = {Undo: "undo ", Find: "find "}.get(type(launch), "")
    name = f"{what}{launch.step}"
    return name if launch.attempt == 1 else f"{name}#{launch.attempt}"


def play(*steps: StepPlan) -> Play:
    return Play(steps)
