"""A journal that keeps itself while it is written: a checkpoint ends under load, and closing waits for what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

from gateway.clock import LoopClock, Seconds
from gateway.sagas import SqliteJournal
from gateway.sagas.keeping import Keeper, Keeping
from gateway.sagas.ledger import Ledger
from gateway.sagas.verify import verify
from gateway.telemetry import Telemetry, json_log

from .files import begin, end, rows
from .world import quiet


class Busy:
    """A journal to which somebody writes whenever a keeper does."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.names = map(str, count())

    @property
    def path(self) -> Path:
        return self.journal.path

    @property
    def position(self) -> int:
        return self.journal.position

    async def write(self, operation: Callable[[Ledger], Any]) -> Any:
        await begin(self.journal, f"busy-{next(self.names)}")
        return await self.journal.write(operation)


async def test_a_checkpoint_covers_what_was_there_when_it_was_asked_for_and_ends_though_more_is_written(
    tmp_path: Path,
) -> None:
    journal = SqliteJournal(tmp_path / "j.db", telemetry=quiet()[0])
    await journal.open()
    await begin(journal, "first")
    asked_at = journal.position
    anchor = tmp_path / "anchor.jsonl"
    keeper = Keeper(Busy(journal), Keeping(anchor=anchor), telemetry=quiet()[0], clock=LoopClock())
    async with asyncio.timeout(20):
        made = await keeper.checkpoint()
    await journal.close()

    assert made is not None
    assert made.position >= asked_at
    assert rows(tmp_path / "j.db", "SELECT COUNT(*) FROM checkpoints") == [(1,)]
    assert anchor.read_text(encoding="utf-8").count("\n") == 1


async def test_closing_waits_for_the_checkpoint_under_way_and_makes_the_last_one_after_it(tmp_path: Path) -> None:
    lines = StringIO()
    path, anchor = tmp_path / "j.db", tmp_path / "anchor.jsonl"
    for life in range(20):
        telemetry = Telemetry(log=json_log(lines, level="warning"))
        keeping = Keeping(every=Seconds(0.001), anchor=anchor, retention=Seconds(0.0))
        journal = SqliteJournal(path, telemetry=telemetry, keeping=keeping)
        await journal.open()
        for number in range(10):
            await begin(journal, f"saga-{life}-{number}", at=1.0)
            await end(journal, f"saga-{life}-{number}", at=2.0)
        await asyncio.sleep(0.001 * (life % 5))
        await journal.close()

    assert lines.getvalue() == ""
    found = verify(path, anchor)
    assert found.is_intact, found.text()
    assert not any("no checkpoint covers" in sentence for sentence in found.not_proven)
