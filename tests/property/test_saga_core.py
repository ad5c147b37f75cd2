"""The pure core under every kind of luck: random graphs, random outcomes, crashes, deadlines, cancels; small graphs whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.clock import Epoch, Seconds
from gateway.sagas.core import Attempt, Failure, Launch, Undo, advance, after_failure, interruptions, outcome
from gateway.sagas.events import (
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
    decode_event,
    encode_event,
)
from gateway.sagas.folding import begun, fold, replay
from gateway.sagas.plan import SagaPlan, StepPlan, compile_plan, followers
from gateway.sagas.retry import Retry
from gateway.sagas.states import SagaState

START = Epoch(1_000_000.0)
DEADLINE = Seconds(1_000.0)
SOON = Retry(attempts=2, base="1ms", cap="1ms")
NULL = msgspec.Raw(b"null")

UNKNOWN_AGAIN = Failure("SERVICE_TIMEOUT")
UNKNOWN_FOR_GOOD = Failure("SERVICE_CONTRACT_BROKEN", is_retryable=False)
CERTAIN_AGAIN = Failure("SERVICE_BREAKER_OPEN", applied_unknown=False)
CERTAIN_FOR_GOOD = Failure("SERVICE_REFUSED", applied_unknown=False, is_retryable=False)
FAILURES = (UNKNOWN_AGAIN, UNKNOWN_FOR_GOOD, CERTAIN_AGAIN, CERTAIN_FOR_GOOD)


def plan_of(
    needs: dict[str, frozenset[str]], *, pivot: str | None, undos: frozenset[str], until_done: bool
) -> SagaPlan:
    """A plan as `building` would allow it: no undo of the pivot or of what follows it."""
    after = followers(needs, pivot) | {pivot} if pivot is not None else frozenset[str]()
    return compile_plan(
        "Any",
        version=1,
        deadline=DEADLINE,
        steps=[
            StepPlan(
                name=name,
                needs=tuple(sorted(before)),
                has_undo=name in undos and name not in after,
                is_pivot=name == pivot,
                retry=Retry(attempts=None, base="1ms", cap="1ms") if until_done and name in after else SOON,
                timeout=Seconds(1.0),
            )
            for name, before in needs.items()
        ],
    )


@dataclass
class Drive:
    """A host without I/O: what is journalled, what is in flight, and the hour."""

    plan: SagaPlan
    journal: list[Event] = field(default_factory=list[Event])
    in_flight: list[Launch] = field(default_factory=list[Launch])
    now: Epoch = START
    wake_at: Epoch | None = None

    def begin(self) -> None:
        started = SagaStarted(at=self.now, deadline_at=Epoch(self.now + DEADLINE))
        self.journal = [started]
        self.progress = begun(self.plan, started)
        self.turn()

    def turn(self) -> None:
        decided = advance(self.plan, self.progress, now=self.now)
        self.journal += decided.events
        self.progress, self.wake_at = decided.progress, decided.wake_at
        for launch in decided.launches:
            assert _is_intended(launch, decided.events)
            self.in_flight.append(launch)

    def add(self, event: Event) -> None:
        self.progress = fold(self.plan, self.progress, event)
        self.journal.append(event)

    def resolve(self, launch: Launch, what: Failure | str) -> None:
        self.in_flight.remove(launch)
        step, attempt = launch.step, launch.attempt
        if isinstance(what, Failure):
            self.add(after_failure(self.plan, self.progress, saga_id="s", step=step, failure=what, at=self.now))
        elif isinstance(launch, Undo):
            self.add(UndoDone(at=self.now, step=step, attempt=attempt))
        elif what == "reject":
            self.add(StepRejected(at=self.now, step=step, attempt=attempt, code="NO", message="No."))
        else:
            self.add(StepDone(at=self.now, step=step, attempt=attempt, result=NULL))
        self.turn()

    def crash(self) -> None:
        """Everything but the journal is lost; the journal passes through its stored form."""
        self.journal = [decode_event(encode_event(event)) for event in self.journal]
        self.in_flight = []
        assert replay(self.plan, self.journal) == self.progress
        self.progress = replay(self.plan, self.journal)
        for event in interruptions(self.progress, at=self.now):
            self.add(event)
        self.turn()

    def sleep(self) -> None:
        assert self.wake_at is not None
        self.now = max(self.now, self.wake_at)
        self.turn()

    @property
    def is_settled(self) -> bool:
        return self.progress.state.is_settled

    def finish(self) -> None:
        """From here on all goes well."""
        for _ in range(300):
            if self.is_settled:
                return
            if self.in_flight:
                self.resolve(self.in_flight[0], "ok")
            else:
                self.sleep()
        raise AssertionError(f"never ends: {self.progress}")


def _is_intended(launch: Launch, events: tuple[Event, ...]) -> bool:
    kind = StepIntended if isinstance(launch, Attempt) else UndoIntended
    return any(isinstance(e, kind) and (e.step, e.attempt) == (launch.step, launch.attempt) for e in events)


class History:
    """Reads a journal with its own eyes, not the core's, and asserts what was promised."""

    def __init__(self, plan: SagaPlan) -> None:
        self.plan = plan
        self.done: set[str] = set()
        self.rejected: set[str] = set()
        self.maybe: set[str] = set()
        self.undone: set[str] = set()
        self.stuck: set[str] = set()
        self.steps_in_flight: set[str] = set()
        self.undos_in_flight: set[str] = set()
        self.has_turned_back = False
        self.ended: SagaState | None = None

    def read(self, events: list[Event]) -> History:
        for event in events:
            assert self.ended is None, "something happened after the end"
            self._see(event)
        return self

    def took_effect(self, step: str) -> bool:
        return (step in self.done or step in self.maybe) and step not in self.rejected

    def _see(self, event: Event) -> None:  # noqa: C901  (one case an event)
        match event:
            case StepIntended():
                self._step_intended(event.step)
            case StepDone():
                self.steps_in_flight.remove(event.step)
                self.done.add(event.step)
            case StepRejected():
                self.steps_in_flight.remove(event.step)
                self.rejected.add(event.step)
            case AttemptFailed():
                self.steps_in_flight.remove(event.step)
                if event.applied_unknown:
                    self.maybe.add(event.step)
            case AttemptInterrupted() if event.step in self.undos_in_flight:
                self.undos_in_flight.remove(event.step)
            case AttemptInterrupted():
                self.steps_in_flight.remove(event.step)
                self.maybe.add(event.step)
            case UndoIntended():
                self._undo_intended(event.step)
            case UndoDone():
                self.undos_in_flight.remove(event.step)
                self.undone.add(event.step)
            case UndoFailed():
                self.undos_in_flight.remove(event.step)
                if event.retry_at is None:
                    self.stuck.add(event.step)
            case SagaEnded():
                self._ended(event.state)
            case SagaStarted() | DeadlinePassed() | CancelRequested():
                pass

    def _step_intended(self, step: str) -> None:
        assert not self.has_turned_back, "a step was begun after an undo"
        assert step not in self.done | self.rejected | self.steps_in_flight
        assert set(self.plan.steps[step].needs) <= self.done, "a step was begun before what it needs"
        if step == self.plan.pivot:
            assert not self.steps_in_flight, "the pivot was begun beside a step that may still fail"
        self.steps_in_flight.add(step)

    def _undo_intended(self, step: str) -> None:
        self.has_turned_back = True
        assert not self.steps_in_flight, "an undo did not wait for a sibling in flight"
        assert self.plan.pivot is None or not self.took_effect(self.plan.pivot), "undone although the pivot may be done"
        assert step not in self.rejected, "a rejected step was undone"
        assert self.took_effect(step), "what never happened was undone"
        assert step not in self.undone | self.undos_in_flight
        for later in self.plan.steps[step].dependents:
            if self.plan.steps[later].has_undo and self.took_effect(later):
                assert later in self.undone, "undone before what depends on it"
        self.undos_in_flight.add(step)

    def _ended(self, state: SagaState) -> None:
        self.ended = state
        assert not self.steps_in_flight | self.undos_in_flight, "ended with something in flight"
        must_undo = {n for n, step in self.plan.steps.items() if step.has_undo and self.took_effect(n)}
        if state is SagaState.COMPLETED:
            assert self.done == set(self.plan.steps)
        elif state is SagaState.COMPENSATED:
            assert must_undo == self.undone
            assert self.plan.pivot is None or not self.took_effect(self.plan.pivot)
        else:
            stayed = self.plan.pivot is not None and self.took_effect(self.plan.pivot)
            assert stayed or self.stuck, "a person was called for nothing"


# -- random graphs and luck --------------------------------------------------------------------------------------------


@st.composite
def plans(draw: st.DrawFn) -> SagaPlan:
    names = [f"s{i}" for i in range(draw(st.integers(1, 6)))]
    needs = {
        name: frozenset(draw(st.sets(st.sampled_from(names[:i])))) if i else frozenset[str]()
        for i, name in enumerate(names)
    }
    pivot = draw(st.none() | st.sampled_from(names))
    undos = frozenset(draw(st.sets(st.sampled_from(names))))
    return plan_of(needs, pivot=pivot, undos=undos, until_done=draw(st.booleans()))


class SagaMachine(RuleBasedStateMachine):
    @initialize(plan=plans())
    def begin(self, plan: SagaPlan) -> None:
        self.drive = Drive(plan)
        self.drive.begin()

    def _in_flight(self) -> bool:
        return bool(self.drive.in_flight)

    def _is_open(self) -> bool:
        return not self.drive.is_settled

    @precondition(_in_flight)
    @rule(data=st.data())
    def resolve_ok(self, data: st.DataObject) -> None:
        self.drive.resolve(data.draw(st.sampled_from(self.drive.in_flight)), "ok")

    @precondition(_in_flight)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        launch = data.draw(st.sampled_from(self.drive.in_flight))
        self.drive.resolve(launch, "reject" if isinstance(launch, Attempt) else Failure("NO", applied_unknown=False))

    @precondition(_in_flight)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def fail(self, data: st.DataObject, failure: Failure) -> None:
        self.drive.resolve(data.draw(st.sampled_from(self.drive.in_flight)), failure)

    @precondition(_in_flight)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def fail_over_and_over(self, data: st.DataObject, failure: Failure) -> None:
        """Until the step is given up: the pivot's and the undos' long patience included."""
        step = data.draw(st.sampled_from(self.drive.in_flight)).step
        for _ in range(60):
            for launch in [launch for launch in self.drive.in_flight if launch.step == step]:
                self.drive.resolve(launch, failure)
            if not self.drive.in_flight and self.drive.wake_at is not None and self.drive.wake_at < START + 1_000:
                self.drive.sleep()

    @precondition(lambda self: self._is_open() and self.drive.wake_at is not None)
    @rule()
    def time_passes(self) -> None:
        self.drive.sleep()

    @precondition(_is_open)
    @rule()
    def deadline(self) -> None:
        self.drive.now = max(self.drive.now, Epoch(START + DEADLINE))
        self.drive.turn()

    @precondition(_is_open)
    @rule()
    def cancel(self) -> None:
        self.drive.add(CancelRequested(at=self.drive.now, reason="changed my mind"))
        self.drive.turn()

    @precondition(_is_open)
    @rule()
    def crash_and_recover(self) -> None:
        self.drive.crash()

    @precondition(lambda self: self.drive.is_settled)
    @rule()
    def nothing_follows_the_end(self) -> None:
        before = list(self.drive.journal)
        self.drive.crash()
        assert self.drive.journal == before
        assert not self.drive.in_flight

    @invariant()
    def promises_hold(self) -> None:
        history = History(self.drive.plan).read(self.drive.journal)
        assert history.steps_in_flight | history.undos_in_flight == {launch.step for launch in self.drive.in_flight}
        assert (history.ended is not None) == self.drive.is_settled
        assert (outcome(self.drive.progress) is not None) == self.drive.is_settled

    @invariant()
    def an_open_saga_waits_for_something(self) -> None:
        assert self.drive.is_settled or self.drive.in_flight or self.drive.wake_at is not None

    def teardown(self) -> None:
        if hasattr(self, "drive"):
            self.drive.finish()
            History(self.drive.plan).read(self.drive.journal)


SagaMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_a_saga_keeps_its_promises_whatever_happens = SagaMachine.TestCase


# -- small graphs, whole -----------------------------------------------------------------------------------------------


def small_plans(size: int) -> Iterator[SagaPlan]:
    names = [f"s{i}" for i in range(size)]
    pairs = list(itertools.combinations(names, 2))
    for edges in itertools.product([False, True], repeat=len(pairs)):
        needs = {
            name: frozenset(a for (a, b), is_there in zip(pairs, edges, strict=True) if b == name and is_there)
            for name in names
        }
        for pivot in (None, *names):
            yield plan_of(needs, pivot=pivot, undos=frozenset(names), until_done=False)
            if size == 3:
                yield plan_of(needs, pivot=pivot, undos=frozenset(names[::2]), until_done=False)


def explore(drive: Drive, luck: Callable[[Launch], tuple[Failure | str, ...]], *, crashes: int) -> int:
    """Every interleaving of every outcome; returns how many sagas were played to their end."""
    while not drive.is_settled and not drive.in_flight:
        drive.sleep()
    if drive.is_settled:
        History(drive.plan).read(drive.journal)
        return 1
    ends = 0
    for index, launch in enumerate(drive.in_flight):
        for what in luck(launch):
            branch = copy(drive)
            branch.resolve(branch.in_flight[index], what)
            ends += explore(branch, luck, crashes=crashes)
    if crashes:
        branch = copy(drive)
        branch.crash()
        ends += explore(branch, luck, crashes=crashes - 1)
    return ends


def copy(drive: Drive) -> Drive:
    twin = Drive(drive.plan, list(drive.journal), list(drive.in_flight), drive.now, drive.wake_at)
    twin.progress = drive.progress
    return twin


def all_luck(launch: Launch) -> tuple[Failure | str, ...]:
    """A first attempt may come to anything; later ones to what is definite, so that the search ends."""
    if isinstance(launch, Undo):
        return ("ok",) if launch.attempt > 1 else ("ok", UNKNOWN_AGAIN)
    return (
        ("ok", "reject", CERTAIN_FOR_GOOD)
        if launch.attempt > 1
        else ("ok", "reject", CERTAIN_FOR_GOOD, UNKNOWN_FOR_GOOD)
    )


def few_luck(launch: Launch) -> tuple[Failure | str, ...]:
    if isinstance(launch, Undo) or launch.attempt > 1:
        return ("ok",)
    return ("ok", "reject", UNKNOWN_FOR_GOOD)


def play(size: int, luck: Callable[[Launch], tuple[Failure | str, ...]], *, crashes: int) -> int:
    played = 0
    for plan in small_plans(size):
        drive = Drive(plan)
        drive.begin()
        played += explore(drive, luck, crashes=crashes)
    return played


def test_every_graph_of_two_steps_keeps_its_promises_under_every_outcome_in_every_order() -> None:
    assert play(1, all_luck, crashes=0) + play(2, all_luck, crashes=0) > 100


def test_every_graph_of_two_steps_keeps_its_promises_with_a_crash_at_every_point() -> None:
    assert play(1, few_luck, crashes=2) + play(2, few_luck, crashes=1) > 100


def test_every_graph_of_three_steps_keeps_its_promises_in_every_order() -> None:
    assert play(3, all_luck, crashes=0) > 1_000


def test_every_graph_of_three_steps_keeps_its_promises_with_a_crash_at_every_point() -> None:
    assert play(3, few_luck, crashes=1) > 1_000
