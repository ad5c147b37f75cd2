"""An explanation as plain JSON values, for tools: every member of the data, its name in camelCase.

Invariant: names and meanings stay as they are while `version` is the same; members may be added. Durations are in seconds where
the name does not say milliseconds. Bounded: a value of an argument is cut after `MAX_VALUE` characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from functools import cache
from typing import Any

from ...loading.records import camel
from ..cost import Cost
from .explanation import Call, Explanation

VERSION = 1

_camel = cache(camel)

MAX_VALUE = 1_000
"""Characters of the value of one argument: fragments can name one that is as long as a request many times."""


def as_json(explanation: Explanation) -> dict[str, Any]:
    """What `sagaql explain --json` prints and `extensions.explain` holds; docs/guides/explain.md says what the members mean."""
    return {"version": VERSION, **_plain(explanation)}


def is_told(member: Field[Any]) -> bool:
    """Whether it is data that is shown."""
    return bool(member.metadata.get("is_told", True))


def _plain(value: Any) -> Any:
    if isinstance(value, Cost):
        return {"total": value.total, **{_camel(name): getattr(value, name) for name in Cost.__struct_fields__}}
    if is_dataclass(value):
        members = {_camel(each.name): _plain(getattr(value, each.name)) for each in fields(value) if is_told(each)}
        return {**members, "formula": value.formula} if isinstance(value, Call) else members
    if isinstance(value, tuple):
        return list(map(_plain, value))  # a comprehension would be one more frame at each level of the tree
    if isinstance(value, float):
        return round(value, 6)
    return {name: _cut(text) for name, text in value.items()} if isinstance(value, Mapping) else value


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
