"""The chain of hashes: what it covers, that its bytes never change, and how an older file gets it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import Epoch
from gateway.sagas import Owner, SagaState, SqliteJournal
from gateway.sagas.chain import Head, event_hash, heads_digest, packed, record_hash

from .files import OWNER, begin, end, record_of, rows, write_schema_1
from .world import quiet

PREVIOUS = bytes(32)


def journal_at(path: Path) -> SqliteJournal:
    return SqliteJournal(path, telemetry=quiet()[0])


def hashed(
    *,
    previous: bytes = PREVIOUS,
    saga_id: str = "s",
    seq: int = 3,
    position: int = 7,
    at: float = 1.5,
    kind: str = "StepDone",
    payload: bytes = b"{}",
    state: str | None = None,
    ended_at: float | None = None,
) -> str:
    ended = None if ended_at is None else Epoch(ended_at)
    return event_hash(
        previous,
        saga_id=saga_id,
        seq=seq,
        position=position,
        at=Epoch(at),
        kind=kind,
        payload=payload,
        state=state,
        ended_at=ended,
    ).hex()


def test_the_hash_of_an_event_is_a_stored_format() -> None:
    assert hashed() == "39f4b6d09e3d320d352d82016398dd86a73afb86ff1817d123d2ad71614b1c9a"
    assert (
        record_hash(replace(record_of("s"), hash_version=1), trace="{}").hex()
        == "534fccf3044c0f583279d83729849eef4fd844537f744cd7f6fc939f170064f3"
    )
    assert (
        heads_digest([Head("a", 1, PREVIOUS), Head("b", 2, PREVIOUS)]).hex()
        == "85429b4a1d78c76ceae7b98336c54ca1f182db551de36bb2a5bcc096812b3fa6"
    )


def test_whatever_changes_about_an_event_changes_its_hash() -> None:
    variants = [
        hashed(),
        hashed(previous=b"\x01" * 32),
        hashed(saga_id="t"),
        hashed(saga_id="sS", kind="tepDone"),
        hashed(seq=4),
        hashed(position=8),
        hashed(at=1.6),
        hashed(kind="StepDonf"),
        hashed(payload=b"{ }"),
        hashed(state="COMPLETED"),
        hashed(state="COMPLETED", ended_at=0.0),
        hashed(state="COMPLETED", ended_at=1.0),
    ]
    assert len(set(variants)) == len(variants)


def test_whatever_never_changes_of_a_record_is_in_its_hash() -> None:
    record = record_of("s")
    variants = [
        replace(record, id="t"),
        replace(record, owner=Owner("shop2", "ada")),
        replace(record, owner=Owner("shop", "adb")),
        replace(record, saga="Place"),
        replace(record, version=2),
        replace(record, digest="e"),
        replace(record, key="k"),
        replace(record, input_hash="i"),
        replace(record, hash_version=record.hash_version + 1),
        replace(record, input=b"{}"),
        replace(record, created_at=Epoch(1.25)),
        replace(record, deadline_at=Epoch(32.0)),
    ]
    hashes = {record_hash(each, trace="{}") for each in [record, *variants]} | {record_hash(record, trace="{ }")}
    assert len(hashes) == len(variants) + 2
    later = replace(record, state=SagaState.COMPLETED, ended_at=Epoch(9.0))
    assert record_hash(later, trace="{}") == record_hash(record, trace="{}")


def test_no_two_lists_of_values_have_the_same_bytes() -> None:
    lists = [("ab", "c"), ("a", "bc"), ("abc",), (b"ab", "c"), (1,), (1.0,), (None,), ("",), (b"",), ()]
    assert len({packed(*values) for values in lists}) == len(lists)


async def test_every_event_names_the_hash_before_it_across_groups_and_restarts(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for saga in ("a", "b"):  # "b" is ended by a later process, which must read the head
        journal = journal_at(path)
        await journal.open()
        if saga == "a":
            await begin(journal, "a")
            await begin(journal, "b")
        await end(journal, saga)
        await journal.close()
    for saga in ("a", "b"):
        previous = record_hash(record_of(saga), trace='{"traceparent":"00-1-2-01"}')
        stored = rows(
            path,
            "SELECT seq, position, at, kind, payload, state, ended_at, hash FROM events WHERE saga_id = ?",
            (saga,),
        )
        assert [row[5] for row in stored] == [None, "RUNNING", None, "COMPLETED"]
        for seq, position, at, kind, payload, state, ended_at, found in stored:
            previous = event_hash(
                previous,
                saga_id=saga,
                seq=seq,
                position=position,
                at=at,
                kind=kind,
                payload=payload,
                state=state,
                ended_at=ended_at,
            )
            assert found == previous


async def test_positions_are_never_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for saga in "abc":
        journal = journal_at(path)
        await journal.open()
        await begin(journal, saga)
        await journal.close()
    assert rows(path, "SELECT position FROM events ORDER BY position") == [(n,) for n in range(1, 7)]


async def test_a_file_of_schema_1_gets_its_hashes_and_says_so_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    write_schema_1(path, ["a", "b"])
    journal = journal_at(path)
    await journal.open()
    assert [saga.id for saga in await journal.open_sagas()] == ["b"]
    found = await journal.find_by_key(OWNER, saga="PlaceOrder", key="a")
    assert found is not None
    assert found.state is SagaState.COMPLETED
    await end(journal, "b")
    await journal.close()
    assert rows(path, "SELECT migrated_from, migrated_position FROM origin") == [(1, 6)]
    assert rows(path, "SELECT state, ended_at FROM events WHERE state IS NOT NULL") == [
        ("COMPLETED", 2.0),
        ("RUNNING", None),
        ("COMPLETED", 2.0),
    ]
    assert rows(path, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'events_1'") == [(0,)]


@pytest.mark.parametrize("sagas", [[], ["only"]])
async def test_a_small_file_of_schema_1_is_migrated_too(tmp_path: Path, sagas: list[str]) -> None:
    path = tmp_path / "j.db"
    write_schema_1(path, sagas)
    journal = journal_at(path)
    await journal.open()
    await begin(journal, "new")
    assert len(await journal.open_sagas()) == len(sagas) + 1
    await journal.close()
