"""The pure core under every kind of luck: random graphs, outcomes, crashes, signals, operators, clocks that jump."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.clock import Epoch
from gateway.sagas.core import Attempt, Failure, Launch
from gateway.sagas.events import StepDone
from gateway.sagas.folding import CorruptHistory, fold
from gateway.sagas.operating import (
    Cancel,
    Refused,
    Request,
    ResolveStep,
    RetryStep,
    Signal,
    SkipStep,
    Taken,
    Verdict,
)
from gateway.sagas.plan import SagaPlan
from tests.numbers import assert_told

from .drive import FAILURES, RESULT, START, Drive
from .history import History
from .plans import DEADLINE, plans

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


class SagaMachine(RuleBasedStateMachine):
    """Every rule is something that happens to a saga; `Drive` and `History` check after each."""

    @initialize(plan=plans())
    def begin(self, plan: SagaPlan) -> None:
        self.drive = Drive(plan).begin()
        self.lost: list[Launch] = []

    def _in_flight(self) -> bool:
        return bool(self.drive.in_flight)

    def _is_open(self) -> bool:
        return not self.drive.is_settled

    # -- calls come back -----------------------------------------------------------------------------------------------

    @precondition(_in_flight)
    @rule(data=st.data())
    def resolve_ok(self, data: st.DataObject) -> None:
        self.drive.resolve(data.draw(st.sampled_from(self.drive.in_flight)), "ok")

    @precondition(_in_flight)
    @rule(data=st.data())
    def resolve_no(self, data: st.DataObject) -> None:
        """A step is rejected; a question finds that it was not done."""
        self.drive.resolve(data.draw(st.sampled_from(self.drive.in_flight)), "no")

    @precondition(_in_flight)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def fail(self, data: st.DataObject, failure: Failure) -> None:
        self.drive.resolve(data.draw(st.sampled_from(self.drive.in_flight)), failure)

    @precondition(_in_flight)
    @rule(data=st.data(), failure=st.sampled_from(FAILURES))
    def fail_over_and_over(self, data: st.DataObject, failure: Failure) -> None:
        """Until the step is given up: the pivot's, the undos' and the questions' long patience included."""
        step = data.draw(st.sampled_from(self.drive.in_flight)).step
        for _ in range(60):
            for launch in [launch for launch in self.drive.in_flight if launch.step == step]:
                self.drive.resolve(launch, failure)
            if not self.drive.in_flight and self.drive.wake_at is not None and self.drive.wake_at < START + DEADLINE:
                self.drive.sleep()

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def late_reply(self, data: st.DataObject) -> None:
        """What was in flight when a process died answers after all: nobody may believe it."""
        late = data.draw(st.sampled_from(self.lost))
        event = StepDone(at=self.drive.now, step=late.step, attempt=late.attempt, result=RESULT)
        with pytest.raises(CorruptHistory):
            fold(self.drive.plan, self.drive.progress, event)

    # -- time and death ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self._is_open() and self.drive.wake_at is not None)
    @rule()
    def time_passes(self) -> None:
        self.drive.sleep()

    @precondition(_is_open)
    @rule()
    def deadline(self) -> None:
        self.drive.now = max(self.drive.now, Epoch(START + DEADLINE))
        self.drive.turn()

    @rule(seconds=st.sampled_from([-100_000.0, -10.0, -0.5, 0.5, 10.0, 100_000.0]))
    def the_wall_clock_jumps(self, seconds: float) -> None:
        self.drive.now = Epoch(self.drive.now + seconds)
        self.drive.turn()

    @rule()
    def crash_and_recover(self) -> None:
        before, was_settled = self.drive.journal, self.drive.is_settled
        self.lost += [launch for launch in self.drive.crash() if isinstance(launch, Attempt)]
        assert not was_settled or len(self.drive.journal) == len(before), "a start moved what was settled"

    # -- people --------------------------------------------------------------------------------------------------------

    @rule()
    def cancel(self) -> None:
        self._ask(Cancel("changed my mind"))

    @rule(data=st.data())
    def signal(self, data: st.DataObject) -> None:
        """Early, in time, late or again; or to a step that waits for none."""
        step = self._step(data)
        before = self.drive.history.signalled
        answer = self._ask(Signal(step, "someone", RESULT))
        assert (answer == Taken(is_repeated=True)) == (step in before)
        assert (step in self.drive.history.signalled) == isinstance(answer, Taken)

    @rule(data=st.data())
    def operator_retries(self, data: st.DataObject) -> None:
        self._ask(RetryStep(self._step(data), "op", "mended"))

    @rule(data=st.data())
    def operator_skips(self, data: st.DataObject) -> None:
        self._ask(SkipStep(self._step(data), "op", "by hand"))

    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS), has_result=st.booleans())
    def operator_resolves(self, data: st.DataObject, verdict: Verdict, has_result: bool) -> None:
        step, result = self._step(data), RESULT if has_result else None
        answer = self._ask(ResolveStep(step, "op", "asked the bank", verdict, result))
        assert isinstance(answer, Refused) or verdict != "done" or has_result

    @precondition(lambda self: self.drive.history.broken | self.drive.history.stuck)
    @rule(data=st.data(), verdict=st.sampled_from(VERDICTS))
    def operator_sees_to_what_is_broken(self, data: st.DataObject, verdict: Verdict) -> None:
        """Chosen on purpose, for chance seldom meets a saga that needs attention."""
        step = data.draw(st.sampled_from(sorted(self.drive.history.broken | self.drive.history.stuck)))
        requests: list[Request] = [
            RetryStep(step, "op", "mended"),
            SkipStep(step, "op", "by hand"),
            ResolveStep(step, "op", "asked", verdict, RESULT),
        ]
        self._ask(data.draw(st.sampled_from(requests)))

    def _step(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([*self.drive.plan.steps, "nobody"]))

    def _ask(self, request: Request) -> Taken | Refused:
        """A refusal changes nothing, and says why."""
        before = self.drive.journal
        answer = self.drive.ask(request)
        if isinstance(answer, Refused):
            assert self.drive.journal == before
            assert len(answer.why) > 10
        return answer

    def teardown(self) -> None:
        if hasattr(self, "drive"):
            self.drive.finish()
            History(self.drive.plan).read(self.drive.journal)


LIVES, THINGS = 200, 30

SagaMachine.TestCase.settings = settings(
    max_examples=LIVES,
    stateful_step_count=THINGS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
test_a_saga_keeps_its_promises_whatever_happens = SagaMachine.TestCase


def test_sagas_live_as_many_lives_as_the_page_says() -> None:
    assert_told("Random lives of a saga", LIVES)
    assert_told("Things that happen in each, at most", THINGS)
