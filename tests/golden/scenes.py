"""Representative sagas, told as what happens to them; what the core does then is kept in a file each.

A scene is a plan and a script; the trace is what the core launches and journals, line by line, times counted from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from gateway.clock import Epoch, Seconds
from gateway.sagas import (
    Cancel,
    Refused,
    Request,
    ResolveStep,
    Retry,
    RetryStep,
    Signal,
    SkipStep,
    Taken,
)
from gateway.sagas.core import Failure
from gateway.sagas.events import Event, FoundDone, FoundNotDone, kind_of
from gateway.sagas.operating import decide_request
from gateway.sagas.plan import Overtaken, StepPlan, Wait
from tests.unit.sagas.play import BROKEN, CERTAIN, REFUSED, UNKNOWN, Play, node

GONE = Failure("SERVICE_UNAVAILABLE")
RESULT = msgspec.Raw(b"1")


class Scene(Play):
    """A `Play` that keeps what is said to it between what the core does."""

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.told = 0
        self.began = self.now
        super().__post_init__()
        self.tell()

    def say(self, what: str) -> Scene:
        self.tell()
        self.lines.append(f"# {what}")
        return self

    def tell(self) -> Scene:
        """Write down what has been journalled since."""
        self.lines += [_line(event, since=self.began) for event in self.events[self.told :]]
        self.told = len(self.events)
        return self

    # The same as of a `Play`, for what is written in one line.
    def done(self, *names: str) -> Scene:
        super().done(*names)
        return self

    def fail(self, name: str, failure: Failure) -> Scene:
        super().fail(name, failure)
        return self

    def reject(self, name: str) -> Scene:
        super().reject(name)
        return self

    def sleep(self) -> Scene:
        super().sleep()
        return self

    def ask(self, request: Request) -> Scene:
        """Whatever somebody outside wants, and how it is answered."""
        decided = decide_request(self.plan, self.progress, request, at=self.now)
        words = " ".join(str(value) for value in (type(request).__name__, getattr(request, "step", "")) if value)
        answer = decided if isinstance(decided, Taken | Refused) else Taken()
        self.say(f"{words}: {answer.why if isinstance(answer, Refused) else _taken(answer)}")
        if not isinstance(decided, Taken | Refused):
            self.add(decided)
        return self

    def found(self, step: str, *, done: bool) -> Scene:
        attempt = self.progress.steps[step].find_attempts
        if done:
            self.add(FoundDone(at=self.now, step=step, attempt=attempt, result=RESULT))
        else:
            self.add(FoundNotDone(at=self.now, step=step, attempt=attempt))
        return self

    def after(self, seconds: float) -> Scene:
        self.now = Epoch(self.began + seconds)
        self.say(f"{seconds:g} s after the start").turn()
        return self

    def given_up(self, step: str, failure: Failure) -> Scene:
        """Fail until there is no further attempt; only the first and the last are told."""
        self.fail(step, failure)
        self.tell()
        mark, failures = len(self.lines), 1
        while self.wake_at is not None and not self.progress.state.is_settled:
            self.sleep().fail(step, failure)
            failures += 1
        self.tell()
        last = [line for line in self.lines[mark:] if not _is_a_repetition(line)]
        self.lines[mark:] = [f"# and so on, {failures} times in all", *last]
        return self

    @property
    def trace(self) -> str:
        self.tell()
        return "\n".join([*self.lines, f"= {self.progress.state} {self.outcome}", ""])


def _is_a_repetition(line: str) -> bool:
    return "Intended" in line or ("Failed" in line and "again" in line)


def _taken(answer: Taken) -> str:
    return "taken, again" if answer.is_repeated else "taken"


def _line(event: Event, *, since: Epoch) -> str:
    """`+1.234 StepIntended a 1`: what decides how a history is read, and nothing that is chance."""
    words = [f"+{event.at - since:.3f}", kind_of(event)]
    named = (getattr(event, name, None) for name in ("step", "attempt", "state", "verdict"))
    words += [str(value) for value in named if value is not None]
    if hasattr(event, "retry_at"):
        words.append("given up" if event.retry_at is None else f"again at +{event.retry_at - since:.3f}")
    if (until := getattr(event, "until", None)) is not None:
        words.append(f"until +{until - since:.3f}")
    return " ".join(words)


# -- plans -------------------------------------------------------------------------------------------------------------


def shop() -> Scene:
    """The shop's placeOrder as it was when the traces were agreed: they are the core's, and outlive changes of the shop."""
    return scene(
        node("buyer", undo=False),
        node("quote", undo=False),
        node("reservation", attempts=4),
        node("authorization", "quote", attempts=4),
        node("placement", "buyer", "quote", "reservation"),
        node("capture", "authorization", "buyer", "reservation", "placement", pivot=True),
        node("shipment", "placement", "capture", undo=False, attempts=None),
        node("confirmation", "placement", "capture", "shipment", undo=False, attempts=None),
    )


def scene(*steps: StepPlan) -> Scene:
    return Scene(steps)


def timer(name: str, lasts: float, *needs: str) -> StepPlan:
    return replace(node(name, *needs, undo=False), wait=Wait("timer", Seconds(lasts)))


def signal(name: str, within: float | None, *needs: str) -> StepPlan:
    return replace(node(name, *needs, undo=False), wait=Wait("signal", None if within is None else Seconds(within)))


def asked(name: str, *needs: str, how: Overtaken = Overtaken.LOOKUP, settles: float = 5.0) -> StepPlan:
    return replace(node(name, *needs), overtaken=how, settles_after=Seconds(settles), retry=Retry(attempts=1))


def sent(step: str) -> Signal:
    return Signal(step, "someone", RESULT)


# -- scenes ------------------------------------------------------------------------------------------------------------


def _answer_all(saga: Scene) -> Scene:
    """Whatever is in flight is answered well, the first one first, until nothing is."""
    while in_flight := [name for name, step in saga.progress.steps.items() if step.in_flight]:
        saga.say(f"{in_flight[0]} answers").done(in_flight[0])
    return saga


def all_goes_well() -> Scene:
    return _answer_all(shop())


def the_card_is_declined_while_siblings_are_in_flight() -> Scene:
    saga = shop()
    saga.done("buyer", "quote")
    saga.say("the card is declined; the reservation is still in flight").reject("authorization")
    return _answer_all(saga)


def a_reservation_that_may_be_there_is_undone() -> Scene:
    saga = shop()
    saga.done("buyer", "quote", "authorization")
    saga.say("its answer cannot be read").fail("reservation", BROKEN)
    return _answer_all(saga)


def a_capture_of_unknown_outcome_is_asked_again_and_was_done() -> Scene:
    saga = shop()
    saga.done("buyer", "quote", "reservation", "authorization", "placement")
    saga.say("no answer, twice").fail("capture", UNKNOWN).sleep().fail("capture", UNKNOWN).sleep()
    return _answer_all(saga)


def a_capture_that_stays_unknown_calls_a_person_who_finds_that_it_was_not() -> Scene:
    saga = shop()
    saga.done("buyer", "quote", "reservation", "authorization", "placement")
    saga.say("no answer, ever").given_up("capture", UNKNOWN)
    saga.ask(SkipStep("capture", "op", "let us go on"))
    saga.ask(ResolveStep("capture", "op", "the bank says no", "not_done"))
    return _answer_all(saga)


def the_deadline_passes_between_two_attempts() -> Scene:
    saga = scene(node("a"), replace(node("b", "a"), retry=Retry(attempts=9, base="20s", cap="20s")))
    saga.done("a").fail("b", CERTAIN)
    saga.after(30.0)
    return _answer_all(saga)


def the_deadline_passes_while_the_pivot_may_be_done() -> Scene:
    saga = scene(node("a"), node("p", "a", pivot=True), node("s", "p", undo=False))
    saga.done("a").fail("p", UNKNOWN)
    saga.after(30.0)
    saga.say("the pivot is rejected after all").reject("p")
    return _answer_all(saga)


def a_cancel_before_the_pivot_and_one_after_it() -> Scene:
    saga = scene(node("a"), node("b"), node("p", pivot=True), node("s", "p", undo=False))
    saga.done("a", "b", "p").say("the pivot is done").ask(Cancel("changed my mind"))
    _answer_all(saga)
    saga.ask(Cancel("once more"))
    return saga


def a_cancel_awaits_what_is_in_flight() -> Scene:
    saga = scene(node("a"), node("b"), node("c", "a", "b"))
    saga.done("a").tell().ask(Cancel("changed my mind"))
    return _answer_all(saga)


def undo_runs_against_the_arrows() -> Scene:
    saga = scene(node("a"), node("b", "a"), node("c", "a", undo=False), node("d", "b", "c"), node("e", "d"))
    saga.done("a", "b", "c", "d").say("the last one is refused").fail("e", REFUSED)
    return _answer_all(saga)


def an_unknown_step_is_looked_up_and_was_done() -> Scene:
    saga = scene(node("a"), asked("b", "a"))
    saga.done("a").fail("b", UNKNOWN)
    saga.after(5.0)
    saga.say("the question fails once").fail("b", GONE).sleep()
    saga.say("it is there").found("b", done=True)
    return _answer_all(saga)


def an_unknown_step_is_sent_again_and_was_refused() -> Scene:
    saga = scene(node("a"), asked("b", "a", how=Overtaken.RESEND, settles=0.0))
    saga.done("a").fail("b", UNKNOWN)
    saga.say("no, and never under this key").found("b", done=False)
    return _answer_all(saga)


def a_crash_cuts_an_attempt_and_an_undo() -> Scene:
    saga = scene(node("a"), node("b", "a"))
    saga.done("a").say("a crash in the middle of b").crash()
    saga.say("b is refused").fail("b", REFUSED)
    saga.say("a crash in the middle of the undo").crash()
    return _answer_all(saga)


def an_operator_retries_an_undo_that_was_given_up_then_lets_it_stand() -> Scene:
    saga = scene(node("a"), node("b", "a"))
    saga.done("a").reject("b")
    saga.say("the undo fails, again and again").given_up("a", GONE)
    saga.ask(Cancel("enough"))
    saga.ask(RetryStep("a", "op", "mended"))
    saga.given_up("a", GONE)
    saga.ask(SkipStep("a", "op", "refunded by hand"))
    return saga


def an_operator_helps_one_of_two_steps_after_the_pivot() -> Scene:
    saga = scene(node("p", pivot=True), node("s", "p", undo=False), replace(node("t", "p", undo=False), is_read=False))
    saga.done("p").fail("s", REFUSED).fail("t", REFUSED)
    saga.ask(RetryStep("s", "op", "mended")).done("s")
    saga.tell().ask(SkipStep("t", "op", "not needed"))
    return saga


def a_timer_lets_its_follower_begin_across_a_crash() -> Scene:
    saga = scene(node("a"), timer("pause", 10.0, "a"), node("p", "pause", pivot=True))
    saga.done("a")
    saga.after(4.0)
    saga.say("a crash").crash()
    saga.after(9.9)
    saga.after(10.0)
    return _answer_all(saga)


def signals_come_early_in_time_and_too_late() -> Scene:
    saga = scene(node("a"), signal("paid", 10.0, "a"), signal("approved", 5.0, "a"))
    saga.ask(sent("paid"))
    saga.ask(sent("paid"))
    saga.done("a")
    saga.after(5.0)
    saga.ask(sent("approved"))
    return _answer_all(saga)


def a_signal_after_the_pivot_is_waited_for_without_end() -> Scene:
    saga = scene(node("p", pivot=True), signal("arrived", None, "p"), node("s", "arrived", undo=False))
    saga.done("p")
    saga.after(500.0)
    saga.ask(sent("arrived"))
    return _answer_all(saga)


SCENES: Mapping[str, Callable[[], Scene]] = {
    each.__name__: each
    for each in (
        all_goes_well,
        the_card_is_declined_while_siblings_are_in_flight,
        a_reservation_that_may_be_there_is_undone,
        a_capture_of_unknown_outcome_is_asked_again_and_was_done,
        a_capture_that_stays_unknown_calls_a_person_who_finds_that_it_was_not,
        the_deadline_passes_between_two_attempts,
        the_deadline_passes_while_the_pivot_may_be_done,
        a_cancel_before_the_pivot_and_one_after_it,
        a_cancel_awaits_what_is_in_flight,
        undo_runs_against_the_arrows,
        an_unknown_step_is_looked_up_and_was_done,
        an_unknown_step_is_sent_again_and_was_refused,
        a_crash_cuts_an_attempt_and_an_undo,
        an_operator_retries_an_undo_that_was_given_up_then_lets_it_stand,
        an_operator_helps_one_of_two_steps_after_the_pivot,
        a_timer_lets_its_follower_begin_across_a_crash,
        signals_come_early_in_time_and_too_late,
        a_signal_after_the_pivot_is_waited_for_without_end,
    )
}
