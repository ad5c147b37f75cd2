"""Which fields an operation selects of an object type: fragments opened, aliases merged, @skip and @include decided or kept.

Source: CollectFields of the GraphQL specification, except that a condition on a variable that is not known keeps its field, and
is told. Invariant: what is returned is in the order of the document; at most `MAX_VISITS` selections are looked at, since fragments
can name one another to an exponential size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from graphql import (
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)

from .values import Values

MAX_VISITS = 100_000
"""Selections of one operation that are looked at, each as often as it is opened."""

Conditions = tuple[str, ...]
"""All of them must hold; "$full", "not $brief"."""


class TooLarge(ValueError):
    """The operation opens to more fields than can be explained."""


@dataclass(frozen=True, slots=True)
class Found:
    """A field's node, and under which conditions it is selected."""

    node: FieldNode
    conditions: Conditions = ()


@dataclass(frozen=True, slots=True)
class Selected:
    """All nodes of one response key."""

    found: tuple[Found, ...]

    @property
    def name(self) -> str:
        return self.found[0].node.name.value

    @property
    def only_if(self) -> str | None:
        """The condition in words; None where it is selected in any case."""
        ways = dict.fromkeys(each.conditions for each in self.found)
        return None if () in ways else " or ".join(" and ".join(way) for way in ways)

    def below(self) -> Iterator[tuple[SelectionSetNode, Conditions]]:
        """The selections of its value. A condition that all of it is under is not said again below."""
        is_one_way = len({each.conditions for each in self.found}) == 1
        for each in self.found:
            if each.node.selection_set is not None:
                yield each.node.selection_set, () if is_one_way else each.conditions


@dataclass(slots=True)
class Selections:
    """One operation's selections. State: how many were looked at."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    values: Values
    _visits: int = field(default=0, init=False)

    def of(
        self, kind: GraphQLObjectType, sets: Iterable[tuple[SelectionSetNode, Conditions]]
    ) -> Mapping[str, Selected]:
        """By response key. Raises: TooLarge."""
        found: dict[str, list[Found]] = {}
        opened: set[tuple[str, Conditions]] = set()
        for selections, conditions in sets:
            for each in self._opened(selections, kind, conditions, opened):
                alias = each.node.alias
                found.setdefault((alias or each.node.name).value, []).append(each)
        return {key: Selected(tuple(each)) for key, each in found.items()}

    def _opened(
        self,
        selections: SelectionSetNode,
        kind: GraphQLObjectType,
        conditions: Conditions,
        opened: set[tuple[str, Conditions]],
    ) -> Iterator[Found]:
        for node in selections.selections:
            self._count()
            wanted = self._wanted(node, conditions)
            if wanted is None:
                continue
            if isinstance(node, FieldNode):
                yield Found(node, wanted)
            elif isinstance(node, InlineFragmentNode) and self._fits(node, kind):
                yield from self._opened(node.selection_set, kind, wanted, opened)
            elif isinstance(node, FragmentSpreadNode) and (node.name.value, wanted) not in opened:
                opened.add((node.name.value, wanted))
                fragment = self.fragments[node.name.value]
                if self._fits(fragment, kind):
                    yield from self._opened(fragment.selection_set, kind, wanted, opened)

    def _count(self) -> None:
        self._visits += 1
        if self._visits > MAX_VISITS:
            raise TooLarge(f"the operation opens to more than {MAX_VISITS} selections: explain a part of it")

    def _fits(self, node: InlineFragmentNode | FragmentDefinitionNode, kind: GraphQLObjectType) -> bool:
        if node.type_condition is None:
            return True
        wanted = self.schema.get_type(node.type_condition.name.value)
        if isinstance(wanted, GraphQLInterfaceType | GraphQLUnionType):
            return self.schema.is_sub_type(wanted, kind)
        return wanted is kind

    def _wanted(self, node: SelectionNode, conditions: Conditions) -> Conditions | None:
        """`conditions` and those of the node itself; None where it is not selected at all."""
        for directive in node.directives or ():
            if directive.name.value not in {"skip", "include"}:
                continue
            is_asked = directive.name.value == "include"
            given = next(each.value for each in directive.arguments or () if each.name.value == "if")
            decided = self._decided(given)
            if decided is not None:
                if decided is not is_asked:
                    return None
                continue
            assert isinstance(given, VariableNode)  # noqa: S101 - a Boolean is a literal or a variable, and validated
            name = f"${given.name.value}"
            own, contrary = (name, f"not {name}") if is_asked else (f"not {name}", name)
            if contrary in conditions:
                return None
            conditions = conditions if own in conditions else (*conditions, own)
        return conditions

    def _decided(self, given: object) -> bool | None:
        """The value of a condition, if it is known."""
        if isinstance(given, BooleanValueNode):
            return given.value
        assert isinstance(given, VariableNode)  # noqa: S101 - as above
        known = self.values.known.get(given.name.value)
        return known if isinstance(known, bool) else None
