"""Backups taken under load, and what going on from an old one means for services."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.clock import Epoch, LoopClock, Seconds
from gateway.sagas import SagaStartError, SagaState, SqliteJournal
from gateway.sagas.backup import BackupRefused, backup, restore
from gateway.sagas.export import ExportedSaga, export
from gateway.sagas.keeping import Keeping
from gateway.sagas.verify import verify

from ..unit.sagas.files import begin as begin_record
from ..unit.sagas.files import end as end_record
from ..unit.sagas.world import World, begin, host_of, quiet, settle

NOW = Epoch(1_800_000_000.0)


def journal_at(directory: Path) -> SqliteJournal:
    keeping = Keeping(anchor=directory / "anchor.jsonl")
    return SqliteJournal(directory / "j.db", telemetry=quiet()[0], keeping=keeping)


def exported(path: Path, **chosen: object) -> list[dict[str, object]]:
    return [json.loads(line) for line in export(path, **chosen)]  # type: ignore[arg-type]  # as `export` declares them


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


# -- backup ------------------------------------------------------------------------------------------------------------


async def test_a_backup_under_load_is_one_intact_file_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else a file this small would be copied in one step, without a pause in which others could write.
    monkeypatch.setattr("gateway.sagas.backup.PAGES", 4)
    journal, target = journal_at(tmp_path), tmp_path / "copy.db"
    await journal.open()
    for number in range(200):
        await begin_record(journal, f"before{number}")
    copying = asyncio.create_task(asyncio.to_thread(backup, tmp_path / "j.db", target, bytes_per_second=400_000))
    written = 0
    while not copying.done():
        await begin_record(journal, f"during{written}")
        written += 1
    made = await copying
    await journal.close()
    assert written > 5, "nothing was written meanwhile"
    found = verify(target)
    assert found.is_intact, found.text()
    assert 200 <= found.sagas <= 200 + written
    assert made.size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {name for name in names_in(tmp_path) if name.startswith("copy")} == {"copy.db"}


async def test_a_backup_replaces_nothing_and_leaves_nothing_half(tmp_path: Path) -> None:
    journal, target = journal_at(tmp_path), tmp_path / "copy.db"
    await journal.open()
    await journal.close()
    target.write_text("something else")
    with pytest.raises(BackupRefused, match="name a new file"):
        backup(tmp_path / "j.db", target)
    assert target.read_text() == "something else"
    with pytest.raises(BackupRefused, match=r"cannot be copied"):
        backup(tmp_path / "nowhere.db", tmp_path / "other.db")
    with pytest.raises(BackupRefused, match=r"cannot be copied"):
        backup(tmp_path / "j.db", tmp_path / "no directory" / "other.db")
    assert not {name for name in names_in(tmp_path) if name.endswith(".partial")}


# -- restore -----------------------------------------------------------------------------------------------------------


async def test_a_restore_is_refused_while_a_gateway_owns_the_file(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    await begin_record(journal, "a")
    backup(tmp_path / "j.db", tmp_path / "copy.db")
    with pytest.raises(SagaStartError, match="owned by another process: stop that process"):
        restore(tmp_path / "copy.db", tmp_path / "j.db", now=NOW)
    assert [record.id for record in await journal.open_sagas()] == ["a"]
    await journal.close()


async def test_a_broken_backup_is_not_restored(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    await begin_record(journal, "a")
    await journal.close()
    backup(tmp_path / "j.db", tmp_path / "copy.db")
    connection = sqlite3.connect(tmp_path / "copy.db")
    connection.execute("UPDATE events SET at = 7.0")
    connection.commit()
    connection.close()
    before = (tmp_path / "j.db").read_bytes()
    with pytest.raises(BackupRefused, match="no intact journal"):
        restore(tmp_path / "copy.db", tmp_path / "j.db", now=NOW)
    assert (tmp_path / "j.db").read_bytes() == before


async def test_a_restore_moves_aside_what_was_there_its_wal_and_anchor_too(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    await begin_record(journal, "old")
    await journal.close()
    backup(tmp_path / "j.db", tmp_path / "copy.db")
    journal = journal_at(tmp_path)
    await journal.open()
    await begin_record(journal, "newer")
    shutil.copy(tmp_path / "j.db-wal", tmp_path / "crashed-wal")
    shutil.copy(tmp_path / "j.db", tmp_path / "crashed")
    await journal.close()
    shutil.copy(tmp_path / "crashed", tmp_path / "j.db")
    shutil.copy(tmp_path / "crashed-wal", tmp_path / "j.db-wal")
    restored = restore(tmp_path / "copy.db", tmp_path / "j.db", now=NOW, anchor=tmp_path / "anchor.jsonl")
    names = {path.name for path in restored.moved_aside}
    assert names == {"j.db.20270115T080000Z", "j.db.20270115T080000Z-wal", "anchor.jsonl.20270115T080000Z"}
    journal = journal_at(tmp_path)
    await journal.open()  # beside the old anchor it would be refused
    assert [record.id for record in await journal.open_sagas()] == ["old"]
    await journal.close()
    assert [line["id"] for line in exported(tmp_path / "j.db.20270115T080000Z")] == ["newer", "old"]
    assert verify(tmp_path / "j.db", tmp_path / "anchor.jsonl").is_intact
    found = verify(tmp_path / "j.db", tmp_path / "anchor.jsonl.20270115T080000Z")
    assert {problem.kind for problem in found.problems} >= {"rolled back"}, "a restore is a roll-back, and says so"


async def test_going_on_from_an_old_backup_sends_the_same_keys_again_and_forgets_what_began_later(
    tmp_path: Path,
) -> None:
    """What the guide says: steps run again under the same keys; sagas of after the backup are unknown, their effects stand."""
    gate, captures = asyncio.Event(), asyncio.Event()

    async def around(point: str) -> None:
        if point == "before /capture":
            captures.set()
            await gate.wait()

    world = World(around=around)
    host = host_of(journal_at(tmp_path), world, clock=LoopClock())
    await host.start()
    early = await begin(host, key="early")
    await captures.wait()
    await asyncio.to_thread(backup, tmp_path / "j.db", tmp_path / "copy.db")
    gate.set()
    late = await begin(host, key="late")
    for ticket in (early, late):
        assert (await settle(host, ticket)).status is SagaState.COMPLETED
    await host.stop(Seconds(1.0))
    calls = len(world.keys)

    aside = restore(tmp_path / "copy.db", tmp_path / "j.db", now=NOW, anchor=tmp_path / "anchor.jsonl").moved_aside[0]
    host = host_of(journal_at(tmp_path), world, clock=LoopClock())
    await host.start()
    assert (await settle(host, early)).status is SagaState.COMPLETED
    assert set(world.keys[calls:]) == {f"{early.saga_id}:capture", f"{early.saga_id}:shipment"}, (
        "again, under their keys"
    )
    assert await host.view(late.saga_id) is None
    again = await begin(host, key="late")
    assert again.created, "nobody knows that its key was used"
    await settle(host, again)
    await host.stop(Seconds(1.0))

    assert max(world.effects.values()) == 1, "services that honour keys did nothing twice"
    known = {key for line in exported(tmp_path / "j.db") for key in keys_of(line)}
    orphaned = {key for key in world.effects if key not in known}
    assert orphaned == {f"{late.saga_id}:{step}" for step in ("reservation", "authorization", "capture", "shipment")}
    assert orphaned <= {key for line in exported(aside) for key in keys_of(line)}, "the file moved aside names them"


def keys_of(line: dict[str, object]) -> Sequence[str]:
    keys = line["keys"]
    assert isinstance(keys, list)
    return keys


# -- export ------------------------------------------------------------------------------------------------------------


async def test_an_export_is_one_documented_line_a_saga(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    await begin_record(journal, "a", at=1.0)
    await end_record(journal, "a", at=2.0)
    await journal.close()
    (line,) = exported(tmp_path / "j.db")
    head = line.pop("head")
    assert isinstance(head, str)
    assert len(head) == 64
    assert line == {
        "format": 1,
        "id": "a",
        "saga": "PlaceOrder",
        "version": 1,
        "digest": "d",
        "tenant": "shop",
        "subject": "ada",
        "key": "a",
        "state": "COMPLETED",
        "createdAt": 1.0,
        "deadlineAt": 31.0,
        "endedAt": 2.0,
        "input": {"sku": "a"},
        "events": [
            {"kind": "SagaStarted", "at": 1.0, "deadline_at": 31.0},
            {"kind": "StepIntended", "at": 1.0, "step": "a", "attempt": 1},
            {"kind": "StepDone", "at": 2.0, "step": "a", "attempt": 1, "result": {"card": "4242"}},
            {"kind": "SagaEnded", "at": 2.0, "state": "COMPLETED"},
        ],
        "keys": ["a:a"],
    }


async def test_an_export_is_narrowed_by_what_is_asked_and_keeps_the_order_of_beginning(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    for number in range(250):  # more than two chunks
        await begin_record(journal, f"s{number:03}", at=float(1_000 - number // 2))
    await end_record(journal, "s100")
    everything = exported(tmp_path / "j.db")
    assert len(everything) == 250
    assert [(line["createdAt"], line["id"]) for line in everything] == sorted(
        (line["createdAt"], line["id"]) for line in everything
    )
    assert [line["id"] for line in exported(tmp_path / "j.db", saga_id="s007")] == ["s007"]
    assert [line["id"] for line in exported(tmp_path / "j.db", states=[SagaState.COMPLETED])] == ["s100"]
    assert len(exported(tmp_path / "j.db", begun_from=Epoch(990.0), begun_before=Epoch(995.0))) == 10
    assert exported(tmp_path / "j.db", saga="Other") == []
    await journal.close()


async def test_what_is_redacted_is_in_no_line(tmp_path: Path) -> None:
    def redact(saga: ExportedSaga) -> ExportedSaga:
        return msgspec.structs.replace(saga, input=msgspec.Raw(b'"***"'), events=[])

    journal = journal_at(tmp_path)
    await journal.open()
    await begin_record(journal, "a")
    await end_record(journal, "a")
    await journal.close()
    text = b"".join(export(tmp_path / "j.db", redact=redact))
    assert b"4242" not in text
    assert b'"input":"***"' in text
