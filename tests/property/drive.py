"""A host without I/O: what is journalled, what is in flight, the hour; every event is read by a `History` as it is journalled."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from gateway.clock import Epoch
from gateway.sagas.core import Failure, Find, Launch, Undo, advance, after_failure, interruptions, outcome
from gateway.sagas.events import (
    Event,
    FoundDone,
    FoundNotDone,
    SagaStarted,
    StepDone,
    StepRejected,
    UndoDone,
    decode_event,
    encode_event,
)
from gateway.sagas.folding import begun, fold, replay
from gateway.sagas.operating import Answer, Refused, Request, RetryStep, Signal, Taken, decide_request
from gateway.sagas.plan import SagaPlan
from gateway.sagas.progress import SagaProgress
from gateway.sagas.states import SagaState, StepState

from .history import History

START = Epoch(1_000_000.0)
RESULT = msgspec.Raw(b'{"a": 1}')

UNKNOWN_AGAIN = Failure("SERVICE_TIMEOUT")
UNKNOWN_FOR_GOOD = Failure("SERVICE_CONTRACT_BROKEN", is_retryable=False)
CERTAIN_AGAIN = Failure("SERVICE_BREAKER_OPEN", applied_unknown=False)
CERTAIN_FOR_GOOD = Failure("SERVICE_REFUSED", applied_unknown=False, is_retryable=False)
FAILURES = (UNKNOWN_AGAIN, UNKNOWN_FOR_GOOD, CERTAIN_AGAIN, CERTAIN_FOR_GOOD)

KINDS = {Undo: "undo", Find: "find"}


@dataclass
class Drive:
    """One saga in the hands of a test."""

    plan: SagaPlan
    now: Epoch = START
    journal: tuple[Event, ...] = ()
    in_flight: tuple[Launch, ...] = ()
    wake_at: Epoch | None = None
    history: History = field(init=False)
    progress: SagaProgress = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.plan)

    def begin(self) -> Drive:
        started = SagaStarted(at=self.now, deadline_at=Epoch(self.now + self.plan.deadline))
        self.progress = begun(self.plan, started)
        self._journalled(started)
        self.turn()
        return self

    def fork(self) -> Drive:
        twin = replace(self)
        twin.history, twin.progress = self.history.fork(), self.progress
        return twin

    def turn(self) -> None:
        """What a host does whenever something has happened."""
        decided = advance(self.plan, self.progress, now=self.now)
        self._journalled(*decided.events)
        self.progress, self.wake_at = decided.progress, decided.wake_at
        self.in_flight += decided.launches
        self._check()

    def add(self, event: Event) -> None:
        self.progress = fold(self.plan, self.progress, event)
        self._journalled(event)

    def _journalled(self, *events: Event) -> None:
        self.journal += events
        self.history.read(events)

    def _check(self) -> None:
        """What holds between any two events."""
        intended = {(KINDS.get(type(launch), "step"), launch.step) for launch in self.in_flight}
        assert self.history.in_flight == intended, "a call without an intention, or the other way round"
        assert (self.history.ended is not None) == self.is_settled
        assert (outcome(self.progress) is not None) == self.is_settled
        waits = self.in_flight or self.wake_at is not None or self.waits_without_end
        assert self.is_settled or waits, "an open saga waits for nothing"

    @property
    def is_settled(self) -> bool:
        return self.progress.state.is_settled

    @property
    def waits_without_end(self) -> bool:
        """Whether it waits for a signal that it never loses patience with."""
        return any((wait := self.plan.steps[name].wait) is not None and wait.lasts is None for name in self.waiting)

    @property
    def waiting(self) -> list[str]:
        return [name for name, step in self.progress.steps.items() if step.state is StepState.WAITING]

    # -- what may happen -----------------------------------------------------------------------------------------------

    def resolve(self, launch: Launch, what: Failure | str) -> None:
        """A call in flight comes to `what`: a failure, "ok", "no" (a rejection, or not done)."""
        self.in_flight = tuple(other for other in self.in_flight if other is not launch)
        self.add(self._event_of(launch, what))
        self.turn()

    def _event_of(self, launch: Launch, what: Failure | str) -> Event:
        step, attempt = launch.step, launch.attempt
        match launch, what:
            case _, Failure():
                return after_failure(self.plan, self.progress, saga_id="s", step=step, failure=what, at=self.now)
            case Undo(), _:
                return UndoDone(at=self.now, step=step, attempt=attempt)
            case Find(), "no":
                return FoundNotDone(at=self.now, step=step, attempt=attempt)
            case Find(), _:
                return FoundDone(at=self.now, step=step, attempt=attempt, result=RESULT)
            case _, "no":
                return StepRejected(at=self.now, step=step, attempt=attempt, code="NO", message="No.")
            case _:
                return StepDone(at=self.now, step=step, attempt=attempt, result=RESULT)

    def ask(self, request: Request) -> Answer:
        """Somebody outside wants something."""
        decided = decide_request(self.plan, self.progress, request, at=self.now)
        if isinstance(decided, Taken | Refused):
            return decided
        self.add(decided)
        self.turn()
        return Taken()

    def crash(self) -> tuple[Launch, ...]:
        """Everything but the journal is lost, which passes through its stored form; what was in flight."""
        lost, self.in_flight = self.in_flight, ()
        self.journal = tuple(decode_event(encode_event(event)) for event in self.journal)
        before, self.progress = self.progress, replay(self.plan, self.journal)
        assert self.progress == before, "the journal tells another story than memory"
        for event in interruptions(self.progress, at=self.now):
            self.add(event)
        self.turn()
        return lost

    def sleep(self) -> None:
        assert self.wake_at is not None
        self.now = max(self.now, self.wake_at)
        self.turn()

    # -- to the end ----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """From here on all goes well; and whoever is called mends what is in the way."""
        for _ in range(300):
            if self.progress.state is SagaState.NEEDS_ATTENTION:
                self._mend()
            elif self.is_settled:
                return
            elif self.in_flight:
                self.resolve(self.in_flight[0], "ok")
            elif self._signals():
                self.ask(Signal(self._signals()[0], "someone", RESULT))
            else:
                self.sleep()
        raise AssertionError(f"never ends: {self.progress}")

    def _mend(self) -> None:
        answers = [
            self.ask(RetryStep(step, "op", "mended")) for step in sorted(self.history.broken | self.history.stuck)
        ]
        assert Taken() in answers, f"a person can do nothing: {answers}"

    def _signals(self) -> list[str]:
        """Steps that wait for one."""
        return [name for name in self.waiting if (wait := self.plan.steps[name].wait) and wait.kind == "signal"]
