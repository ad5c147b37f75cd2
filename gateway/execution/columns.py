"""Columns of a layer: what is read of each of its objects, or called for each, an exception standing for what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from .stage import Stage


def columns_of(stage: Stage, objects: Sequence[Any]) -> Sequence[list[Any]]:
    """The objects' attributes, an exception where reading one raises it."""
    try:
        return stage.read(objects)
    except Exception:  # which attribute of which object is found out one by one
        return [each_of(partial(_attribute, name), objects) for name in stage.attributes]


def each_of(call: Callable[[Any], Any], parents: Iterable[Any]) -> list[Any]:
    """What `call` gives for each, or the exception it raises, in its place."""
    values: list[Any] = []
    left: Iterator[Any] = iter(parents)
    while True:
        try:
            for parent in left:
                values.append(call(parent))  # noqa: PERF401 - what was called before a failure is kept
        except Exception as error:  # that parent's own
            values.append(error)
        else:
            return values


def _attribute(name: str, parent: Any) -> Any:
    return getattr(parent, name)
