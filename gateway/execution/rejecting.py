"""Operations that are refused as a whole, before anything is called: they select what a rejecting rule keeps from the caller.

Fields are collected as they would be executed, so what @skip and @include leave out rejects nobody. Of a union or an interface the
fields of all its types count, and the rules of its types do not: nobody knows beforehand which of them is there. Invariants: pure
but for what is kept; an operation that opens to more than can be looked at is refused, not let by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from graphql import FragmentDefinitionNode, GraphQLError, GraphQLObjectType, GraphQLSchema, get_named_type
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

from ..errors import Forbidden, RequestError, Unauthenticated
from ..graph.access import AccessRule
from ..graph.guards import guard_of_field, guard_of_type, guards_of, possible_types
from ..identity import Identity
from .document import Operation
from .planner import NotPlanned, condition_variables
from .variables import Variables

MAX_FIELDS = 5_000
"""Fields of one operation that are looked at, those of every possible type of an interface counted."""
MAX_SETTINGS = 16
"""Settings of one operation's conditions that are kept."""

Rules = Mapping[str, AccessRule[Any]]
"""By what they guard: "Type.field", or "Type"."""


class Rejecting:
    """The rejecting rules of one schema. State: which of them an operation meets, for as long as its document is kept."""

    def __init__(self, schema: GraphQLSchema) -> None:
        guards = guards_of(schema)
        self._schema = schema
        self._is_on = guards is not None and guards.may_stop
        self._known: WeakKeyDictionary[Operation, _Met] = WeakKeyDictionary()

    def ensure_permitted(self, operation: Operation, variables: Mapping[str, Any], identity: Identity) -> None:
        """Raises: Unauthenticated or Forbidden; RequestError for an operation that is too large to be looked at."""
        if not self._is_on:
            return
        met = self._known.get(operation)
        if met is None:
            met = self._known[operation] = _Met(self._schema, operation)
        for place, rule in met.rules(operation, variables).items():
            if rule.stops(identity):
                raise _rejected(identity, place)


class _Met:
    """The rules that one operation meets, which it does not hold: it is gone with its document. State: the rules, for each setting
    of the variables that its conditions ask for."""

    def __init__(self, schema: GraphQLSchema, operation: Operation) -> None:
        self._schema = schema
        self._variables = Variables(schema, operation.node.variable_definitions or ())
        try:
            self._conditions: tuple[str, ...] | None = condition_variables(operation)
        except NotPlanned:  # they are not told by names alone
            self._conditions = None
        self._kept: dict[tuple[object, ...], Rules] = {}

    def rules(self, operation: Operation, given: Mapping[str, Any]) -> Rules:
        """Cost: a look-up, for a setting that is known. Raises: RequestError."""
        variables = self._variables.coerced(given)
        if isinstance(variables, list):
            return {}  # nothing is executed with these
        if self._conditions is None:
            return self._met(operation, variables)
        setting = tuple(variables.coerced.get(name) for name in self._conditions)
        found = self._kept.get(setting)
        if found is None:
            found = self._met(operation, variables)
            if len(self._kept) < MAX_SETTINGS:
                self._kept[setting] = found
        return found

    def _met(self, operation: Operation, variables: VariableValues) -> Rules:
        return dict(_Walk(self._schema, operation, variables).rules())


class _Walk:
    """One pass over an operation. State: what was looked at."""

    def __init__(self, schema: GraphQLSchema, operation: Operation, variables: VariableValues) -> None:
        guards = guards_of(schema)
        self._schema = schema
        self._operation = operation.node
        self._variables = variables
        self._reach = frozenset[str]() if guards is None else guards.reach
        self._fragments = {
            each.name.value: FragmentDetails(each, None)
            for each in operation.document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        self._seen: set[tuple[str, tuple[int, ...]]] = set()

    def rules(self) -> Iterator[tuple[str, AccessRule[Any]]]:
        """Those that may refuse the operation, with what they guard. Raises: RequestError."""
        root = self._schema.get_root_type(self._operation.operation)
        if root is None:
            return
        yield from _stopping(root.name, guard_of_type(root))
        try:
            found = collect_fields(self._schema, self._fragments, self._variables, root, self._operation)
        except GraphQLError:  # as in `_below`
            return
        yield from self._of(root, found.grouped_field_set)

    def _of(
        self, kind: GraphQLObjectType, selected: Mapping[str, list[FieldDetails]]
    ) -> Iterator[tuple[str, AccessRule[Any]]]:
        for details in selected.values():
            name = details[0].node.name.value
            field = self._schema.get_field(kind, name)
            if field is None or name.startswith("__") or not self._is_new(kind, details):
                continue
            yield from _stopping(f"{kind.name}.{name}", guard_of_field(field))
            one = get_named_type(field.type)
            if isinstance(one, GraphQLObjectType):
                yield from _stopping(one.name, guard_of_type(one))
            for each in possible_types(self._schema, field):
                if each.name in self._reach:
                    yield from self._of(each, self._below(each, details))

    def _below(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> Mapping[str, list[FieldDetails]]:
        try:
            found = collect_subfields(self._schema, self._fragments, self._variables, self._operation, kind, details)
        except GraphQLError:  # a condition that is null: execution tells, and nothing of this is asked for
            return {}
        return found.grouped_field_set

    def _is_new(self, kind: GraphQLObjectType, details: list[FieldDetails]) -> bool:
        """Whether what is below is still to be looked at. The same nodes of the same type have the same below them."""
        key = kind.name, tuple(id(each.node) for each in details)
        if key in self._seen:
            return False
        if len(self._seen) >= MAX_FIELDS:
            raise RequestError(
                f"the operation opens to more than {MAX_FIELDS} fields, and whether all of them are yours to read is not "
                "found out: ask for less at once"
            )
        self._seen.add(key)
        return True


def _stopping(place: str, rule: AccessRule[Any] | None) -> Iterator[tuple[str, AccessRule[Any]]]:
    if rule is not None and rule.may_stop:
        yield place, rule


def _rejected(identity: Identity, place: str) -> RequestError:
    if identity.is_anonymous:
        return Unauthenticated(
            f'sign in to run this operation, which asks for {place}: send a header "Authorization: Bearer …" with your token'
        )
    return Forbidden(f"this operation asks for {place}, which is not yours; nothing of it was run")
