"""What operations are estimated to cost, kept so that it is a look-up; what they really took; and what is refused.

An estimate is made of an explanation, once for each setting of the variables that can change it: those that say how long a list is,
or what is skipped. Of all other variables it holds for any value, so nobody can have a cheap operation estimated and send a dear
one. Invariant: an estimate is kept for as long as its operation, `MAX_KEPT` of each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any, Literal
from weakref import WeakKeyDictionary

from graphql import ArgumentNode, DirectiveNode, FieldNode, VariableNode, Visitor, visit

from ..errors import OperationTooExpensive
from ..loading import Spent
from ..telemetry import Children, Metrics, Span
from .cost import Cost
from .document import Operation
from .explaining import Explanation

CostMode = Literal["measure", "enforce"]

MAX_KEPT = 64
"""Estimates of one operation, by its variables."""

Explained = Callable[[Operation, Mapping[str, Any], Collection[str]], Explanation]
"""An operation, its variables, and the names of those that are to be looked at."""


class Costs:
    """Costs of one application's operations, and what may be spent."""

    def __init__(
        self,
        *,
        limit: int | None,
        mode: CostMode | None,
        slicing: Collection[str],
        explained: Explained,
        metrics: Metrics,
    ) -> None:
        """`limit`: of one operation; None: there is none. `mode`: None where nobody wants to know but clients that ask.

        `slicing`: names of the arguments that say how long a list is.
        """
        self.limit = limit
        self._mode = mode
        self._slicing = slicing
        self._explained = explained
        self._observed = Children(metrics.operation_cost)
        self._known: WeakKeyDictionary[Operation, _Known] = WeakKeyDictionary()

    def estimate(self, operation: Operation, variables: Mapping[str, Any]) -> Cost:
        """What it will cost: a look-up, or an explanation (some 0.1 ms a field) for lengths that are new. Raises: RequestError."""
        known = self._known.get(operation)
        if known is None:
            known = self._known[operation] = _Known(_deciding(operation, self._slicing))
        key = tuple(map(_plain, map(variables.get, known.names)))
        found = known.estimates.get(key)
        if found is None:
            found = self._explained(operation, variables, known.names).cost
            known.keep(key, found)
        return found

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

    def settle(self, spent: Spent, estimate: Cost | None, span: Span) -> Cost:
        """What it really took, when it has ended, however it has. The calls of a saga are those of the estimate, if it was begun:
        they are made by whoever runs it, and perhaps later.
        """
        actual = actual_of(spent, estimate)
        if self._mode is not None:
            self._tell("actual", actual, span)
        return actual

    def _tell(self, kind: str, cost: Cost, span: Span | None) -> None:
        self._observed[kind,].observe(cost.total)
        if span is not None and span.is_recording():
            span.set_attribute(f"sagaql.operation.cost.{kind}", cost.total)

    def as_json(self, estimate: Cost, actual: Cost) -> dict[str, Any]:
        """What a client is shown that asks for it."""
        told = {
            name: {"estimated": getattr(estimate, name), "actual": getattr(actual, name)}
            for name in ("calls", "objects", "declared")
        }
        return {"estimated": estimate.total, "actual": actual.total, "limit": self.limit, **told}


def actual_of(spent: Spent, estimate: Cost | None) -> Cost:
    """What was counted, in the units of estimates."""
    of_sagas = estimate.saga_calls if estimate is not None and spent.sagas else 0
    return Cost(calls=spent.calls, saga_calls=of_sagas, objects=spent.objects, declared=spent.weights)


class _Known:
    """What is known of one operation."""

    __slots__ = ("estimates", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        """The variables that can change its estimate."""
        self.estimates: dict[Hashable, Cost] = {}

    def keep(self, key: Hashable, estimate: Cost) -> None:
        """The oldest leaves: what is asked for again is made again."""
        self.estimates[key] = estimate
        if len(self.estimates) > MAX_KEPT:
            del self.estimates[next(iter(self.estimates))]


def _plain(value: object) -> Hashable:
    """What tells the values of numbers and conditions apart. What fits neither decides nothing: execution refuses it."""
    return (type(value), value) if isinstance(value, bool | int | float) else None


def _deciding(operation: Operation, slicing: Collection[str]) -> tuple[str, ...]:
    """Names of the variables that say how long a list is, or what is skipped, sorted."""
    found = _Deciding(slicing)
    visit(operation.document, found)
    own = {each.variable.name.value for each in operation.node.variable_definitions or ()}
    return tuple(sorted(own & found.names))


class _Deciding(Visitor):
    def __init__(self, slicing: Collection[str]) -> None:
        super().__init__()
        self.names: set[str] = set()
        self._slicing = slicing

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.names.update(_given(each for each in node.arguments or () if each.name.value in self._slicing))

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.names.update(_given(node.arguments or ()))


def _given(arguments: Any) -> Iterator[str]:
    """The variables that arguments are."""
    each: ArgumentNode
    for each in arguments:
        if isinstance(each.value, VariableNode):
            yield each.value.name.value
