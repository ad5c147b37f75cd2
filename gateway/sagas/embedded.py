"""The embedded host: sagas live in this process, their journal in a file beside it.

Invariant: a saga runs here exactly while it is open in the journal and this host is healthy; it belongs to no request, so no
client's going away cancels it. A bug in one saga ends that saga's task, is logged, and touches no other.
State: the running sagas (at most `max_open`), one task each; finished ones are read from the journal.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any, TypeVar

import msgspec

from ..clock import NEVER, Clock, Epoch, Seconds
from ..errors import Draining, Overloaded, SagaNotFound, SagasUnavailable
from ..telemetry import Telemetry
from .codec import Codec
from .context import Reader, Sender
from .core import advance, interruptions
from .definition import Definition, Saga, definition_of
from .events import Event, SagaStarted
from .folding import begun, replay
from .host import IdempotencyConflict, SagaHistory, SagaStartError, SagaView, Ticket
from .journal import HASH_VERSION, AlreadyThere, Journal, Mendable, SagaQuery, SagaRecord, StoredSaga
from .known import Owner
from .operating import Answer, Refused, Request, Taken, decide_request
from .progress import SagaProgress
from .running import HasEnded, Observer, RunningSaga, Surroundings
from .secret_keys import MAKE_ONE, KeyRing, SecretKeyUnknown
from .states import SagaState
from .vault import Vault
from .views import retired_view, view_of

T = TypeVar("T")

RECOVERIES = 48
"""Histories read, and taken up, at the same time at start: more would keep the loop from whatever else it does meanwhile."""

FIRST_MENDING, LONGEST_MENDING = Seconds(1.0), Seconds(30.0)
"""Between two tries to write a journal again that has failed: doubling from one to the other."""


LOOK_AGAIN = Seconds(1.0)
"""Between two looks at a saga that nobody runs, because it waits for a person."""


def new_saga_id() -> str:
    """128 bits that nobody can guess."""
    return secrets.token_urlsafe(16)


class EmbeddedHost:
    """See `Host`."""

    def __init__(
        self,
        definitions: Iterable[type[Saga[Any, Any]]],
        journal: Journal,
        *,
        sender: Sender,
        reader: Reader,
        telemetry: Telemetry,
        clock: Clock,
        observer: Observer | None = None,
        codec: Codec | None = None,
        secret_keys: KeyRing | None = None,
        max_open: int = 10_000,
        new_id: Callable[[], str] = new_saga_id,
    ) -> None:
        """`max_open`: open sagas at once; one more is Overloaded. `codec` knows the graph's "not provided" sentinels.

        `secret_keys`: of the settings; without them no saga that holds secrets is served.
        """
        self._definitions = _by_version(definitions)
        self._journal = journal
        self._telemetry = telemetry
        self._clock = clock
        self._max_open = max_open
        self._new_id = new_id
        self._codec = codec or Codec()
        self._secret_keys = secret_keys
        self._around = Surroundings(
            journal=journal,
            sender=sender,
            reader=reader,
            telemetry=telemetry,
            clock=clock,
            codec=self._codec,
            observer=observer,
        )
        self._open = cache(telemetry.metrics.sagas_open.labels)
        self._ended = cache(telemetry.metrics.sagas.labels)
        self._running: dict[str, RunningSaga] = {}
        self._supervisors: dict[str, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._is_mending = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._beginning = 0
        self._is_started = False
        self._is_draining = False

    def __repr__(self) -> str:
        health = "healthy" if self.is_healthy else "not healthy"
        return f"<EmbeddedHost {len(self._running)}/{self._max_open} open, {health}>"

    @property
    def is_healthy(self) -> bool:
        return self._is_started and not self._is_draining and not self._is_mending and self._journal.is_healthy

    @property
    def open_count(self) -> int:
        return len(self._running)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        if without_key := lacking_a_key(self._definitions.values(), self._secret_keys):
            raise SagaStartError("; ".join(without_key))
        await self._journal.open()
        try:
            records = await self._journal.open_sagas()
            self._check_registered(records)
            self._check_keys(records)
            for saga, count in (await self._journal.needing_attention()).items():
                self._telemetry.metrics.sagas_needing_attention.labels(saga).set(count)
            await self._recover_all(records)
        except BaseException:
            await self.stop(Seconds(0.0))
            raise
        self._is_started = True
        self._be_asked()
        if isinstance(self._journal, Mendable):
            self._watch = asyncio.create_task(self._mend_when_failed(self._journal), name="saga-journal-mending")

    def _be_asked(self) -> None:
        """Metrics ask when somebody reads them. Cost: a look at each open saga."""
        metrics = self._telemetry.metrics
        metrics.sagas_oldest_open.set_function(self._oldest_age)
        for state in (SagaState.RUNNING, SagaState.COMPENSATING, SagaState.FORWARD_ONLY):
            metrics.sagas_open_by_state.labels(state.value).set_function(partial(self._count_in, state))

    def _oldest_age(self) -> float:
        """Seconds since the oldest open saga began; 0 with none."""
        begun = min((saga.record.created_at for saga in self._running.values()), default=None)
        return 0.0 if begun is None else max(0.0, self._clock.wall() - begun)

    def _count_in(self, state: SagaState) -> int:
        return sum(saga.progress.state is state for saga in self._running.values())

    async def stop(self, drain: Seconds) -> None:
        self._is_draining = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for saga in self._running.values():
            saga.drain()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._running.clear()
        await self._journal.close()

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
        definition = definition_of(saga)
        if self._definitions.get((definition.name, definition.version)) is not definition:
            raise LookupError(f"{definition.name} v{definition.version} is not registered with this host")
        if len(self._running) + self._beginning >= self._max_open:
            return await self._begun_before(
                definition, owner=owner, key=key or saga_id, input_hash=input_hash, saga_id=saga_id
            )
        record = self._record(
            definition,
            input_value,
            saga_id=saga_id or self._new_id(),
            owner=owner,
            key=key,
            input_hash=input_hash,
            trace=trace,
        )
        self._beginning += 1
        # Not cancelled with its client: what the journal takes must be run.
        return await asyncio.shield(self._spawn(self._begin(definition, record)))

    async def _begin(self, definition: Definition, record: SagaRecord) -> Ticket | IdempotencyConflict:
        started = SagaStarted(at=record.created_at, deadline_at=record.deadline_at)
        first = advance(definition.plan, begun(definition.plan, started), now=record.created_at)
        events: tuple[Event, ...] = (started, *first.events)
        try:
            answer = await self._journal.begin(record, events)
        finally:
            self._beginning -= 1
        if isinstance(answer, AlreadyThere):
            return _same_or_conflict(answer.record, input_hash=record.input_hash, saga_id=record.id)
        saga = self._running_saga(definition, record, progress=first.progress, next_seq=len(events))
        if not self._is_draining:  # else it is in the journal, and the next start takes it up
            self._take_up(saga, saga.run(launches=first.launches, wake_at=first.wake_at))
        return Ticket(record.id, created=True)

    async def _begun_before(
        self, definition: Definition, *, owner: Owner, key: str | None, input_hash: str, saga_id: str | None
    ) -> Ticket | IdempotencyConflict:
        """With no room left, an honest retry still finds its saga."""
        found = None if key is None else await self._journal.find_by_key(owner, saga=definition.name, key=key)
        if found is None:
            raise Overloaded(f"{self._max_open} sagas are open already; nothing was begun.")
        return _same_or_conflict(found, input_hash=input_hash, saga_id=saga_id)

    def _check_may_begin(self) -> None:
        if self._is_draining:
            raise Draining("This gateway is shutting down; nothing was begun.")
        if not self.is_healthy:
            raise SagasUnavailable("The saga journal cannot be written; nothing was begun.")

    def _record(
        self,
        definition: Definition,
        input_value: object,
        *,
        saga_id: str,
        owner: Owner,
        key: str | None,
        input_hash: str,
        trace: Mapping[str, str],
    ) -> SagaRecord:
        now = self._clock.wall()
        vault, secret_key = self._new_vault(definition, saga_id)
        return SagaRecord(
            id=saga_id,
            owner=owner,
            saga=definition.name,
            version=definition.version,
            digest=definition.plan.digest,
            key=saga_id if key is None else key,
            input_hash=input_hash,
            hash_version=HASH_VERSION,
            input=self._codec.encode(input_value, place=None if vault is None else vault.of_input()),
            state=SagaState.RUNNING,
            trace=trace,
            created_at=now,
            deadline_at=Epoch(now + definition.deadline),
            secret_key=secret_key,
        )

    def _new_vault(self, definition: Definition, saga_id: str) -> tuple[Vault, bytes] | tuple[None, None]:
        if not definition.holds_secrets or self._secret_keys is None:
            return None, None
        return self._secret_keys.new_vault(saga_id)

    def _running_saga(
        self, definition: Definition, record: SagaRecord, *, progress: SagaProgress, next_seq: int
    ) -> RunningSaga:
        """Raises: SecretKeyUnknown, ValueError: its secrets cannot be opened."""
        keys, wrapped = self._secret_keys, record.secret_key
        vault = None if keys is None or wrapped is None else keys.vault(record.id, wrapped)
        return RunningSaga(definition, record, progress=progress, next_seq=next_seq, around=self._around, vault=vault)

    # -- following -----------------------------------------------------------------------------------------------------

    async def wait(self, saga_id: str, *, timeout: Seconds) -> SagaView:  # noqa: ASYNC109  (a bound, not a failure)
        running = self._running.get(saga_id)
        if running is not None:
            await asyncio.wait((running.settled,), timeout=timeout)
            return running.view()
        view = await self.view(saga_id)
        if view is None:
            raise SagaNotFound("There is no such saga, or it is not yours to see.")
        return view

    async def view(self, saga_id: str) -> SagaView | None:
        running = self._running.get(saga_id)
        if running is not None:
            return running.view()
        stored = await self._journal.find(saga_id)
        if stored is None:
            return None
        definition = self._definitions.get((stored.record.saga, stored.record.version))
        if definition is None or definition.plan.digest != stored.record.digest:
            return retired_view(stored.record)
        progress = replay(definition.plan, stored.events)
        return view_of(definition, stored.record, progress, codec=self._codec)

    async def history(
        self,
        saga_id: str,
        *,
        after: int = 0,
        timeout: Seconds = NEVER,  # noqa: ASYNC109  (a bound, not a failure)
    ) -> SagaHistory | None:
        until = self._clock.now() + timeout
        while True:
            stored = await self._journal.find(saga_id)
            left = until - self._clock.now()
            if stored is None:
                return None
            if len(stored.events) > after or stored.record.state.is_final or left <= 0:
                record = stored.record
                return SagaHistory(
                    first=after + 1, events=stored.events[after:], state=record.state, owner=record.owner
                )
            await self._news_of(saga_id, after, timeout=min(left, LOOK_AGAIN if saga_id not in self._running else left))

    async def _news_of(self, saga_id: str, after: int, *, timeout: float) -> None:  # noqa: ASYNC109  (a bound, not a failure)
        """Until the saga has more than `after` events; or until it is worth looking whether somebody took it up."""
        running = self._running.get(saga_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await (asyncio.sleep(timeout) if running is None else running.appended(after))

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        return await self._journal.search(query)

    async def ask(self, saga_id: str, request: Request) -> Answer | None:
        self._check_may_begin()
        while True:
            running = self._running.get(saga_id)
            if running is None:
                stored = await self._journal.find(saga_id)
                if stored is None:
                    return None
                running = self._running.get(saga_id)  # somebody else may have asked meanwhile
                if running is None:
                    return await self._ask_settled(stored, request)
            try:
                return await asyncio.shield(running.post(request))
            except HasEnded:
                self._check_may_begin()
                await asyncio.sleep(0)  # its supervisor lets go of it, then the journal tells

    async def _ask_settled(self, stored: StoredSaga, request: Request) -> Answer:
        """Of a saga that nobody runs: what changes nothing is answered, else it is taken up again."""
        record = stored.record
        if not self._is_registered(record):
            return Refused(f"{record.saga} v{record.version} is no longer registered with this gateway")
        definition = self._definitions[record.saga, record.version]
        progress = replay(definition.plan, stored.events)
        if not progress.state.is_settled:
            return Refused("it stopped here by a bug, which the log tells: a restart takes it up again")
        decided = decide_request(definition.plan, progress, request, at=self._clock.wall())
        if isinstance(decided, Taken | Refused):
            return decided
        try:
            saga = self._running_saga(definition, record, progress=progress, next_seq=len(stored.events))
        except (SecretKeyUnknown, ValueError) as error:
            return Refused(str(error))
        answer = saga.post(request)
        self._telemetry.metrics.sagas_needing_attention.labels(record.saga).dec()
        self._take_up(saga, saga.run())
        return await asyncio.shield(answer)

    # -- recovery ------------------------------------------------------------------------------------------------------

    def _check_registered(self, records: Sequence[SagaRecord]) -> None:
        missing = Counter((record.saga, record.version) for record in records if not self._is_registered(record))
        if not missing:
            return
        kinds = ", ".join(f"{saga} v{version} ({count} open)" for (saga, version), count in sorted(missing.items()))
        raise SagaStartError(
            f"the journal holds open sagas that this gateway cannot continue: {kinds}. Register these versions beside the new "
            'ones (class OldName(Saga[...], version=N, name="Name")) until their sagas have ended; a saga whose steps were '
            "changed needs a new version"
        )

    def _check_keys(self, records: Sequence[SagaRecord]) -> None:
        keys = self._secret_keys
        strange = [
            each for each in records if each.secret_key is not None and not (keys and keys.knows(each.secret_key))
        ]
        if strange:
            raise SagaStartError(
                f"{len(strange)} open sagas have secrets under a key that the settings do not have, {strange[0].id} among them: "
                "add the key that sagas.secret_key was before to sagas.old_secret_keys, until these sagas have ended"
            )

    def _is_registered(self, record: SagaRecord) -> bool:
        definition = self._definitions.get((record.saga, record.version))
        return definition is not None and definition.plan.digest == record.digest

    async def _recover_all(self, records: Sequence[SagaRecord]) -> None:
        room = asyncio.Semaphore(RECOVERIES)

        async def recover(record: SagaRecord) -> None:
            async with room:
                await self._recover(record)

        async with asyncio.TaskGroup() as recoveries:
            for record in records:
                recoveries.create_task(recover(record))

    async def _recover(self, record: SagaRecord) -> None:
        definition = self._definitions[record.saga, record.version]
        try:
            stored = await self._journal.find(record.id)
            if stored is None:
                return
            progress = replay(definition.plan, stored.events)
            saga = self._running_saga(definition, stored.record, progress=progress, next_seq=len(stored.events))
        except (
            ValueError,
            msgspec.MsgspecError,
            SecretKeyUnknown,
        ):  # one broken history must not keep the others from going on
            self._telemetry.log.exception("saga cannot be recovered", saga=record.saga, saga_id=record.id)
            self._telemetry.metrics.sagas_needing_attention.labels(record.saga).inc()
            return
        interrupted = interruptions(progress, at=self._clock.wall())
        self._take_up(saga, saga.run(pending=interrupted))

    # -- after a failure -----------------------------------------------------------------------------------------------

    async def _mend_when_failed(self, journal: Mendable) -> None:
        """Whenever a write has failed: let go of every saga, wait until the journal can be written, and recover as at a start."""
        while True:
            await journal.failed()
            self._is_mending = True  # nothing is begun, or led on, that the recovery would find too
            await self._let_go_of_all()
            wait = FIRST_MENDING
            while not await self._has_recovered(journal):
                await asyncio.sleep(wait)
                wait = min(LONGEST_MENDING, Seconds(wait * 2))
            self._is_mending = False

    async def _has_recovered(self, journal: Mendable) -> bool:
        """Whether the journal is written again, and every open saga taken up."""
        try:
            if not await journal.mend():
                return False
            records = [record for record in await self._journal.open_sagas() if self._is_registered(record)]
            await self._recover_all([record for record in records if record.id not in self._running])
        except Exception:  # whatever it is, queries go on and it is tried again
            self._telemetry.log.exception("saga journal cannot be mended")
            return False
        self._telemetry.log.warning("saga journal is written again", open_sagas=len(records))
        return True

    async def _let_go_of_all(self) -> None:
        """Intend nothing more. What is in flight ends, by its timeout at the latest; its outcome cannot be written."""
        for saga in self._running.values():
            saga.drain()
        if self._supervisors:
            await asyncio.wait([*self._supervisors.values()])

    # -- supervision ---------------------------------------------------------------------------------------------------

    def _take_up(self, saga: RunningSaga, run: Coroutine[Any, Any, None]) -> None:
        self._running[saga.record.id] = saga
        self._open(saga.record.saga).inc()
        self._supervisors[saga.record.id] = self._spawn(self._supervise(saga, run))

    async def _supervise(self, saga: RunningSaga, run: Coroutine[Any, Any, None]) -> None:
        """One saga's task: whatever becomes of it stays here."""
        record = saga.record
        try:
            await run
        except* SagasUnavailable:
            self._telemetry.log.error("saga stopped with its journal", saga=record.saga, saga_id=record.id)
        except* Exception:
            self._telemetry.log.exception("saga stopped by a bug", saga=record.saga, saga_id=record.id)
        finally:
            self._running.pop(record.id, None)
            self._supervisors.pop(record.id, None)
            saga.ended()
            if not saga.settled.done():
                saga.settled.cancel()
            self._count_end(saga)

    def _count_end(self, saga: RunningSaga) -> None:
        metrics, name, state = self._telemetry.metrics, saga.record.saga, saga.progress.state
        self._open(name).dec()
        if state is SagaState.NEEDS_ATTENTION:
            metrics.sagas_needing_attention.labels(name).inc()
            self._telemetry.log.warning("saga needs attention", saga=name, saga_id=saga.record.id)
        if saga.has_settled:
            lasted = max(0.0, self._clock.wall() - saga.record.created_at)
            self._ended(name, state.value).observe(lasted)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this host's, awaited by `stop`, in a context of its own: no request's variables leak into a saga."""
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: whoever awaited it has it, and `_supervise` logs the rest


def _by_version(definitions: Iterable[type[Saga[Any, Any]]]) -> dict[tuple[str, int], Definition]:
    found: dict[tuple[str, int], Definition] = {}
    for saga in definitions:
        definition = definition_of(saga)
        twin = found.setdefault((definition.name, definition.version), definition)
        if twin is not definition:
            raise SagaStartError(
                f"{definition.name} v{definition.version} is registered twice, as {twin.saga.__qualname__} and "
                f"{saga.__qualname__}: give one of them another version"
            )
    return found


def lacking_a_key(definitions: Iterable[Definition], secret_keys: KeyRing | None) -> list[str]:
    """Why sagas that hold secrets cannot be served, one sentence each; empty when there is a key."""
    if secret_keys is not None:
        return []
    return [
        f"saga {each.name} v{each.version} holds secrets, and there is no key to seal them in the journal: make one with "
        f'{MAKE_ONE}, keep it in the environment, and set secret_key = "${{ITS_NAME}}" below [sagas]'
        for each in definitions
        if each.holds_secrets
    ]


def _same_or_conflict(record: SagaRecord, *, input_hash: str, saga_id: str | None) -> Ticket | IdempotencyConflict:
    """The same input has a hash in common, also after its key was rotated.

    `saga_id`: what whoever begins now wanted it to be called; if it is, this is the same begin, sent again.
    """
    is_another = set(record.input_hash.split()).isdisjoint(input_hash.split())
    if record.hash_version == HASH_VERSION and is_another:
        return IdempotencyConflict(record.id)
    return Ticket(record.id, created=record.id == saga_id)
