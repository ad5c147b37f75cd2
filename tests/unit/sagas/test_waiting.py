"""Steps that wait for the outside world: timers and signals, as the core sees them."""

from __future__ import annotations

import msgspec
import pytest

from gateway.clock import Epoch, Seconds
from gateway.sagas import Completed, Failed, Refused, Rejected, Retry, SagaState, Signal, StepState, Taken
from gateway.sagas.events import SignalReceived
from gateway.sagas.folding import CorruptHistory, fold
from gateway.sagas.operating import decide_request
from gateway.sagas.plan import StepPlan, Wait
from tests.unit.sagas.play import Play, node, play

PAID = msgspec.Raw(b'{"amount": 5}')


def waiting(name: str, wait: Wait, *needs: str) -> StepPlan:
    return StepPlan(name=name, needs=needs, retry=Retry(), timeout=Seconds(1.0), wait=wait)


def timer(name: str, lasts: float, *needs: str) -> StepPlan:
    return waiting(name, Wait("timer", Seconds(lasts)), *needs)


def signal(name: str, within: float | None, *needs: str, refusal: tuple[str, str] | None = None) -> StepPlan:
    return waiting(name, Wait("signal", None if within is None else Seconds(within), refusal), *needs)


def send(saga: Play, step: str) -> Taken | Refused:
    """Deliver a signal as a host does."""
    decided = decide_request(saga.plan, saga.progress, Signal(step, "payments", PAID), at=saga.now)
    if isinstance(decided, Taken | Refused):
        return decided
    saga.add(decided)
    return Taken()


def state(saga: Play, step: str) -> StepState:
    return saga.progress.steps[step].state


def test_a_timer_lets_what_needs_it_begin_when_its_time_has_come_and_not_before() -> None:
    saga = play(node("a", undo=False), timer("cooling", 10, "a"), node("b", "cooling", undo=False)).done("a")
    assert state(saga, "cooling") is StepState.WAITING
    assert saga.wake_at == Epoch(110.0)
    saga.now = Epoch(109.9)
    assert saga.turn().log == ["a"]
    saga.now = Epoch(110.0)
    assert saga.turn().log == ["a", "b"]
    assert saga.done("b").outcome == Completed()


def test_a_timer_begins_when_what_it_needs_is_done() -> None:
    saga = play(node("a", undo=False), timer("cooling", 10, "a"))
    saga.now = Epoch(105.0)
    saga.done("a")
    assert saga.progress.steps["cooling"].waits_until == Epoch(115.0)


def test_a_timer_outlives_a_crash() -> None:
    saga = play(timer("cooling", 10), node("b", "cooling", undo=False))
    saga.now = Epoch(104.0)
    saga.crash()
    assert saga.wake_at == Epoch(110.0)
    saga.now = Epoch(111.0)
    assert saga.turn().log == ["b"]


def test_a_signal_is_the_result_of_the_step_that_waits_for_it() -> None:
    saga = play(signal("webhook", 10), node("b", "webhook", undo=False))
    assert saga.log == []
    assert send(saga, "webhook") == Taken()
    assert saga.progress.steps["webhook"].result == PAID
    assert saga.log == ["b"]


def test_a_signal_that_comes_before_anybody_waits_is_kept() -> None:
    saga = play(node("a", undo=False), signal("webhook", 10, "a"), node("b", "webhook", undo=False))
    assert send(saga, "webhook") == Taken()
    assert saga.log == ["a"]
    assert saga.done("a").log == ["a", "b"]


def test_a_signal_that_is_sent_twice_is_taken_once_also_after_the_end() -> None:
    saga = play(signal("webhook", 10), node("b", "webhook", undo=False))
    send(saga, "webhook")
    assert send(saga, "webhook") == Taken(is_repeated=True)
    saga.done("b")
    assert saga.outcome == Completed()
    assert send(saga, "webhook") == Taken(is_repeated=True)
    with pytest.raises(CorruptHistory):
        fold(saga.plan, saga.progress, SignalReceived(at=saga.now, step="webhook", sender="x", payload=PAID))


def test_a_history_with_an_early_signal_twice_is_not_believed() -> None:
    saga = play(node("a", undo=False), signal("webhook", 10, "a"))
    send(saga, "webhook")
    with pytest.raises(CorruptHistory):
        fold(saga.plan, saga.progress, SignalReceived(at=saga.now, step="webhook", sender="x", payload=PAID))


def test_a_signal_that_does_not_come_in_time_turns_the_saga_back() -> None:
    saga = play(node("a"), signal("webhook", 10, "a")).done("a")
    saga.now = Epoch(110.0)
    assert saga.turn().log == ["a", "undo a"]
    assert saga.done("a").outcome == Failed("NOT_IN_TIME", ("a",))


def test_a_missing_signal_may_be_the_business_no() -> None:
    saga = play(signal("webhook", 10, refusal=("NOT_PAID", "Nobody paid.")))
    saga.now = Epoch(110.0)
    assert saga.turn().outcome == Rejected("NOT_PAID", "Nobody paid.")


def test_a_signal_that_comes_too_late_is_refused_and_says_why() -> None:
    saga = play(node("a"), signal("webhook", 10, "a")).done("a")
    saga.now = Epoch(110.0)
    saga.turn()
    assert send(saga, "webhook") == Refused("webhook is FAILED and waits no longer: the saga is COMPENSATING")


def test_what_is_no_signal_of_the_saga_is_refused_with_those_that_are() -> None:
    saga = play(signal("webhook", None), timer("cooling", 5))
    assert send(saga, "cooling") == Refused("Play has no signal 'cooling' (it has: webhook)")


def test_a_cancel_ends_the_wait() -> None:
    saga = play(node("a"), timer("cooling", 10, "a")).done("a").cancel()
    assert state(saga, "cooling") is StepState.SKIPPED
    assert saga.done("a").outcome == Failed("CANCELLED", ("a",))


def test_the_pivot_waits_for_a_wait() -> None:
    saga = play(node("a"), timer("cooling", 10), node("p", "a", pivot=True)).done("a")
    assert saga.log == ["a"]
    saga.now = Epoch(110.0)
    assert saga.turn().log == ["a", "p"]


def test_a_signal_after_the_pivot_may_be_waited_for_without_end() -> None:
    saga = play(node("p", pivot=True), signal("webhook", None, "p")).done("p").until_deadline()
    assert saga.progress.state is SagaState.FORWARD_ONLY
    assert saga.wake_at is None
    assert send(saga, "webhook") == Taken()
    assert saga.outcome == Completed()


def test_the_digest_of_a_plan_says_what_a_step_waits_for_and_not_for_how_long() -> None:
    calls, waits = play(node("a", undo=False)).plan, play(timer("a", 10)).plan
    assert calls.digest != waits.digest
    assert waits.digest != play(signal("a", 10)).plan.digest
    assert waits.digest == play(timer("a", 20)).plan.digest
