"""Whether one saga's rows are what was written: its record, its events, and what is left of it after pruning.

Invariant: rows are taken as they come, of whatever type an editor has made them; nothing here raises for what it reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from ..clock import Epoch
from .chain import event_hash, record_hash
from .events import decode_event, kind_of
from .journal_file import record_of
from .verification import Problem

UNREADABLE = (TypeError, ValueError, AttributeError, OverflowError, struct.error, msgspec.MsgspecError)
"""What columns of another type than was written lead to."""


class EventRow(NamedTuple):
    """A row of `events`."""

    position: int
    saga_id: str
    seq: int
    at: float
    kind: str
    state: str | None
    ended_at: float | None
    payload: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """A hash that stood at the end of a saga at some position."""

    position: int
    seq: int
    hash: bytes


def history_problems(row: Sequence[Any], events: Sequence[EventRow]) -> Iterator[Problem]:
    """Of a saga that is there. `row`: in the order of COLUMNS."""
    saga_id = row[0]
    previous = _record_hash(row)
    if previous is None:
        yield Problem("unreadable", "its record has a column of another type than was written", saga_id)
    if not events:
        yield Problem("missing", "its events are gone, its record is there", saga_id)
    expected = 0
    for event in events:
        if event.seq != expected:
            yield Problem("missing", f"event {expected} is gone: {event.seq} follows", saga_id)
        elif previous is not None:
            yield from _event_problems(event, previous)
        expected, previous = event.seq + 1, event.hash
    yield from _order_problems(events)
    yield from _state_problems(row, events)


def orphans(saga_id: str) -> Problem:
    """Events without a record."""
    return Problem("missing", "its record is gone, its events are there", saga_id)


def _record_hash(row: Sequence[Any]) -> bytes | None:
    try:
        return record_hash(record_of(row), trace=row[11])
    except UNREADABLE:
        return None


def _event_problems(event: EventRow, previous: bytes) -> Iterator[Problem]:
    try:
        computed = event_hash(
            previous,
            saga_id=event.saga_id,
            seq=event.seq,
            position=event.position,
            at=Epoch(event.at),
            kind=event.kind,
            payload=event.payload,
            state=event.state,
            ended_at=None if event.ended_at is None else Epoch(event.ended_at),
        )
    except UNREADABLE:
        yield Problem("unreadable", f"event {event.seq} has a column of another type than was written", event.saga_id)
        return
    if computed != event.hash:
        what = "the record or its first event" if event.seq == 0 else f"event {event.seq}"
        yield Problem("changed", f"{what} is not what was written: its hash does not fit", event.saga_id)
        return
    yield from _form_problems(event)


def _form_problems(event: EventRow) -> Iterator[Problem]:
    """It is what was written; but was it written by a gateway whose events we know?"""
    try:
        read = decode_event(event.payload)
    except msgspec.MsgspecError as error:
        yield Problem(
            "not of this gateway", f"event {event.seq} cannot be read by this version: {error}", event.saga_id
        )
        return
    if (kind_of(read), read.at) != (event.kind, event.at):
        yield Problem(
            "not of this gateway", f"event {event.seq} says another kind or instant than its row", event.saga_id
        )


def _order_problems(events: Sequence[EventRow]) -> Iterator[Problem]:
    for before, after in pairwise(events):
        if not before.position < after.position:
            yield Problem("reordered", f"event {after.seq} stands before event {before.seq} in the file", after.saga_id)


def _state_problems(row: Sequence[Any], events: Sequence[EventRow]) -> Iterator[Problem]:
    written = [(event.state, event.ended_at) for event in events if event.state is not None]
    if written and (row[10], row[13]) != written[-1]:
        yield Problem("changed", f"its record says {row[10]}, ended at {row[13]}; its events say {written[-1]}", row[0])
