"""graphql-core's executors, counting what a plan counts layer by layer: the objects of an answer, and what fields are declared to
cost.

Invariant: nothing else is done differently. Objects of the schema itself (introspection) are not counted: nobody estimates them.
"""

from __future__ import annotations

from typing import Any

from graphql import Executor, GraphQLField, GraphQLObjectType, GraphQLResolveInfo
from graphql.execution.incremental import IncrementalExecutor

from ..graph.pricing import weight_of
from ..graph.schema import definition_of


class Counted(Executor[Any]):
    """Counts in the `Ctx` that it executes with."""

    def complete_object_value(self, return_type: GraphQLObjectType, *rest: Any, **named: Any) -> Any:
        if not return_type.name.startswith("__"):
            self.context_value.loads.reading.spent.objects += 1
        return super().complete_object_value(return_type, *rest, **named)

    def build_resolve_info(self, field_def: GraphQLField, *rest: Any, **named: Any) -> GraphQLResolveInfo[Any]:
        """Asked for once for each field of each object, whose value is then made."""
        self.context_value.loads.reading.spent.weights += weight_of(definition_of(field_def))
        return super().build_resolve_info(field_def, *rest, **named)


class CountedByAndBy(Counted, IncrementalExecutor):
    """The same for an answer in parts."""
