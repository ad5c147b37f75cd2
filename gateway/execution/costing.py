"""What an operation is estimated to cost, before any call: calls to services are dear, objects are cheap, columns are free.

Read off its explanation, which knows calls, layers and arguments; so it holds for what will be run, with the variables at hand.
Keys and pages are estimated by the sizes of the lists above: what the client asks for (`first`, `last`), else `ASSUMED`.
Invariants: an estimate is pure, and kept for as long as its operation, `MAX_KEPT` of each, by the variables that can change it.
Source: IBM's specification of GraphQL cost directives, as far as its weights come from types; no directive is read yet (0033).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

from graphql import NamedTypeNode, NonNullTypeNode

from ..errors import OperationTooExpensive
from ..telemetry import Metrics
from .document import Operation
from .explaining import Explanation
from .explaining.explanation import Call, ExplainedField

CostMode = Literal["measure", "enforce"]

CALL = 10
"""Of a call to a service: sending, waiting for and reading one costs the gateway as much CPU as making ten objects."""
OBJECT = 1
ASSUMED = 10
"""Items of a list of which the document does not say how long it is."""
MOST = 10**12
"""No estimate is larger, so that it is a number for everybody who reads it."""
MAX_KEPT = 64
"""Estimates of one operation, by its variables."""

_SIZES = ("first", "last")
_DECIDING = frozenset({"Int", "Boolean"})
"""Types of variables that can change an estimate: sizes, and conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """An estimate."""

    calls: int
    """To services, of sagas' steps too."""
    objects: int

    @property
    def total(self) -> int:
        return min(MOST, self.calls * CALL + self.objects * OBJECT)


def estimated(explanation: Explanation) -> Cost:
    """Of the whole operation."""
    return _sum(_of(field, parents=1, sized=None) for field in explanation.fields)


def _of(field: ExplainedField, *, parents: int, sized: int | None) -> Cost:
    """`parents`: how many objects have the field; `sized`: how many items the connection above it was asked for."""
    asked = _asked_size(field)
    is_list = "[" in field.type
    many = parents * (_size(asked, sized) if is_list else 1)
    own = Cost(calls=_calls(field, parents), objects=many if field.types else 0)
    below = asked if asked is not None and not is_list else None
    return _sum((own, *(_of(each, parents=many, sized=below) for each in field.fields)))


def _size(asked: int | None, sized: int | None) -> int:
    return next((each for each in (asked, sized) if each is not None), ASSUMED)


def _asked_size(field: ExplainedField) -> int | None:
    """What the client says; None where it says nothing, or what is not known."""
    given = (field.arguments.get(name, "") for name in _SIZES)
    return next((int(each) for each in given if each.isascii() and each.isdigit()), None)


def _calls(field: ExplainedField, parents: int) -> int:
    calls = sum(_times(call, field, parents) for call in field.calls if call.same_as is None)
    steps = () if field.saga is None else field.saga.steps
    return calls + sum(len(step.calls) for step in steps)


def _times(call: Call, field: ExplainedField, parents: int) -> int:
    """A batch has so many keys; what code calls for each parent by itself is called as often."""
    if call.max_batch is not None:
        return math.ceil(parents / call.max_batch)
    return parents if field.kind == "resolver" or call.max_page is not None else 1


def _sum(costs: Iterable[Cost]) -> Cost:
    calls = objects = 0
    for each in costs:
        calls, objects = calls + each.calls, objects + each.objects
    return Cost(calls=calls, objects=objects)


class Costs:
    """Estimates of one application's operations, and what may be spent."""

    def __init__(
        self,
        *,
        limit: int | None,
        mode: CostMode | None,
        explained: Callable[[Operation, Mapping[str, Any]], Explanation],
        metrics: Metrics,
    ) -> None:
        """`limit`: of one operation; None: there is none. `mode`: None where nobody wants to know but clients that ask."""
        self.limit = limit
        self._mode = mode
        self._metrics = metrics
        self._explained = explained
        self._kept: WeakKeyDictionary[Operation, OrderedDict[Hashable, Cost]] = WeakKeyDictionary()
        self._deciding: WeakKeyDictionary[Operation, tuple[str, ...]] = WeakKeyDictionary()

    def of(self, operation: Operation, variables: Mapping[str, Any]) -> Cost:
        """Cost of it: a look-up, or an explanation (some 0.1 ms a field) for variables that are new. Raises: RequestError."""
        key = tuple(_plain(variables.get(name)) for name in self._names(operation))
        kept = self._kept.setdefault(operation, OrderedDict())
        found = kept.get(key)
        if found is None:
            found = kept[key] = estimated(self._explained(operation, variables))
            if len(kept) > MAX_KEPT:
                kept.popitem(last=False)
        return found

    def ensure_affordable(self, operation: Operation, variables: Mapping[str, Any]) -> None:
        """Raises: OperationTooExpensive; RequestError where it opens to too much to be estimated."""
        if self._mode is None:
            return
        cost = self.of(operation, variables).total
        self._metrics.estimated_cost.observe(cost)
        if self._mode == "enforce" and self.limit is not None and cost > self.limit:
            raise OperationTooExpensive(estimated=cost, limit=self.limit)

    def price(self, operation: Operation, variables: Mapping[str, Any]) -> int:
        """Points of a client's rate: what it is estimated to cost, or one where nothing is estimated. Raises: RequestError."""
        return 1 if self._mode is None else self.of(operation, variables).total

    def as_json(self, operation: Operation, variables: Mapping[str, Any]) -> dict[str, int | None]:
        """What a client is shown that asks for it."""
        cost = self.of(operation, variables)
        return {"estimated": cost.total, "calls": cost.calls, "objects": cost.objects, "limit": self.limit}

    def _names(self, operation: Operation) -> tuple[str, ...]:
        names = self._deciding.get(operation)
        if names is None:
            names = self._deciding[operation] = tuple(_deciding(operation))
        return names


def _plain(value: object) -> int | None:
    """A variable that does not fit its type decides nothing: execution refuses it."""
    return value if isinstance(value, int) else None


def _deciding(operation: Operation) -> list[str]:
    found: list[str] = []
    for each in operation.node.variable_definitions or ():
        kind = each.type.type if isinstance(each.type, NonNullTypeNode) else each.type
        if isinstance(kind, NamedTypeNode) and kind.name.value in _DECIDING:
            found.append(each.variable.name.value)
    return found
