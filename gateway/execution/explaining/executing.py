"""Whether an operation is executed by its own plan, and if not why, as the planner itself decides it.

Invariant: without variables it holds for all of them: an operation that has a plan for some settings of its conditions and none for
others is told as having none.
"""

from __future__ import annotations

from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from ..document import Operation
from ..planner import NotPlanned, condition_variables, plan
from .values import Values


def why_not_compiled(schema: GraphQLSchema, operation: Operation, values: Values, *, is_on: bool) -> str | None:
    """None: it is compiled when it is seen for the second time. Else the word that `sagaql_plans_total` counts it under."""
    try:
        if not is_on:
            raise NotPlanned("off")
        conditions = condition_variables(operation)
        for unknown in (True, False):
            known = {name: values.known.get(name, unknown) for name in conditions}
            plan(operation, schema, VariableValues({}, {**values.known, **known}))
    except NotPlanned as error:
        return error.reason
    return None
