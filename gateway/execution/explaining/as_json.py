"""An explanation as plain JSON values, for tools: every member of the data, its name in camelCase.

Invariant: names and meanings stay as they are while `version` is the same; members may be added. Durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ...loading.records import camel
from .explanation import Call, Explanation

VERSION = 1


def as_json(explanation: Explanation) -> dict[str, Any]:
    """What `sagaql explain --json` prints; docs/guides/explain.md says what the members mean."""
    return {"version": VERSION, **_plain(explanation)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        members = {camel(each.name): _plain(getattr(value, each.name)) for each in fields(value)}
        return {**members, "formula": value.formula} if isinstance(value, Call) else members
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 6)
    return dict(value) if isinstance(value, Mapping) else value
