"""How long a field's list is, before anybody has made it: what its slicing arguments say, bounded by their rules, else what is
assumed of it.

Invariant: an argument counts at most as what its rule lets pass: what is beyond is refused before anything is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphql import GraphQLArgument, GraphQLField
from strawberry.types.arguments import StrawberryArgument

from ...graph.pricing import list_size_of
from ...graph.rules import Constraint
from ...graph.schema import DEFINITION, SLICING, definition_of


@dataclass(frozen=True, slots=True)
class Sizes:
    """What decides the length of a field's list."""

    by: Mapping[str, int | None]
    """Arguments that say it, each with the most that its rule lets pass."""
    of: tuple[str, ...] = ()
    """The lists of the field's value that are meant; empty: its own, or all."""
    assumed: int | None = None

    def said(self, arguments: Mapping[str, str]) -> int | None:
        """Items, by the arguments in GraphQL's notation; None where nothing is known. What may be anything counts as its most."""
        given = [_number(arguments[name], most) for name, most in self.by.items() if name in arguments]
        known = [each for each in given if each is not None]
        if known:
            return max(known)
        if self.assumed is not None:
            return self.assumed
        return max((most for most in self.by.values() if most is not None), default=None)


def sizes_of(core: GraphQLField) -> Sizes:
    """As declared, else by the arguments that everybody knows."""
    declared = list_size_of(definition_of(core))
    names: Sequence[str] = SLICING if declared is None or not declared.by else declared.by
    by = {name: _most(core.args[name]) for name in names if name in core.args}
    return Sizes(by) if declared is None else Sizes(by, declared.of, declared.assumed)


def _number(text: str, most: int | None) -> int | None:
    """Of what may be anything: the most."""
    if not (text.isascii() and text.isdigit()):
        return most
    return int(text) if most is None else min(int(text), most)


def _most(argument: GraphQLArgument) -> int | None:
    """What the argument's rule lets pass."""
    declared = argument.extensions.get(DEFINITION)
    said = declared.directives if isinstance(declared, StrawberryArgument) else ()
    return next((each.max for each in said if isinstance(each, Constraint) and isinstance(each.max, int)), None)
