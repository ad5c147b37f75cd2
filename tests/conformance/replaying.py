"""A host on an engine that replays, in the manner of DBOS, Restate and Temporal: the proof that `Host` fits them.

The engine knows nothing of our journal. It keeps, for each workflow, its input and the results of its durable operations, in order;
after a crash it calls the workflow's function again from the start, and an operation whose result it has is not done again. On it a
saga is a workflow round the same pure core; that it turns, what it intends, and what came next are its durable operations.

What had to be true of the protocol, and is:
- Everything that is decided follows from events, and an event carries its instant; so a workflow needs of its engine only recorded
  results. Times are recorded (`now`), back-off is a function of the saga's id, ids are minted outside.
- An engine of this kind does a step again that was under way when its process died, and would believe the second answer; but
  "certainly not applied" of a second call says nothing of the first. So an intention is an operation of its own, whose result is
  the life that intended it: whoever finds the intention of another life reports an AttemptInterrupted instead of calling.
- A begin is decided by our own comparison of inputs: these engines return the first workflow of an id whatever its input is. The
  key is claimed first and holds the whole record, so a begin that died half-way is ended by whoever brings the same key.
- `ask` is a message that the engine keeps, and its answer follows from the workflow's history; whoever asked may die before it
  hears, and a signal that is sent again finds that it was taken.
- `view`, `history` and `wait` need no journal: they are read from the events that a workflow has told, while it runs by its replay,
  after its end from its output. `search` needs records beside them, with the state as it was last told.
- A stop is a suspension: no operation more, answers under way are still recorded, nothing is told to have failed.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec

from gateway.clock import NEVER, Clock, Epoch, Seconds
from gateway.errors import Draining, Overloaded, SagaNotFound, SagasUnavailable
from gateway.sagas import (
    Answer,
    Cancel,
    Codec,
    Definition,
    IdempotencyConflict,
    Owner,
    Refused,
    Request,
    ResolveStep,
    RetryStep,
    Saga,
    SagaHistory,
    SagaQuery,
    SagaRecord,
    SagaStartError,
    SagaState,
    SagaView,
    Signal,
    SkipStep,
    Taken,
    Ticket,
    definition_of,
)
from gateway.sagas.core import Launch, advance
from gateway.sagas.embedded import new_saga_id
from gateway.sagas.events import (
    AttemptInterrupted,
    Event,
    SagaStarted,
    decode_event,
    encode_event,
)
from gateway.sagas.folding import begun, fold, replay
from gateway.sagas.operating import decide_request
from gateway.sagas.progress import SagaProgress
from gateway.sagas.running import LONGEST_SLEEP, RunningSaga, Surroundings, _Report
from gateway.sagas.views import retired_view, view_of
from gateway.testing.journal import MemoryJournal
from tests.unit.sagas.world import World, quiet

T = TypeVar("T")

TELEMETRY, _ = quiet()

Point = Callable[[str], Awaitable[None]]


# -- the engine: knows no sagas ----------------------------------------------------------------------------------------


class NotDeterministic(RuntimeError):
    """A replay asked for another operation than the one that was recorded at this place."""


@dataclass
class Kept:
    """What outlives a process, of one workflow. All of it is bytes."""

    input: bytes
    operations: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    inbox: list[bytes] = field(default_factory=list[bytes])
    state: SagaState = SagaState.RUNNING
    """What the workflow told last, for searches."""
    ended_at: Epoch | None = None
    output: bytes | None = None


@dataclass
class Store:
    """What outlives a process: the database of such an engine. The write numbered `fail_at`, and all later ones, fail."""

    workflows: dict[str, Kept] = field(default_factory=dict[str, Kept])
    claims: dict[str, bytes] = field(default_factory=dict[str, bytes])
    point: Point | None = None
    writes: int = 0
    fail_at: int | None = None

    @property
    def is_healthy(self) -> bool:
        return self.fail_at is None or self.writes < self.fail_at

    async def write(self, name: str, do: Callable[[], None]) -> None:
        """Durable once it returns. Raises: SagasUnavailable."""
        if self.point is not None:
            await self.point(f"before {name}")
        self.writes += 1
        if not self.is_healthy:
            raise SagasUnavailable("The engine's store cannot be written; nothing was begun.")
        do()
        if self.point is not None:
            await self.point(f"after {name}")


class Workflow:
    """One run of a workflow's function in this life: operations that are recorded are not done again."""

    def __init__(self, kept: Kept, store: Store) -> None:
        self._kept = kept
        self._store = store
        self._place = 0
        self.has_caught_up = asyncio.Event()

    @property
    def is_replaying(self) -> bool:
        return self._place < len(self._kept.operations)

    async def once(self, name: str, do: Callable[[], Awaitable[T]], kind: type[T]) -> T:
        """The recorded result of `do`; done now if it was not recorded yet. It comes back through its stored form always."""
        if self.is_replaying:
            recorded, result = self._kept.operations[self._place]
            if recorded != name:
                raise NotDeterministic(f"operation {self._place} was {recorded!r} and is {name!r}")
        else:
            self.has_caught_up.set()
            result = msgspec.json.encode(await do())
            await self._store.write(name, lambda: self._kept.operations.append((name, result)))
        self._place += 1
        return msgspec.json.decode(result, type=kind)


# -- the host: a saga is a workflow ------------------------------------------------------------------------------------


@dataclass
class Message:
    """A request on its way to a workflow."""

    id: str
    at: Epoch
    kind: str
    request: msgspec.Raw


@dataclass
class Next:
    """What a workflow waited for: an event, a message, or neither, when the time had come."""

    event: bytes | None = None
    message: Message | None = None


_REQUESTS: dict[str, type[Any]] = {each.__name__: each for each in (RetryStep, SkipStep, ResolveStep, Cancel, Signal)}

_WOKE = Next()


class Live:
    """A saga in this life: what its workflow has told, what is under way, who waits."""

    def __init__(self, host: ReplayingHost, definition: Definition, record: SagaRecord, kept: Kept) -> None:
        self.host = host
        self.definition = definition
        self.record = record
        self.kept = kept
        self.started = SagaStarted(at=record.created_at, deadline_at=record.deadline_at)
        self.progress = begun(definition.plan, self.started)
        self.events: list[Event] = []
        self.hands = host.hands(definition, record, self.progress)
        self.tasks: set[asyncio.Task[None]] = set()
        self.came: list[Event] = []
        self.taken = 0
        """Messages of the inbox that the workflow has taken."""
        self.answers: dict[str, asyncio.Future[Answer]] = {}
        self.wake_at: Epoch | None = None
        self.news = asyncio.Event()
        self.is_stopped = False
        self._readers: list[asyncio.Future[None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether a stop need not wait: no call is under way, and every answer is recorded."""
        return self.is_stopped or not (self.tasks or self.came)

    def stopped(self) -> None:
        """The run is over, however it ended: nobody waits any longer."""
        self.is_stopped = True
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(SagasUnavailable("The engine's store cannot be written."))
                answer.exception()  # seen: whoever asked may be gone
        self._wake_readers()

    # -- the workflow's function ---------------------------------------------------------------------------------------

    async def run(self, workflow: Workflow) -> None:
        """The same core as everywhere; all else is an operation of the engine, or follows from one."""
        self._tell(self.progress, self.started)
        under_way: list[tuple[Launch, str]] = []
        while True:
            now = Epoch(await workflow.once("now", self._now, float))
            decided = advance(self.definition.plan, self.progress, now=now)
            if decided.launches:
                names = ", ".join(_named(launch) for launch in decided.launches)
                life = await workflow.once(f"intend {names}", self._intend, str)
                under_way += [(launch, life) for launch in decided.launches]
            self._tell(decided.progress, *decided.events)
            if not workflow.is_replaying:
                self._launch(under_way)
                under_way = []
            if self.progress.state.is_final and self.taken == len(self.kept.inbox):
                return
            self.wake_at = decided.wake_at
            came = await workflow.once("next", self._next, Next)
            under_way = [each for each in under_way if not _answers(came, each[0])]
            self._take(came)

    async def _now(self) -> float:
        return self.host.clock.wall()

    async def _intend(self) -> str:
        """Which life intends; a host that stops intends nothing more."""
        if self.host.is_draining:
            await asyncio.get_running_loop().create_future()
        return self.host.life

    async def _next(self) -> Next:
        """Whichever comes first: an answer, a message, or the instant that is waited for."""
        while True:
            if self.came:
                return Next(event=encode_event(self.came[0]))
            if self.taken < len(self.kept.inbox):
                return Next(message=msgspec.json.decode(self.kept.inbox[self.taken], type=Message))
            if self.wake_at is not None and self.wake_at <= self.host.clock.wall():
                return _WOKE
            self.news.clear()
            left = LONGEST_SLEEP if self.wake_at is None else min(LONGEST_SLEEP, self.wake_at - self.host.clock.wall())
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.wake_at is None else left):
                    await self.news.wait()

    def _take(self, came: Next) -> None:
        if came.event is not None:
            event = decode_event(came.event)
            self.came = [each for each in self.came if each != event]
            self._tell(fold(self.definition.plan, self.progress, event), event)
        if came.message is not None:
            self.taken += 1
            self._answer(came.message)

    def _answer(self, message: Message) -> None:
        answer = decide_request(self.definition.plan, self.progress, _request_of(message), at=message.at)
        if not isinstance(answer, Taken | Refused):
            self._tell(fold(self.definition.plan, self.progress, answer), answer)
            answer = Taken()
        asked = self.answers.pop(message.id, None)
        if asked is not None and not asked.done():
            asked.set_result(answer)

    def _tell(self, progress: SagaProgress, *events: Event) -> None:
        self.progress = progress
        self.events += events
        self.kept.state, self.kept.ended_at = progress.state, progress.ended_at
        self._wake_readers()

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _launch(self, under_way: Sequence[tuple[Launch, str]]) -> None:
        """What another life intended is not called: nobody can tell what became of it."""
        for launch, life in under_way:
            if life != self.host.life:
                at = self.host.clock.wall()
                self.came.append(AttemptInterrupted(at=at, step=launch.step, attempt=launch.attempt))
            else:
                task = asyncio.get_running_loop().create_task(self._call(launch))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    async def _call(self, launch: Launch) -> None:
        self.hands.progress = self.progress
        what = await self.hands._outcome(launch)
        self.came.append(self.hands._event_of(_Report(launch, what), self.progress, at=self.host.clock.wall()))
        self.news.set()

    # -- readers -------------------------------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool], *, within: Seconds) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not holds():
                    reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._readers.append(reader)
                    await reader

    def _wake_readers(self) -> None:
        readers, self._readers = self._readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(None)

    def view(self) -> SagaView:
        return view_of(self.definition, self.record, self.progress, codec=self.host.codec)


class ReplayingHost:
    """See `Host`."""

    def __init__(
        self,
        definitions: Iterable[type[Saga[Any, Any]]],
        store: Store,
        *,
        world: World,
        clock: Clock,
        max_open: int = 100,
        new_id: Callable[[], str] = new_saga_id,
    ) -> None:
        self.clock = clock
        self.codec = Codec()
        self.life = new_saga_id()
        self._definitions = {(d.name, d.version): d for d in map(definition_of, definitions)}
        self._store = store
        self._max_open = max_open
        self._new_id = new_id
        self._around = Surroundings(
            journal=MemoryJournal(),  # of its loop, which is never run
            sender=world,
            reader=world,
            telemetry=TELEMETRY,
            clock=clock,
            codec=self.codec,
            observer=None,
        )
        self._live: dict[str, Live] = {}
        self._runs: set[asyncio.Task[Any]] = set()
        self._beginning = 0
        self._is_started = False
        self._is_draining = False

    @property
    def is_healthy(self) -> bool:
        return self._is_started and not self._is_draining and self._store.is_healthy

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        open_ones = [kept for kept in self._store.workflows.values() if kept.output is None]
        sagas = [(_record_of(kept), kept) for kept in open_ones]
        missing = Counter(
            (r.saga, r.version) for r, _ in sagas if not r.state.is_settled and self._definition(r) is None
        )
        if missing:
            kinds = ", ".join(f"{saga} v{version} ({count} open)" for (saga, version), count in missing.items())
            raise SagaStartError(f"the engine holds open sagas that this gateway cannot continue: {kinds}")
        for record, kept in sagas:
            if (definition := self._definition(record)) is not None:
                await self._take_up(definition, record, kept).has_caught_up.wait()
        self._is_started = True

    async def stop(self, drain: Seconds) -> None:
        """Suspend: what is under way may still be answered, and its answer recorded."""
        self._is_draining = True
        ends_at = self.clock.now() + drain
        for live in list(self._live.values()):
            await live.until(partial(_is_idle, live), within=Seconds(max(0.0, ends_at - self.clock.now())))
        calls = [task for live in self._live.values() for task in live.tasks]
        for task in (*self._runs, *calls):
            task.cancel()
        await asyncio.gather(*self._runs, *calls, return_exceptions=True)
        self._live.clear()

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    def _take_up(self, definition: Definition, record: SagaRecord, kept: Kept) -> Workflow:
        live, workflow = Live(self, definition, record, kept), Workflow(kept, self._store)
        self._live[record.id] = live
        self._spawn(self._run(live, workflow))
        return workflow

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        return task

    async def _run(self, live: Live, workflow: Workflow) -> None:
        try:
            await live.run(workflow)
            workflow.has_caught_up.set()
            output = msgspec.json.encode([msgspec.Raw(encode_event(event)) for event in live.events])
            await self._store.write("output", lambda: setattr(live.kept, "output", output))
        except SagasUnavailable:
            live.stopped()
            return
        self._live.pop(live.record.id, None)
        live.stopped()

    # -- begin ---------------------------------------------------------------------------------------------------------

    async def begin(
        self,
        saga: type[Saga[Any, Any]],
        input_value: object,
        *,
        owner: Owner,
        key: str | None,
        input_hash: str,
        trace: Mapping[str, str],
        saga_id: str | None = None,
    ) -> Ticket | IdempotencyConflict:
        self._check_may_begin()
        definition, saga_id, now = definition_of(saga), saga_id or self._new_id(), self.clock.wall()
        record = SagaRecord(
            id=saga_id,
            owner=owner,
            saga=definition.name,
            version=definition.version,
            digest=definition.plan.digest,
            key=saga_id if key is None else key,
            input_hash=input_hash,
            input=self.codec.encode(input_value),
            state=SagaState.RUNNING,
            trace=trace,
            created_at=now,
            deadline_at=Epoch(now + definition.deadline),
        )
        # Not cancelled with its client: what the engine has must be run.
        return await asyncio.shield(self._spawn(self._begin(definition, record)))

    async def _begin(self, definition: Definition, record: SagaRecord) -> Ticket | IdempotencyConflict:
        claim = msgspec.json.encode([record.owner, record.saga, record.key]).decode()
        is_open_to_more = claim in self._store.claims or self._open_count < self._max_open
        if not is_open_to_more:
            raise Overloaded(f"{self._max_open} sagas are open already; nothing was begun.")
        self._beginning += 1
        try:
            if claim not in self._store.claims:
                await self._store.write("claim", lambda: self._claim(claim, record))
            claimed = msgspec.json.decode(self._store.claims[claim], type=SagaRecord)
            if claimed.input_hash != record.input_hash:
                return IdempotencyConflict(claimed.id)
            if claimed.id not in self._store.workflows:
                await self._store.write("start", lambda: self._start(claimed))
                self._take_up(definition, claimed, self._store.workflows[claimed.id])
        finally:
            self._beginning -= 1
        return Ticket(claimed.id, created=claimed.id == record.id)

    def _claim(self, claim: str, record: SagaRecord) -> None:
        self._store.claims.setdefault(claim, msgspec.json.encode(record))

    def _start(self, record: SagaRecord) -> None:
        self._store.workflows.setdefault(record.id, Kept(msgspec.json.encode(record)))

    def _check_may_begin(self) -> None:
        if self._is_draining:
            raise Draining("This gateway is shutting down; nothing was begun.")
        if not self.is_healthy:
            raise SagasUnavailable("The engine's store cannot be written; nothing was begun.")

    @property
    def _open_count(self) -> int:
        return self._beginning + sum(not live.progress.state.is_settled for live in self._live.values())

    # -- following -----------------------------------------------------------------------------------------------------

    async def wait(self, saga_id: str, *, timeout: Seconds) -> SagaView:  # noqa: ASYNC109  (a bound, not a failure)
        live = self._live.get(saga_id)
        if live is not None:
            await live.until(lambda: live.is_stopped or live.progress.state.is_settled, within=timeout)
            return live.view()
        view = await self.view(saga_id)
        if view is None:
            raise SagaNotFound("There is no such saga, or it is not yours to see.")
        return view

    async def view(self, saga_id: str) -> SagaView | None:
        live, kept = self._live.get(saga_id), self._store.workflows.get(saga_id)
        if live is not None:
            return live.view()
        if kept is None:
            return None
        record = _record_of(kept)
        definition = self._definition(record)
        if definition is None:
            return retired_view(record)
        return view_of(definition, record, replay(definition.plan, _events_of(kept)), codec=self.codec)

    async def history(self, saga_id: str, *, after: int = 0, timeout: Seconds = NEVER) -> SagaHistory | None:  # noqa: ASYNC109  (a bound)
        live, kept = self._live.get(saga_id), self._store.workflows.get(saga_id)
        if kept is None:
            return None
        if live is not None and timeout > 0:
            await live.until(lambda: live.is_stopped or len(live.events) > after, within=timeout)
        events = tuple(live.events) if live is not None else _events_of(kept)
        record = _record_of(kept)
        return SagaHistory(first=after + 1, events=events[after:], state=record.state, owner=record.owner)

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        records = [_record_of(kept) for kept in self._store.workflows.values()]
        found = [record for record in records if _fits(record, query)]
        return sorted(found, key=lambda record: (record.created_at, record.id), reverse=True)[: query.limit]

    async def ask(self, saga_id: str, request: Request) -> Answer | None:
        self._check_may_begin()
        kept, live = self._store.workflows.get(saga_id), self._live.get(saga_id)
        if kept is None:
            return None
        if live is None:
            return self._answer_settled(kept, request)
        message = Message(new_saga_id(), self.clock.wall(), type(request).__name__, _raw(request))
        answer = live.answers[message.id] = asyncio.get_running_loop().create_future()
        await self._store.write("message", lambda: kept.inbox.append(msgspec.json.encode(message)))
        live.news.set()
        if live.is_stopped:
            live.stopped()
        return await asyncio.shield(answer)

    def _answer_settled(self, kept: Kept, request: Request) -> Answer:
        record = _record_of(kept)
        definition = self._definition(record)
        if definition is None:
            return Refused(f"{record.saga} v{record.version} is no longer registered with this gateway")
        progress = replay(definition.plan, _events_of(kept))
        answer = decide_request(definition.plan, progress, request, at=self.clock.wall())
        if not isinstance(answer, Taken | Refused):
            raise TypeError("a workflow that has ended was asked for more")
        return answer

    # -- what a live saga needs ----------------------------------------------------------------------------------------

    def hands(self, definition: Definition, record: SagaRecord, progress: SagaProgress) -> RunningSaga:
        """What calls the author's code; its loop is never run."""
        return RunningSaga(definition, record, progress=progress, next_seq=0, around=self._around)

    def _definition(self, record: SagaRecord) -> Definition | None:
        found = self._definitions.get((record.saga, record.version))
        return found if found is not None and found.plan.digest == record.digest else None


def _record_of(kept: Kept) -> SagaRecord:
    """As it was begun, with the state that was told last."""
    return replace(msgspec.json.decode(kept.input, type=SagaRecord), state=kept.state, ended_at=kept.ended_at)


def _events_of(kept: Kept) -> tuple[Event, ...]:
    raw = msgspec.json.decode(kept.output or b"[]", type=list[msgspec.Raw])
    return tuple(decode_event(bytes(each)) for each in raw)


def _fits(record: SagaRecord, query: SagaQuery) -> bool:
    return (
        (not query.states or record.state in query.states)
        and query.saga in (None, record.saga)
        and query.owner in (None, record.owner)
        and (query.before is None or (record.created_at, record.id) < query.before)
    )


def _request_of(message: Message) -> Request:
    """A step's result is passed on as it was written; msgspec reads no "Raw or None"."""
    given: dict[str, Any] = msgspec.json.decode(message.request, type=dict[str, msgspec.Raw])
    raw = {name: value for name, value in given.items() if name in ("payload", "result")}
    said = {name: msgspec.json.decode(value) for name, value in given.items() if name not in raw}
    made: Request = _REQUESTS[message.kind](**said, **raw)
    return made


def _raw(request: Request) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(request))


def _is_idle(live: Live) -> bool:
    return live.is_idle


def _named(launch: Launch) -> str:
    return f"{type(launch).__name__} {launch.step} {launch.attempt}"


def _answers(came: Next, launch: Launch) -> bool:
    """Whether this is what came of the launch: a step has one call under way at most."""
    return came.event is not None and getattr(decode_event(came.event), "step", None) == launch.step
