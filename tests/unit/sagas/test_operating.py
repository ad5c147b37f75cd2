"""What an operator may do to a saga, and where it leads."""

from __future__ import annotations

import msgspec
import pytest

from gateway.sagas import (
    Cancel,
    Completed,
    Failed,
    NeedsAttention,
    Refused,
    Request,
    ResolveStep,
    RetryStep,
    SagaState,
    SkipStep,
    StepState,
    Taken,
)
from gateway.sagas.core import Failure
from gateway.sagas.events import decode_event, encode_event
from gateway.sagas.operating import decide_request
from gateway.sagas.plan import StepPlan
from tests.unit.sagas.play import REFUSED, UNKNOWN, Play, node, play

ONE = msgspec.Raw(b"1")
UNDO_FAILS = Failure("SERVICE_UNAVAILABLE")


def unread(name: str, *needs: str) -> StepPlan:
    step = node(name, *needs, undo=False)
    return StepPlan(name=step.name, needs=step.needs, retry=step.retry, timeout=step.timeout, is_read=False)


def ask(saga: Play, request: Request) -> Play | str:
    """The saga after the request, or why it was refused."""
    decided = decide_request(saga.plan, saga.progress, request, at=saga.now)
    if isinstance(decided, Refused):
        return decided.why
    assert not isinstance(decided, Taken)
    return saga.add(decided)


def retry(step: str) -> RetryStep:
    return RetryStep(step, "op", "mended")


def skip(step: str) -> SkipStep:
    return SkipStep(step, "op", "done by hand")


def resolve(step: str, verdict: str, result: msgspec.Raw | None = None) -> ResolveStep:
    return ResolveStep(step, "op", "asked the bank", verdict, result)  # type: ignore[arg-type]  # wrong words are tested too


def stuck() -> Play:
    """An undo that was given up."""
    saga = play(node("a"), node("b", "a")).done("a").fail("b", REFUSED)
    for _ in range(49):
        saga.fail("a", UNDO_FAILS).sleep()
    saga.fail("a", UNDO_FAILS)
    assert saga.outcome == NeedsAttention("SERVICE_REFUSED")
    return saga


def after_the_pivot(*more: StepPlan) -> Play:
    """A step after the pivot that was given up."""
    saga = play(node("p", pivot=True), node("s", "p", undo=False), *more).done("p").fail("s", REFUSED)
    assert saga.outcome == NeedsAttention("SERVICE_REFUSED")
    return saga


def unknown_pivot() -> Play:
    saga = play(node("a"), node("p", "a", pivot=True)).done("a").fail("p", UNKNOWN)
    for _ in range(49):
        saga.sleep().fail("p", UNKNOWN)
    assert saga.outcome == NeedsAttention("SERVICE_TIMEOUT")
    return saga


# -- retry -------------------------------------------------------------------------------------------------------------


def test_a_stuck_undo_is_tried_again_with_all_its_patience() -> None:
    saga = stuck()
    ask(saga, retry("a"))
    assert saga.progress.state is SagaState.COMPENSATING
    assert saga.log[-1] == "undo a#51"
    saga.fail("a", UNDO_FAILS)
    assert saga.progress.steps["a"].state is StepState.UNDOING
    assert saga.sleep().done("a").outcome == Failed("SERVICE_REFUSED", ("a",))


def test_a_step_after_the_pivot_is_tried_again() -> None:
    saga = after_the_pivot()
    ask(saga, retry("s"))
    assert saga.log[-1] == "s#2"
    assert saga.done("s").outcome == Completed()


def test_one_of_two_broken_steps_is_tried_again_while_the_other_stays_broken() -> None:
    saga = play(node("p", pivot=True), node("s", "p", undo=False), node("t", "p", undo=False)).done("p")
    saga.fail("s", REFUSED).fail("t", REFUSED)
    ask(saga, retry("s"))
    assert saga.log[-1] == "s#2"
    saga.done("s")
    assert saga.outcome == NeedsAttention("SERVICE_REFUSED")
    ask(saga, retry("t"))
    assert saga.done("t").outcome == Completed()


def test_a_step_that_waits_for_its_next_attempt_is_tried_at_once() -> None:
    saga = play(node("a")).fail("a", UNKNOWN)
    assert saga.log == ["a"]
    ask(saga, retry("a"))
    assert saga.log == ["a", "a#2"]


def test_a_pivot_of_unknown_outcome_is_asked_again_under_the_same_key() -> None:
    saga = unknown_pivot()
    ask(saga, retry("p"))
    assert saga.progress.state is SagaState.RUNNING
    assert saga.done("p").outcome == Completed()


def test_what_was_rejected_is_not_tried_again_on_the_way_back() -> None:
    saga = play(node("a"), node("b", "a")).done("a").reject("b")
    assert ask(saga, retry("b")) == "b is REJECTED: there is nothing to try again"


# -- skip --------------------------------------------------------------------------------------------------------------


def test_an_undo_is_skipped_and_its_effect_stands() -> None:
    saga = stuck()
    ask(saga, skip("a"))
    assert saga.progress.steps["a"].state is StepState.UNDO_SKIPPED
    assert saga.outcome == Failed("SERVICE_REFUSED", ())


def test_a_rejection_does_not_say_that_nothing_remains_where_an_effect_was_left_standing() -> None:
    saga = play(node("a"), node("b", "a")).done("a").reject("b")
    for _ in range(49):
        saga.fail("a", UNDO_FAILS).sleep()
    saga.fail("a", UNDO_FAILS)
    ask(saga, skip("a"))
    assert saga.outcome == Failed("NO", ())


def test_a_step_after_the_pivot_that_nobody_reads_is_skipped_and_the_rest_goes_on() -> None:
    saga = (
        play(node("p", pivot=True), unread("mail", "p"), node("s", "mail", undo=False)).done("p").fail("mail", REFUSED)
    )
    ask(saga, skip("mail"))
    assert saga.log[-1] == "s"
    assert saga.done("s").outcome == Completed()


def test_a_step_whose_result_is_read_is_not_skipped() -> None:
    assert ask(after_the_pivot(), skip("s")) == "what s yields is read later: resolve it as done, with its result"


def test_a_pivot_is_not_skipped() -> None:
    why = ask(unknown_pivot(), skip("p"))
    assert why == "p is UNKNOWN, and only what is in the way after the pivot, or an undo, is skipped"


# -- resolve -----------------------------------------------------------------------------------------------------------


def test_a_pivot_that_was_done_goes_on_and_one_that_was_not_turns_back() -> None:
    saga = unknown_pivot()
    ask(saga, resolve("p", "done", ONE))
    assert saga.outcome == Completed()
    saga = unknown_pivot()
    ask(saga, resolve("p", "not_done"))
    assert saga.log[-1] == "undo a"
    assert saga.done("a").progress.state is SagaState.COMPENSATED


def test_a_stuck_undo_is_resolved_as_undone() -> None:
    saga = stuck()
    ask(saga, resolve("a", "undone"))
    assert saga.outcome == Failed("SERVICE_REFUSED", ("a",))


def test_done_needs_a_result() -> None:
    assert ask(unknown_pivot(), resolve("p", "done")) == "p is resolved as done with its result: say what it yielded"


@pytest.mark.parametrize("result", [b"null", b"1", b'{"key": "by hand"}'])
def test_what_an_operator_says_that_a_step_yielded_is_read_back_after_a_crash(result: bytes) -> None:
    saga = play(node("a", undo=False), node("b", "a", undo=False)).fail("a", UNKNOWN)
    ask(saga, resolve("a", "done", msgspec.Raw(result)))
    saga.events = [decode_event(encode_event(event)) for event in saga.events]
    saga.crash()
    assert saga.progress.steps["a"].result == msgspec.Raw(result)


@pytest.mark.parametrize("verdict", ["done", "not_done"])
def test_what_was_undone_in_vain_is_resolved_as_undone_only(verdict: str) -> None:
    assert (
        ask(stuck(), resolve("a", verdict, ONE)) == f"a is UNDO_STUCK and can be resolved as undone, not as {verdict}"
    )


# -- what cannot be done -----------------------------------------------------------------------------------------------


def test_nothing_is_done_to_a_step_that_has_an_attempt_under_way() -> None:
    saga = play(node("a"))
    assert ask(saga, retry("a")) == "an attempt at a is under way: ask again when it has ended"


def test_a_step_that_does_not_exist_is_refused_with_those_that_do() -> None:
    assert ask(play(node("a")), retry("b")) == "Play has no step 'b' (it has: a)"


def test_a_saga_that_has_ended_hears_nobody() -> None:
    assert ask(play(node("a")).done("a"), Cancel("too late")) == "the saga is COMPLETED and has ended"


def test_a_saga_that_needs_attention_is_not_cancelled() -> None:
    why = ask(stuck(), Cancel("enough"))
    assert why == "it waits for a person: retry, skip or resolve the step that is in the way"


def test_operations_are_part_of_the_history() -> None:
    saga = stuck()
    ask(saga, retry("a"))
    before = saga.progress
    saga.crash()
    assert saga.progress.steps["a"].undo_attempts == before.steps["a"].undo_attempts + 1
