"""`extensions.explain`: what became of an operation, for a client that asked for it and may know. The plan, and what was read.

`explaining/` tells what an operation would cost, without running it; this tells what it did. Invariant: nothing of a payload, a key
or an address is in it. Calls that no loader makes (`ctx.http`, the steps of a saga) are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..clock import Seconds
from ..loading import Read, Recording
from .plan import Items, Joined, OneOf, Plan, PlannedField, Selection, Shape, Single, said_of
from .planner import NotPlanned


def explained(recording: Recording, plan: Plan | NotPlanned) -> dict[str, Any]:
    """As JSON; docs/guides/explain.md says what the members mean."""
    why_not = plan.reason if isinstance(plan, NotPlanned) else None
    told: dict[str, Any] = {"milliseconds": _milliseconds(recording.elapsed()), "notCompiled": why_not}
    if isinstance(plan, Plan):
        told["plan"] = _fields(plan.root, recording.reads)
    told["reads"] = [_read(each, recording) for each in recording.reads]
    if recording.beyond:
        told["readsBeyond"] = recording.beyond
    return told


def _fields(selection: Selection, reads: Sequence[Read]) -> list[dict[str, Any]]:
    return [_field(each, reads) for each in selection.fields]


def _field(field: PlannedField, reads: Sequence[Read]) -> dict[str, Any]:
    told: dict[str, Any] = {"name": field.name, "field": field.coordinate, "source": said_of(field.source)}
    if isinstance(field.source, Joined):
        sources = field.source.field.sources
        told["reads"] = [number for number, read in enumerate(reads) if read.declared in sources]
    return told | _below(field.shape, reads)


def _below(shape: Shape, reads: Sequence[Read]) -> dict[str, Any]:
    match shape:
        case Items(of=of):
            return _below(of, reads)
        case Single(selection=selection):
            return {"fields": _fields(selection, reads)}
        case OneOf(selections=selections):
            return {"on": {name: _fields(each, reads) for name, each in selections.items() if each.fields}}
        case _:
            return {}


def _read(read: Read, recording: Recording) -> dict[str, Any]:
    return {
        "loader": read.declared.name,
        "endpoint": read.declared.endpoint,
        "keys": read.keys,
        "cached": read.cached,
        "asked": read.asked,
        "attempts": len(read.tried),
        "waitedMilliseconds": _milliseconds(Seconds(sum(read.waited))),
        "isShared": bool(read.asked) and not read.tried and read.outcome == "ok",
        "outcome": read.outcome,
        "startMilliseconds": _milliseconds(Seconds(read.began - recording.began)),
        "milliseconds": _milliseconds(read.took),
    }


def _milliseconds(seconds: Seconds) -> float:
    return round(seconds * 1000, 2)
