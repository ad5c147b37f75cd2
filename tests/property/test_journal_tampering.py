"""Every cell and every row of a journal, changed or removed by itself, is found by `verify`; no honest history ever is."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.clock import LoopClock, Seconds
from gateway.sagas import SagaState, SqliteJournal
from gateway.sagas.keeping import Keeping
from gateway.sagas.signing import SigningKey
from gateway.sagas.verify import verify

from ..unit.sagas.files import begin, end
from ..unit.sagas.world import quiet

KEY = SigningKey.generate()
PUBLIC = [str(KEY.public)]
TABLES = ("sagas", "events", "origin", "checkpoints", "prunings", "tombstones")

Act = tuple[str, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "back", "stuck", "checkpoint", "prune", "restart"]), st.integers(0, 5)),
    max_size=25,
)


def journal_at(directory: Path) -> SqliteJournal:
    keeping = Keeping(anchor=directory / "anchor.jsonl", key=KEY, retention=Seconds(1.0))
    return SqliteJournal(directory / "j.db", telemetry=quiet()[0], clock=LoopClock(), keeping=keeping)


async def history(directory: Path, acts: list[Act]) -> None:
    """Play an honest history; sagas are named by the number of their act, so that each act has one that it fits."""
    journal, is_open = journal_at(directory), dict[str, bool]()
    await journal.open()
    for number, (act, choice) in enumerate(acts):
        candidates = [name for name, still in is_open.items() if still]
        assert journal.keeper is not None
        match act:
            case "begin":
                await begin(journal, f"s{number}", at=1.0)
                is_open[f"s{number}"] = True
            case "end" | "back" | "stuck" if candidates:
                name = candidates[choice % len(candidates)]
                state = {"end": SagaState.COMPLETED, "back": SagaState.COMPENSATED}.get(act, SagaState.NEEDS_ATTENTION)
                await end(journal, name, at=2.0, state=state)
                is_open[name] = False
            case "checkpoint":
                await journal.keeper.checkpoint()
            case "prune":
                await journal.keeper.prune()
            case "restart":
                await journal.close()
                journal = journal_at(directory)
                await journal.open()
            case _:
                pass
    await journal.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_no_honest_history_is_ever_suspected(acts: list[Act]) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        asyncio.run(history(directory, acts))
        anchor = directory / "anchor.jsonl"  # not there where nothing happened
        found = verify(directory / "j.db", *((anchor, PUBLIC) if anchor.exists() else ()))
        assert found.is_intact, found.text()


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a journal that has a row of everything."""
    directory = tmp_path_factory.mktemp("honest")
    acts = [
        *(("begin", 0),) * 4,
        ("checkpoint", 0),
        *(("end", 0), ("back", 0), ("stuck", 0)),
        *(("checkpoint", 0), ("prune", 0), ("begin", 0), ("restart", 0), ("end", 0), ("restart", 0)),
    ]
    asyncio.run(history(directory, acts))
    assert verify(directory / "j.db", directory / "anchor.jsonl", PUBLIC).is_intact
    return directory


def cells(path: Path) -> Iterator[tuple[str, int, str, object]]:
    """Table, number of the row, column, and what stands there."""
    connection = sqlite3.connect(path)
    for table in TABLES:
        cursor = connection.execute(f"SELECT * FROM {table}")
        names = [each[0] for each in cursor.description]
        for number, row in enumerate(cursor.fetchall()):
            yield from ((table, number, name, value) for name, value in zip(names, row, strict=True))
    connection.close()


def otherwise(value: object) -> list[object]:
    """What an editor might write instead."""
    match value:
        case None:
            return [0, "x", 1.5]
        case int():
            return [value + 1, value - 1, None]
        case float():
            return [value + 0.5, -value, None]
        case str():
            return [value + "x", value[:-1], None]
        case bytes():
            return [value + b" ", bytes([value[0] ^ 1]) + value[1:], value[:-1], None]
        case _:
            raise AssertionError(value)


def at(connection: sqlite3.Connection, table: str, number: int) -> tuple[str, tuple[object, ...]]:
    """A WHERE that names one row, and its values."""
    keys = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    row = connection.execute(f"SELECT {', '.join(keys)} FROM {table}").fetchall()[number]
    return " AND ".join(f"{key} IS ?" for key in keys), row


def tampered(
    honest: Path, directory: Path, statement: str, number: int, table: str, values: tuple[object, ...]
) -> Path | None:
    """A copy with one row changed, or None where SQLite itself refuses."""
    path = directory / "j.db"
    shutil.copy(honest / "j.db", path)
    connection = sqlite3.connect(path)
    try:
        where, key = at(connection, table, number)
        assert connection.execute(f"{statement} WHERE {where}", (*values, *key)).rowcount == 1
        connection.commit()
    except sqlite3.IntegrityError:
        return None
    finally:
        connection.close()
    return path


def test_any_cell_that_is_changed_by_itself_is_found(honest: Path, tmp_path: Path) -> None:
    tried = 0
    for table, number, column, value in cells(honest / "j.db"):
        for other in otherwise(value):
            path = tampered(honest, tmp_path, f"UPDATE {table} SET {column} = ?", number, table, (other,))
            if path is None:
                continue
            tried += 1
            found = verify(path, honest / "anchor.jsonl", PUBLIC, check_pages=False)
            assert not found.is_intact, f"{table}[{number}].{column}: {value!r} became {other!r}"
            assert not found.proven
    assert tried > 500


def test_any_row_that_is_removed_by_itself_is_found(honest: Path, tmp_path: Path) -> None:
    rows = {(table, number) for table, number, _, _ in cells(honest / "j.db")}
    for table, number in sorted(rows):
        path = tampered(honest, tmp_path, f"DELETE FROM {table}", number, table, ())
        assert path is not None
        assert not verify(path, honest / "anchor.jsonl", PUBLIC, check_pages=False).is_intact, f"{table}[{number}]"
    assert {table for table, _ in rows} == set(TABLES)


def test_any_two_events_that_change_places_are_found(honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    count = sqlite3.connect(honest / "j.db").execute("SELECT COUNT(*) FROM events").fetchone()[0]
    for first in range(count):
        for second in range(first):
            shutil.copy(honest / "j.db", path)
            connection = sqlite3.connect(path)
            positions = [row[0] for row in connection.execute("SELECT position FROM events ORDER BY position")]
            one, other = positions[first], positions[second]
            for old, new in ((one, -1), (other, one), (-1, other)):
                connection.execute("UPDATE events SET position = ? WHERE position = ?", (new, old))
            connection.commit()
            connection.close()
            assert not verify(path, honest / "anchor.jsonl", PUBLIC, check_pages=False).is_intact, (one, other)


def test_a_copy_of_an_event_under_another_number_is_found(honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    shutil.copy(honest / "j.db", path)
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO events (position, saga_id, seq, at, kind, state, ended_at, payload, hash) SELECT 0, saga_id, seq + 1, "
        "at, kind, state, ended_at, payload, hash FROM events ORDER BY seq DESC LIMIT 1"
    )
    connection.commit()
    connection.close()
    assert not verify(path, honest / "anchor.jsonl", PUBLIC).is_intact


def test_these_tests_know_every_table_of_the_file(honest: Path) -> None:
    connection = sqlite3.connect(honest / "j.db")
    known = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert known - {"saga_keys"} == set(TABLES)  # keys are authenticated by what they open: a changed one opens nothing
