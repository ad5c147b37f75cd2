"""Access rules as the schema prints them: in the names of Apollo Federation, so that clients and tools know them.

`scope`, alone or combined, is `@requiresScopes`, `own` is `@policy`, named as its predicate. Several directives on one place are
all needed; within one, any of the lists will do. A choice among unlike rules (`scope("support") | own(is_theirs)`) has no words
there: it is one `@policy`, whose names say what kind the others are of. Nothing is executed by these lines; they are made from
the rules that are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import strawberry
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema
from strawberry.schema_directive import Location
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from .access import AccessRule, Needs, Term, Ways
from .guards import guard_of_field, guard_of_type

_LOCATIONS = [Location.FIELD_DEFINITION, Location.OBJECT, Location.INTERFACE]


@strawberry.schema_directive(locations=_LOCATIONS, name="authenticated", description="Only for callers who are known.")
class AuthenticatedDirective:
    pass


@strawberry.schema_directive(
    locations=_LOCATIONS,
    name="requiresScopes",
    description="Only for callers whose token has all scopes of one of the lists.",
)
class RequiresScopesDirective:
    scopes: list[list[str]]


@strawberry.schema_directive(
    locations=_LOCATIONS,
    name="policy",
    description="Only for callers for whom all policies of one of the lists hold, which may depend on the object.",
)
class PolicyDirective:
    policies: list[list[str]]


_OURS = (AuthenticatedDirective, RequiresScopesDirective, PolicyDirective)


def print_guards(schema: GraphQLSchema) -> None:
    """Have the author's types and fields say their rules. Doing it again changes nothing."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not kind.name.startswith("__"):
            definition = kind.extensions.get("strawberry-definition")
            if isinstance(definition, StrawberryObjectDefinition):
                _say(definition, guard_of_type(kind))
            for core_field in kind.fields.values():
                field = core_field.extensions.get("strawberry-definition")
                if isinstance(field, StrawberryField):
                    _say(field, guard_of_field(core_field))


def _say(definition: StrawberryObjectDefinition | StrawberryField, rule: AccessRule[Any] | None) -> None:
    if rule is not None:
        others = [each for each in definition.directives or () if not isinstance(each, _OURS)]
        definition.directives = [*others, *directives_of(rule.needs)]


def directives_of(needs: Needs) -> Iterator[object]:
    """Their order is always the same."""
    plain = [_plainly(ways) for ways in needs]
    if any(kind == "authenticated" for kind, _ in plain):
        yield AuthenticatedDirective()
    if scopes := _all_of([names for kind, names in plain if kind == "scope"]):
        yield RequiresScopesDirective(scopes=scopes)
    if policies := _all_of([names for kind, names in plain if kind == "policy"]):
        yield PolicyDirective(policies=policies)


def _plainly(ways: Ways) -> tuple[str, list[list[str]]]:
    """Of which kind all of them are, and their names."""
    kinds = {term.kind for way in ways for term in way}
    if len(kinds) == 1:
        return kinds.pop(), [[term.name for term in way] for way in ways]
    return "policy", [[_as_policy(term) for term in way] for way in ways]


def _as_policy(term: Term) -> str:
    return f"scope:{term.name}" if term.kind == "scope" else term.name


def _all_of(choices: list[list[list[str]]]) -> list[list[str]]:
    """Several choices, each of which is needed, as one."""
    if not choices:
        return []
    return [list(dict.fromkeys(name for way in ways for name in way)) for ways in product(*choices)]
