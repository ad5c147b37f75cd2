"""What a join declares, in the shape that `explain` reads: the one place that knows how a `JoinField` writes it.

Invariant: `fallbacks` is never empty; the last one is what remains when none before it helped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ...clock import Seconds
from ...graph import JoinField
from ...graph.degradation import Default, Otherwise, Stale
from ...loading import Loader, Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What is served when the sources fail."""

    kind: Literal["alternative", "stale", "default", "null"]
    value: str | None = None
    max_age: Seconds | None = None
    loader: Loader[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinDeclaration:
    """A join without its types."""

    on: str
    sources: tuple[Loader[Any], ...]
    """Asked at the same time."""
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """GraphQL name of each argument -> the name that loaders know it by."""
    fallbacks: tuple[Fallback, ...]
    """Tried in their order."""


def declared(join: JoinField) -> JoinDeclaration:
    """What `join` says of itself."""
    return JoinDeclaration(
        on=join.on,
        sources=(join.loader,),
        parameters={argument.graphql_name or argument.python_name: argument.python_name for argument in join.arguments},
        fallbacks=_fallbacks(join.otherwise),
    )


def _fallbacks(otherwise: Otherwise) -> tuple[Fallback, ...]:
    if isinstance(otherwise, Default):
        return (Fallback(kind="default", value=_shown(otherwise.value)),)
    last = Fallback(kind="null")
    return (Fallback(kind="stale", max_age=otherwise.max_age), last) if isinstance(otherwise, Stale) else (last,)


def _shown(value: Any) -> str:
    """A default, as a client would read it: JSON, if it can be written as such."""
    if isinstance(value, Page):
        return f"a page of {len(value.items)} items"
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return repr(value)
