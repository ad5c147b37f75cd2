"""graphql-core's executors, of any kind, counting what a plan counts layer by layer: the objects of an answer, and what fields are
declared to cost.

Invariant: nothing else is done differently. Objects of the schema itself (introspection) are not counted: nobody estimates them.
State: a class for each kind; the weights of the last schemas that were met, at most `MAX_SCHEMAS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from graphql import Executor, GraphQLObjectType, GraphQLSchema
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.pyutils import Path

from ..graph.pricing import weight_of
from ..graph.schema import definition_of

MAX_SCHEMAS = 16
"""A process has one, its tests some."""


class Counted(Executor[Any]):
    """Counts in the `Ctx` that it executes with."""

    def collect_and_execute_subfields(
        self,
        return_type: GraphQLObjectType,
        field_details_list: FieldDetailsList,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        """Of an object that is of its type, and that the caller may read."""
        if not return_type.name.startswith("__"):
            self.context_value.loads.reading.spent.objects += 1
        return super().collect_and_execute_subfields(return_type, field_details_list, path, result, position_context)


class Weighed(Counted):
    """The same over a schema in which fields have weights."""

    def execute_fields(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        self._weigh(parent_type, grouped_field_set)
        return super().execute_fields(parent_type, source_value, path, grouped_field_set, position_context)

    def execute_fields_serially(
        self,
        parent_type: GraphQLObjectType,
        source_value: Any,
        path: Path | None,
        grouped_field_set: GroupedFieldSet,
        position_context: Any,
    ) -> Any:
        self._weigh(parent_type, grouped_field_set)
        return super().execute_fields_serially(parent_type, source_value, path, grouped_field_set, position_context)

    def _weigh(self, parent_type: GraphQLObjectType, fields: GroupedFieldSet) -> None:
        """The fields of one object, whose values are made now."""
        weights = _weights(self.schema).get(parent_type.name)
        if weights is not None:
            names = (details[0].node.name.value for details in fields.values())
            self.context_value.loads.reading.spent.weights += sum(weights.get(name, 0) for name in names)


_MADE: dict[tuple[type[Executor[Any]], type[Executor[Any]]], type[Executor[Any]]] = {}
"""Two for each kind that there is."""


def counted(kind: type[Executor[Any]], schema: GraphQLSchema) -> type[Executor[Any]]:
    """The executor that does what `kind` does, and counts what there is to be counted in the schema."""
    counting = Weighed if _weights(schema) else Counted
    found = _MADE.get((counting, kind))
    if found is None:
        found = cast("type[Executor[Any]]", type(f"{counting.__name__}{kind.__name__}", (counting, kind), {}))
        _MADE[counting, kind] = found
    return found


@lru_cache(MAX_SCHEMAS)
def _weights(schema: GraphQLSchema) -> Mapping[str, Mapping[str, int]]:
    """Of the fields that have one, by the types that have such fields."""
    found: dict[str, dict[str, int]] = {}
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType):
            for name, field in kind.fields.items():
                if weight := weight_of(definition_of(field)):
                    found.setdefault(kind.name, {})[name] = weight
    return found
