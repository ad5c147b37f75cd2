"""What operations are estimated to cost, kept so that it is a look-up; what they really took; and what is refused.

An operation becomes a formula, once for each setting of the variables that say what is skipped; those that say how long a list is
are put into it. Of all other variables it holds for any value, so nobody can have a cheap operation estimated and send a dear one.
Invariant: formulas and estimates are kept for as long as their operation, `MAX_KEPT` of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

from graphql import (
    ArgumentNode,
    ConstValueNode,
    DirectiveNode,
    FieldNode,
    IntValueNode,
    ListValueNode,
    VariableNode,
    Visitor,
    visit,
)

from ..errors import OperationTooExpensive
from ..loading import Spent
from ..telemetry import Children, Metrics, Span
from .cost import Cost
from .document import Operation
from .explaining import Formula

V = TypeVar("V")

CostMode = Literal["measure", "enforce"]

MAX_KEPT = 64
"""Estimates, and formulas, of one operation, by its variables."""

MakeFormula = Callable[[Operation, Mapping[str, Any], Collection[str]], Formula]
"""Of an operation, its variables, and the names of those that are to be looked at."""


class Costs:
    """Costs of one application's operations, and what may be spent."""

    def __init__(
        self,
        *,
        limit: int | None,
        mode: CostMode | None,
        slicing: Collection[str],
        formula: MakeFormula,
        metrics: Metrics,
    ) -> None:
        """`limit`: of one operation; None: there is none. `mode`: None where nobody wants to know but clients that ask.

        `slicing`: names of the arguments that say how long a list is.
        """
        self.limit = limit
        self._mode = mode
        self._slicing = slicing
        self._formula = formula
        self._observed = Children(metrics.operation_cost)
        self._known: WeakKeyDictionary[Operation, _Known] = WeakKeyDictionary()

    def estimate(self, operation: Operation, variables: Mapping[str, Any]) -> Cost:
        """What it will cost. Cost: a look-up; for lengths that are new some µs; for new conditions a walk, 0.04 ms a field.

        Raises: RequestError, where it opens to too much to be explained.
        """
        known = self._known.get(operation)
        if known is None:
            known = self._known[operation] = _Known(operation, self._slicing)
        return known.estimate(variables, lambda: self._formula(operation, variables, known.conditions))

    def charge(self, operation: Operation, variables: Mapping[str, Any], span: Span | None) -> Cost | None:
        """The estimate, before anything is called; None where nobody wants to know. `span`: of the operation, if it is one.

        Raises: OperationTooExpensive; RequestError where it opens to too much to be estimated.
        """
        if self._mode is None:
            return None
        estimate = self.estimate(operation, variables)
        self._tell("estimated", estimate, span)
        if self._mode == "enforce" and self.limit is not None and estimate.total > self.limit:
            raise OperationTooExpensive(estimated=estimate.total, limit=self.limit)
        return estimate

    def settle(self, spent: Spent, estimate: Cost | None, span: Span) -> Cost | None:
        """What it really took, when it has ended, however it has; None where there is no estimate to compare it with."""
        if estimate is None:
            return None
        actual = actual_of(spent, estimate)
        if self._mode is not None:
            self._tell("actual", actual, span)
        return actual

    def points(self, cost: Cost | None) -> int:
        """Of a client's rate: what it costs, or one where nobody estimates."""
        return 1 if cost is None or self._mode is None else cost.total

    def _tell(self, kind: str, cost: Cost, span: Span | None) -> None:
        self._observed[kind,].observe(cost.total)
        if span is not None and span.is_recording():
            span.set_attribute(f"sagaql.operation.cost.{kind}", cost.total)

    def as_json(self, estimate: Cost, actual: Cost) -> dict[str, Any]:
        """What a client is shown that asks for it."""
        both = {"estimated": estimate, "actual": actual}
        return {
            **{kind: cost.total for kind, cost in both.items()},
            "limit": self.limit,
            "calls": {kind: cost.calls + cost.saga_calls for kind, cost in both.items()},
            "objects": {kind: cost.objects for kind, cost in both.items()},
            "declared": {kind: cost.declared for kind, cost in both.items()},
        }


def actual_of(spent: Spent, estimate: Cost) -> Cost:
    """What was counted, in the units of estimates. The calls of sagas are those of the estimate, if one was begun: they are made by
    whoever runs it, and perhaps later.
    """
    of_sagas = estimate.saga_calls if spent.sagas else 0
    return Cost(calls=spent.calls, saga_calls=of_sagas, objects=spent.objects, declared=spent.weights)


class _Known:
    """What is known of one operation."""

    __slots__ = ("_defaults", "_estimates", "_formulas", "_names", "conditions")

    def __init__(self, operation: Operation, slicing: Collection[str]) -> None:
        asked = _Asked(slicing)
        visit(operation.document, asked)
        definitions = {each.variable.name.value: each for each in operation.node.variable_definitions or ()}
        self.conditions = tuple(sorted(asked.conditions & definitions.keys()))
        """The variables that say what is skipped."""
        sizes = sorted(asked.sizes & definitions.keys())
        self._names = (*self.conditions, *(name for name in sizes if name not in self.conditions))
        defaults = ((name, definitions[name].default_value) for name in sizes)
        self._defaults = {name: _default(given) for name, given in defaults if given is not None}
        self._formulas: dict[Hashable, Formula] = {}
        self._estimates: dict[Hashable, Cost] = {}

    def estimate(self, variables: Mapping[str, Any], make: Callable[[], Formula]) -> Cost:
        key = tuple([_plain(variables[name]) if name in variables else None for name in self._names])
        found = self._estimates.get(key)
        if found is None:
            formula = self._formula(key[: len(self.conditions)], make)
            found = formula.cost({**self._defaults, **variables})
            _keep(self._estimates, key, found)
        return found

    def _formula(self, conditions: Hashable, make: Callable[[], Formula]) -> Formula:
        found = self._formulas.get(conditions)
        if found is None:
            found = make()
            _keep(self._formulas, conditions, found)
        return found


def _keep(kept: dict[Hashable, V], key: Hashable, value: V) -> None:
    """The oldest leaves: what is asked for again is made again."""
    kept[key] = value
    if len(kept) > MAX_KEPT:
        del kept[next(iter(kept))]


def _plain(value: object) -> Hashable:
    """What tells the values of numbers, lengths and conditions apart. Whatever else there may be says nothing, or is refused."""
    if isinstance(value, list):
        return list, len(value)
    return (type(value), value) if isinstance(value, bool | int | float) else ()


def _default(given: ConstValueNode) -> object:
    """Of a variable, as far as it says a length."""
    if isinstance(given, ListValueNode):
        return [None] * len(given.values)
    return int(given.value) if isinstance(given, IntValueNode) else None


class _Asked(Visitor):
    """Which variables of a document say how long a list is, and what is skipped."""

    def __init__(self, slicing: Collection[str]) -> None:
        super().__init__()
        self.sizes: set[str] = set()
        self.conditions: set[str] = set()
        self._slicing = slicing

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.sizes.update(_given(each for each in node.arguments or () if each.name.value in self._slicing))

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.conditions.update(_given(node.arguments or ()))


def _given(arguments: Iterable[ArgumentNode]) -> Iterator[str]:
    """The variables that arguments are."""
    for each in arguments:
        if isinstance(each.value, VariableNode):
            yield each.value.name.value
