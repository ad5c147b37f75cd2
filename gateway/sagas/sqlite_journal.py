"""The journal in one SQLite file: WAL, synchronous=FULL, one writer thread that commits in groups.

Invariant: an operation is answered after the commit that holds it. Each runs in a savepoint of its own, so one that is refused
takes nothing with it; a commit that fails fails all of its operations and closes the journal for writing, so no effect
follows an intention that is not on disk. One process owns the file, by an OS lock beside it.
Source: group commit, DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984; SQLite's page on WAL.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..clock import Epoch
from ..errors import SagasUnavailable
from ..telemetry import Telemetry
from . import key_table
from .events import Event, decode_event, encode_event, kind_of
from .host import SagaStartError
from .journal import AlreadyThere, Begun, JournalConflict, SagaQuery, SagaRecord, StoredSaga
from .known import Owner
from .states import SagaState

T = TypeVar("T")

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE sagas (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    subject TEXT NOT NULL,
    saga TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    hash_version INTEGER NOT NULL,
    input BLOB NOT NULL,
    state TEXT NOT NULL,
    trace TEXT NOT NULL,
    created_at REAL NOT NULL,
    ended_at REAL,
    deadline_at REAL NOT NULL,
    UNIQUE (tenant, subject, saga, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX sagas_not_ended ON sagas (state, created_at) WHERE ended_at IS NULL;
CREATE TABLE events (
    saga_id TEXT NOT NULL REFERENCES sagas (id),
    seq INTEGER NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (saga_id, seq)
) WITHOUT ROWID;
"""
_COLUMNS = (
    "id, tenant, subject, saga, version, digest, idempotency_key, input_hash, hash_version, input, state, trace, "
    "created_at, ended_at, deadline_at"
)
_BEGIN = f"INSERT INTO sagas ({_COLUMNS}) VALUES ({', '.join('?' * 15)}) ON CONFLICT DO NOTHING"  # noqa: S608
_ADD_EVENT = "INSERT INTO events (saga_id, seq, at, kind, payload) VALUES (?, ?, ?, ?, ?)"
_HAS_EVENT = "SELECT 1 FROM events WHERE saga_id = ? AND seq = ?"
_SET_STATE = "UPDATE sagas SET state = ?, ended_at = ? WHERE id = ?"
_BY_ID = f"SELECT {_COLUMNS} FROM sagas WHERE id = ?"  # noqa: S608
_BY_KEY = f"SELECT {_COLUMNS} FROM sagas WHERE tenant = ? AND subject = ? AND saga = ? AND idempotency_key = ?"  # noqa: S608
_EVENTS = "SELECT payload FROM events WHERE saga_id = ? ORDER BY seq"
_OPEN = (
    f"SELECT {_COLUMNS} FROM sagas WHERE ended_at IS NULL AND state IN ('RUNNING', 'COMPENSATING', 'FORWARD_ONLY') "  # noqa: S608
    "ORDER BY created_at"
)
_WAITING = "SELECT saga, COUNT(*) FROM sagas WHERE ended_at IS NULL AND state = 'NEEDS_ATTENTION' GROUP BY saga"

Operation = Callable[[sqlite3.Connection], Any]


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
    ) -> None:
        """`max_batch`: operations in one commit. `max_pages`: bound of the file in pages of 4 KiB; None is the disk's."""
        self._path = path
        self._telemetry = telemetry
        self._max_batch = max_batch
        self._max_pages = max_pages
        self._timer = timer
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._broken: str | None = "it is not open"
        self._has_failed = False
        self._lock: int | None = None
        self._writer: threading.Thread | None = None
        self._reading: ThreadPoolExecutor | None = None
        self._reader: sqlite3.Connection | None = None

    def __repr__(self) -> str:
        return f"<SqliteJournal {self._path.name} {'healthy' if self.is_healthy else self._broken}>"

    @property
    def is_healthy(self) -> bool:
        return self._broken is None

    # -- life ----------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._lock = _take_lock(self._path)
        try:
            writer = await asyncio.to_thread(_connect_writer, self._path, max_pages=self._max_pages)
            self._reader = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        except BaseException:
            self._let_go()
            raise
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="saga-journal-read")
        self._broken, self._has_failed = None, False
        self._queue = queue.SimpleQueue()
        self._writer = threading.Thread(
            target=self._write_all, args=(writer, loop), name="saga-journal-write", daemon=True
        )
        self._writer.start()

    async def close(self) -> None:
        """Commit what is queued, then let go of the file."""
        if self._writer is not None:
            self._broken = self._broken or "it is closed"
            self._queue.put(None)
            await asyncio.to_thread(self._writer.join)
            self._writer = None
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

    # -- writing -------------------------------------------------------------------------------------------------------

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        row = _row_of(record)
        rows = _event_rows(record.id, first_seq=0, events=events)

        def operation(connection: sqlite3.Connection) -> Begun | AlreadyThere:
            if connection.execute(_BEGIN, row).rowcount == 1:
                connection.executemany(_ADD_EVENT, rows)
                key_table.put(connection, record)
                return Begun()
            by_key = (record.owner.tenant, record.owner.subject, record.saga, record.key)
            found = connection.execute(_BY_KEY, by_key).fetchone()
            if found is None:
                raise JournalConflict(f"the saga id {record.id} is taken")
            return AlreadyThere(_record_of(found))

        return await self._write(operation)

    async def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Event],
        state: SagaState | None = None,
        ended_at: Epoch | None = None,
    ) -> None:
        rows = _event_rows(saga_id, first_seq=expected_seq, events=events)

        def operation(connection: sqlite3.Connection) -> None:
            if connection.execute(_HAS_EVENT, (saga_id, expected_seq - 1)).fetchone() is None:
                raise JournalConflict(f"saga {saga_id} has no event {expected_seq - 1} to follow")
            try:
                connection.executemany(_ADD_EVENT, rows)
            except sqlite3.IntegrityError as error:
                raise JournalConflict(f"saga {saga_id} already has an event {expected_seq}") from error
            if state is not None:
                connection.execute(_SET_STATE, (state.value, ended_at, saga_id))
            if ended_at is not None:
                key_table.destroy(connection, saga_id)

        await self._write(operation)

    async def _write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        if self._broken is not None:
            raise _unavailable()
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(_Pending(operation, waiter))
        return await waiter

    def _write_all(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        """The writer's thread: until the None that closes it."""
        open_to_more = True
        while open_to_more:
            batch, open_to_more = self._next_batch()
            if batch:
                self._commit(connection, batch)
                with suppress(RuntimeError):  # the loop is gone, and with it everybody who waited
                    loop.call_soon_threadsafe(_answer, batch)
        with suppress(sqlite3.Error):
            connection.close()

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

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[_Pending]) -> None:
        started = self._timer()
        try:
            if self._has_failed:
                raise sqlite3.OperationalError(self._broken)
            connection.execute("BEGIN IMMEDIATE")
            for pending in batch:
                _run_in_savepoint(connection, pending)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(connection, batch, error)
            return
        self._telemetry.metrics.commits.observe(self._timer() - started)
        self._telemetry.metrics.commit_operations.observe(len(batch))

    def _fail(self, connection: sqlite3.Connection, batch: Sequence[_Pending], error: sqlite3.Error) -> None:
        if not self._has_failed:
            self._telemetry.log.error("saga journal cannot be written", journal=self._path.name, error=str(error))
        self._has_failed = True
        self._broken = str(error)
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        for pending in batch:
            pending.error = _unavailable()

    # -- reading -------------------------------------------------------------------------------------------------------

    async def find(self, saga_id: str) -> StoredSaga | None:
        def read(connection: sqlite3.Connection) -> tuple[Any, bytes | None, list[Any]]:
            row = connection.execute(_BY_ID, (saga_id,)).fetchone()
            if row is None:
                return None, None, []
            return row, key_table.key_of(connection, saga_id), connection.execute(_EVENTS, (saga_id,)).fetchall()

        row, key, payloads = await self._read(read)
        if row is None:
            return None
        return StoredSaga(
            replace(_record_of(row), secret_key=key), tuple(decode_event(payload) for (payload,) in payloads)
        )

    async def find_by_key(self, owner: Owner, *, saga: str, key: str) -> SagaRecord | None:
        row = await self._read(
            lambda connection: connection.execute(_BY_KEY, (owner.tenant, owner.subject, saga, key)).fetchone()
        )
        return None if row is None else _record_of(row)

    async def open_sagas(self) -> Sequence[SagaRecord]:
        rows, keys = await self._read(
            lambda connection: (connection.execute(_OPEN).fetchall(), key_table.all_keys(connection))
        )
        return [replace(_record_of(row), secret_key=keys.get(row[0])) for row in rows]

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        statement, values = _search(query)
        rows = await self._read(lambda connection: connection.execute(statement, values).fetchall())
        return [_record_of(row) for row in rows]

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
    text = f"SELECT {_COLUMNS} FROM sagas WHERE {' AND '.join(where)} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608
    return text, values


def _unavailable() -> SagasUnavailable:
    return SagasUnavailable("The saga journal cannot be written; nothing was begun.")


def _answer(batch: Sequence[_Pending]) -> None:
    """On the loop's thread; a waiter that was cancelled is past telling."""
    for pending in batch:
        if pending.waiter.done():
            continue
        if pending.error is not None:
            pending.waiter.set_exception(pending.error)
        else:
            pending.waiter.set_result(pending.result)


def _run_in_savepoint(connection: sqlite3.Connection, pending: _Pending) -> None:
    connection.execute("SAVEPOINT operation")
    try:
        pending.result = pending.operation(connection)
    except sqlite3.Error:
        raise  # the file itself fails: no operation of this group is to be believed
    except Exception as error:
        connection.execute("ROLLBACK TO operation")
        pending.error = error
    connection.execute("RELEASE operation")


def _take_lock(path: Path) -> int:
    """Raises: SagaStartError when another process owns the journal, or its directory cannot be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SagaStartError(
            f"the saga journal {path} cannot be created ({error.strerror}): make its directory writable, or name another "
            "file in `sagas.journal`"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise SagaStartError(
            f"the saga journal {path} is owned by another process: stop that process, or give this gateway a file of its "
            "own in `sagas.journal`"
        ) from error
    return lock


def _connect_writer(path: Path, *, max_pages: int | None) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with ExitStack() as unless_ready:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            unless_ready.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection, path)
            key_table.prepare(connection)
            if max_pages is not None:
                connection.execute(f"PRAGMA max_page_count = {int(max_pages)}")
            unless_ready.pop_all()
    except (OSError, sqlite3.Error) as error:
        raise SagaStartError(
            f"the saga journal {path} cannot be opened for writing ({error}): check its permissions and the disk, or restore "
            "it from a backup"
        ) from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise SagaStartError(
            f"the saga journal {path} has schema {version} and this gateway knows {SCHEMA_VERSION}: run the newer gateway"
        )
    if version == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")


def _row_of(record: SagaRecord) -> tuple[object, ...]:
    return (
        record.id,
        record.owner.tenant,
        record.owner.subject,
        record.saga,
        record.version,
        record.digest,
        record.key,
        record.input_hash,
        record.hash_version,
        record.input,
        record.state.value,
        msgspec.json.encode(dict(record.trace)).decode(),
        record.created_at,
        record.ended_at,
        record.deadline_at,
    )


def _record_of(row: Sequence[Any]) -> SagaRecord:
    return SagaRecord(
        id=row[0],
        owner=Owner(row[1], row[2]),
        saga=row[3],
        version=row[4],
        digest=row[5],
        key=row[6],
        input_hash=row[7],
        hash_version=row[8],
        input=row[9],
        state=SagaState(row[10]),
        trace=msgspec.json.decode(row[11], type=dict[str, str]),
        created_at=Epoch(row[12]),
        ended_at=None if row[13] is None else Epoch(row[13]),
        deadline_at=Epoch(row[14]),
    )


def _event_rows(saga_id: str, *, first_seq: int, events: Sequence[Event]) -> list[tuple[object, ...]]:
    return [
        (saga_id, seq, event.at, kind_of(event), encode_event(event))
        for seq, event in enumerate(events, start=first_seq)
    ]
