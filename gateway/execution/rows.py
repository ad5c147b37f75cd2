"""Generated source: the two inner loops of a layer, copying attributes into columns and columns into the answer's objects.

A comprehension that names what it copies is three times as fast as any loop that looks it up. Invariant: a name of the client's
enters the source by `repr` only, and so does everything else but attribute names that are plain ASCII identifiers; there is
nothing else to inject.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Read = Callable[[Sequence[Any]], tuple[list[Any], ...]]
"""Objects -> a column for each attribute. Raises: whatever an attribute raises, so what is wrong is found out elsewhere."""

Write = Callable[..., list[dict[str, Any]]]
"""(how many, column, column, ...) -> an object for each row."""


def reader(attributes: Sequence[str]) -> Read:
    """Copies these attributes."""
    columns = "".join(f"[{_attribute(name)} for o in objects], " for name in attributes)
    return _function("read", f"def read(objects):\n    return ({columns})\n")  # type: ignore[no-any-return]


def writer(names: Sequence[str], *, constants: Mapping[str, str | None]) -> Write:
    """Writes objects with members `names` in that order: those in `constants` as they stand there, the others from a column."""
    columns = [index for index, name in enumerate(names) if name not in constants]
    members = ", ".join(
        f"{name!r}: {constants[name]!r}" if name in constants else f"{name!r}: v{index}"
        for index, name in enumerate(names)
    )
    parameters = "".join(f", c{index}" for index in columns)
    source = f"def write(count{parameters}):\n    return [{{{members}}} for {_each(columns)}]\n"
    return _function("write", source)  # type: ignore[no-any-return]


def _each(columns: Sequence[int]) -> str:
    """The head of the loop over the rows."""
    if not columns:
        return "_ in range(count)"
    if len(columns) == 1:
        return f"v{columns[0]} in c{columns[0]}"
    return f"{', '.join(f'v{index}' for index in columns)} in zip({', '.join(f'c{index}' for index in columns)})"


def _attribute(name: str) -> str:
    is_plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
    return f"o.{name}" if is_plain else f"getattr(o, {name!r})"


def _function(name: str, source: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source, f"<plan: {name}>", "exec"), {"__builtins__": _BUILTINS}, names)  # noqa: S102 - see the invariant
    return names[name]


_BUILTINS = {"getattr": getattr, "range": range, "zip": zip}
