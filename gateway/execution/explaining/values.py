"""The values of an operation: its variables, and the arguments of its fields as far as they are known.

Invariants: with variables given they are all there, checked as they are before running; without any, the operation is explained
for all values: what is not known stands as "$name". A secret (`Secret[str]` in an input) is never shown, wherever it was written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLSchema,
    ListValueNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    Undefined,
    ValueNode,
    VariableNode,
    ast_from_value,
    get_nullable_type,
    print_ast,
    value_from_ast,
)
from graphql.execution.values import get_variable_values
from strawberry.types.field import StrawberryField

from ...graph.schema import DEFINITION
from ...graph.secrets import is_secret_column
from ..unrepeated import unrepeated


class VariablesUnfit(ValueError):
    """Variables that the operation cannot run with. `problems` has one sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of an operation's variables."""

    known: Mapping[str, Any]
    absent: frozenset[str]
    """Variables that are certainly not sent: an argument that is one of them has its default."""

    def arguments(self, field: GraphQLField, node: FieldNode) -> dict[str, str]:
        """Every argument that the field is given, in GraphQL's notation; null ones are left out."""
        given = {each.name.value: each.value for each in node.arguments or ()}
        shown = {name: self._argument(argument, given.get(name)) for name, argument in field.args.items()}
        return {name: text for name, text in shown.items() if text is not None}

    def _argument(self, argument: GraphQLArgument, node: ValueNode | None) -> str | None:
        if isinstance(node, VariableNode) and node.name.value in self.absent:
            node = None
        if node is None:
            return None if argument.default_value in (None, Undefined) else _shown(argument.default_value, argument)
        if not _variables(node) <= self.known.keys() | self.absent:
            return _printed(node, argument)
        value = value_from_ast(node, argument.type, dict(self.known))
        return None if value is None or value is Undefined else _shown(value, argument, node)


def values_of(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    *,
    only: Collection[str] | None = None,
) -> Values:
    """The values that `variables` make. None: any; defaults of the operation then hold. `only`: the names of those that are looked
    at, the others may be anything. Raises: VariablesUnfit.
    """
    definitions = list(operation.variable_definitions or ())
    if only is not None:
        definitions = [each for each in definitions if each.variable.name.value in only]
    names = {each.variable.name.value for each in definitions}
    if variables is None:
        definitions = [each for each in definitions if each.default_value is not None]
    elif strangers := sorted(variables.keys() - names):
        known = ", ".join(f"${name}" for name in sorted(names)) or "none"
        raise VariablesUnfit([f"${name} is no variable of the operation (it has: {known})" for name in strangers])
    found = get_variable_values(schema, definitions, dict(variables or {}))
    if isinstance(found, list):
        raise VariablesUnfit([error.message for error in unrepeated(found, schema, definitions)])
    known_values = dict(found.coerced)
    return Values(known_values, frozenset() if variables is None else frozenset(names - known_values.keys()))


def _variables(node: ValueNode) -> set[str]:
    """Names of the variables in a value."""
    if isinstance(node, VariableNode):
        return {node.name.value}
    if isinstance(node, ListValueNode):
        return {name for each in node.values for name in _variables(each)}
    if isinstance(node, ObjectValueNode):
        return {name for each in node.fields for name in _variables(each.value)}
    return set()


def _shown(value: Any, argument: GraphQLArgument, node: ValueNode | None = None) -> str:
    """The value as a document would write it; as it was written, where its type cannot write it."""
    try:
        made = ast_from_value(value, argument.type)
    except (GraphQLError, TypeError, ValueError):
        made = None
    if made is not None:
        return _printed(made, argument)
    return repr(value) if node is None else _printed(node, argument)


def _printed(node: ValueNode, argument: GraphQLArgument) -> str:
    return print_ast(_without_secrets(node, argument.type))


def _without_secrets(node: ValueNode, kind: Any) -> ValueNode:
    """The value with "***" where its type has a secret; which variable holds one is none."""
    bare = get_nullable_type(kind)
    if isinstance(bare, GraphQLList):
        if not isinstance(node, ListValueNode):  # one item stands for a list of it
            return _without_secrets(node, bare.of_type)
        return ListValueNode(values=tuple(_without_secrets(each, bare.of_type) for each in node.values))
    if isinstance(bare, GraphQLInputObjectType) and isinstance(node, ObjectValueNode):
        return ObjectValueNode(fields=tuple(_member(each, bare.fields[each.name.value]) for each in node.fields))
    return node


def _member(member: ObjectFieldNode, declared: GraphQLInputField) -> ObjectFieldNode:
    column = declared.extensions.get(DEFINITION)
    is_open = isinstance(member.value, VariableNode | NullValueNode)
    if not is_open and isinstance(column, StrawberryField) and is_secret_column(column):
        return ObjectFieldNode(name=member.name, value=StringValueNode(value="***"))
    return ObjectFieldNode(name=member.name, value=_without_secrets(member.value, declared.type))
