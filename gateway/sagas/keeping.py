"""How a journal keeps itself while it is written: checkpoints, their anchor, and what is pruned.

Invariants: what it does beside the writer is bounded and in small pieces, so no begin waits for it longer than for one commit of
others. A checkpoint stands in the journal before it stands in the anchor; one that only the journal has is added next time.
A journal that is older than its anchor is not opened: it was rolled back, or restored, and somebody must say which.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ..clock import Clock, Epoch, Seconds
from ..errors import SagasUnavailable
from ..telemetry import Telemetry
from .anchor import AnchorInvalid, append_to_anchor, last_anchored
from .changes import Changes, checkpoints_after, last_checkpoint, origin_of, read_changes, reading
from .checkpoints import CHECKPOINT_COLUMNS, Checkpoint, checkpoint_row, sealed
from .host import SagaStartError
from .ledger import Ledger
from .pruning import prune_batch
from .signing import SigningKey

T = TypeVar("T")

BATCH = 20
"""Sagas pruned in one write: some 4 ms of the writer's time."""

PAUSE = Seconds(0.02)
"""Between two of them, in which others are written."""

_ADD = f"INSERT INTO checkpoints ({CHECKPOINT_COLUMNS}) VALUES ({', '.join('?' * 13)})"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the settings say of it."""

    every: Seconds = Seconds(300.0)
    retention: Seconds | None = None
    """Seconds that a finished saga is kept; None keeps all."""
    anchor: Path | None = None
    key: SigningKey | None = None


class Kept(Protocol):
    """What a keeper needs of its journal."""

    @property
    def path(self) -> Path: ...

    @property
    def position(self) -> int:
        """Of the last event that is committed."""
        ...

    async def write(self, operation: Callable[[Ledger], T]) -> T:
        """Raises: SagasUnavailable."""
        ...


class Keeper:
    """State: when the last checkpoint was made, and up to where."""

    def __init__(self, journal: Kept, keeping: Keeping, *, telemetry: Telemetry, clock: Clock) -> None:
        self._journal = journal
        self._keeping = keeping
        self._telemetry = telemetry
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._is_leaving = asyncio.Event()
        self._last_at: Epoch | None = None
        self._covered = 0

    def __repr__(self) -> str:
        return f"<Keeper of {self._journal.path.name}, last checkpoint at {self._last_at}>"

    @property
    def age(self) -> Seconds:
        """Seconds for which something has stood in the journal that no checkpoint covers; at most, and 0 when all is covered."""
        if self._last_at is None or self._journal.position <= self._covered:
            return Seconds(0.0)
        return Seconds(max(0.0, self._clock.wall() - self._last_at))

    async def start(self) -> None:
        """Raises: SagaStartError when the anchor knows what the journal does not."""
        last = await asyncio.to_thread(_check_anchor, self._journal.path, self._keeping.anchor)
        self._last_at = self._clock.wall() if last is None else last.at
        self._covered = 0 if last is None else last.position

    async def run(self) -> None:
        """Until `leave`. A failure is told, and tried again next time.

        Not to be cancelled: what it has asked the writer for is written all the same, and who goes on must know of it.
        """
        while not await self._leaves_within(self._keeping.every):
            try:
                await self.checkpoint()
                await self.prune()
            except SagasUnavailable:
                continue  # the journal has said so
            except (OSError, sqlite3.Error, AnchorInvalid) as error:
                self._telemetry.log.error("saga journal cannot be kept", error=str(error))

    def leave(self) -> None:
        """Begin nothing more; `run` ends with what is under way: a checkpoint, or a batch of pruning."""
        self._is_leaving.set()

    async def _leaves_within(self, seconds: Seconds) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._is_leaving.wait()
        except TimeoutError:
            return False

    # -- checkpoints ---------------------------------------------------------------------------------------------------

    async def checkpoint(self) -> Checkpoint | None:
        """Cover everything that was committed before this call; what comes meanwhile is for the next one, or it would not end while
        others write. Returns: the last checkpoint, None in an empty journal.

        Raises: SagasUnavailable, OSError when the anchor cannot be written, AnchorInvalid.
        """
        async with self._one_at_a_time:
            committed, last = self._journal.position, None
            while last is None or last.position < committed:
                changes = await asyncio.to_thread(read_changes, self._journal.path)
                if changes.is_nothing:
                    last = changes.last
                    break
                last = await self._add(changes)
                self._last_at, self._covered = last.at, last.position
            await asyncio.to_thread(_renew_anchor, self._journal.path, self._keeping.anchor)
            return last

    async def _add(self, changes: Changes) -> Checkpoint:
        last = changes.last
        checkpoint = sealed(
            Checkpoint(
                number=1 if last is None else last.number + 1,
                at=self._clock.wall(),
                position=changes.position,
                sagas=changes.begun + (0 if last is None else last.sagas),
                events=changes.events + (0 if last is None else last.events),
                changed=changes.changed,
                digest=changes.digest,
                prunings=changes.prunings,
                pruning=changes.pruning,
                previous=changes.previous,
            ),
            self._keeping.key,
        )
        await self._journal.write(lambda ledger: ledger.connection.execute(_ADD, checkpoint_row(checkpoint)))
        return checkpoint

    # -- pruning -------------------------------------------------------------------------------------------------------

    async def prune(self, *, reason: str = "retention") -> int:
        """Remove what ended before the retention, a batch at a time. Returns: how many sagas. Raises: SagasUnavailable."""
        if self._keeping.retention is None:
            return 0
        ended_before = Epoch(self._clock.wall() - self._keeping.retention)
        removed = 0
        while not self._is_leaving.is_set() and (batch := await self._prune_batch(ended_before, reason=reason)):
            removed += batch
            await asyncio.sleep(PAUSE)
        if removed:
            self._telemetry.metrics.sagas_pruned.inc(removed)
            self._telemetry.log.info("sagas pruned", sagas=removed, reason=reason)
        return removed

    async def _prune_batch(self, ended_before: Epoch, *, reason: str) -> int:
        now, key = self._clock.wall(), self._keeping.key
        return await self._journal.write(
            lambda ledger: prune_batch(
                ledger.connection, ended_before=ended_before, limit=BATCH, now=now, reason=reason, key=key
            )
        )


def _check_anchor(path: Path, anchor: Path | None) -> Checkpoint | None:
    """The journal's last checkpoint. Raises: SagaStartError."""
    with reading(path) as connection:
        last, journal = last_checkpoint(connection), origin_of(connection).journal
        try:
            anchored = None if anchor is None else last_anchored(anchor)
        except (OSError, AnchorInvalid) as error:
            raise SagaStartError(
                f"the anchor of the saga journal cannot be read ({error}): look at it before anything else, then name "
                "another file in `sagas.anchor`, or move it aside"
            ) from error
        if anchored is not None and not _is_known(connection, journal, anchored):
            raise SagaStartError(
                f"the saga journal {path} does not hold checkpoint {anchored[1].number}, which its anchor {anchor} knows: it "
                "was rolled back, restored from an older backup, or is another journal. Find out which; to go on from what "
                "this file holds, move the anchor aside"
            )
        return last


def _is_known(connection: sqlite3.Connection, journal: str, anchored: tuple[str, Checkpoint]) -> bool:
    where, checkpoint = anchored
    known = checkpoints_after(connection, checkpoint.number - 1)
    return where == journal and bool(known) and known[0] == checkpoint


def _renew_anchor(path: Path, anchor: Path | None) -> None:
    """Add what only the journal has. Raises: OSError, AnchorInvalid."""
    if anchor is None:
        return
    anchored = last_anchored(anchor)
    with reading(path) as connection:
        journal = origin_of(connection).journal
        if anchored is not None and not _is_known(connection, journal, anchored):
            raise AnchorInvalid(f"the anchor {anchor} knows checkpoint {anchored[1].number}, and the journal does not")
        missing = checkpoints_after(connection, 0 if anchored is None else anchored[1].number)
    if missing:
        append_to_anchor(anchor, missing, journal=journal)
