"""What every journal promises, and what the file promises besides."""

from __future__ import annotations

import asyncio
import io
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.clock import Epoch
from gateway.errors import SagasUnavailable
from gateway.sagas import Journal, Owner, SagaStartError, SagaState, SqliteJournal
from gateway.sagas.events import SagaEnded, SagaStarted, StepDone, StepIntended
from gateway.sagas.journal import AlreadyThere, Begun, JournalConflict, SagaRecord
from gateway.telemetry import Telemetry, json_log
from gateway.testing.journal import MemoryJournal

from .world import total

OWNER = Owner("shop", "ada")
STARTED = SagaStarted(at=Epoch(1.0), deadline_at=Epoch(31.0))
INTENDED = StepIntended(at=Epoch(1.0), step="a", attempt=1)
DONE = StepDone(at=Epoch(2.0), step="a", attempt=1, result=msgspec.Raw(b'{"id":"r1"}'))
ENDED = SagaEnded(at=Epoch(2.0), state=SagaState.COMPLETED)


def record(saga_id: str = "s1", *, key: str = "k1", owner: Owner = OWNER, at: float = 1.0) -> SagaRecord:
    return SagaRecord(
        id=saga_id,
        owner=owner,
        saga="PlaceOrder",
        version=1,
        digest="d",
        key=key,
        input_hash="h",
        input=b'{"sku":"a"}',
        state=SagaState.RUNNING,
        trace={"traceparent": "00-1-2-01"},
        created_at=Epoch(at),
        deadline_at=Epoch(at + 30),
    )


def quiet() -> Telemetry:
    return Telemetry(log=json_log(io.StringIO()))


def sqlite_journal(path: Path, *, max_pages: int | None = None, telemetry: Telemetry | None = None) -> SqliteJournal:
    return SqliteJournal(path / "deep" / "sagas.db", telemetry=telemetry or quiet(), max_pages=max_pages)


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Journal]:
    journal: Journal = MemoryJournal() if request.param == "memory" else sqlite_journal(tmp_path)
    await journal.open()
    yield journal
    await journal.close()


# -- every journal -----------------------------------------------------------------------------------------------------


async def test_what_was_written_is_read_back_whole(journal: Journal) -> None:
    assert await journal.begin(record(), [STARTED, INTENDED]) == Begun()
    await journal.append("s1", expected_seq=2, events=[DONE, ENDED], state=SagaState.COMPLETED, ended_at=Epoch(2.0))
    stored = await journal.find("s1")
    assert stored is not None
    assert stored.events == (STARTED, INTENDED, DONE, ENDED)
    assert stored.record == replace(record(), state=SagaState.COMPLETED, ended_at=Epoch(2.0))


async def test_the_same_key_of_the_same_owner_finds_what_it_began(journal: Journal) -> None:
    await journal.begin(record(), [STARTED])
    assert await journal.begin(record("s2"), [STARTED]) == AlreadyThere(record())
    assert await journal.find("s2") is None
    assert await journal.find_by_key(OWNER, saga="PlaceOrder", key="k1") == record()


async def test_the_same_key_of_another_owner_begins_another_saga(journal: Journal) -> None:
    await journal.begin(record(), [STARTED])
    for number, owner in enumerate([Owner("shop", "bob"), Owner("other", "ada")]):
        assert await journal.begin(record(f"t{number}", owner=owner), [STARTED]) == Begun()


async def test_of_two_that_race_for_a_key_one_begins(journal: Journal) -> None:
    answers = await asyncio.gather(*(journal.begin(record(f"s{i}"), [STARTED]) for i in range(20)))
    assert sum(isinstance(answer, Begun) for answer in answers) == 1
    winner = next(i for i, answer in enumerate(answers) if isinstance(answer, Begun))
    assert {a.record.id for a in answers if isinstance(a, AlreadyThere)} == {f"s{winner}"}


async def test_an_append_that_is_late_is_refused_whole(journal: Journal) -> None:
    await journal.begin(record(), [STARTED, INTENDED])
    with pytest.raises(JournalConflict):
        await journal.append("s1", expected_seq=1, events=[DONE, ENDED], state=SagaState.COMPLETED)
    stored = await journal.find("s1")
    assert stored is not None
    assert (stored.events, stored.record.state) == ((STARTED, INTENDED), SagaState.RUNNING)
    assert journal.is_healthy


async def test_an_append_that_would_leave_a_gap_is_refused(journal: Journal) -> None:
    await journal.begin(record(), [STARTED, INTENDED])
    for wrong in (3, -1):
        with pytest.raises(JournalConflict):
            await journal.append("s1", expected_seq=wrong, events=[DONE])
    stored = await journal.find("s1")
    assert stored is not None
    assert stored.events == (STARTED, INTENDED)


async def test_a_refused_operation_takes_nothing_of_its_group_with_it(journal: Journal) -> None:
    await journal.begin(record(), [STARTED])
    answers = await asyncio.gather(
        journal.begin(record("s2", key="k2"), [STARTED]),
        journal.append("s1", expected_seq=0, events=[DONE]),
        journal.begin(record("s3", key="k3"), [STARTED]),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [Begun, JournalConflict, Begun]
    assert await journal.find("s3") is not None


async def test_open_sagas_are_those_that_are_not_settled_oldest_first(journal: Journal) -> None:
    for number, state in enumerate(SagaState):
        saga_id = f"s{number}"
        await journal.begin(record(saga_id, key=saga_id, at=float(number)), [STARTED])
        ended_at = Epoch(9.0) if state.is_final else None
        await journal.append(saga_id, expected_seq=1, events=[INTENDED], state=state, ended_at=ended_at)
    assert [saga.state for saga in await journal.open_sagas()] == ["RUNNING", "COMPENSATING", "FORWARD_ONLY"]
    assert await journal.needing_attention() == {"PlaceOrder": 1}


async def test_a_closed_journal_takes_nothing(journal: Journal) -> None:
    await journal.close()
    assert not journal.is_healthy
    with pytest.raises(SagasUnavailable):
        await journal.begin(record(), [STARTED])


async def test_a_saga_that_nobody_began_is_not_found(journal: Journal) -> None:
    assert await journal.find("nope") is None
    assert await journal.find_by_key(OWNER, saga="PlaceOrder", key="nope") is None


# -- the file ----------------------------------------------------------------------------------------------------------


async def test_the_file_is_its_owners_alone_and_its_directory_is_made(tmp_path: Path) -> None:
    journal = sqlite_journal(tmp_path)
    await journal.open()
    await journal.begin(record(), [STARTED])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").iterdir()}
    assert set(modes) >= {"sagas.db", "sagas.db-wal", "sagas.db.lock"}
    assert set(modes.values()) == {0o600}
    await journal.close()


async def test_the_file_is_read_by_the_next_process(tmp_path: Path) -> None:
    for expected in (Begun(), AlreadyThere(record())):
        journal = sqlite_journal(tmp_path)
        await journal.open()
        assert await journal.begin(record(), [STARTED]) == expected
        await journal.close()


async def test_a_second_owner_of_the_file_is_refused_and_told_the_remedy(tmp_path: Path) -> None:
    first, second = sqlite_journal(tmp_path), sqlite_journal(tmp_path)
    await first.open()
    with pytest.raises(SagaStartError, match=r"owned by another process: stop that process.*sagas\.journal"):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_file_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    journal = sqlite_journal(tmp_path)
    await journal.open()
    await journal.close()
    connection = sqlite3.connect(tmp_path / "deep" / "sagas.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SagaStartError, match="schema 99"):
        await journal.open()


async def test_a_place_that_cannot_be_written_is_refused_and_told_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file where a directory should be")
    with pytest.raises(SagaStartError, match="make its directory writable"):
        await sqlite_journal(tmp_path).open()


async def test_operations_that_wait_together_are_committed_together(tmp_path: Path) -> None:
    telemetry = quiet()
    journal = sqlite_journal(tmp_path, telemetry=telemetry)
    await journal.open()
    await asyncio.gather(*(journal.begin(record(f"s{i}", key=f"k{i}"), [STARTED]) for i in range(100)))
    assert total(telemetry, "sagaql_journal_commit_operations_sum") == 100
    assert total(telemetry, "sagaql_journal_commit_operations_count") < 50
    await journal.close()


async def fill(journal: Journal) -> int:
    """How many sagas fit until the journal refuses one."""
    for number in range(10_000):
        big = replace(record(f"s{number}", key=f"k{number}"), input=b"x" * 4_000)
        try:
            await journal.begin(big, [STARTED])
        except SagasUnavailable:
            return number
    raise AssertionError("never full")


async def test_a_full_disk_refuses_clearly_loses_nothing_and_can_still_be_read(tmp_path: Path) -> None:
    journal = sqlite_journal(tmp_path, max_pages=100)
    await journal.open()
    count = await fill(journal)
    assert count > 10
    assert not journal.is_healthy
    with pytest.raises(SagasUnavailable):
        await journal.append("s0", expected_seq=1, events=[INTENDED])
    assert len(await journal.open_sagas()) == count
    assert await journal.find(f"s{count}") is None
    await journal.close()

    roomier = sqlite_journal(tmp_path)
    await roomier.open()
    assert len(await roomier.open_sagas()) == count
    assert await roomier.begin(record("more", key="more"), [STARTED]) == Begun()
    await roomier.close()


async def test_all_operations_of_a_commit_that_fails_are_refused(tmp_path: Path) -> None:
    journal = sqlite_journal(tmp_path, max_pages=40)
    await journal.open()
    big = [replace(record(f"s{i}", key=f"k{i}"), input=b"x" * 4_000) for i in range(200)]
    answers = await asyncio.gather(*(journal.begin(saga, [STARTED]) for saga in big), return_exceptions=True)
    begun = [saga.id for saga, answer in zip(big, answers, strict=True) if answer == Begun()]
    assert {type(answer) for answer in answers} <= {Begun, SagasUnavailable}
    assert {saga.id for saga in await journal.open_sagas()} == set(begun)
    await journal.close()


async def test_histories_that_are_asked_for_together_are_read_together_and_fail_alone(tmp_path: Path) -> None:
    journal = sqlite_journal(tmp_path)
    await journal.open()
    await asyncio.gather(*(journal.begin(record(f"s{i}", key=f"k{i}"), [STARTED, INTENDED]) for i in range(300)))
    reader, statements = journal._reader, list[str]()
    assert reader is not None
    editor = sqlite3.connect(tmp_path / "deep" / "sagas.db")
    editor.execute("UPDATE events SET payload = x'7b7d' WHERE saga_id = 's7'")
    editor.commit()
    editor.close()
    reader.set_trace_callback(statements.append)
    ids = [*(f"s{i}" for i in range(300)), "nobody", "s1"]
    found = await asyncio.gather(*(journal.find(saga_id) for saga_id in ids), return_exceptions=True)
    assert len([text for text in statements if text.startswith("SELECT")]) == 6, "three for every 256"
    assert isinstance(found[7], msgspec.ValidationError)
    assert (found[300], found[301]) == (None, found[1])
    for i, stored in enumerate(found[:300]):
        if i != 7:
            assert not isinstance(stored, BaseException)
            assert stored is not None
            assert (stored.record.id, stored.events) == (f"s{i}", (STARTED, INTENDED))
    await journal.close()


async def test_a_history_is_not_lost_to_others_when_one_who_asked_goes_away(tmp_path: Path) -> None:
    journal = sqlite_journal(tmp_path)
    await journal.open()
    await journal.begin(record(), [STARTED])
    leaving, staying = (asyncio.create_task(journal.find("s1")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    stored = await staying
    assert stored is not None
    assert stored.events == (STARTED,)
    await journal.close()


async def test_the_metrics_of_the_file_are_asked_for(tmp_path: Path) -> None:
    telemetry = quiet()
    journal = sqlite_journal(tmp_path, telemetry=telemetry)
    assert total(telemetry, "sagaql_journal_bytes") == 0
    await journal.open()
    await journal.begin(record(), [STARTED])
    size = sum((tmp_path / "deep" / name).stat().st_size for name in ("sagas.db", "sagas.db-wal"))
    assert total(telemetry, "sagaql_journal_bytes") == size > 0
    waiting = [asyncio.ensure_future(journal.begin(record(f"w{i}", key=f"w{i}"), [STARTED])) for i in range(3)]
    assert total(telemetry, "sagaql_journal_waiting_operations") == 0, "they have not run yet"
    await asyncio.gather(*waiting)
    assert total(telemetry, "sagaql_journal_waiting_operations") == 0
    assert total(telemetry, "sagaql_journal_checkpoint_age_seconds") == 0, "it makes none"
    await journal.close()
