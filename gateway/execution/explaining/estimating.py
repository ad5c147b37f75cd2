"""What an operation is estimated to cost, before any call: calls to services are dear, objects are cheap, columns are free.

Read off the explained fields, which know calls, batches, sizes and weights. Keys and pages are as many as the lists above them are
long. Invariant: pure. Source: IBM's specification of GraphQL cost directives, whose weights of fields and sizes of lists these are;
that a call costs as such, and a batch of keys is one, is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..cost import Cost
from .explanation import Call, ExplainedField

ASSUMED = 10
"""Items of a list of which nobody says how long it is."""


def estimated(fields: Sequence[ExplainedField]) -> Cost:
    """Of the whole operation, whose fields these are."""
    return _sum(_of(field, parents=1, sized=None) for field in fields)


def _of(field: ExplainedField, *, parents: int, sized: int | None) -> Cost:
    """`parents`: how many objects have the field; `sized`: how long its list is, if the field above says so."""
    depth = field.type.count("[")
    own_size = None if field.sized_fields else field.list_size
    many = parents * _size(own_size, sized) * ASSUMED ** (depth - 1) if depth else parents
    own = Cost(
        calls=sum(_times(call, field, parents) for call in field.calls if call.same_as is None),
        saga_calls=0 if field.saga is None else sum(len(step.calls) for step in field.saga.steps),
        objects=many if field.types else 0,
        declared=parents * field.weight,
    )
    return _sum((own, *(_of(each, parents=many, sized=_handed_down(field, each)) for each in field.fields)))


def _handed_down(field: ExplainedField, inner: ExplainedField) -> int | None:
    """How long the lists of its value are: those that it names; without names all, where it is no list itself."""
    is_meant = inner.name in field.sized_fields if field.sized_fields else "[" not in field.type
    return field.list_size if is_meant else None


def _size(*said: int | None) -> int:
    return next((each for each in said if each is not None), ASSUMED)


def _times(call: Call, field: ExplainedField, parents: int) -> int:
    """A batch has so many keys; what code calls for each parent by itself is called as often."""
    if call.max_batch is not None:
        return math.ceil(parents / call.max_batch)
    return parents if field.kind == "resolver" or call.max_page is not None else 1


def _sum(costs: Iterable[Cost]) -> Cost:
    calls = saga_calls = objects = declared = 0
    for each in costs:
        calls, saga_calls = calls + each.calls, saga_calls + each.saga_calls
        objects, declared = objects + each.objects, declared + each.declared
    return Cost(calls=calls, saga_calls=saga_calls, objects=objects, declared=declared)
