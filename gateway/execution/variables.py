"""An operation's variables, coerced: plain scalars by a look at their type, all else by graphql-core.

Invariant: what is answered here is what graphql-core answers. Whatever is not plainly right (a default, a list, an input, a number
that stands for another type, a mistake) is its business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInt,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    VariableDefinitionNode,
    get_nullable_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_variable_values

from .unrepeated import unrepeated

MAX_COERCION_ERRORS = 50
"""As graphql-core has it: of more nobody is told."""

_PLAIN: dict[Any, type[Any]] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool, GraphQLInt: int}
"""Types whose values of just this class are taken as they are. A float is not among them: not all of them are finite."""


class _Plain(NamedTuple):
    """A variable of a plain type, without a default."""

    signature: GraphQLVariableSignature
    kind: type[Any]
    is_nullable: bool


class Variables:
    """The variables that one operation declares."""

    def __init__(self, schema: GraphQLSchema, declared: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._declared = declared
        plain = [_plain(schema, each) for each in declared]
        self._plain = [each for each in plain if each is not None]
        self._are_all_plain = len(self._plain) == len(plain)

    def coerced(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """Their values, or what is wrong with them."""
        found = self._taken(given) if self._are_all_plain else None
        if found is not None:
            return found
        values = get_variable_values(self._schema, self._declared, dict(given), max_errors=MAX_COERCION_ERRORS)
        return unrepeated(values, self._schema, self._declared) if isinstance(values, list) else values

    def _taken(self, given: Mapping[str, Any]) -> VariableValues | None:
        """Their values as they are; None where one of them is not just what was declared."""
        sources: dict[str, VariableValueSource] = {}
        values: dict[str, Any] = {}
        for signature, kind, is_nullable in self._plain:
            name = signature.name
            value = given.get(name, Undefined)
            sources[name] = VariableValueSource(signature, value)
            if type(value) is kind:
                if kind is int and not GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT:
                    return None
                values[name] = value
            elif not is_nullable:
                return None
            elif value is None:
                values[name] = None
            elif value is not Undefined:
                return None
        return VariableValues(sources, values)


def _plain(schema: GraphQLSchema, declared: VariableDefinitionNode) -> _Plain | None:
    signature = get_variable_signature(schema, declared)
    if isinstance(signature, GraphQLError) or declared.default_value is not None:
        return None
    kind = _PLAIN.get(get_nullable_type(signature.type))
    return None if kind is None else _Plain(signature, kind, is_nullable=not is_non_null_type(signature.type))
