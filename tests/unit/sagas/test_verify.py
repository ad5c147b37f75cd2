"""What `verify` finds, what it calls proven, and what it says it has not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.clock import Epoch, Seconds
from gateway.sagas import SagaStartError, SagaState, SqliteJournal
from gateway.sagas.anchor import append_to_anchor, read_anchor
from gateway.sagas.checkpoints import checkpoint_of_line
from gateway.sagas.keeping import Keeping
from gateway.sagas.signing import SigningKey, new_signing_key
from gateway.sagas.verification import Verification
from gateway.sagas.verify import verify

from .files import OWNER, begin, change, end, rows, write_schema_1
from .world import quiet

KEY = SigningKey.generate()
PUBLIC = [str(KEY.public)]
LONG_AGO, NOW = 1_000.0, 1_000_000.0


class At:
    """A clock that stands."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def now(self) -> object:
        raise LookupError("no loop's time is asked for here")

    def wall(self) -> Epoch:
        return Epoch(self.at)


def journal_at(directory: Path, *, key: SigningKey | None = KEY, retention: float | None = None) -> SqliteJournal:
    keeping = Keeping(
        anchor=directory / "anchor.jsonl", key=key, retention=None if retention is None else Seconds(retention)
    )
    return SqliteJournal(directory / "j.db", telemetry=quiet()[0], clock=At(), keeping=keeping)  # type: ignore[arg-type]  # At has no monotonic time


async def written(directory: Path, *, key: SigningKey | None = KEY) -> Path:
    """Two lives of a journal: four checkpoints, three sagas that ended long ago and are pruned, an open one, one that waits."""
    journal = journal_at(directory, key=key, retention=500_000.0)
    await journal.open()
    for name in ("old-a", "old-b", "waits"):
        await begin(journal, name, at=LONG_AGO)
    await keep(journal)
    await end(journal, "old-a", at=LONG_AGO + 1)
    await end(journal, "waits", at=LONG_AGO + 1, state=SagaState.NEEDS_ATTENTION)
    await end(journal, "old-b", at=LONG_AGO + 2, state=SagaState.COMPENSATED)
    await journal.close()
    journal = journal_at(directory, key=key, retention=500_000.0)
    await journal.open()
    assert journal.keeper is not None
    assert await journal.keeper.prune() == 2
    await begin(journal, "new", at=NOW - 10)
    await begin(journal, "open", at=NOW - 5)
    await keep(journal)
    await end(journal, "new", at=NOW - 1)
    await journal.close()
    return directory / "j.db"


async def keep(journal: SqliteJournal) -> None:
    assert journal.keeper is not None
    await journal.keeper.checkpoint()


def said(verification: Verification) -> str:
    return verification.text()


# -- honest files ------------------------------------------------------------------------------------------------------


async def test_an_honest_journal_with_its_anchor_and_key_is_proven_whole(tmp_path: Path) -> None:
    path = await written(tmp_path)
    found = verify(path, tmp_path / "anchor.jsonl", PUBLIC)
    assert found.is_intact, said(found)
    assert (found.sagas, found.events, found.pruned) == (3, 10, 2)
    assert "the anchor says the same" in said(found)
    assert "was signed by" in said(found)
    assert "What the 2 pruned sagas were: only their hashes are left" in said(found)
    assert not any("no checkpoint covers" in sentence for sentence in found.not_proven)


async def test_a_pruned_saga_is_gone_its_key_begins_anew_and_one_that_needs_attention_stays(tmp_path: Path) -> None:
    path = await written(tmp_path)
    assert rows(path, "SELECT id FROM sagas ORDER BY id") == [("new",), ("open",), ("waits",)]
    journal = journal_at(tmp_path)
    await journal.open()
    assert await journal.find("old-a") is None
    assert await journal.find_by_key(OWNER, saga="PlaceOrder", key="old-a") is None
    await begin(journal, "old-a")
    assert await journal.find("old-a") is not None
    await journal.close()


async def test_what_is_not_proven_is_said(tmp_path: Path) -> None:
    path = await written(tmp_path, key=None)
    journal = SqliteJournal(path, telemetry=quiet()[0])  # makes no checkpoints
    await journal.open()
    await begin(journal, "later")
    await journal.close()
    found = verify(path)
    assert found.is_intact, said(found)
    assert "without an anchor that looks the same" in said(found)
    assert "The newest 2 events, which no checkpoint covers" in said(found)
    assert "no key has signed the newest checkpoint" in said(found)
    assert "there are signatures" not in said(found)


async def test_signatures_without_a_key_to_check_them_prove_nothing(tmp_path: Path) -> None:
    path = await written(tmp_path)
    assert "no public key was given to check them with" in said(verify(path, tmp_path / "anchor.jsonl"))


async def test_a_running_journal_is_verified_beside_its_writer(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    for number in range(30):
        await begin(journal, f"s{number}")
        if number % 10 == 0:
            await keep(journal)
        assert verify(tmp_path / "j.db", tmp_path / "anchor.jsonl", PUBLIC).is_intact
    await journal.close()


async def test_a_migrated_file_says_what_its_hashes_cannot_say(tmp_path: Path) -> None:
    write_schema_1(tmp_path / "j.db", ["a", "b"])
    assert "open it once with this gateway" in said(verify(tmp_path / "j.db"))
    journal = journal_at(tmp_path)
    await journal.open()
    await journal.close()
    found = verify(tmp_path / "j.db", tmp_path / "anchor.jsonl", PUBLIC)
    assert found.is_intact, said(found)
    assert "The first 6 events as they were before their migration" in said(found)


async def test_an_empty_journal_is_intact(tmp_path: Path) -> None:
    journal = journal_at(tmp_path)
    await journal.open()
    await journal.close()
    assert verify(tmp_path / "j.db", public_keys=PUBLIC).is_intact


# -- tampering ---------------------------------------------------------------------------------------------------------


Tamper = Callable[[Path], object]

EDITS: dict[str, tuple[str, str]] = {
    "a payload": ("UPDATE events SET payload = x'7b7d' WHERE saga_id = 'new' AND seq = 2", "changed"),
    "an instant": ("UPDATE events SET at = at + 1 WHERE saga_id = 'new' AND seq = 2", "changed"),
    "a record's owner": ("UPDATE sagas SET subject = 'eve' WHERE id = 'new'", "changed"),
    "a record's state": ("UPDATE sagas SET state = 'RUNNING', ended_at = NULL WHERE id = 'new'", "changed"),
    "an open saga that is called ended": (
        "UPDATE sagas SET state = 'COMPLETED', ended_at = 9 WHERE id = 'open'",
        "changed",
    ),
    "a record's type": ("UPDATE sagas SET created_at = 'soon' WHERE id = 'new'", "unreadable"),
    "a removed event": ("DELETE FROM events WHERE saga_id = 'new' AND seq = 2", "missing"),
    "a removed last event": ("DELETE FROM events WHERE saga_id = 'new' AND seq = 3", "changed"),
    "a removed record": ("DELETE FROM sagas WHERE id = 'new'", "missing"),
    "removed events of a saga": ("DELETE FROM events WHERE saga_id = 'new'", "missing"),
    "a removed checkpoint": ("DELETE FROM checkpoints WHERE number = 2", "missing"),
    "a removed pruning": ("DELETE FROM prunings", "missing"),
    "a removed tombstone": ("DELETE FROM tombstones WHERE saga_id = 'old-a'", "changed"),
    "a tombstone's reason": ("UPDATE prunings SET reason = 'law'", "changed"),
    "a checkpoint's instant": ("UPDATE checkpoints SET at = at - 1 WHERE number = 1", "changed"),
    "an origin": ("UPDATE origin SET migrated_from = 1", "changed"),
    "an id that is none": ("UPDATE events SET saga_id = x'6e6577' WHERE saga_id = 'new'", "changed"),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("with_anchor", [True, False])
async def test_an_edit_is_found_and_called_what_it_is(tmp_path: Path, edit: str, with_anchor: bool) -> None:
    path = await written(tmp_path)
    statement, kind = EDITS[edit]
    assert change(path, statement) > 0
    found = verify(path, tmp_path / "anchor.jsonl" if with_anchor else None, PUBLIC)
    assert kind in {problem.kind for problem in found.problems}, said(found)
    assert not found.proven


async def test_a_saga_that_was_removed_whole_is_missed_by_the_checkpoints(tmp_path: Path) -> None:
    path = await written(tmp_path)
    change(path, "DELETE FROM events WHERE saga_id = 'waits'")
    change(path, "DELETE FROM sagas WHERE id = 'waits'")
    found = verify(path)
    assert "missing: checkpoint 1" in said(found)


async def test_events_in_another_order_are_found(tmp_path: Path) -> None:
    path = await written(tmp_path)
    (first,), (second,) = rows(path, "SELECT position FROM events WHERE saga_id = 'new' AND seq > 1 ORDER BY seq")
    for old, new in ((first, -1), (second, first), (-1, second)):
        change(path, "UPDATE events SET position = ? WHERE position = ?", (new, old))
    assert "reordered" in {problem.kind for problem in verify(path).problems}


async def test_an_event_of_a_kind_that_no_gateway_writes_is_told_apart_from_an_edit(tmp_path: Path) -> None:
    """Somebody computed the hashes too, for an event after the last checkpoint."""
    from gateway.sagas.chain import event_hash

    path = await written(tmp_path)
    (head,) = rows(path, "SELECT hash FROM events WHERE saga_id = 'open' AND seq = 1")[0]
    (position,) = rows(path, "SELECT MAX(position) + 1 FROM events")[0]
    payload = b'{"kind":"StepDreamt","at":5.0}'
    hashed = event_hash(
        head, saga_id="open", seq=2, position=position, at=Epoch(5.0), kind="StepDreamt", payload=payload
    )
    values = (position, "open", 2, 5.0, "StepDreamt", payload, hashed)
    change(
        path,
        "INSERT INTO events (position, saga_id, seq, at, kind, payload, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    assert [problem.kind for problem in verify(path).problems] == ["not of this gateway"]


async def test_an_older_file_is_found_by_its_anchor_only_and_not_opened_beside_it(tmp_path: Path) -> None:
    path = await written(tmp_path)
    older = tmp_path / "older.db"
    shutil.copy(path, older)
    journal = journal_at(tmp_path)
    await journal.open()
    await begin(journal, "after the copy")
    await journal.close()
    shutil.copy(older, path)
    assert verify(path, public_keys=PUBLIC).is_intact  # as it says itself
    found = verify(path, tmp_path / "anchor.jsonl", PUBLIC)
    assert [problem.kind for problem in found.problems] == ["rolled back"], said(found)
    with pytest.raises(SagaStartError, match=r"rolled back, restored.*move the anchor aside"):
        await journal_at(tmp_path).open()


async def test_a_tail_that_was_cut_off_is_found_by_the_anchor(tmp_path: Path) -> None:
    """Events, checkpoints and all, as if it had never happened."""
    path = await written(tmp_path)
    (covered,) = rows(path, "SELECT position FROM checkpoints WHERE number = 3")[0]
    change(path, "DELETE FROM checkpoints WHERE number > 3")
    change(path, "DELETE FROM events WHERE position > ?", (covered,))
    change(path, "UPDATE sagas SET state = 'RUNNING', ended_at = NULL WHERE id = 'new'")
    assert verify(path, public_keys=PUBLIC).is_intact
    assert "rolled back" in said(verify(path, tmp_path / "anchor.jsonl"))


async def test_a_file_that_was_rewritten_with_all_its_hashes_is_found_by_key_and_anchor(tmp_path: Path) -> None:
    (tmp_path / "forger").mkdir()
    path, forged = await written(tmp_path), await written(tmp_path / "forger", key=SigningKey.generate())
    assert verify(forged).is_intact
    assert {problem.kind for problem in verify(forged, public_keys=PUBLIC).problems} == {"forged"}
    assert "another journal" in said(verify(forged, tmp_path / "anchor.jsonl"))
    assert verify(path, tmp_path / "anchor.jsonl", PUBLIC).is_intact


async def test_a_newest_checkpoint_without_a_signature_is_forged_where_a_key_is_expected(tmp_path: Path) -> None:
    path = await written(tmp_path, key=None)
    assert {problem.kind for problem in verify(path, public_keys=PUBLIC).problems} == {"forged"}


async def test_a_file_that_sqlite_cannot_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    for content in (b"", b"not a database at all, only some text that is long enough to be looked at by it" * 20):
        path.write_bytes(content)
        assert not verify(path).is_intact
    assert not verify(tmp_path / "nowhere.db").is_intact


async def test_a_page_that_broke_is_told(tmp_path: Path) -> None:
    path = await written(tmp_path)
    raw = bytearray(path.read_bytes())
    at = raw.find(b'"card":"4242"')
    raw[at + 9] ^= 1
    path.write_bytes(raw)
    assert "changed: saga" in said(verify(path))


# -- the anchor --------------------------------------------------------------------------------------------------------


async def test_the_anchor_has_every_checkpoint_and_one_that_was_missed_is_added_next_time(tmp_path: Path) -> None:
    path, anchor = await written(tmp_path), tmp_path / "anchor.jsonl"
    lines = anchor.read_bytes().splitlines(keepends=True)
    numbers = [checkpoint.number for _, checkpoint in read_anchor(anchor)]
    assert numbers == [number for (number,) in rows(path, "SELECT number FROM checkpoints")] == [1, 2, 3, 4]
    anchor.write_bytes(b"".join(lines[:2]) + lines[2][:40])  # a crash while the third was added
    journal = journal_at(tmp_path)
    await journal.open()
    await journal.close()
    assert anchor.read_bytes().splitlines(keepends=True) == lines


async def test_an_anchor_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    await written(tmp_path)
    (tmp_path / "anchor.jsonl").write_text('{"somebody": "else"}\n')
    with pytest.raises(SagaStartError, match="look at it before anything else"):
        await journal_at(tmp_path).open()
    assert (tmp_path / "anchor.jsonl").read_text() == '{"somebody": "else"}\n'


async def test_nothing_new_makes_no_checkpoint(tmp_path: Path) -> None:
    path = await written(tmp_path)
    for _ in range(3):
        journal = journal_at(tmp_path)
        await journal.open()
        await journal.close()
    assert rows(path, "SELECT COUNT(*) FROM checkpoints") == [(4,)]


async def test_an_anchor_is_its_journals_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    await written(tmp_path / "other")
    append_to_anchor(
        tmp_path / "anchor.jsonl", [next(read_anchor(tmp_path / "other" / "anchor.jsonl"))[1]], journal="other"
    )
    with pytest.raises(SagaStartError, match="another journal"):
        await journal_at(tmp_path).open()


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_is_a_line_and_a_wrong_one_is_refused_without_being_shown() -> None:
    secret, public = new_signing_key()
    assert SigningKey.parse(secret).public.id == SigningKey.parse(f" {secret}\n").public.id
    assert str(SigningKey.parse(secret).public) == public
    assert secret.split(":")[1] not in repr(SigningKey.parse(secret))
    for wrong in (public, secret[:-3], "ed25519-secret:", "hunter2", secret + "AAAA", secret.replace(":", ":!")):
        with pytest.raises(ValueError, match="not a key: it is one line") as refused:
            SigningKey.parse(wrong)
        assert wrong.split(":")[-1][:20] not in str(refused.value) or not wrong.split(":")[-1]


def test_a_line_of_an_anchor_is_a_stored_format() -> None:
    zeros = "00" * 32
    line = (
        '{"journal":"j","number":1,"at":1.5,"position":2,"sagas":1,"events":2,"changed":1,'
        f'"digest":"{zeros}","prunings":0,"pruning":"{zeros}","previous":"{zeros}","hash":"{zeros}"}}'
    )
    journal, checkpoint = checkpoint_of_line(line.encode())
    assert (journal, checkpoint.number, checkpoint.digest, checkpoint.signer) == ("j", 1, bytes(32), None)
