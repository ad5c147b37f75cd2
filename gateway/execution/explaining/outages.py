"""What a client reads while one service is down: which fields become null, old or a default, and how far a null spreads.

A null spreads as GraphQL has it: from a field that may not be null to the nearest place above that may. Invariant: pure, from
types and declarations; what stands below a field that is gone is not told again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...loading.reconcile import Quorum
from .explanation import Becomes, Call, Effect, ExplainedField, ExplainedJoin, ExplainedSaga, NullAt, Outage

_WRAPPERS = re.compile(r"\[*(\w+)(.*)")


def outages(fields: Sequence[ExplainedField], services: Sequence[str]) -> tuple[Outage, ...]:
    """One for each service, in their order."""
    return tuple(Outage(service=name, effects=tuple(_effects(fields, name, above=()))) for name in services)


def _effects(fields: Sequence[ExplainedField], service: str, *, above: tuple[ExplainedField, ...]) -> Iterator[Effect]:
    for field in fields:
        chain = (*above, field)
        effect = _effect(field, service, chain)
        if effect is not None:
            yield effect
        if effect is None or not _ends(effect):
            yield from _effects(field.fields, service, above=chain)


def _ends(effect: Effect) -> bool:
    """Whether nothing is left below: an old answer, and one from elsewhere, have fields of their own."""
    return effect.is_certain and not {"partial", "stale", "alternative"} & set(effect.becomes)


def _effect(field: ExplainedField, service: str, chain: Sequence[ExplainedField]) -> Effect | None:
    if field.saga is not None:
        return _of_saga(field, field.saga, service)
    if not any(call.service == service for call in field.calls):
        return None
    if field.join is not None:
        return _of_join(field, field.join, service, chain)
    is_certain = all(call.service == service or call.one_of is None for call in field.calls)
    return Effect(path=field.path, becomes=("null",), null_at=_null_at(chain), is_certain=is_certain)


def _of_join(field: ExplainedField, join: ExplainedJoin, service: str, chain: Sequence[ExplainedField]) -> Effect:
    """What its other sources say, else its fallbacks in their order; an alternative of the same service is down too."""
    others = [call for call in field.calls if call.service != service]
    has_others = bool(others) and join.authority != service
    is_enough = has_others and len(others) == 1 and join.reconcile != repr(Quorum())  # nobody is left to differ from
    tried = [] if is_enough else [each for each in join.fallbacks if each.call is None or each.call.service != service]
    return Effect(
        path=field.path,
        becomes=(*(("partial",) if has_others else ()), *(each.kind for each in tried)),
        value=next((each.value for each in tried if each.kind == "default"), None),
        max_age=next((each.max_age for each in tried if each.kind == "stale"), None),
        instead=next((each.call.service for each in tried if each.call is not None), None),
        null_at=_null_at(chain) if any(each.kind == "null" for each in tried) else None,
    )


def _of_saga(field: ExplainedField, saga: ExplainedSaga, service: str) -> Effect | None:
    """The first step that cannot be done decides: before the pivot all is undone, after it the rest is only done later.

    Where it cannot be told whether a step was done, its undo, or the pivot again, waits for the service.
    """
    needing = [step for step in saga.steps if _needs(step.calls, service)]
    before = [step for step in needing if not step.is_after_pivot]
    if not needing:
        return None
    names = tuple(step.name for step in before or needing)
    waits = [step for step in before if step.is_pivot or _needs(step.undo_calls, service)]
    becomes: tuple[Becomes, ...] = ("delayed",) if not before else ("undone", "delayed") if waits else ("undone",)
    return Effect(path=field.path, becomes=becomes, steps=names)


def _needs(calls: Sequence[Call], service: str) -> bool:
    return any(call.service == service for call in calls)


def _null_at(chain: Sequence[ExplainedField]) -> NullAt:
    """Where a null ends up that appears in place of the last field of `chain`."""
    *above, failed = chain
    if may_be_null(failed.type)[0]:
        return NullAt(path=failed.path)
    for field in reversed(above):
        outwards = list(reversed(may_be_null(field.type)))
        if any(outwards):
            return NullAt(path=field.path, is_item=outwards.index(True) < len(outwards) - 1)
    return NullAt(path=())


def may_be_null(type_text: str) -> list[bool]:
    """Which layers of a type may be null, outermost first: "[Review!]" -> [True, False]."""
    found = _WRAPPERS.fullmatch(type_text)
    assert found is not None, type_text  # noqa: S101 - graphql-core wrote it
    return [mark != "!" for mark in reversed(re.findall(r"(?:^|\])(!?)", found[2]))]
