"""graphql-core, where a schema has access rules: it asks for no field that is shut, and completes no object that may not be read.

Invariant: what is refused here is what a compiled plan refuses (`run.py`, `completion.py`), with the same error at the same path.
"""

from __future__ import annotations

from typing import Any, cast

from graphql import Executor, GraphQLError, GraphQLObjectType, GraphQLSchema, located_error
from graphql.execution.collect_fields import FieldDetails, collect_fields
from graphql.pyutils import Path

from ..graph.access import lets, refusal
from ..graph.guards import guard_of_type, guards_of
from .gates import Gates
from .on_error import Nulling, OnError
from .withheld import ToldOnce, Withheld, withheld


class _Guarding(Executor[Any]):
    """State: verdicts about fields, as graphql-core keeps what it has collected; which refusals were told."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._gates = Gates(self.schema, lambda kind, details: self.collect_subfields(kind, details).grouped_field_set)
        self._refused: dict[tuple[str, int], tuple[list[FieldDetails], Exception | None]] = {}
        self._withheld = ToldOnce()
        self._on_error = OnError.NULL if isinstance(self, Nulling) else OnError.PROPAGATE

    def refused(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Exception | None:
        """Why the caller may not have a field; None where it is asked for."""
        key = kind.name, id(details)
        found = self._refused.get(key)
        if found is None:
            gate, identity = self._gates.of(kind, details), self.context_value.identity
            is_open = gate is None or gate.lets(identity, self._on_error)
            # The list is kept with its verdict: another one must not be taken for it.
            found = self._refused[key] = details, None if gate is None or is_open else gate.refusal(identity)
        return found[1]

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: list[FieldDetails],
        path: Path,
        position_context: Any,
    ) -> Any:
        refused = self.refused(parent_type, field_details_list)
        field = None if refused is None else self.schema.get_field(parent_type, field_details_list[0].node.name.value)
        if refused is None or field is None:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        self.handle_field_error(refused, field.type, field_details_list, path)
        return None

    def collect_and_execute_subfields(
        self,
        return_type: GraphQLObjectType,
        field_details_list: list[FieldDetails],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        guard = guard_of_type(return_type)
        if guard is not None:
            identity = self.context_value.identity
            said = guard.known(identity)
            if said is False:
                raise withheld(identity)
            if said is None and not lets(guard.asks, result, identity):
                raise refusal(identity, "object")
        return super().collect_and_execute_subfields(return_type, field_details_list, path, result, position_context)

    def handle_field_error(
        self, raw_error: Exception, return_type: Any, field_details_list: list[FieldDetails], path: Path
    ) -> None:
        if isinstance(raw_error, Withheld):
            raw_error = located_error(raw_error, [each.node for each in field_details_list], _of_field(path))
        errors = self.collected_errors.errors
        count = len(errors)
        super().handle_field_error(raw_error, return_type, field_details_list, path)
        if len(errors) > count and isinstance(errors[-1].original_error, Withheld):
            self._withheld.keep(errors)


_MADE: dict[type[Executor[Any]], type[Executor[Any]]] = {}
"""One for each kind that there is."""


def heeding_rules(kind: type[Executor[Any]], schema: GraphQLSchema) -> type[Executor[Any]]:
    """The executor that does what `kind` does, and heeds the rules of the schema. Where there are none it is `kind` itself."""
    if guards_of(schema) is None:
        return kind
    found = _MADE.get(kind)
    if found is None:
        found = _MADE[kind] = cast("type[Executor[Any]]", type(f"Guarding{kind.__name__}", (_Guarding, kind), {}))
    return found


def refused_stream(executor: Executor[Any]) -> GraphQLError | None:
    """Why the caller may not follow the subscription; None where its stream is asked for."""
    root = executor.schema.subscription_type
    if not isinstance(executor, _Guarding) or root is None:
        return None
    found = collect_fields(
        executor.schema, executor.fragments, executor.variable_values, root, executor.operation
    ).grouped_field_set
    for name, details in found.items():
        refused = executor.refused(root, details)
        if refused is not None:
            return located_error(refused, [each.node for each in details], [name])
    return None


def _of_field(path: Path) -> list[str | int]:
    """Of the field whose list the path leads into."""
    keys = path.as_list()
    while isinstance(keys[-1], int):
        keys.pop()
    return keys
