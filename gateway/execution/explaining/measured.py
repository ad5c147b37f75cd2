"""What a run did, hung on the explanation of what it would do: each call names its reads, each saga and step says how far it was.

Invariant: nothing but the members `run` and `reads` differs from what `explain` tells without running. A call and a read belong
together when they ask the same endpoint; which of two fields that ask it began a read is not known, since they share batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...clock import Epoch, Seconds
from ...graph import BegunSaga
from ...loading import Read, Recording
from ...sagas import StepView
from ..cost import Cost
from .explanation import (
    Call,
    ExplainedField,
    ExplainedJoin,
    ExplainedSaga,
    ExplainedStep,
    Explanation,
    MeasuredRead,
    MeasuredRun,
    MeasuredSaga,
    MeasuredStep,
)

MAX_NAMED = 100
"""Reads that one call names: a thousand fields may ask an endpoint that was read a thousand times."""


def measured(
    explanation: Explanation,
    recording: Recording,
    begun: Mapping[str, BegunSaga],
    *,
    cost: Cost,
    not_compiled: str | None,
) -> Explanation:
    """`explanation`, and what was recorded. `begun`: sagas by the response keys of their fields."""
    run = MeasuredRun(
        milliseconds=_milliseconds(recording.elapsed()),
        not_compiled=not_compiled,
        cost=cost,
        reads=tuple(_read(each, recording) for each in recording.reads),
        reads_beyond=recording.beyond,
    )
    hanging = _Hanging(_by_endpoint(recording.reads), begun)
    return replace(explanation, run=run, fields=tuple(hanging.field(each) for each in explanation.fields))


_Asked = tuple[str, str | None]
"""A service and its endpoint; None: by hand, as in `Call.endpoint`."""


def _by_endpoint(reads: Sequence[Read]) -> dict[_Asked, tuple[int, ...]]:
    places: dict[_Asked, list[int]] = {}
    for place, read in enumerate(reads):
        asked = (read.service, None if read.kind == "http" else read.endpoint)
        places.setdefault(asked, []).append(place)
    return {asked: tuple(each[:MAX_NAMED]) for asked, each in places.items()}


@dataclass(frozen=True, slots=True)
class _Hanging:
    places: Mapping[_Asked, tuple[int, ...]]
    begun: Mapping[str, BegunSaga]

    def field(self, field: ExplainedField) -> ExplainedField:
        return replace(
            field,
            calls=tuple(self._call(each) for each in field.calls),
            join=None if field.join is None else self._join(field.join),
            saga=None if field.saga is None else _saga(field.saga, self.begun.get(field.key)),
            fields=tuple(self.field(each) for each in field.fields),
        )

    def _call(self, call: Call) -> Call:
        return replace(call, reads=self.places.get((call.service, call.endpoint), ()))

    def _join(self, join: ExplainedJoin) -> ExplainedJoin:
        fallbacks = (
            each if each.call is None else replace(each, call=self._call(each.call)) for each in join.fallbacks
        )
        return replace(join, fallbacks=tuple(fallbacks))


def _read(read: Read, recording: Recording) -> MeasuredRead:
    return MeasuredRead(
        kind=read.kind,
        service=read.service,
        endpoint=read.endpoint,
        keys=read.keys,
        cached=read.cached,
        asked=read.asked,
        attempts=len(read.tried),
        is_shared=bool(read.asked) and not read.tried and read.outcome == "ok",
        outcome=read.outcome,
        start_milliseconds=_milliseconds(read.began - recording.began),
        milliseconds=_milliseconds(read.took),
        waited_milliseconds=_milliseconds(sum(read.waited, 0.0)),
    )


def _saga(saga: ExplainedSaga, begun: BegunSaga | None) -> ExplainedSaga:
    """As its field left it; None: it was not begun, or nobody could tell how it stands."""
    if begun is None:
        return saga
    view = begun.view
    steps = {each.name: each for each in view.steps} if view.version == saga.version else {}
    run = MeasuredSaga(
        id=view.id,
        status=view.status,
        is_new=begun.is_new,
        milliseconds=_between(view.created_at, view.ended_at),
    )
    return replace(
        saga, run=run, steps=tuple(_step(each, steps.get(each.name), view.created_at) for each in saga.steps)
    )


def _step(step: ExplainedStep, view: StepView | None, began: Epoch) -> ExplainedStep:
    if view is None:
        return step
    run = MeasuredStep(
        status=view.status,
        attempts=view.attempts,
        undo_attempts=view.undo_attempts,
        code=view.code,
        start_milliseconds=_between(began, view.started_at),
        milliseconds=_between(view.started_at, view.ended_at),
    )
    return replace(step, run=run)


def _between(began: Epoch | None, ended: Epoch | None) -> float | None:
    return None if began is None or ended is None else _milliseconds(ended - began)


def _milliseconds(seconds: Seconds | float) -> float:
    return round(seconds * 1000, 2)
