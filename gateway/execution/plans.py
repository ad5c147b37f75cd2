"""Programs of operations: compiled at second sight, kept as long as their document, graphql-core for whatever has none.

A flood of distinct documents so costs no more than their validation. Invariants: an operation without a program is executed by
graphql-core, for a reason that is counted; there are at most `MAX_VARIANTS` programs of an operation, one for each setting of the
variables that its @skip and @include ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice, product
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from ..telemetry import Children, Telemetry
from .document import Operation
from .planner import NotPlanned, condition_variables, plan
from .program import Program
from .variables import Variables

T = TypeVar("T")

Compile = Callable[[Operation, VariableValues], Program]

MAX_VARIANTS = 16
"""Programs of one operation: four variables that include and skip. Clients with more of them send several documents as it is."""


class Plans:
    """Operation and variables -> program. State: what is known of each operation, for as long as its document is kept."""

    def __init__(self, schema: GraphQLSchema, *, is_on: bool, telemetry: Telemetry, sights: int = 2) -> None:
        """`sights`: how often an operation is seen until it is compiled."""
        self._schema = schema
        self.is_on = is_on
        self._sights = sights
        self._outcomes = Children(telemetry.metrics.plans)
        self._log = telemetry.log
        self._known: WeakKeyDictionary[Operation, _Known] = WeakKeyDictionary()

    def find(self, operation: Operation, variables: Mapping[str, Any]) -> tuple[Program, VariableValues] | NotPlanned:
        """The program and the coerced variables to run it with; or why graphql-core is to execute the operation."""
        try:
            found = self._found(operation, variables)
        except NotPlanned as error:
            self._outcomes[error.reason,].inc()
            return error.with_traceback(None)
        self._outcomes["compiled",].inc()
        return found

    def prepare(self, operation: Operation) -> None:
        """Compile it before it is seen, for every setting of its @skip and @include."""
        if not self.is_on:
            return
        known = self._known_of(operation)
        known.sights = self._sights
        with suppress(NotPlanned):  # graphql-core executes it, as it would at any sight
            names = known.conditions(operation)
            for said in islice(product((True, False), repeat=len(names)), MAX_VARIANTS):
                variables = VariableValues({}, dict(zip(names, said, strict=True)))
                known.program(operation, variables, self.compile).prepare()

    def _found(self, operation: Operation, variables: Mapping[str, Any]) -> tuple[Program, VariableValues]:
        known = self._seen(operation)
        coerced = known.variables.coerced(variables)
        if isinstance(coerced, list):
            raise NotPlanned("variables")  # graphql-core tells what is wrong with them
        return known.program(operation, coerced, self.compile), coerced

    def _seen(self, operation: Operation) -> _Known:
        if not self.is_on:
            raise NotPlanned("off")
        known = self._known_of(operation)
        known.sights += 1
        if known.sights < self._sights:
            raise NotPlanned("first sight")
        return known

    def _known_of(self, operation: Operation) -> _Known:
        known = self._known.get(operation)
        if known is None:
            variables = Variables(self._schema, operation.node.variable_definitions or ())
            known = self._known[operation] = _Known(variables)
        return known

    def compile(self, operation: Operation, variables: VariableValues) -> Program:
        """Raises: NotPlanned."""
        try:
            return Program(plan(operation, self._schema, variables))
        except NotPlanned as error:
            self._log.debug("not compiled", reason=error.reason, operation=operation.name)
            raise
        except Exception as error:  # ours, or something in the graph that nobody has thought of: it is still answered
            self._log.error("a plan failed", operation=operation.name, exc_info=error)
            raise NotPlanned("error") from error

    def __repr__(self) -> str:
        return f"<Plans of {len(self._known)} operations>"


class _Known:
    """What is known of one operation, which it does not hold: it is gone with its document."""

    __slots__ = ("_conditions", "_programs", "sights", "variables")

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
        self.sights = 0
        self._conditions: tuple[str, ...] | NotPlanned | None = None
        self._programs: dict[tuple[Any, ...], Program | NotPlanned] = {}

    def program(self, operation: Operation, variables: VariableValues, compiled: Compile) -> Program:
        """Raises: NotPlanned."""
        variant = self._variant(operation, variables)
        found = self._programs.get(variant)
        if found is None:
            if len(self._programs) >= MAX_VARIANTS:
                raise NotPlanned("variants")
            found = self._programs[variant] = _tried(lambda: compiled(operation, variables))
        if isinstance(found, NotPlanned):
            raise found.with_traceback(None)
        return found

    def _variant(self, operation: Operation, variables: VariableValues) -> tuple[Any, ...]:
        """What the variables of @skip and @include say."""
        said = tuple(variables.coerced.get(name) for name in self.conditions(operation))
        if not all(isinstance(each, bool) for each in said):
            raise NotPlanned("condition")  # null, or not given: graphql-core tells where that is wrong
        return said

    def conditions(self, operation: Operation) -> tuple[str, ...]:
        """The variables that @skip and @include ask for. Raises: NotPlanned."""
        if self._conditions is None:
            self._conditions = _tried(lambda: condition_variables(operation))
        if isinstance(self._conditions, NotPlanned):
            raise self._conditions.with_traceback(None)
        return self._conditions


def _tried(make: Callable[[], T]) -> T | NotPlanned:
    """What is made, or why it is not: both are worth remembering."""
    try:
        return make()
    except NotPlanned as error:
        return error
