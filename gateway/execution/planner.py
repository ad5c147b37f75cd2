"""A validated operation becomes its plan. Pure: no request, no clock, no effect.

Fields are collected by graphql-core's own functions, so that fragments, type conditions, @skip and @include mean what they mean
there; only the variables of those directives matter, which is why a plan holds for one setting of them. What is deferred is told
by its functions too: for each set of fragments what only these want. Invariant: whatever is not certain to be executed as
graphql-core does raises `NotPlanned`, with a reason that is a metric's label.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphql import (
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLAbstractType,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    DeferUsage,
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.executor import default_field_resolver
from graphql.execution.incremental.build_execution_plan import build_execution_plan, get_filtered_defer_usage_set
from graphql.execution.values import VariableValues
from graphql.pyutils import RefMap, RefSet
from strawberry.types.field import StrawberryField

from ..graph import JoinField
from ..graph.batched import BatchedField
from ..graph.guards import guard_of_type, guards_of
from ..graph.methods import attribute_of, is_method, is_node_id
from .document import Operation
from .gates import Gates
from .plan import (
    Attribute,
    Batched,
    Deferred,
    Fragment,
    Items,
    Joined,
    Leaf,
    Method,
    NodeId,
    OneOf,
    Plan,
    PlannedField,
    Resolved,
    Selection,
    Shape,
    Single,
    Source,
    TypeName,
)

MAX_FIELDS = 5_000
"""Fields of one plan, those of every possible type of an interface counted. A document of nested fragments can ask for millions."""

_CONDITIONS = ("skip", "include", "defer")


class NotPlanned(Exception):
    """This operation is left to graphql-core. `reason`: one of a few words, a label of the metric."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def plan(operation: Operation, schema: GraphQLSchema, variables: VariableValues) -> Plan:
    """The plan for `operation` where the variables of its conditions are as in `variables`. Raises: NotPlanned."""
    try:
        return _Planner(operation, schema, variables).plan()
    except RecursionError:
        raise NotPlanned("too deep") from None


def condition_variables(operation: Operation) -> tuple[str, ...]:
    """Names of the variables that @skip, @include and @defer ask for, anywhere in the document, sorted. Raises: NotPlanned."""
    try:
        names = {
            name
            for definition in operation.document.definitions
            if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode)
            for name in _asked_in(definition.selection_set)
        }
    except RecursionError:
        raise NotPlanned("too deep") from None
    return tuple(sorted(names))


def _asked_in(selections: SelectionSetNode) -> Iterator[str]:
    for node in selections.selections:
        yield from _asked_by(node)
        if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
            yield from _asked_in(node.selection_set)


def _asked_by(node: SelectionNode) -> Iterator[str]:
    for directive in node.directives or ():
        if directive.name.value not in _CONDITIONS:
            raise NotPlanned("directive")
        for argument in directive.arguments or ():
            if argument.name.value != "if":
                continue  # the label, which validation wants as it stands
            if isinstance(argument.value, VariableNode):
                yield argument.value.name.value
            elif not isinstance(argument.value, BooleanValueNode):
                raise NotPlanned("condition")


class _Planner:
    def __init__(self, operation: Operation, schema: GraphQLSchema, variables: VariableValues) -> None:
        self._operation = operation
        self._schema = schema
        self._variables = variables
        self._count = self._depth = 0
        self._met: RefMap[DeferUsage, tuple[Fragment, int]] = RefMap()
        self._definitions = {
            each.name.value: each for each in operation.document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._fragments = {name: FragmentDetails(each, None) for name, each in self._definitions.items()}
        self._collected: dict[tuple[str, int], tuple[list[FieldDetails], CollectedFields]] = {}
        self._gates = None if guards_of(schema) is None else Gates(schema, self._selected)

    def plan(self) -> Plan:
        node = self._operation.node
        if node.directives or any(each.variable_definitions for each in self._definitions.values()):
            raise NotPlanned("directive")
        root = self._schema.get_root_type(node.operation)
        if root is None or node.operation is OperationType.SUBSCRIPTION:
            raise NotPlanned("kind")
        found = collect_fields(self._schema, self._fragments, self._variables, root, node)
        selection = self._selection(root, found, RefSet())
        return Plan(
            document=self._operation.document,
            operation=node,
            fragments=self._definitions,
            root=selection,
            is_serial=node.operation is OperationType.MUTATION,
        )

    def _selection(self, kind: GraphQLObjectType, found: CollectedFields, within: RefSet[DeferUsage]) -> Selection:
        """`within`: the fragments with @defer that this is wanted by; none where it comes at once."""
        self._count += len(found.grouped_field_set)
        if self._count > MAX_FIELDS:
            raise NotPlanned("too large")
        _ensure_at_once(kind.is_type_of)
        if not self._operation.defers:
            return Selection(kind, self._fields(kind, found.grouped_field_set), guard=guard_of_type(kind))
        for usage in found.new_defer_usages:
            self._met[usage] = self._fragment(usage), self._depth
        now, later = build_execution_plan(found.grouped_field_set, within)
        deferred = [
            Deferred(
                tuple((fragment, self._depth - depth) for fragment, depth in map(self._met.__getitem__, usages)),
                Selection(kind, self._fields(kind, part)),
            )
            for usages, part in later.items()
        ]
        return Selection(kind, self._fields(kind, now), tuple(deferred), guard_of_type(kind))

    def _fragment(self, usage: DeferUsage) -> Fragment:
        """Met at the layer that is planned now; what it stands in was met before."""
        if usage.parent_defer_usage is None:
            return Fragment(usage.label)
        parent, depth = self._met[usage.parent_defer_usage]
        return Fragment(usage.label, parent, self._depth - depth)

    def _fields(self, kind: GraphQLObjectType, found: Mapping[str, list[FieldDetails]]) -> tuple[PlannedField, ...]:
        return tuple(self._field(kind, name, details) for name, details in found.items())

    def _field(self, kind: GraphQLObjectType, name: str, details: list[FieldDetails]) -> PlannedField:
        field_name = details[0].node.name.value
        if field_name.startswith("__") and field_name != "__typename":
            raise NotPlanned("introspection")
        definition = self._schema.get_field(kind, field_name)
        if definition is None:
            raise NotPlanned("unknown field")  # validation refuses it; nobody plans what was not validated
        return PlannedField(
            name=name,
            nodes=[each.node for each in details],
            definition=definition,
            parent=kind,
            source=TypeName() if field_name == "__typename" else self._source(kind, definition),
            shape=self._shape(definition.type, details),
            gate=None if self._gates is None else self._gates.of(kind, details),
        )

    def _source(self, kind: GraphQLObjectType, definition: GraphQLField) -> Source:
        """Where the values come from. After a field of the mutation type a generation begins: its resolver does that."""
        field = definition.extensions.get("strawberry-definition")
        resolve: Any = definition.resolve or default_field_resolver
        is_as_made = kind is not self._schema.mutation_type and hasattr(resolve, "_is_default")
        if is_as_made and isinstance(field, StrawberryField) and not field.extensions:
            return _source_of(field) or Resolved(resolve)
        return Resolved(resolve)

    def _shape(self, kind: Any, details: list[FieldDetails]) -> Shape:
        is_nullable = not is_non_null_type(kind)
        inner: Any = kind if is_nullable else kind.of_type
        if is_list_type(inner):
            return Items(self._shape(inner.of_type, details), is_nullable)
        if is_leaf_type(inner):
            return Leaf(inner, is_nullable)
        if is_object_type(inner):
            return Single(self._below(inner, details), is_nullable)
        if is_abstract_type(inner):
            return OneOf(inner, self._below_each(inner, details), is_nullable)
        raise NotPlanned("unknown type")

    def _below_each(self, kind: GraphQLAbstractType, details: list[FieldDetails]) -> dict[str, Selection]:
        _ensure_at_once(kind.resolve_type)
        return {each.name: self._below(each, details) for each in self._schema.get_possible_types(kind)}

    def _below(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Selection:
        found = self._collect(kind, details)
        self._depth += 1
        selection = self._selection(kind, found, get_filtered_defer_usage_set(details))
        self._depth -= 1
        return selection

    def _collect(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> CollectedFields:
        """What is collected for a gate is not collected again for the plan."""
        key = kind.name, id(details)
        known = self._collected.get(key)
        if known is not None:
            return known[1]
        found = collect_subfields(self._schema, self._fragments, self._variables, self._operation.node, kind, details)
        self._collected[key] = details, found
        return found

    def _selected(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Mapping[str, list[FieldDetails]]:
        return self._collect(kind, details).grouped_field_set


def _ensure_at_once(check: Callable[..., Any] | None) -> None:
    """Raises: NotPlanned for an author's own check of an object's type that has to be awaited."""
    if inspect.iscoroutinefunction(check):
        raise NotPlanned("type check")


def _source_of(field: StrawberryField) -> Source | None:
    own = type(field).get_result
    if isinstance(field, JoinField) and own is JoinField.get_result:
        return Joined(field)
    if isinstance(field, BatchedField) and own is BatchedField.get_result:
        return Batched(field)
    attribute = attribute_of(field)
    if attribute is not None:
        return Attribute(attribute)
    if is_node_id(field):
        return NodeId(field)
    return Method(field) if is_method(field) else None
