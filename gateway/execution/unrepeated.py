"""Mistakes in variables, told without what was sent, where that may be a secret.

Invariant: of an operation with a variable whose type has a secret in it, no error repeats a value: graphql-core writes the whole
input into it, the payment token beside the field that was forgotten. Clients keep errors in logs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError, GraphQLSchema, VariableDefinitionNode
from graphql.execution.get_variable_signature import get_variable_signature

from ..graph.secrets import may_hold_secret

_VALUE = re.compile(r", found|\. Found|, but encountered| value: ").search
"""Where graphql-core begins to repeat a value."""


def unrepeated(
    errors: Sequence[GraphQLError], schema: GraphQLSchema, declared: Sequence[VariableDefinitionNode]
) -> list[GraphQLError]:
    """The errors of an operation that declares such variables."""
    if any(may_hold_secret(_type_of(schema, each)) for each in declared):
        return [GraphQLError(_told(each.message), each.nodes) for each in errors]
    return list(errors)


def _told(message: str) -> str:
    """Where no value is seen nothing of what follows the place is kept."""
    place, _, mistake = message.partition(": ")
    seen = _VALUE(mistake)
    told = mistake[: seen.start()] if seen else "it is not what its type says"
    return f"{place}: {told}; what was sent is not repeated, for it may be a secret"


def _type_of(schema: GraphQLSchema, declared: VariableDefinitionNode) -> Any:
    signature = get_variable_signature(schema, declared)
    return None if isinstance(signature, GraphQLError) else signature.type
