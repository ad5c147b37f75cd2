"""Arguments of fields: coerced by graphql-core, converted by strawberry, once a layer where nobody can tell the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import NoneType
from typing import Any

import strawberry
from graphql import GraphQLSchema
from graphql.execution.values import VariableValues, get_argument_values
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from .plan import PlannedField

_SCALARS = (str, int, float, bool, NoneType, Enum)
"""Values that nobody can change, so that several may be handed the same."""

_UNCONVERTED = (str, int, float, bool, strawberry.ID)
"""Types whose values strawberry hands on as graphql-core coerced them."""

Names = dict[PlannedField, Mapping[str, str] | None]
"""By field: the Python names of its arguments by their GraphQL names, where none of them is converted. State: bounded by a plan."""


class Arguments:
    """The arguments of one run."""

    def __init__(self, schema: GraphQLSchema, variables: VariableValues, names: Names) -> None:
        """`names`: of the plan, for all its runs."""
        self._schema = schema
        self._names = names
        self._variables = variables
        self._known: dict[PlannedField, dict[str, Any]] = {}

    def of(self, field: PlannedField) -> dict[str, Any]:
        """What graphql-core hands to a resolver; to be taken apart, not to be changed. Raises: GraphQLError."""
        known = self._known.get(field)
        return self._coerced(field) if known is None else known

    def converted(
        self, field: PlannedField, declared: StrawberryField, info: Callable[[], Info[Any, Any]]
    ) -> Mapping[str, Any]:
        """By their Python names, inputs as objects of their classes. Raises: GraphQLError, and what a conversion raises."""
        coerced = self.of(field)
        if not declared.arguments:
            return {}
        schema = self._schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 - as strawberry's Info does
        if field not in self._names:
            self._names[field] = _names_of(declared, schema.config.name_converter.from_argument)
        names = self._names[field]
        if names is not None:
            return {names[name]: value for name, value in coerced.items()}
        return convert_arguments(
            dict(coerced),
            declared.arguments,
            scalar_registry=schema.schema_converter.scalar_registry,
            config=schema.config,
            info=None if _are_scalars(coerced) else info(),  # inputs that build themselves may ask it
        )

    def are_shared(self, field: PlannedField) -> bool:
        """Whether all parents may be handed the same: nobody can change it."""
        return field in self._known

    def _coerced(self, field: PlannedField) -> dict[str, Any]:
        node = field.nodes[0]
        has_any = bool(field.definition.args or node.arguments)
        coerced = get_argument_values(field.definition, node, self._variables) if has_any else {}
        if _are_scalars(coerced):
            self._known[field] = coerced
        return coerced


def _names_of(declared: StrawberryField, name_of: Callable[[Any], str]) -> Mapping[str, str] | None:
    kinds = [each.type.of_type if type(each.type) is StrawberryOptional else each.type for each in declared.arguments]
    if not all(kind in _UNCONVERTED for kind in kinds):
        return None
    return {name_of(each): each.python_name for each in declared.arguments}


def _are_scalars(values: Mapping[str, Any]) -> bool:
    return all(isinstance(value, _SCALARS) for value in values.values())
