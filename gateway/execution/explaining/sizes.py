"""How long a field's list is, before anybody has made it: what its slicing arguments say, bounded by their rules, else what is
assumed of it.

Invariant: an argument counts at most as what its rule lets pass: what is beyond is refused before anything is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLArgument, GraphQLField, ListValueNode, parse_value
from strawberry.types.arguments import StrawberryArgument

from ...graph.pricing import list_size_of
from ...graph.rules import Constraint
from ...graph.schema import DEFINITION, SLICING, definition_of


@dataclass(frozen=True, slots=True)
class Slice:
    """An argument that says how long a list is."""

    most: int | None = None
    """What its rule lets pass: of a number at most, of a list as many items."""
    default: int | None = None

    def bounded(self, size: int) -> int:
        return size if self.most is None else min(size, self.most)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What decides the length of a field's list."""

    by: Mapping[str, Slice]
    of: tuple[str, ...] = ()
    """The lists of the field's value that are meant; empty: its own, or all."""
    assumed: int | None = None

    def said(self, arguments: Mapping[str, str], variables: Mapping[str, Any] | None = None) -> int | None:
        """Items, by the arguments in GraphQL's notation; None where nothing is known.

        `variables`: of those that stand in the arguments, with the operation's defaults; None: they may be anything, and an
        argument then counts as its most.
        """
        given = [_size(arguments[name], each, variables) for name, each in self.by.items() if name in arguments]
        known = [each for each in given if each is not None]
        if known:
            return max(known)
        if self.assumed is not None:
            return self.assumed
        return max((each.most for each in self.by.values() if each.most is not None), default=None)

    def asks(self, arguments: Mapping[str, str]) -> bool:
        """Whether the length depends on a variable."""
        return any(arguments.get(name, "").startswith("$") for name in self.by)


def sizes_of(core: GraphQLField) -> Sizes:
    """As declared, else by the arguments that everybody knows."""
    declared = list_size_of(definition_of(core))
    names: Sequence[str] = SLICING if declared is None or not declared.by else declared.by
    by = {name: _slice(core.args[name]) for name in names if name in core.args}
    return Sizes(by) if declared is None else Sizes(by, declared.of, declared.assumed)


def _size(text: str, argument: Slice, variables: Mapping[str, Any] | None) -> int | None:
    if text.isascii() and text.isdigit():
        return argument.bounded(int(text))
    if text.startswith("["):
        return argument.bounded(_items(text))
    if variables is None or not text.startswith("$"):
        return argument.most
    if text[1:] not in variables:
        return argument.default
    value = variables[text[1:]]
    if isinstance(value, list):
        return argument.bounded(len(value))
    return argument.bounded(max(0, int(value))) if isinstance(value, int | float) else None


def _items(text: str) -> int:
    """Of a list as a document writes it."""
    value = parse_value(text)
    return len(value.values) if isinstance(value, ListValueNode) else 1


def _slice(argument: GraphQLArgument) -> Slice:
    declared = argument.extensions.get(DEFINITION)
    said = declared.directives if isinstance(declared, StrawberryArgument) else ()
    rules = [each for each in said if isinstance(each, Constraint)]
    most = next((most for each in rules for most in (each.max, each.max_items) if isinstance(most, int)), None)
    default = argument.default_value
    if isinstance(default, list):
        return Slice(most, len(default))
    return Slice(most, default if isinstance(default, int) else None)
