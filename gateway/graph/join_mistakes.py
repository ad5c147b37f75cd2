"""What can be wrong with a join, found when the whole graph is there: each check is a sentence with its remedy, or None."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..loading.reconcile import has_type_of, sources_problem
from ..loading.records import loader_codec
from .degradation import Alternative, Default, Fallback

if TYPE_CHECKING:
    from .join import JoinField

Check = Callable[["JoinField"], str | None]


def mistake(field: JoinField) -> str | None:
    """The first thing that is wrong with the declaration; None if nothing.

    Raises: TypeError for a record that cannot be decoded, LookupError for a loader that is not where it was named.
    """
    found = next((problem for check in _CHECKS if (problem := check(field)) is not None), None)
    if found is None:
        for loader in field.loaders:
            loader_codec(loader)
    return found


def _unreadable_key(field: JoinField) -> str | None:
    return _unreadable(field.origin, field.on)


def _unpaged(field: JoinField) -> str | None:
    loader = field.loader
    missing = [name for name in _WRITTEN if loader.page and name not in field.join_arguments]
    if not missing:
        return None
    return f"{loader!r} answers pages, and a lazily named loader cannot say so in time: add {_page_arguments(missing)}"


def _unknown_argument(field: JoinField) -> str | None:
    """Whoever is asked must take every argument: an answer that ignores one answers something else."""
    for loader in field.loaders:
        for name in field.join_arguments:
            if name not in loader.params:
                known = ", ".join(sorted(loader.params)) or "none"
                return f"argument {name!r} is no parameter of {loader!r} (it has: {known}); add it to params="
    return None


def _unreconcilable(field: JoinField) -> str | None:
    return sources_problem(field.sources, field.reconcile)


def _strong_and_weak(field: JoinField) -> str | None:
    if field.consistency != "strong":
        return None
    if field.fallbacks:
        return "a strong join serves nothing in place of its answer: leave otherwise= away, or consistency='strong'"
    if len(field.sources) > 1:
        return "a strong join has one source: name the one that owns the fact, or leave consistency='strong' away"
    if not field.is_nullable:
        return "a strong join has no fallback and so is null when its service fails: make it `| None`"
    return None


def _unordered(field: JoinField) -> str | None:
    if any(isinstance(each, Default) for each in field.fallbacks[:-1]):
        return "default(...) always can be served, so what stands after it never is: put it last"
    return None


def _unfit_alternative(field: JoinField) -> str | None:
    for each in field.fallbacks:
        if isinstance(each, Alternative) and (problem := _unfit(each, field)) is not None:
            return problem
    return None


def _unfit(alternative: Alternative[Any], field: JoinField) -> str | None:
    loader, first = alternative.loader, field.loader
    if loader in field.sources:
        return f"{loader!r} is its own alternative: name another, or leave it away"
    if loader.page or first.page:
        return "a page of one service is none of another's, since its cursors are not: use stale(...) or default(...)"
    if not has_type_of(loader, first):
        return (
            f"the alternative {loader!r} gives {loader.yielded} and {first!r} {first.yielded}: they must be of one type"
        )
    return _unreadable(field.origin, alternative.on or field.on)


def _not_nullable(field: JoinField) -> str | None:
    if field.is_nullable or isinstance(_last(field.fallbacks), Default):
        return None
    if len(field.fallbacks) > 1 or isinstance(_last(field.fallbacks), Alternative):
        return "it is not nullable and its fallbacks may all fail: make it `| None`, or let default(...) be the last"
    return "it is not nullable and has no fallback: make it `| None`, or give otherwise=default(...)"


_CHECKS: Sequence[Check] = (
    _unreadable_key,
    _unpaged,
    _unreconcilable,
    _unfit_alternative,
    _unknown_argument,
    _strong_and_weak,
    _unordered,
    _not_nullable,
)

_WRITTEN = {"first": "first=(int, 10)", "after": "after=(str | None, None)"}


def _last(fallbacks: Sequence[Fallback]) -> Fallback | None:
    return fallbacks[-1] if fallbacks else None


def _unreadable(owner: Any, on: str) -> str | None:
    """What is wrong with `on`, unless it names something that every `owner` has."""
    if owner is None:
        return None
    known = {column.name for column in dataclasses.fields(owner) if column.init}
    if on in known or hasattr(owner, on):
        return None
    near = get_close_matches(on, known, n=1)
    hint = f": did you mean {near[0]!r}?" if near else f" (it has: {', '.join(sorted(known)) or 'none'})"
    return f"on={on!r} is no attribute of {owner.__name__}{hint}"


def _page_arguments(names: Sequence[str]) -> str:
    return " and ".join(_WRITTEN[name] for name in names)
