"""Disks that fill, fail and tear: what was acknowledged is there, nothing is there by half, and sagas go on once there is room."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import LoopClock, Seconds
from gateway.errors import SagasUnavailable
from gateway.sagas import EmbeddedHost, SagaStartError, SagaState, SqliteJournal
from gateway.sagas import embedded as hosting
from gateway.sagas.journal import SagaRecord
from gateway.sagas.keeping import Keeping
from gateway.sagas.verify import verify

from ..unit.sagas.files import begin as begin_record
from ..unit.sagas.files import beginning, record_of
from ..unit.sagas.world import World, begin, host_of, quiet, settle


def big(name: str) -> SagaRecord:
    return record_of(name, input_value=b"x" * 4_000)


async def fill(journal: SqliteJournal, *, prefix: str = "fill") -> list[str]:
    """Begin sagas until the journal refuses one. Returns: what it has acknowledged."""
    done: list[str] = []
    for number in range(100_000):
        try:
            await journal.begin(big(f"{prefix}{number}"), beginning())
        except SagasUnavailable:
            return done
        done.append(f"{prefix}{number}")
    raise AssertionError("never full")


# -- full --------------------------------------------------------------------------------------------------------------


async def test_a_full_journal_is_written_again_without_being_opened_anew(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0], max_pages=100)
    await journal.open()
    acknowledged = await fill(journal)
    await asyncio.wait_for(journal.failed(), 5)
    assert not await journal.mend(), "there is no room yet"
    assert "healthy" not in repr(journal)
    journal.max_pages = 1_000
    assert await journal.mend()
    assert journal.is_healthy
    await begin_record(journal, "after")
    assert {saga.id for saga in await journal.open_sagas()} == {*acknowledged, "after"}
    await journal.close()
    assert verify(tmp_path / "j.db").is_intact


async def test_a_healthy_journal_needs_no_mending_and_a_closed_one_has_none(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0])
    assert not await journal.mend()
    await journal.open()
    assert await journal.mend()
    await begin_record(journal, "a")
    await journal.close()
    assert not await journal.mend()


async def test_what_a_full_journal_refused_is_not_there_after_it_was_mended(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0], max_pages=60)
    await journal.open()
    answers = await asyncio.gather(
        *(journal.begin(big(f"s{n}"), beginning()) for n in range(100)), return_exceptions=True
    )
    acknowledged = {f"s{number}" for number, answer in enumerate(answers) if not isinstance(answer, Exception)}
    journal.max_pages = 1_000
    assert await journal.mend()
    assert {saga.id for saga in await journal.open_sagas()} == acknowledged
    await journal.close()


@asynccontextmanager
async def serving(journal: SqliteJournal, world: World) -> AsyncIterator[EmbeddedHost]:
    host = host_of(journal, world, clock=LoopClock(), max_open=1_000)
    await host.start()
    yield host
    await host.stop(Seconds(5.0))


async def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  (what is waited for is another task's state, which has no event)
            await asyncio.sleep(0.01)


async def test_sagas_stop_with_their_journal_and_go_on_with_it_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "FIRST_MENDING", Seconds(0.02))
    gate = asyncio.Event()

    async def around(point: str) -> None:
        if point == "before /capture":
            await gate.wait()

    journal, world = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0], max_pages=120), World(around=around)
    async with serving(journal, world) as host:
        tickets = [await begin(host, key=f"k{number}") for number in range(5)]
        await until(lambda: world.calls.count("/capture") == 5)
        await fill(journal)
        gate.set()  # the captures are done now, and nobody can write it down
        with pytest.raises(SagasUnavailable):
            await begin(host, key="refused")
        await asyncio.sleep(0.1)
        assert not host.is_healthy
        view = await host.view(tickets[0].saga_id)
        assert view is not None
        assert view.status is SagaState.RUNNING
        journal.max_pages = 10_000
        await until(lambda: host.is_healthy)
        for ticket in tickets:
            assert (await settle(host, ticket)).status is SagaState.COMPLETED
        assert max(world.effects.values()) == 1, "the same keys, so once"
        again = await begin(host, key="refused")
        assert again.created
        assert (await settle(host, again)).status is SagaState.COMPLETED


async def test_no_effect_goes_out_whose_intention_is_not_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "FIRST_MENDING", Seconds(0.02))
    journal, world = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0], max_pages=80), World()
    async with serving(journal, world) as host:
        await fill(journal)
        calls = len(world.calls)
        for number in range(20):
            with pytest.raises(SagasUnavailable):
                await begin(host, key=f"k{number}")
        await asyncio.sleep(0.1)
        assert len(world.calls) == calls == 0


# -- a real small disk -------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where the machine lets one be mounted."""
    at = tmp_path / "disk"
    at.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root may mount a small file system")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(at)], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no small file system here: {made.stderr.decode().strip()}")
    yield at
    subprocess.run(["umount", str(at)], check=True)


async def test_a_disk_that_is_really_full_loses_nothing_and_is_used_again_when_there_is_room(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(400_000))
    journal = SqliteJournal(small_disk / "j.db", telemetry=quiet()[0])
    await journal.open()
    acknowledged = await fill(journal)
    assert acknowledged
    assert not await journal.mend()
    assert {saga.id for saga in await journal.open_sagas()} == set(acknowledged)
    (small_disk / "ballast").unlink()
    assert await journal.mend()
    acknowledged += await fill(journal, prefix="more")
    assert {saga.id for saga in await journal.open_sagas()} == set(acknowledged)
    await journal.close()
    found = verify(small_disk / "j.db")
    assert found.is_intact, found.text()


# -- a commit that fails -----------------------------------------------------------------------------------------------


class Failing(sqlite3.Connection):
    """A connection whose next commits fail after everything before them went well."""

    failures = 0

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT" and Failing.failures:
            Failing.failures -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, values)


async def test_a_commit_that_fails_refuses_its_whole_group_and_the_next_goes_on_from_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def failing(*args: object, **options: object) -> sqlite3.Connection:
        return connect(*args, **options, factory=Failing)  # type: ignore[call-overload, no-any-return]  # as it was called

    monkeypatch.setattr("gateway.sagas.ownership.sqlite3.connect", failing)
    journal = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0])
    await journal.open()
    await begin_record(journal, "before")
    Failing.failures = 1
    answers = await asyncio.gather(
        *(begin_record(journal, name) for name in ("one", "two", "three")),
        journal.append("before", expected_seq=2, events=beginning()[1:], state=SagaState.COMPENSATING),
        return_exceptions=True,
    )
    assert {type(answer) for answer in answers} == {SagasUnavailable}
    assert await journal.mend()
    assert [(saga.id, saga.state) for saga in await journal.open_sagas()] == [("before", SagaState.RUNNING)]
    await journal.append("before", expected_seq=2, events=beginning()[1:])
    await begin_record(journal, "one")
    await journal.close()
    assert verify(tmp_path / "j.db").is_intact


# -- torn and flipped --------------------------------------------------------------------------------------------------


async def written(directory: Path, *, sagas: int) -> tuple[Path, Path]:
    """Copies of database and WAL as a crash leaves them, the last saga's frames at the WAL's end."""
    journal = SqliteJournal(directory / "j.db", telemetry=quiet()[0])
    await journal.open()
    for number in range(sagas):
        await begin_record(journal, f"s{number}")
    kept = directory / "kept"
    kept.mkdir()
    shutil.copy(directory / "j.db", kept / "j.db")
    shutil.copy(directory / "j.db-wal", kept / "j.db-wal")
    await journal.close()
    return kept / "j.db", kept / "j.db-wal"


async def sagas_in(directory: Path) -> list[str] | str:
    """What a gateway finds there, or the sentence with which it refuses."""
    journal = SqliteJournal(directory / "j.db", telemetry=quiet()[0])
    try:
        await journal.open()
    except SagaStartError as error:
        return str(error)
    try:
        found = []
        for record in await journal.open_sagas():
            stored = await journal.find(record.id)
            assert stored is not None
            assert list(stored.events) == beginning(), "half a saga"
            found.append(record.id)
        return sorted(found, key=lambda name: int(name[1:]))
    finally:
        await journal.close()


def placed(directory: Path, database: bytes, wal: bytes) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "j.db").write_bytes(database)
    (directory / "j.db-wal").write_bytes(wal)
    return directory


async def test_a_wal_that_was_torn_anywhere_holds_a_whole_number_of_sagas_and_all_before_the_tear(
    tmp_path: Path,
) -> None:
    database, wal = (path.read_bytes() for path in await written(tmp_path, sagas=4))
    frame = 4096 + 24
    ends = range(len(wal) - 2 * frame, len(wal), 97)
    counts = []
    for end in [*ends, len(wal) - 1, len(wal)]:
        found = await sagas_in(placed(tmp_path / "torn", database, wal[:end]))
        assert isinstance(found, list), found
        assert found == [f"s{number}" for number in range(len(found))]
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == 4
    assert counts[0] >= 3, "only the last commit was torn"


async def test_a_flipped_bit_in_the_wal_loses_the_commit_it_is_in_whole_or_is_refused(tmp_path: Path) -> None:
    """A WAL frame has a checksum: what follows a bad one was never acknowledged as far as SQLite can tell, so `verify` must."""
    database, wal = (path.read_bytes() for path in await written(tmp_path, sagas=4))
    for offset in range(len(wal) - 4096 - 24, len(wal), 311):
        flipped = bytearray(wal)
        flipped[offset] ^= 0x10
        found = await sagas_in(placed(tmp_path / "flipped", database, bytes(flipped)))
        assert isinstance(found, list), found
        assert found == [f"s{number}" for number in range(len(found))]


async def test_a_database_that_was_cut_or_flipped_is_refused_or_found_by_verify(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0], keeping=Keeping(anchor=tmp_path / "anchor.jsonl"))
    await journal.open()
    for number in range(20):
        await begin_record(journal, f"s{number}")
    await journal.close()
    honest = (tmp_path / "j.db").read_bytes()
    silent = 0
    for offset in range(100, len(honest), 487):
        flipped = bytearray(honest)
        flipped[offset] ^= 0x04
        at = placed(tmp_path / "flipped", bytes(flipped), b"")
        if verify(at / "j.db", tmp_path / "anchor.jsonl").is_intact:
            silent += 1
            assert await sagas_in(at) == [f"s{number}" for number in range(20)], "it was in space that nothing uses"
    for cut in range(0, len(honest), 4_001):
        at = placed(tmp_path / "cut", honest[:cut], b"")
        assert not verify(at / "j.db", tmp_path / "anchor.jsonl").is_intact, cut
    assert silent < len(honest) / 487
