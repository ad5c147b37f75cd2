"""The rules of the core, one sentence each; the property tests say that they hold together."""

from __future__ import annotations

import msgspec
import pytest

from gateway.sagas import Completed, Failed, NeedsAttention, Rejected, SagaState, StepState
from gateway.sagas.events import (
    AttemptFailed,
    CancelRequested,
    SagaEnded,
    SagaStarted,
    StepDone,
    UndoDone,
    UndoFailed,
)
from gateway.sagas.folding import CorruptHistory, fold, replay
from tests.unit.sagas.play import BROKEN, CERTAIN, REFUSED, UNKNOWN, Play, node, play


def test_independent_steps_start_together_and_a_step_as_soon_as_its_needs_are_done() -> None:
    saga = play(node("a"), node("b"), node("c", "a"), node("d", "a", "b"))
    assert saga.log == ["a", "b"]
    assert saga.done("a").log == ["a", "b", "c"]
    assert saga.done("b").log == ["a", "b", "c", "d"]
    assert saga.done("c", "d").outcome == Completed()


def test_a_rejection_awaits_siblings_then_undoes_what_was_done_and_not_what_was_rejected() -> None:
    saga = play(node("a"), node("b"), node("c", "a")).reject("b")
    assert saga.state is SagaState.COMPENSATING
    assert saga.log == ["a", "b"]
    assert saga.done("a").log == ["a", "b", "undo a"]
    assert saga.done("a").outcome == Rejected("NO", "No.")
    assert saga.state_of("c") is StepState.SKIPPED
    assert saga.progress.ended_at == saga.now


def test_undo_runs_against_the_arrows_and_in_parallel_where_it_can() -> None:
    saga = play(node("a"), node("b", "a"), node("c", "a"), node("d", "b", "c")).done("a", "b", "c").reject("d")
    assert saga.log[4:] == ["undo c", "undo b"]
    assert saga.done("b").log[6:] == []
    assert saga.done("c").log[6:] == ["undo a"]


def test_an_undo_waits_for_what_depends_on_it_through_a_step_without_undo() -> None:
    saga = play(node("a"), node("b", "a", undo=False), node("c", "b"), node("d", "c")).done("a", "b", "c").reject("d")
    assert saga.log[4:] == ["undo c"]
    assert saga.done("c").log[5:] == ["undo a"]


def test_a_step_that_gave_up_after_an_unknown_attempt_is_unknown_and_is_undone() -> None:
    saga = play(node("a", attempts=2)).fail("a", UNKNOWN).sleep().fail("a", CERTAIN)
    assert saga.state_of("a") is StepState.UNDOING
    assert saga.log == ["a", "a#2", "undo a"]
    assert saga.done("a").outcome == Failed("SERVICE_BREAKER_OPEN", ("a",))


def test_a_step_that_certainly_did_nothing_is_failed_and_not_undone() -> None:
    saga = play(node("a", attempts=2)).fail("a", CERTAIN).sleep().fail("a", CERTAIN)
    assert saga.state_of("a") is StepState.FAILED
    assert saga.outcome == Failed("SERVICE_BREAKER_OPEN", ())


def test_an_error_that_cannot_be_retried_gives_up_at_once() -> None:
    assert play(node("a")).fail("a", REFUSED).state_of("a") is StepState.FAILED
    assert play(node("a")).fail("a", BROKEN).state_of("a") is StepState.UNDOING


def test_a_retry_waits_for_the_instant_in_the_event_also_after_a_crash() -> None:
    saga = play(node("a")).fail("a", UNKNOWN)
    failed = saga.events[-1]
    assert isinstance(failed, AttemptFailed)
    assert failed.retry_at is not None
    assert saga.wake_at == failed.retry_at
    assert saga.crash().wake_at == failed.retry_at
    assert saga.log == ["a"]
    assert saga.sleep().log == ["a", "a#2"]


def test_an_attempt_cut_by_a_crash_is_sent_again_and_does_not_count() -> None:
    saga = play(node("a", attempts=1)).crash().crash()
    assert saga.log == ["a", "a#2", "a#3"]
    assert saga.done("a").outcome == Completed()


def test_crashes_leave_the_number_of_attempts_as_it_was() -> None:
    saga = play(node("a", attempts=3)).crash().crash().fail("a", CERTAIN).sleep().fail("a", CERTAIN).sleep()
    assert saga.log == ["a", "a#2", "a#3", "a#4", "a#5"]
    assert saga.fail("a", CERTAIN).state_of("a") is StepState.UNDOING


def test_a_step_cut_by_a_crash_may_have_taken_effect_whatever_the_next_attempt_says() -> None:
    saga = play(node("a")).crash().fail("a", REFUSED)
    assert saga.log == ["a", "a#2", "undo a"]


def test_the_first_thing_that_went_wrong_is_what_the_client_is_told() -> None:
    assert play(node("a"), node("b")).reject("b").fail("a", REFUSED).outcome == Rejected("NO", "No.")
    assert play(node("a"), node("b")).fail("a", REFUSED).reject("b").outcome == Failed("SERVICE_REFUSED", ())


def test_an_undo_cut_by_a_crash_is_sent_again() -> None:
    saga = play(node("a"), node("b")).reject("b").done("a").crash()
    assert saga.log == ["a", "b", "undo a", "undo a#2"]


def test_a_retrying_sibling_stops_when_the_saga_turns_back() -> None:
    saga = play(node("a"), node("b"), node("c")).fail("a", UNKNOWN).fail("b", CERTAIN).reject("c")
    assert saga.log[3:] == ["undo a"]
    assert saga.state_of("b") is StepState.FAILED


def test_the_deadline_turns_a_running_saga_back() -> None:
    saga = play(node("a"), node("b", "a")).done("a").until_deadline()
    assert saga.state is SagaState.COMPENSATING
    assert saga.log == ["a", "b"]
    assert saga.done("b").log == ["a", "b", "undo b"]
    assert saga.done("b", "a").outcome == Failed("DEADLINE_EXCEEDED", ("a", "b"))


def test_a_cancel_turns_a_running_saga_back() -> None:
    assert play(node("a")).cancel().done("a").done("a").outcome == Failed("CANCELLED", ("a",))


# -- the pivot ---------------------------------------------------------------------------------------------------------


def with_pivot(attempts: int | None = 3) -> Play:
    return play(node("a"), node("p", "a", pivot=True, attempts=attempts), node("z", "p", undo=False))


def test_the_pivot_waits_for_steps_that_it_does_not_need() -> None:
    saga = play(node("a"), node("side", undo=False), node("p", "a", pivot=True)).done("a")
    assert saga.log == ["a", "side"]
    assert saga.done("side").log == ["a", "side", "p"]


def test_a_rejected_pivot_turns_back() -> None:
    saga = with_pivot().done("a").reject("p")
    assert saga.log == ["a", "p", "undo a"]
    assert saga.done("a").outcome == Rejected("NO", "No.")


def test_a_pivot_that_certainly_failed_turns_back() -> None:
    assert with_pivot().done("a").fail("p", REFUSED).log == ["a", "p", "undo a"]


def test_a_pivot_of_unknown_outcome_is_asked_again_although_its_own_attempts_are_spent() -> None:
    saga = with_pivot(attempts=1).done("a").fail("p", BROKEN)
    assert saga.state is SagaState.RUNNING
    assert saga.sleep().log == ["a", "p", "p#2"]
    assert saga.done("p").state is SagaState.FORWARD_ONLY


def test_a_pivot_once_unknown_is_not_known_by_a_failure_of_a_later_attempt() -> None:
    saga = with_pivot(attempts=1).done("a").fail("p", UNKNOWN).sleep().fail("p", REFUSED)
    assert saga.state is SagaState.RUNNING
    assert saga.sleep().log == ["a", "p", "p#2", "p#3"]


def test_a_pivot_that_stays_unknown_calls_a_person_after_fifty_attempts_and_undoes_nothing() -> None:
    saga = with_pivot().done("a")
    for _ in range(49):
        saga.fail("p", UNKNOWN).sleep()
    assert saga.progress.deadline_recorded
    saga.fail("p", UNKNOWN)
    assert saga.outcome == NeedsAttention("SERVICE_TIMEOUT")
    assert saga.progress.ended_at is None
    assert "undo a" not in saga.log


def test_a_deadline_or_cancel_while_the_pivot_may_be_done_is_obeyed_only_if_it_is_not() -> None:
    assert with_pivot().done("a").until_deadline().done("p", "z").outcome == Completed()
    assert with_pivot().done("a").fail("p", UNKNOWN).cancel().sleep().done("p", "z").outcome == Completed()
    assert with_pivot().done("a").cancel().reject("p").done("a").outcome == Rejected("NO", "No.")
    assert with_pivot().done("a").cancel().fail("p", CERTAIN).done("a").outcome == Failed("CANCELLED", ("a",))


def test_after_the_pivot_deadline_and_cancel_are_recorded_and_not_obeyed() -> None:
    saga = with_pivot().done("a", "p").cancel().until_deadline()
    assert saga.state is SagaState.FORWARD_ONLY
    assert saga.progress.deadline_recorded
    assert saga.done("z").outcome == Completed()


def test_a_step_after_the_pivot_that_gives_up_calls_a_person_once_nothing_is_in_flight() -> None:
    saga = (
        play(node("p", pivot=True), node("y", "p", undo=False), node("z", "p", undo=False)).done("p").fail("y", REFUSED)
    )
    assert saga.state is SagaState.FORWARD_ONLY
    assert saga.done("z").outcome == NeedsAttention("SERVICE_REFUSED")


def test_a_step_until_done_never_gives_up() -> None:
    saga = play(node("p", pivot=True), node("z", "p", undo=False, attempts=None)).done("p")
    for _ in range(200):
        saga.fail("z", REFUSED).sleep()
    assert saga.done("z").outcome == Completed()


# -- undo --------------------------------------------------------------------------------------------------------------


def test_an_undo_that_fails_fifty_times_is_stuck_and_calls_a_person_when_the_rest_is_undone() -> None:
    saga = play(node("a"), node("b"), node("c", "b"), node("x")).done("a", "b", "c").reject("x")
    for _ in range(50):
        saga.fail("c", REFUSED)
        if saga.state_of("c") is StepState.UNDOING:
            saga.sleep()
    assert saga.state is SagaState.COMPENSATING
    saga.done("a")
    assert saga.outcome == NeedsAttention("NO")
    assert [saga.state_of(name) for name in "abc"] == [StepState.UNDONE, StepState.DONE, StepState.UNDO_STUCK]


def test_the_instant_of_an_undos_next_attempt_is_in_its_event() -> None:
    saga = play(node("a"), node("b")).reject("b").done("a").fail("a", UNKNOWN)
    failed = saga.events[-1]
    assert isinstance(failed, UndoFailed)
    assert saga.wake_at == failed.retry_at


# -- histories ---------------------------------------------------------------------------------------------------------


def test_an_event_that_cannot_have_happened_is_refused() -> None:
    saga = play(node("a"), node("b", "a"))
    for event in (
        StepDone(at=saga.now, step="b", attempt=1, result=msgspec.Raw(b"1")),
        StepDone(at=saga.now, step="a", attempt=2, result=msgspec.Raw(b"1")),
        UndoDone(at=saga.now, step="a", attempt=1),
        SagaStarted(at=saga.now, deadline_at=saga.now),
    ):
        with pytest.raises(CorruptHistory):
            fold(saga.plan, saga.progress, event)


def test_nothing_follows_the_end() -> None:
    saga = play(node("a")).done("a")
    assert saga.events[-1] == SagaEnded(at=saga.now, state=SagaState.COMPLETED)
    with pytest.raises(CorruptHistory, match="settled"):
        fold(saga.plan, saga.progress, CancelRequested(at=saga.now, reason=""))


def test_a_history_begins_with_its_start() -> None:
    with pytest.raises(CorruptHistory, match="must begin"):
        replay(play(node("a")).plan, [])
