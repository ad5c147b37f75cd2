"""One open saga under way: journal what is decided, run what is journalled, fold what came of it.

Invariants: only `run` changes the progress, and only after the journal has the events; so what is in memory is never ahead of
what a crash would leave. An attempt starts after the commit that holds its intention, and never raises: it reports. A request from
outside (a signal, an operator) is answered after the commit that holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

import msgspec
from opentelemetry.util.types import AttributeValue
from prometheus_client import Counter

from ..clock import Clock, Deadline, Epoch, Seconds
from ..errors import SagasUnavailable
from ..telemetry import Telemetry
from ..telemetry.observe import mark_failed
from .arriving import admitted
from .codec import Codec
from .context import Reader, Sender, StepCtx
from .core import Advance, Attempt, Failure, Find, Launch, Undo, advance, after_failure
from .definition import Definition
from .events import Event, FoundDone, FoundNotDone, SagaEnded, StepDone, StepRejected, UndoDone
from .failures import TIMED_OUT, failure_of
from .folding import fold
from .host import SagaView
from .journal import Journal, SagaRecord
from .known import NotDone, Owner, Reject
from .operating import Answer, Refused, Request, Taken, decide_request
from .progress import SagaProgress
from .vault import Vault
from .views import Values, view_of

LONGEST_SLEEP = Seconds(30.0)
"""A wall clock that jumps is noticed within this."""


Attributes = dict[str, AttributeValue]


class Observer(Protocol):
    """Told which caches no longer hold: what a step declared as `invalidates`, once it is done, or undone."""

    def invalidated(self, what: Sequence[object], *, owner: Owner) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every running saga of a host shares."""

    journal: Journal
    sender: Sender
    reader: Reader
    telemetry: Telemetry
    clock: Clock
    codec: Codec
    observer: Observer | None

    @cached_property
    def steps(self) -> Callable[[str, str, str, str], Counter]:
        """The counter of (saga, step, kind, outcome): finding it anew costs more than counting."""
        return cache(self.telemetry.metrics.steps.labels)


_What = msgspec.Raw | Reject | NotDone | Failure


@dataclass(frozen=True, slots=True)
class _Report:
    """What an attempt, an undo or a question came to: a result, a rejection, "not done", or a failure."""

    launch: Launch
    what: _What


class HasEnded(Exception):
    """The saga's loop ended before it could take a request: ask again, and the journal will tell."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request from outside, and who waits for its answer."""

    request: Request
    answer: asyncio.Future[Answer]


class RunningSaga:
    """An open saga. `settled` is done once it needs nothing more from this process."""

    def __init__(
        self,
        definition: Definition,
        record: SagaRecord,
        *,
        progress: SagaProgress,
        next_seq: int,
        around: Surroundings,
        vault: Vault | None = None,
    ) -> None:
        """`vault`: where its secrets are sealed, if it has any."""
        self.definition = definition
        self.record = record
        self.progress = progress
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._saga = definition.saga()
        self._next_seq = next_seq
        self._around = around
        self._vault = vault
        self._values = Values(definition, record, codec=around.codec, vault=vault)
        self._reports: list[_Report] = []
        self._asked: list[_Asked] = []
        self._followers: set[asyncio.Future[None]] = set()
        self._is_draining = False
        self._has_ended = False
        self.has_settled = False
        """Whether it was settled by this loop: one that was led back only to take a signal was not."""
        self._news = asyncio.Event()
        self._alarm: asyncio.Handle | None = None
        self._rings_at: float | None = None
        """On the loop's clock; None once it has rung."""

    def __repr__(self) -> str:
        return f"<RunningSaga {self.record.saga} {self.progress.state} {self._next_seq} events>"

    def view(self) -> SagaView:
        return view_of(self.definition, self.record, self.progress, codec=self._around.codec)

    @property
    def next_seq(self) -> int:
        """Number of the next event, from 0: as many are in the journal."""
        return self._next_seq

    def post(self, request: Request) -> asyncio.Future[Answer]:
        """Answered once the journal has what the request amounts to: with HasEnded or SagasUnavailable, if that cannot be."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(request, answer))
        self._news.set()
        if self._has_ended:
            self.ended()
        return answer

    async def appended(self, after: int) -> None:
        """Until the journal has more than `after` events, or the loop ends."""
        while self._next_seq <= after and not self._has_ended:
            follower: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._followers.add(follower)
            try:
                await follower
            finally:
                self._followers.discard(follower)

    def ended(self) -> None:
        """The loop is over, however it ended: nobody waits any longer."""
        self._has_ended = True
        for asked in self._asked:
            if not asked.answer.done():
                asked.answer.set_exception(HasEnded())
                asked.answer.exception()  # seen: whoever asked may be gone
        self._asked = []
        self._tell_followers()

    def drain(self) -> None:
        """Intend nothing more; end once nothing is in flight."""
        self._is_draining = True
        self._news.set()

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(
        self, *, pending: Sequence[Event] = (), launches: Sequence[Launch] = (), wake_at: Epoch | None = None
    ) -> None:
        """Until settled, or drained. `pending` is journalled first; `launches` are journalled already, and until they report,
        or `wake_at`, there is nothing to decide.

        Raises: SagasUnavailable when the journal fails; what was in flight is then found as interrupted.
        """
        attributes: Attributes = {"saga.id": self.record.id, "saga.version": self.record.version}
        with self._around.telemetry.span(f"saga {self.record.saga}", attributes=attributes, parent=self.record.trace):
            try:
                await self._run(pending, launches, wake_at=wake_at)
            finally:
                if self._alarm is not None:
                    self._alarm.cancel()
        if self.progress.state.is_settled:
            self.settled.set_result(None)

    async def _run(self, pending: Sequence[Event], launches: Sequence[Launch], *, wake_at: Epoch | None) -> None:
        async with asyncio.TaskGroup() as attempts:
            self._launch(launches, attempts)
            if launches and not self._is_draining:
                await self._wait_for_news(wake_at)
            while self._asked or not self.progress.state.is_settled:
                wake_at = await self._turn(pending, attempts)
                pending = ()
                if self._is_draining and not self.progress.has_in_flight:
                    break
                if not self.progress.state.is_settled:
                    await self._wait_for_news(wake_at)

    async def _turn(self, pending: Sequence[Event], attempts: asyncio.TaskGroup) -> Epoch | None:
        """Fold what is reported, decide, journal all of it in one transaction, then launch."""
        now = self._around.clock.wall()
        reports, self._reports = self._reports, []
        asked, self._asked = self._asked, []
        progress, events = self._fold_all(reports, pending=pending, now=now)
        progress, answers = self._take(asked, progress, events, now=now)
        decided = self._decide(progress, now=now)
        try:
            await self._journal((*events, *decided.events), progress=decided.progress)
        except BaseException as error:
            _fail(asked, error)
            raise
        _answer(asked, answers)
        self._tell(reports)
        self._launch(decided.launches, attempts)
        return decided.wake_at

    def _decide(self, progress: SagaProgress, *, now: Epoch) -> Advance:
        if self._is_draining:
            return Advance(progress, events=(), launches=(), wake_at=None)
        return advance(self.definition.plan, progress, now=now)

    def _fold_all(
        self, reports: Sequence[_Report], *, pending: Sequence[Event], now: Epoch
    ) -> tuple[SagaProgress, list[Event]]:
        progress, events = self.progress, list(pending)
        for event in pending:
            progress = fold(self.definition.plan, progress, event)
        for report in reports:
            event = self._event_of(report, progress, at=now)
            progress = fold(self.definition.plan, progress, event)
            events.append(event)
        return progress, events

    def _take(
        self, asked: Sequence[_Asked], progress: SagaProgress, events: list[Event], *, now: Epoch
    ) -> tuple[SagaProgress, list[Answer]]:
        """Requests become events, or are refused, each in view of those before it."""
        answers: list[Answer] = []
        for each in asked:
            decided = decide_request(self.definition.plan, progress, each.request, at=now)
            if not isinstance(decided, Taken | Refused):
                decided = admitted(decided, self.definition, codec=self._around.codec, vault=self._vault)
            if isinstance(decided, Taken | Refused):
                answers.append(decided)
                continue
            progress = fold(self.definition.plan, progress, decided)
            events.append(decided)
            answers.append(Taken())
        return progress, answers

    async def _journal(self, events: Sequence[Event], *, progress: SagaProgress) -> None:
        if not events:
            return
        has_moved = progress.state is not self.progress.state
        await self._around.journal.append(
            self.record.id,
            expected_seq=self._next_seq,
            events=events,
            state=progress.state if has_moved else None,
            ended_at=progress.ended_at,
        )
        self._next_seq += len(events)
        if has_moved:  # an end is one
            self.has_settled = self.has_settled or any(isinstance(event, SagaEnded) for event in events)
        self.progress = progress
        self._tell_followers()

    def _tell_followers(self) -> None:
        for follower in self._followers:
            if not follower.done():
                follower.set_result(None)

    async def _wait_for_news(self, wake_at: Epoch | None) -> None:
        """Until an attempt reports, somebody asks or drains, or `wake_at` comes. No await between check and sleep."""
        if self._reports or self._asked:
            return
        self._news.clear()
        if wake_at is not None:
            self._ring_by(wake_at)
        await self._news.wait()

    def _ring_by(self, wake_at: Epoch) -> None:
        """Most waits are for the same far deadline: an alarm that rings earlier is left, since a turn too many decides nothing."""
        loop = asyncio.get_running_loop()
        due = loop.time() + min(LONGEST_SLEEP, max(0.0, wake_at - self._around.clock.wall()))
        if self._rings_at is not None and self._rings_at <= due:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._rings_at = loop.call_at(due, self._ring), due

    def _ring(self) -> None:
        self._rings_at = None
        self._news.set()

    # -- attempts ------------------------------------------------------------------------------------------------------

    def _launch(self, launches: Sequence[Launch], attempts: asyncio.TaskGroup) -> None:
        for launch in launches:
            attempts.create_task(self._attempt(launch))

    async def _attempt(self, launch: Launch) -> None:
        kind = _KINDS[type(launch)]
        attributes: Attributes = {"saga.id": self.record.id, "saga.attempt": launch.attempt}
        with self._around.telemetry.span(f"{kind} {launch.step}", attributes=attributes) as span:
            what = await self._outcome(launch)
            if isinstance(what, Failure | Reject):
                mark_failed(span, what.code)
        self._count(launch, what)
        self._reports.append(_Report(launch, what))
        self._news.set()

    async def _outcome(self, launch: Launch) -> _What:
        """The border: whatever the author's code raises becomes a value. Cancellation of ours passes."""
        plan = self.definition.plan.steps[launch.step]
        deadline = Deadline.after(plan.timeout, clock=self._around.clock)
        limit = deadline.scope()
        try:
            async with limit:
                return await self._call(launch, deadline=deadline)
        except Reject as reject:
            return _rejected(launch, reject)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Failure("INTERNAL_SERVER_ERROR")  # the author's code raised it; nobody cancelled us
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                return TIMED_OUT
            failure = failure_of(error)
            if failure.code == "INTERNAL_SERVER_ERROR":
                self._log_bug(launch)
            return failure

    async def _call(self, launch: Launch, *, deadline: Deadline) -> msgspec.Raw | NotDone:
        binding = self.definition.bindings[launch.step]
        ctx, steps = self._context(launch, deadline=deadline), self.progress.steps
        match launch:
            case Undo():
                if binding.undo is None:
                    raise LookupError(f"step {launch.step!r} has no undo")
                await binding.undo(self._saga, **self._values.arguments(binding.undo_arguments, steps, ctx=ctx))
                return msgspec.Raw(b"null")
            case Find() if binding.lookup is not None:
                found = await binding.lookup(
                    self._saga, **self._values.arguments(binding.lookup_arguments, steps, ctx=ctx)
                )
                return found if isinstance(found, NotDone) else self._encoded(found.value, launch.step)
            case _:  # an attempt; or finding out by the same request under the same key
                if binding.method is None:
                    raise LookupError(f"step {launch.step!r} waits and is never called")
                result = await binding.method(self._saga, **self._values.arguments(binding.arguments, steps, ctx=ctx))
                return self._encoded(result, launch.step)

    def _encoded(self, result: object, step: str) -> msgspec.Raw:
        """As the journal will hold it; checked at once, so that a wrong type is the step's failure, not its readers'."""
        codec, place = self._around.codec, None if self._vault is None else self._vault.of_step(step)
        encoded = msgspec.Raw(codec.encode(result, place=place))
        codec.decode(encoded, self.definition.bindings[step].yields, place=place)
        return encoded

    def _context(self, launch: Launch, *, deadline: Deadline) -> StepCtx:
        forward_key = f"{self.record.id}:{launch.step}"
        return StepCtx(
            identity=self.record.owner,
            saga_id=self.record.id,
            attempt=launch.attempt,
            key=f"{forward_key}:undo" if isinstance(launch, Undo) else forward_key,
            forward_key=forward_key,
            deadline=deadline,
            sender=self._around.sender,
            reader=self._around.reader,
        )

    # -- reports -------------------------------------------------------------------------------------------------------

    def _event_of(self, report: _Report, progress: SagaProgress, *, at: Epoch) -> Event:
        step, attempt = report.launch.step, report.launch.attempt
        match report.what, report.launch:
            case Failure() as failure, _:
                return after_failure(
                    self.definition.plan, progress, saga_id=self.record.id, step=step, failure=failure, at=at
                )
            case Reject(code=code, message=message), _:
                return StepRejected(at=at, step=step, attempt=attempt, code=code, message=message)
            case NotDone(), _:
                return FoundNotDone(at=at, step=step, attempt=attempt)
            case _, Undo():
                return UndoDone(at=at, step=step, attempt=attempt)
            case result, Find():
                return FoundDone(at=at, step=step, attempt=attempt, result=result)
            case result, _:
                return StepDone(at=at, step=step, attempt=attempt, result=result)

    def _tell(self, reports: Sequence[_Report]) -> None:
        """The observer hears of what is done or undone, once the journal has it."""
        if self._around.observer is None:
            return
        for report in reports:
            what = self.definition.bindings[report.launch.step].invalidates
            if not what or isinstance(report.what, Failure | Reject | NotDone):
                continue
            try:
                self._around.observer.invalidated(what, owner=self.record.owner)
            except Exception:  # an observer is a listener: its bug must not stop a saga
                self._around.telemetry.log.exception("saga observer failed", saga=self.record.saga)

    def _count(self, launch: Launch, what: _What) -> None:
        kind = _LABELS[type(launch)]
        self._around.steps(self.record.saga, launch.step, kind, _outcome_label(what)).inc()

    def _log_bug(self, launch: Launch) -> None:
        self._around.telemetry.log.exception(
            "saga step raised", saga=self.record.saga, saga_id=self.record.id, step=launch.step, attempt=launch.attempt
        )


_KINDS = {Attempt: "step", Undo: "undo", Find: "find"}
_LABELS = {Attempt: "do", Undo: "undo", Find: "find"}


def _rejected(launch: Launch, reject: Reject) -> _What:
    """For an attempt a "no" is an answer; for a question it is the answer "not done"; nobody may reject an undo."""
    match launch:
        case Attempt():
            return reject
        case Find():
            return NotDone()
        case Undo():
            return failure_of(reject)


def _answer(asked: Sequence[_Asked], answers: Sequence[Answer]) -> None:
    for each, answer in zip(asked, answers, strict=True):
        if not each.answer.done():
            each.answer.set_result(answer)


def _fail(asked: Sequence[_Asked], error: BaseException) -> None:
    """Whoever asked must not read "taken" of what the journal does not have."""
    for each in asked:
        if not each.answer.done():
            each.answer.set_exception(error if isinstance(error, SagasUnavailable) else HasEnded())
            each.answer.exception()  # seen: whoever asked may be gone


def _outcome_label(what: _What) -> str:
    match what:
        case Failure(applied_unknown=True):
            return "unknown"
        case Failure():
            return "failed"
        case Reject():
            return "rejected"
        case NotDone():
            return "not done"
        case _:
            return "done"
