"""What a join declares, in the shape that `explain` reads: the one place that knows how a `JoinField` writes it.

Invariant: `fallbacks` is never empty; the last one is what remains when none before it helped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ...clock import Seconds
from ...graph import JoinField
from ...graph.degradation import Alternative, Default, Stale
from ...graph.degradation import Fallback as DeclaredFallback
from ...loading import Loader, Page
from ...loading.reconcile import Authority


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
    reconcile: str | None = None
    """The rule between several sources, as the author wrote it."""
    authority: str | None = None
    """The service whose word the rule asks for, if it asks for one's."""
    is_strong: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    """GraphQL name of each argument -> the name that loaders know it by."""
    fallbacks: tuple[Fallback, ...]
    """Tried in their order."""


def declared(join: JoinField) -> JoinDeclaration:
    """What `join` says of itself."""
    return JoinDeclaration(
        on=join.on,
        sources=join.sources,
        reconcile=None if join.reconcile is None else repr(join.reconcile),
        authority=join.reconcile.service if isinstance(join.reconcile, Authority) else None,
        is_strong=join.consistency == "strong",
        parameters={argument.graphql_name or argument.python_name: argument.python_name for argument in join.arguments},
        fallbacks=_fallbacks(join.fallbacks),
    )


def _fallbacks(declared: Sequence[DeclaredFallback]) -> tuple[Fallback, ...]:
    tried = tuple(_fallback(each) for each in declared)
    return tried if tried and tried[-1].kind == "default" else (*tried, Fallback(kind="null"))


def _fallback(declared: DeclaredFallback) -> Fallback:
    match declared:
        case Default(value):
            return Fallback(kind="default", value=_shown(value))
        case Stale(max_age=max_age):
            return Fallback(kind="stale", max_age=max_age)
        case Alternative():
            return Fallback(kind="alternative", loader=declared.loader)


def _shown(value: Any) -> str:
    """A default, as a client would read it: JSON, if it can be written as such."""
    if isinstance(value, Page):
        return f"a page of {len(value.items)} items"
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError):
        return repr(value)
