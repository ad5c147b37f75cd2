"""What an operation is estimated to cost, before any call: calls to services are dear, objects are cheap, columns are free.

Read off the explained fields, which know calls, batches, sizes and weights. Keys and pages are as many as the lists above them are
long; so what is kept of an explanation is a formula, and the lengths that a client asks for are put into it: some microseconds.
Invariant: pure. Source: IBM's specification of GraphQL cost directives, whose weights of fields and sizes of lists these are; that
a call costs as such, and a batch of keys is one, is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..cost import Cost
from .explanation import Call, ExplainedField

ASSUMED = 10
"""Items of a list of which nobody says how long it is."""


class Formula:
    """What an operation costs, by the lengths of its lists."""

    def __init__(self, fields: Iterable[ExplainedField]) -> None:
        self._terms = _terms(fields)

    def cost(self, variables: Mapping[str, Any] | None = None) -> Cost:
        """`variables`: those that say how long a list is, defaults filled in. None: they may be anything."""
        total = _Total()
        for term in self._terms:
            term.add_to(total, 1, None, variables)
        return Cost(calls=total.calls, saga_calls=total.saga_calls, objects=total.objects, declared=total.declared)


class _Total:
    __slots__ = ("calls", "declared", "objects", "saga_calls")

    def __init__(self) -> None:
        self.calls = self.saga_calls = self.objects = self.declared = 0


class _Term:
    """A field that costs something, or has such fields below it. It holds no explanation, which is many times as large."""

    __slots__ = (
        "arguments",
        "batches",
        "below",
        "has_objects",
        "is_list",
        "items",
        "once",
        "per_parent",
        "saga_calls",
        "size",
        "sizes",
        "sizes_itself",
        "weight",
    )

    def __init__(self, field: ExplainedField, below: tuple[tuple[_Term, bool], ...]) -> None:
        calls = [call for call in field.calls if call.same_as is None]
        depth = field.type.count("[")
        self.below = below
        """Each with whether its list is as long as this field says."""
        self.batches = tuple(call.max_batch for call in calls if call.max_batch is not None)
        self.per_parent = sum(call.max_batch is None and _is_for_each(call, field) for call in calls)
        self.once = len(calls) - len(self.batches) - self.per_parent
        self.saga_calls = 0 if field.saga is None else sum(len(step.calls) for step in field.saga.steps)
        self.weight = field.weight
        self.has_objects = bool(field.types)
        self.sizes = field.sizes if field.sizes.asks(field.arguments) else None
        """Where the length depends on a variable."""
        self.arguments = {name: field.arguments[name] for name in field.sizes.by if name in field.arguments}
        self.size = field.list_size
        self.sizes_itself = not field.sized_fields
        self.is_list = bool(depth)
        self.items = ASSUMED ** max(0, depth - 1)
        """Of the lists within the items of its list."""

    def add_to(self, total: _Total, parents: int, sized: int | None, variables: Mapping[str, Any] | None) -> None:
        """`parents`: how many objects have the field; `sized`: how long its list is, if the field above says so."""
        said = self.size
        if self.sizes is not None and variables is not None:
            said = self.sizes.said(self.arguments, variables)
        many = parents
        if self.is_list:
            length = said if self.sizes_itself and said is not None else sized
            many *= (ASSUMED if length is None else length) * self.items
        total.calls += self.once + self.per_parent * parents
        for max_batch in self.batches:
            total.calls += -(-parents // max_batch)
        total.saga_calls += self.saga_calls
        total.declared += parents * self.weight
        if self.has_objects:
            total.objects += many
        for each, is_sized in self.below:
            each.add_to(total, many, said if is_sized else None, variables)


def estimated(fields: Sequence[ExplainedField]) -> Cost:
    """Of the whole operation, whose fields these are."""
    return Formula(fields).cost()


def _terms(fields: Iterable[ExplainedField]) -> tuple[_Term, ...]:
    return tuple(term for _, term in _named_terms(fields))


def _named_terms(fields: Iterable[ExplainedField]) -> Iterator[tuple[ExplainedField, _Term]]:
    """Of those that cost anything."""
    for field in fields:
        below = tuple((term, _is_sized(field, inner)) for inner, term in _named_terms(field.fields))
        if below or field.calls or field.types or field.weight or field.saga:
            yield field, _Term(field, below)


def _is_sized(field: ExplainedField, inner: ExplainedField) -> bool:
    """Whether the field says how long the inner one's list is: of those that it names; without names all, if it is no list."""
    return inner.name in field.sized_fields if field.sized_fields else "[" not in field.type


def _is_for_each(call: Call, field: ExplainedField) -> bool:
    """What code asks for each parent by itself, and pages, are asked for as often as there are parents."""
    return field.kind == "resolver" or call.max_page is not None
