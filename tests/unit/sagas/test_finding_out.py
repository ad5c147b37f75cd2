"""Steps whose unknown outcome is found out before it is undone, as the core sees them."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.clock import Epoch, Seconds
from gateway.sagas import Failed, NeedsAttention, Refused, ResolveStep, Retry, RetryStep, StepState
from gateway.sagas.core import Failure
from gateway.sagas.events import FoundDone, FoundNotDone, OperatorRetried
from gateway.sagas.operating import decide_request
from gateway.sagas.plan import Overtaken, StepPlan
from tests.unit.sagas.play import BROKEN, REFUSED, UNKNOWN, Play, node, play


def found(name: str, *needs: str, settles_after: float = 0.0) -> StepPlan:
    return StepPlan(
        name=name,
        needs=needs,
        has_undo=True,
        retry=Retry(attempts=1),
        timeout=Seconds(1.0),
        overtaken=Overtaken.LOOKUP,
        settles_after=Seconds(settles_after),
    )


def is_done(saga: Play, name: str) -> Play:
    attempt = saga.progress.steps[name].find_attempts
    return saga.add(FoundDone(at=saga.now, step=name, attempt=attempt, result=msgspec.Raw(b"7")))


def is_not_done(saga: Play, name: str) -> Play:
    return saga.add(FoundNotDone(at=saga.now, step=name, attempt=saga.progress.steps[name].find_attempts))


def test_an_unknown_step_is_asked_about_and_undone_only_if_it_was_done() -> None:
    saga = play(found("a")).fail("a", UNKNOWN)
    assert saga.log == ["a", "find a"]
    is_done(saga, "a")
    assert saga.log == ["a", "find a", "undo a"]
    assert saga.progress.steps["a"].result == msgspec.Raw(b"7")
    assert saga.done("a").outcome == Failed("SERVICE_TIMEOUT", ("a",))


def test_what_turns_out_not_to_have_happened_is_not_undone() -> None:
    saga = is_not_done(play(found("a")).fail("a", UNKNOWN), "a")
    assert saga.log == ["a", "find a"]
    assert saga.outcome == Failed("SERVICE_TIMEOUT", ())


def test_what_is_known_to_be_done_is_undone_without_asking() -> None:
    saga = play(found("a"), node("b", "a", undo=False)).done("a").fail("b", REFUSED)
    assert saga.log == ["a", "b", "undo a"]


def test_what_a_step_needed_is_undone_only_once_it_is_known() -> None:
    saga = play(node("a"), found("b", "a")).done("a").fail("b", UNKNOWN)
    assert saga.log == ["a", "b", "find b"]
    is_not_done(saga, "b")
    assert saga.log == ["a", "b", "find b", "undo a"]


def test_a_lookup_is_not_asked_before_its_answer_can_mean_anything() -> None:
    saga = play(found("a", settles_after=20)).fail("a", UNKNOWN)
    assert saga.log == ["a"]
    assert saga.wake_at == Epoch(120.0)
    saga.now = Epoch(120.0)
    assert saga.turn().log == ["a", "find a"]


def test_a_lookup_waits_as_long_after_a_step_that_was_stopped_between_two_attempts() -> None:
    saga = play(replace(found("a", settles_after=20), retry=Retry(attempts=3))).fail("a", UNKNOWN)
    assert saga.cancel().log == ["a"]
    assert saga.wake_at == Epoch(120.0)
    saga.now = Epoch(120.0)
    assert saga.turn().log == ["a", "find a"]


def test_a_lookup_waits_as_long_after_an_attempt_that_a_crash_cut() -> None:
    saga = play(node("b"), found("a", settles_after=20)).reject("b")
    saga.now = Epoch(105.0)
    saga.crash()
    assert saga.log == ["b", "a"]
    assert saga.wake_at == Epoch(125.0)


def test_a_step_that_is_done_after_an_unknown_attempt_is_known_and_its_stuck_undo_is_not_asked_about() -> None:
    patient = replace(found("a"), retry=Retry(attempts=3))
    saga = play(patient, node("b", "a")).fail("a", UNKNOWN).sleep().done("a").fail("b", REFUSED)
    for _ in range(49):
        saga.fail("a", Failure("SERVICE_UNAVAILABLE")).sleep()
    assert saga.fail("a", BROKEN).state_of("a") is StepState.UNDO_STUCK
    resolved = decide_request(saga.plan, saga.progress, ResolveStep("a", "op", "it was", "not_done"), at=saga.now)
    assert resolved == Refused("a is UNDO_STUCK and can be resolved as undone, not as not_done")
    again = decide_request(saga.plan, saga.progress, RetryStep("a", "op", "mended"), at=saga.now)
    assert isinstance(again, OperatorRetried)
    assert saga.add(again).log[-1] == "undo a#51"


def test_finding_out_is_tried_again_and_given_up_in_the_end() -> None:
    saga = play(found("a")).fail("a", UNKNOWN)
    for _ in range(49):
        saga.fail("a", Failure("SERVICE_UNAVAILABLE")).sleep()
    assert saga.fail("a", BROKEN).outcome == NeedsAttention("SERVICE_TIMEOUT")
    assert saga.progress.steps["a"].state is StepState.UNDO_STUCK


def test_a_crash_while_finding_out_asks_again() -> None:
    saga = play(found("a")).fail("a", UNKNOWN)
    saga.crash()
    assert saga.log == ["a", "find a", "find a#2"]
    is_done(saga, "a")
    assert saga.log[-1] == "undo a"


@pytest.mark.parametrize("overtaken", list(Overtaken))
def test_the_digest_of_a_plan_says_how_it_is_found_out(overtaken: Overtaken) -> None:
    plain, other = play(node("a")).plan, play(found("a")).plan
    assert (plain.digest == other.digest) is False
    assert play(node("a")).plan.digest == plain.digest
