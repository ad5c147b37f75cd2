"""Overlapping fields, judged in linear time where nothing is in doubt.

graphql-core compares fields of the same response name pair by pair, which is quadratic, and worse with fragments. Nearly every
document needs none of it: what has the same name there is the same field, with the same arguments and type. `are_plainly_the_same`
sees that by opening what is merged once; whatever it does not see is graphql-core's business, with a budget. Invariant: what is
plain here has no conflict for graphql-core (tests/property/test_overlapping.py). Source: specification, section 5.3.2 "Field
Selection Merging"; "Faster overlapping fields validation" of XING and Sangria.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    get_named_type,
    is_composite_type,
    print_ast,
)
from graphql.validation import OverlappingFieldsCanBeMergedRule

MAX_COMPARISONS = 5_000
"""Units that graphql-core may spend on comparing: it counts them itself and gives up at 500 000, which take 2 s. 5 000 are 15 ms,
and only documents that select different things under one name need any."""

_Fragments: TypeAlias = Mapping[str, FragmentDefinitionNode]


class ComparesLittle(OverlappingFieldsCanBeMergedRule):
    """graphql-core's rule with a small budget. What it says within the budget is the same."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = MAX_COMPARISONS


class _Selections(NamedTuple):
    """A selection set, and the type whose fields it selects."""

    parent: GraphQLNamedType | None
    node: SelectionSetNode


class _Field(NamedTuple):
    parent: GraphQLNamedType | None
    node: FieldNode


def are_plainly_the_same(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Whether all fields of one response name, wherever they are merged, are one field. Cost: 2 µs a field, fragments opened.

    `document`: valid but for this; one whose fragments spread themselves would be opened for ever.
    """
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    merged: list[list[_Selections]] = [
        [_Selections(schema.get_root_type(each.operation), each.selection_set)]
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode)
    ]
    while merged:
        for group in _by_response_name(schema, merged.pop(), fragments):
            first, *others = group
            if others and not _is_one_field(schema, group):
                return False
            _, kind = _type_of(schema, first)
            below = [
                _Selections(kind, each.node.selection_set) for each in group if each.node.selection_set is not None
            ]
            if below:
                merged.append(below)
    return True


def _by_response_name(
    schema: GraphQLSchema, selections: list[_Selections], fragments: _Fragments
) -> Iterable[list[_Field]]:
    groups: dict[str, list[_Field]] = {}
    for field in _fields(schema, selections, fragments):
        node = field.node
        groups.setdefault((node.alias or node.name).value, []).append(field)
    return groups.values()


def _fields(schema: GraphQLSchema, selections: list[_Selections], fragments: _Fragments) -> Iterator[_Field]:
    """Of all that is merged; each fragment is opened once."""
    open_, opened = [*selections], set[str]()
    while open_:
        parent, inner = open_.pop()
        for node in inner.selections:
            if isinstance(node, FieldNode):
                yield _Field(parent, node)
            elif isinstance(node, InlineFragmentNode):
                named = node.type_condition
                open_.append(
                    _Selections(parent if named is None else schema.get_type(named.name.value), node.selection_set)
                )
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in opened:
                opened.add(node.name.value)
                found = fragments.get(node.name.value)
                if found is not None:
                    open_.append(_Selections(schema.get_type(found.type_condition.name.value), found.selection_set))


def _is_one_field(schema: GraphQLSchema, group: list[_Field]) -> bool:
    return len({_signature(schema, each) for each in group}) == 1 and not any(
        directive.name.value == "stream" for each in group for directive in each.node.directives or ()
    )


def _signature(schema: GraphQLSchema, field: _Field) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    node = field.node
    arguments = tuple(sorted((each.name.value, print_ast(each.value)) for each in node.arguments or ()))
    return node.name.value, _type_of(schema, field)[0], arguments


def _type_of(schema: GraphQLSchema, field: _Field) -> tuple[str, GraphQLNamedType | None]:
    """As it is written, and the type that its selections are of."""
    parent = field.parent
    found = schema.get_field(parent, field.node.name.value) if is_composite_type(parent) else None
    return ("", None) if found is None else (str(found.type), get_named_type(found.type))
