"""The journal in one SQLite file: WAL, synchronous=FULL, one writer thread that commits in groups.

Invariant: an operation is answered after the commit that holds it. One that is refused takes nothing of its group with it: the
group is then run again, each in a savepoint of its own. A commit that fails fails all of its operations and closes the journal for
writing until it is mended, so no effect follows an intention that is not on disk. One process owns the file.
Source: group commit, DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984; SQLite's page on WAL.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..clock import Clock, Epoch, LoopClock
from ..errors import SagasUnavailable
from ..telemetry import Telemetry
from . import key_table
from .anchor import AnchorInvalid
from .events import Event, decode_event
from .host import SagaStartError
from .journal import AlreadyThere, Begun, SagaQuery, SagaRecord, StoredSaga
from .journal_file import COLUMNS, record_of
from .keeping import Keeper, Keeping
from .known import Owner
from .ledger import BY_KEY, Ledger, encoded
from .ownership import open_ledger, prove_room, take_lock
from .states import SagaState

T = TypeVar("T")

_BY_IDS = f"SELECT {COLUMNS} FROM sagas WHERE id IN ({{}})"  # noqa: S608
_EVENTS = "SELECT saga_id, payload FROM events WHERE saga_id IN ({}) ORDER BY saga_id, seq"
_OPEN = (
    f"SELECT {COLUMNS} FROM sagas WHERE ended_at IS NULL AND state IN ('RUNNING', 'COMPENSATING', 'FORWARD_ONLY') "  # noqa: S608
    "ORDER BY created_at"
)
_WAITING = "SELECT saga, COUNT(*) FROM sagas WHERE ended_at IS NULL AND state = 'NEEDS_ATTENTION' GROUP BY saga"

FOUND_AT_ONCE = 256
"""Histories read by one statement."""

ANSWERED_AT_ONCE = 16
"""Operations of one commit whose waiters are woken in one turn of the loop: some 5 ms of work."""

Operation = Callable[[Ledger], Any]


@dataclass(slots=True)
class _Pending:
    """One operation that waits for its commit."""

    operation: Operation
    waiter: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class SqliteJournal:
    """See `Journal`. State: one writer connection (its thread's alone), one reader connection, the lock."""

    def __init__(
        self,
        path: Path,
        *,
        telemetry: Telemetry,
        max_batch: int = 512,
        max_pages: int | None = None,
        timer: Callable[[], float] = time.perf_counter,
        clock: Clock | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        """`max_batch`: operations in one commit. `max_pages`: bound of the file in pages of 4 KiB; None is the disk's.

        `keeping`: whether it makes checkpoints and prunes by itself while it is open.
        """
        self._path = path
        self._telemetry = telemetry
        self._max_batch = max_batch
        self.max_pages = max_pages
        """May be raised; counts from the next `open` or `mend`."""
        self._timer = timer
        self._clock = clock or LoopClock()
        self._keeping = keeping
        self.keeper: Keeper | None = None
        """While it is open, and keeps itself."""
        self._upkeep: asyncio.Task[None] | None = None
        self.position = 0
        """Of the last event that is committed."""
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._broken: str | None = "it is not open"
        self._has_failed = False
        self._failure = asyncio.Event()
        self._lock: int | None = None
        self._writer: threading.Thread | None = None
        self._reading: ThreadPoolExecutor | None = None
        self._reader: sqlite3.Connection | None = None
        self._wanted: dict[str, asyncio.Future[StoredSaga | None]] = {}
        self._finding: set[asyncio.Task[None]] = set()
        self._be_asked()

    def __repr__(self) -> str:
        return f"<SqliteJournal {self._path.name} {'healthy' if self.is_healthy else self._broken}>"

    @property
    def is_healthy(self) -> bool:
        return self._broken is None

    @property
    def path(self) -> Path:
        return self._path

    @property
    def size(self) -> int:
        """Bytes on the disk, those of the write-ahead log included."""
        return sum(_size_of(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal"))

    def _be_asked(self) -> None:
        """Metrics ask when somebody reads them."""
        metrics = self._telemetry.metrics
        metrics.journal_waiting.set_function(lambda: self._queue.qsize())
        metrics.journal_bytes.set_function(lambda: self.size)
        metrics.journal_checkpoint_age.set_function(lambda: 0.0 if self.keeper is None else self.keeper.age)

    # -- life ----------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._lock = take_lock(self._path)
        try:
            ledger = await asyncio.to_thread(self._open_ledger)
            self._reader = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._reader.execute("SELECT 1 FROM origin").fetchone()  # from here on it holds the WAL, see `mend`
        except BaseException:
            self._let_go()
            raise
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="saga-journal-read")
        self._start_writer(ledger)
        await self._keep()

    def _open_ledger(self) -> Ledger:
        return open_ledger(self._path, max_pages=self.max_pages, now=self._clock.wall())

    def _start_writer(self, ledger: Ledger) -> None:
        self._broken, self._has_failed = None, False
        self._failure.clear()
        self.position = ledger.position
        self._queue = queue.SimpleQueue()
        self._writer = threading.Thread(
            target=self._write_all,
            args=(ledger, asyncio.get_running_loop()),
            name="saga-journal-write",
            daemon=True,
        )
        self._writer.start()

    async def _stop_writer(self) -> None:
        if self._writer is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._writer.join)
            self._writer = None

    async def _keep(self) -> None:
        if self._keeping is None:
            return
        keeper = Keeper(self, self._keeping, telemetry=self._telemetry, clock=self._clock)
        try:
            await keeper.start()
        except BaseException:
            await self.close()
            raise
        self.keeper = keeper
        self._upkeep = asyncio.create_task(keeper.run(), name="saga-journal-keeping")

    async def _stop_keeping(self) -> None:
        """A last checkpoint, so that a journal at rest is covered whole."""
        keeper, self.keeper = self.keeper, None
        if keeper is None or self._upkeep is None:
            return
        keeper.leave()
        await asyncio.gather(self._upkeep, return_exceptions=True)
        try:
            await keeper.checkpoint()
        except (SagasUnavailable, OSError, sqlite3.Error, AnchorInvalid) as error:
            self._telemetry.log.error("saga journal closes without a last checkpoint", error=str(error))

    async def close(self) -> None:
        """Commit what is queued, then let go of the file."""
        await self._stop_keeping()
        if self._writer is not None:
            self._broken = self._broken or "it is closed"
            await self._stop_writer()
        if self._reading is not None:
            await asyncio.to_thread(self._reading.shutdown)
            self._reading = None
        self._let_go()

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- after a failure -----------------------------------------------------------------------------------------------

    async def failed(self) -> None:
        await self._failure.wait()

    async def mend(self) -> bool:
        """A new writer, if it can write. What the failed commit left in the WAL stays unread, since the reader holds the WAL's
        index: so what was refused is not there, unless the machine dies before the next commit.
        """
        if not self._has_failed or self._reader is None:
            return self.is_healthy
        await self._stop_writer()
        try:
            ledger = await asyncio.to_thread(self._open_ledger)
            await asyncio.to_thread(prove_room, ledger.connection)
        except (SagaStartError, sqlite3.Error):
            return False
        self._start_writer(ledger)
        return True

    # -- writing -------------------------------------------------------------------------------------------------------

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        ready = encoded(events)
        return await self.write(lambda ledger: ledger.begin(record, ready))

    async def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Event],
        state: SagaState | None = None,
        ended_at: Epoch | None = None,
    ) -> None:
        ready = encoded(events)
        await self.write(
            lambda ledger: ledger.append(
                saga_id, expected_seq=expected_seq, events=ready, state=state, ended_at=ended_at
            )
        )

    async def write(self, operation: Callable[[Ledger], T]) -> T:
        """For what keeps the file; sagas begin and append."""
        if self._broken is not None:
            raise _unavailable()
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Pending(operation, waiter))
        return await waiter

    def _write_all(self, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        """The writer's thread: until the None that closes it."""
        open_to_more = True
        while open_to_more:
            batch, open_to_more = self._next_batch()
            if batch:
                self._commit(ledger, batch)
                with suppress(RuntimeError):  # the loop is gone, and with it everybody who waited
                    loop.call_soon_threadsafe(self._answer, batch)
        with suppress(sqlite3.Error):
            ledger.connection.close()

    def _answer(self, batch: Sequence[_Pending], *, start: int = 0) -> None:
        """On the loop's thread, a few at a time: each of them wakes a saga, and others want the loop too."""
        if self._has_failed:
            self._failure.set()
        for pending in batch[start : start + ANSWERED_AT_ONCE]:
            _settle(pending)
        start += ANSWERED_AT_ONCE
        if start < len(batch):
            asyncio.get_running_loop().call_soon(partial(self._answer, batch, start=start))

    def _next_batch(self) -> tuple[list[_Pending], bool]:
        """At least one operation, and whatever else waits already; False once the queue is closed."""
        batch: list[_Pending] = []
        with suppress(queue.Empty):
            while len(batch) < self._max_batch:
                pending = self._queue.get(block=not batch)
                if pending is None:
                    return batch, False
                batch.append(pending)
        return batch, True

    def _commit(self, ledger: Ledger, batch: Sequence[_Pending]) -> None:
        started = self._timer()
        try:
            if self._has_failed:
                raise sqlite3.OperationalError(self._broken)
            if not _run_together(ledger, batch):
                _run_apart(ledger, batch)
            position = ledger.position
            ledger.connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(ledger, batch, error)
            return
        self.position = position
        self._telemetry.metrics.commits.observe(self._timer() - started)
        self._telemetry.metrics.commit_operations.observe(len(batch))

    def _fail(self, ledger: Ledger, batch: Sequence[_Pending], error: sqlite3.Error) -> None:
        if not self._has_failed:
            self._telemetry.log.error("saga journal cannot be written", journal=self._path.name, error=str(error))
        self._has_failed = True
        self._broken = str(error)
        with suppress(sqlite3.Error):
            ledger.connection.execute("ROLLBACK")
        ledger.forget()
        for pending in batch:
            pending.error = _unavailable()

    # -- reading -------------------------------------------------------------------------------------------------------

    async def find(self, saga_id: str) -> StoredSaga | None:
        """Those that are asked for at the same time are read together: a recovery asks for thousands."""
        wanted = self._wanted.get(saga_id)
        if wanted is None:
            loop = asyncio.get_running_loop()
            wanted = self._wanted[saga_id] = loop.create_future()
            if len(self._wanted) == 1:
                loop.call_soon(self._begin_finding)
        return await asyncio.shield(wanted)  # others may wait for it too

    def _begin_finding(self) -> None:
        wanted, self._wanted = self._wanted, {}
        finding = asyncio.get_running_loop().create_task(self._find_all(wanted))
        self._finding.add(finding)
        finding.add_done_callback(self._finding.discard)

    async def _find_all(self, wanted: Mapping[str, asyncio.Future[StoredSaga | None]]) -> None:
        try:
            found = await self._read(lambda connection: _read_sagas(connection, [*wanted]))
        except BaseException as error:  # whatever it is, whoever waits must hear of it
            for waiter in wanted.values():
                _refuse(waiter, error if isinstance(error, Exception) else _unavailable())
            if not isinstance(error, Exception):
                raise
            return
        for saga_id, waiter in wanted.items():
            _answer_with(waiter, found.get(saga_id))

    async def find_by_key(self, owner: Owner, *, saga: str, key: str) -> SagaRecord | None:
        row = await self._read(
            lambda connection: connection.execute(BY_KEY, (owner.tenant, owner.subject, saga, key)).fetchone()
        )
        return None if row is None else record_of(row)

    async def open_sagas(self) -> Sequence[SagaRecord]:
        rows, keys = await self._read(
            lambda connection: (connection.execute(_OPEN).fetchall(), key_table.all_keys(connection))
        )
        return [record_of(row, secret_key=keys.get(row[0])) for row in rows]

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        statement, values = _search(query)
        rows = await self._read(lambda connection: connection.execute(statement, values).fetchall())
        return [record_of(row) for row in rows]

    async def needing_attention(self) -> Mapping[str, int]:
        rows = await self._read(lambda connection: connection.execute(_WAITING).fetchall())
        return dict(rows)

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """In one short transaction: an idle reader would keep the WAL from being folded back."""
        reader, reading = self._reader, self._reading
        if reader is None or reading is None:
            raise _unavailable()

        def in_transaction() -> T:
            reader.execute("BEGIN")
            try:
                return read(reader)
            finally:
                reader.execute("COMMIT")

        return await asyncio.get_running_loop().run_in_executor(reading, in_transaction)


class _Rows(NamedTuple):
    """A saga as it is stored."""

    record: Sequence[Any]
    payloads: list[bytes]
    key: bytes | None


def _read_sagas(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, _Rows]:
    """Those that are there: three statements for every `FOUND_AT_ONCE` ids."""
    found: dict[str, _Rows] = {}
    for start in range(0, len(ids), FOUND_AT_ONCE):
        some = ids[start : start + FOUND_AT_ONCE]
        marks = ", ".join("?" * len(some))
        keys = key_table.keys_of(connection, some)
        for row in connection.execute(_BY_IDS.format(marks), some):
            found[row[0]] = _Rows(row, [], keys.get(row[0]))
        for saga_id, payload in connection.execute(_EVENTS.format(marks), some):
            if saga_id in found:
                found[saga_id].payloads.append(payload)
    return found


def _answer_with(waiter: asyncio.Future[StoredSaga | None], rows: _Rows | None) -> None:
    """Decoded one by one: a history that cannot be read is the failure of who asked for it alone."""
    if rows is None:
        waiter.set_result(None)
        return
    try:
        record = record_of(rows.record, secret_key=rows.key)
        waiter.set_result(StoredSaga(record, tuple(map(decode_event, rows.payloads))))
    except Exception as error:
        _refuse(waiter, error)


def _refuse(waiter: asyncio.Future[Any], error: Exception) -> None:
    waiter.set_exception(error)
    waiter.exception()  # seen: whoever asked may be gone


def _search(query: SagaQuery) -> tuple[str, list[Any]]:
    """The statement and its values. What is asked for becomes values, never text."""
    where, values = ["1"], list[Any]()
    if query.states:
        where.append(f"state IN ({', '.join('?' * len(query.states))})")
        values += sorted(state.value for state in query.states)
    if query.saga is not None:
        where.append("saga = ?")
        values.append(query.saga)
    if query.owner is not None:
        where.append("tenant = ? AND subject = ?")
        values += [query.owner.tenant, query.owner.subject]
    if query.before is not None:
        where.append("(created_at, id) < (?, ?)")
        values += query.before
    values.append(query.limit)
    text = f"SELECT {COLUMNS} FROM sagas WHERE {' AND '.join(where)} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608
    return text, values


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _unavailable() -> SagasUnavailable:
    return SagasUnavailable("The saga journal cannot be written; nothing was begun.")


def _settle(pending: _Pending) -> None:
    """A waiter that was cancelled is past telling."""
    if pending.waiter.done():
        return
    if pending.error is not None:
        pending.waiter.set_exception(pending.error)
    else:
        pending.waiter.set_result(pending.result)


def _run_together(ledger: Ledger, batch: Sequence[_Pending]) -> bool:
    """All operations in a transaction that is left open; False, with nothing done, when one of them was refused."""
    ledger.connection.execute("BEGIN IMMEDIATE")
    try:
        for pending in batch:
            pending.result = pending.operation(ledger)
    except sqlite3.Error:
        raise  # the file itself fails: no operation of this group is to be believed
    except Exception:  # whose it is, and what it was refused for, is found out one by one
        ledger.connection.execute("ROLLBACK")
        ledger.forget()
        return False
    return True


def _run_apart(ledger: Ledger, batch: Sequence[_Pending]) -> None:
    """Each in a savepoint of its own: the refused ones take nothing with them. Twice as dear, and rarely needed."""
    ledger.connection.execute("BEGIN IMMEDIATE")
    for pending in batch:
        ledger.connection.execute("SAVEPOINT operation")
        try:
            pending.result = pending.operation(ledger)
        except sqlite3.Error:
            raise
        except Exception as error:
            ledger.connection.execute("ROLLBACK TO operation")
            ledger.forget()
            pending.error = error
        ledger.connection.execute("RELEASE operation")
