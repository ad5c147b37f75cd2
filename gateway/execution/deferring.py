"""@defer and @stream in a document: how many an operation has, and the document without them.

Source: GraphQL's "Incremental Delivery" (the proposal as graphql-js 17 has it). Invariant: without them an operation asks for the
same, all at once; nodes keep their places in the text, so that errors tell the same locations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    FragmentSpreadNode,
    GraphQLDeferDirective,
    GraphQLStreamDirective,
    OperationDefinitionNode,
    SelectionSetNode,
    Visitor,
    VisitorAction,
    visit,
)

_NAMES = frozenset({GraphQLDeferDirective.name, GraphQLStreamDirective.name})


def deferrals(operation: OperationDefinitionNode, fragments: Mapping[str, SelectionSetNode]) -> int:
    """How many of the directives stand in the operation and in the fragments that it uses, each counted once."""
    open_, opened, count = [operation.selection_set], set[str](), 0
    while open_:
        for node in open_.pop().selections:
            count += sum(_is_one(directive) for directive in node.directives or ())
            if not isinstance(node, FragmentSpreadNode):
                below = getattr(node, "selection_set", None)
                if below is not None:
                    open_.append(below)
            elif node.name.value not in opened:
                opened.add(node.name.value)
                open_.append(fragments[node.name.value])
    return count


def without(document: DocumentNode) -> DocumentNode:
    """The same document, all of it at once."""
    found: DocumentNode = visit(document, _Removing())
    return found


class _Removing(Visitor):
    def enter_directive(self, node: DirectiveNode, *_: Any) -> VisitorAction:
        return REMOVE if _is_one(node) else None


def _is_one(directive: DirectiveNode) -> bool:
    return directive.name.value in _NAMES
