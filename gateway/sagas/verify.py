"""Is a journal what was written? Reads a file, or a copy, also while a gateway writes it, and says what it has proven.

Invariant: nothing is written; sagas are walked in the order of their ids, in short transactions, so memory and the WAL stay small.
What a gateway writes meanwhile is checked as far as it has come, and what it prunes is found as tombstones.
Cost: about 15 µs an event.
"""

from __future__ import annotations

import hashlib
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from .chain import CHAIN_VERSION, Head, Heads, packed
from .changes import checkpoints_after, origin_of, reading
from .checkpoints import PRUNING_COLUMNS, Checkpoint, Origin, pruning_of
from .journal_file import COLUMNS, SCHEMA_VERSION
from .signing import PublicKey
from .verification import MAX_PROBLEMS, Problem, Verification, named
from .verify_history import UNREADABLE, EventRow, Standing, history_problems, orphans
from .verify_seals import Anchored, Buried, Moved, anchor_compared, checkpoint_problems, pruning_problems

CHUNK = 500
"""Sagas read in one transaction."""

_RECORDS = f"SELECT {COLUMNS} FROM sagas WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
_EVENTS = (
    "SELECT position, saga_id, seq, at, kind, state, ended_at, payload, hash FROM events "
    "WHERE saga_id > ? AND saga_id <= ? ORDER BY saga_id, seq"
)
_TOMBSTONES = (
    "SELECT saga_id, position, seq, hash, owner, pruning FROM tombstones "
    "WHERE saga_id > ? AND saga_id <= ? ORDER BY saga_id, position"
)
_PRUNINGS = f"SELECT {PRUNING_COLUMNS} FROM prunings WHERE number <= ? ORDER BY number"  # noqa: S608
_LAST_PRUNING = "SELECT COALESCE(MAX(number), 0) FROM prunings"
_ODD_IDS = (
    "SELECT (SELECT COUNT(*) FROM sagas WHERE typeof(id) != 'text' OR id = '') "
    "+ (SELECT COUNT(*) FROM events WHERE typeof(saga_id) != 'text' OR saga_id = '') "
    "+ (SELECT COUNT(*) FROM tombstones WHERE typeof(saga_id) != 'text' OR saga_id = '')"
)
_BEYOND = b""
"""After every id: to SQLite bytes are more than any text."""


def verify(
    path: Path, anchor: Path | None = None, public_keys: Collection[str] = (), *, check_pages: bool = True
) -> Verification:
    """Read the whole journal in the file `path`.

    `anchor`: checkpoints that were kept elsewhere. `public_keys`: lines made by `new_signing_key`, any of which may have signed.
    `check_pages`: let SQLite check its pages and indices too, in one long transaction: leave it out beside a busy gateway.
    Raises: ValueError for a key that is none, OSError for an anchor that cannot be read.
    """
    keys = [PublicKey.parse(text) for text in public_keys]
    try:
        with reading(path) as connection:
            unusable = list(_unusable(connection, check_pages=check_pages))
            if not unusable:
                return _Verifier(connection, keys).verify(anchor)
    except sqlite3.Error as error:
        unusable = [Problem("unreadable", f"SQLite cannot read {path}: {error}")]
    except UNREADABLE as error:
        unusable = [Problem("unreadable", f"a row has a column of another type than was written: {error}")]
    return Verification(
        problems=tuple(unusable), proven=(), not_proven=("Anything.",), sagas=0, events=0, pruned=0, last=None
    )


def _unusable(connection: sqlite3.Connection, *, check_pages: bool) -> Iterator[Problem]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        remedy = (
            "open it once with this gateway, which migrates it" if version == 1 else "use the gateway that wrote it"
        )
        yield Problem("not of this gateway", f"the file has schema {version}, not {SCHEMA_VERSION}: {remedy}")
        return
    for (said,) in connection.execute("PRAGMA integrity_check(20)").fetchall() if check_pages else ():
        if said != "ok":
            yield Problem("unreadable", f"SQLite finds its pages broken: {said}")
    count = len(connection.execute("SELECT 1 FROM origin").fetchall())
    if count != 1:
        yield Problem("changed", f"the file has {count} origins instead of one")
    (odd,) = connection.execute(_ODD_IDS).fetchone()
    if odd:
        yield Problem("changed", f"{odd} rows name a saga by something that is no id")


@dataclass(slots=True)
class _Counts:
    """What was walked over."""

    sagas: int = 0
    events: int = 0
    uncovered: int = 0
    tombstoned: int = 0


class _Verifier:
    """One walk. State: what has been computed so far, for each checkpoint and each pruning."""

    def __init__(self, connection: sqlite3.Connection, keys: Sequence[PublicKey]) -> None:
        self._connection = connection
        self._keys = keys
        self._origin: Origin = origin_of(connection)
        self._checkpoints: list[Checkpoint] = checkpoints_after(connection, 0)
        (self._prunings_at_start,) = connection.execute(_LAST_PRUNING).fetchone()
        self._positions = [checkpoint.position for checkpoint in self._checkpoints]
        self._moved = [Moved(Heads()) for _ in self._checkpoints]
        self._buried: dict[int, Any] = defaultdict(lambda: hashlib.sha256(packed("tombstones", CHAIN_VERSION)))
        self._buried_sagas: dict[int, set[str]] = defaultdict(set)
        self._counts = _Counts()

    def verify(self, anchor: Path | None) -> Verification:
        compared = None if anchor is None else anchor_compared(anchor, self._checkpoints, origin=self._origin)
        found: Iterator[Problem] = chain(() if compared is None else compared.problems, self._walk(), self._seals())
        problems = tuple(islice(found, MAX_PROBLEMS))
        return Verification(
            problems=problems,
            proven=() if problems else tuple(self._proven(compared)),
            not_proven=tuple(self._not_proven(compared)),
            sagas=self._counts.sagas,
            events=self._counts.events,
            pruned=self._counts.tombstoned,
            last=self._checkpoints[-1] if self._checkpoints else None,
        )

    # -- walking -------------------------------------------------------------------------------------------------------

    def _walk(self) -> Iterator[Problem]:
        """Every saga and tombstone, in the order of ids."""
        after: str | bytes = ""
        while isinstance(after, str):
            up_to, records, events, tombstones = self._read_chunk(after)
            yield from self._check_chunk(records, events, tombstones)
            after = up_to

    def _read_chunk(self, after: str) -> tuple[str | bytes, list[Any], list[EventRow], list[Any]]:
        """All there is of the next ids, as of one moment."""
        run = self._connection.execute
        run("BEGIN")
        try:
            records = run(_RECORDS, (after, CHUNK)).fetchall()
            up_to = records[-1][0] if len(records) == CHUNK else _BEYOND
            events = [EventRow(*row) for row in run(_EVENTS, (after, up_to)).fetchall()]
            return up_to, records, events, run(_TOMBSTONES, (after, up_to)).fetchall()
        finally:
            run("COMMIT")

    def _check_chunk(self, records: list[Any], events: list[EventRow], tombstones: list[Any]) -> Iterator[Problem]:
        by_id = {row[0]: row for row in records}
        histories = {saga_id: list(rows) for saga_id, rows in groupby(events, key=attrgetter("saga_id"))}
        graves = {saga_id: list(rows) for saga_id, rows in groupby(tombstones, key=lambda row: row[0])}
        for saga_id in sorted(by_id.keys() | histories.keys() | graves.keys()):
            record, history = by_id.get(saga_id), histories.get(saga_id, [])
            if saga_id in graves:
                yield from self._check_grave(saga_id, graves[saga_id], is_there=bool(record or history))
            elif record is None:
                yield orphans(saga_id)
            else:
                yield from history_problems(record, history)
            self._counts.sagas += record is not None
            self._counts.events += len(history)
            self._note(saga_id, [Standing(event.position, event.seq, event.hash) for event in history])

    def _check_grave(self, saga_id: str, rows: list[Any], *, is_there: bool) -> Iterator[Problem]:
        if is_there:
            yield Problem("changed", "it has tombstones although it is there", saga_id)
        self._counts.tombstoned += 1
        for _, position, seq, hashed, owner, pruning in rows:
            self._buried[pruning].update(packed(saga_id, position, seq, hashed, owner))
            self._buried_sagas[pruning].add(saga_id)
        self._note(saga_id, [Standing(row[1], row[2], row[3]) for row in rows])

    def _note(self, saga_id: str, standing: list[Standing]) -> None:
        """Add to each checkpoint what the saga was then."""
        before = -1
        for covering, group in groupby(standing, key=lambda each: bisect_left(self._positions, each.position)):
            *_, last = group
            if covering == len(self._moved):
                self._counts.uncovered += last.seq - before
                return
            moved = self._moved[covering]
            moved.heads.add(Head(saga_id, last.seq, last.hash))
            moved.begun += before == -1
            moved.events += last.seq - before
            before = last.seq

    # -- seals ---------------------------------------------------------------------------------------------------------

    def _seals(self) -> Iterator[Problem]:
        rows = self._connection.execute(_PRUNINGS, (self._prunings_at_start,)).fetchall()
        prunings = [pruning_of(row) for row in rows]
        buried = {
            number: Buried(sha.digest(), len(self._buried_sagas[number]))
            for number, sha in self._buried.items()
            if number <= self._prunings_at_start or not self._is_newer_pruning(number)
        }
        yield from pruning_problems(prunings, buried=buried, keys=self._keys)
        yield from checkpoint_problems(
            self._checkpoints,
            origin=self._origin,
            moved=self._moved,
            prunings={pruning.number: pruning for pruning in prunings},
            keys=self._keys,
        )

    def _is_newer_pruning(self, number: int) -> bool:
        """One that a gateway has begun during the walk: the next verification checks it."""
        return self._connection.execute("SELECT 1 FROM prunings WHERE number = ?", (number,)).fetchone() is not None

    # -- what it amounts to --------------------------------------------------------------------------------------------

    def _proven(self, compared: Anchored | None) -> Iterator[str]:
        yield "Each saga's events follow one another without a gap, and are what their hashes say."
        if not self._checkpoints:
            return
        last = self._checkpoints[-1]
        yield f"All sagas are what they were at {named(last)}, {last.sagas} begun with {last.events} events."
        if compared is not None and compared.last is not None:
            yield (
                f"Up to {named(compared.last)} nothing was changed, added, removed or rolled back since: the anchor says the "
                "same. That is as true as the anchor was out of reach."
            )
        if self._keys and last.signature is not None:
            yield f"{named(last).capitalize()} was signed by {last.signer}, and with it all before it."

    def _not_proven(self, compared: Anchored | None) -> Iterator[str]:
        if compared is None:
            yield (
                "That the file was not rewritten whole, or replaced by an older one: without an anchor that looks the same. "
                "Accidents are found, adversaries are not."
            )
        if self._counts.uncovered:
            yield f"The newest {self._counts.uncovered} events, which no checkpoint covers: nobody could miss them."
        if compared is not None and compared.last is not None and self._checkpoints[-1:] != [compared.last]:
            yield f"What came after {named(compared.last)}: the anchor ends there."
        if self._origin.migrated_from is not None:
            yield (
                f"The first {self._origin.migrated_position} events as they were before their migration: the file had no "
                f"hashes then, it was of schema {self._origin.migrated_from}."
            )
        if self._counts.tombstoned:
            yield f"What the {self._counts.tombstoned} pruned sagas were: only their hashes are left."
        yield from self._unchecked()

    def _unchecked(self) -> Iterator[str]:
        if not self._checkpoints or self._checkpoints[-1].signature is None:
            yield "Who wrote it: no key has signed the newest checkpoint."
        elif not self._keys:
            yield "Who wrote it: there are signatures, and no public key was given to check them with."
