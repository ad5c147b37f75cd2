"""Documents: parsed and validated once, kept in a bounded cache.

Validation costs milliseconds, so a flood of distinct documents is a way to stop a gateway: what a document has is bounded before
it is parsed and before it is validated (`bounds.py`), long documents are not kept. Invariant: the schema never changes under a
cache; one application has one of each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import ASTValidationRule, OverlappingFieldsCanBeMergedRule

from ..errors import Forbidden, ParseFailed, RequestError, ValidationFailed
from ..telemetry import Children, Metrics
from .bounds import Bounds, Excess, introspections, of_document, of_text
from .deferring import deferrals, without
from .overlapping import ComparesLittle, are_plainly_the_same

MAX_KEPT = 64 * 1024
"""Characters of a document beyond which it is not cached."""

MAX_ASKING = 100
"""Documents kept that ask for the schema where only some may: tools send the same few."""

USUAL = 500
"""Characters of a document that counts as one among those kept; a longer one counts as several, or a thousand of the largest would
be a gigabyte."""

MAX_ERRORS = 20
"""Validation errors reported at once."""

_RULES = tuple(each for each in specified_rules if each is not OverlappingFieldsCanBeMergedRule)
"""What is judged first. Then fields must be mergeable, which `overlapping.py` sees, or has graphql-core judge."""
_ENTANGLED = "the document is too entangled to be validated: select each field once, and nest fragments less"


class DocumentRejected(RequestError):
    """The document cannot be executed; `errors` carry their locations, `reason` their common code, `setting` names the bound."""

    def __init__(self, reason: type[RequestError], errors: list[GraphQLError], *, setting: str | None = None) -> None:
        super().__init__(errors[0].message)
        self.reason = reason
        self.errors = errors
        self.setting = setting


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Operation:
    """One executable operation of a document. Equal to itself only; what is known of it lives as long as it does."""

    document: DocumentNode
    node: OperationDefinitionNode
    roots: tuple[FieldNode, ...]
    """The fields at its root, fragments opened once each, aliases not merged."""
    deferrals: int = 0
    """How many @defer and @stream it has."""
    whole: Operation | None = None
    """The same without them; None where there are none."""

    @property
    def defers(self) -> bool:
        """Whether parts of its answer may come later, for a client that can take them."""
        return self.whole is not None

    @property
    def at_once(self) -> Operation:
        """What asks for the same in one piece."""
        return self.whole or self

    @property
    def kind(self) -> OperationType:
        return self.node.operation

    @property
    def root_fields(self) -> tuple[str, ...]:
        """Names of `roots`."""
        return tuple(node.name.value for node in self.roots)

    @property
    def name(self) -> str | None:
        return self.node.name.value if self.node.name else None


Operations = Mapping[str | None, Operation]


class _Entry(NamedTuple):
    """What is kept of a text."""

    holds: Operations | DocumentRejected
    weight: int
    """How many usual documents it counts as."""


class Documents:
    """Text -> its operations."""

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        max_entries: int,
        max_tokens: int,
        metrics: Metrics,
        is_incremental: bool = True,
        max_deferrals: int = 32,
        bounds: Bounds = Bounds(),
        introspection: bool = True,
        suggestions: bool = True,
    ) -> None:
        """`is_incremental`: whether @defer and @stream are heeded; if not, every operation asks for all at once.

        `introspection`: whether anybody may ask for the schema; `suggestions`: whether errors name what was perhaps meant.
        """
        self._schema = schema
        self._max_tokens = max_tokens
        self._is_incremental = is_incremental
        self._max_deferrals = max_deferrals
        self._bounds = bounds
        self._introspection = introspection
        self._suggestions = suggestions and introspection
        self._kept: dict[str, Operations] = {}
        self._entries: LRUCache[str, _Entry] = LRUCache(max_entries, getsizeof=_weight)
        self._asking: LRUCache[str, _Entry] = LRUCache(MAX_ASKING, getsizeof=_weight)
        self._look_ups = Children(metrics.documents)

    def operation(self, text: str, name: str | None, *, introspects: bool = False) -> Operation:
        """The operation called `name`, or the only one. `introspects`: whoever sends it may ask for the schema in any case.

        Raises: DocumentRejected for syntax and validation; RequestError when the name does not choose one.
        """
        found = self._entries.get(text)
        entry = self._kept.get(text) or (None if found is None else found.holds)
        self._look_ups["miss" if entry is None else "hit",].inc()
        if entry is None:
            entry = self._read(text)
            _remember(self._entries, text, entry)
        if introspects and isinstance(entry, DocumentRejected) and entry.reason is Forbidden:
            entry = self._asked(text)
        if isinstance(entry, DocumentRejected):
            raise entry.with_traceback(None)
        return _chosen(entry, name)

    def _asked(self, text: str) -> Operations | DocumentRejected:
        """A document that asks for the schema, of somebody who may: kept apart, so that nobody else is ever given it."""
        found = self._asking.get(text)
        if found is not None:
            return found.holds
        entry = self._read(text, may_ask=True)
        _remember(self._asking, text, entry)
        return entry

    def kind(self, text: str, name: str | None) -> OperationType | None:
        """Of an operation that is known; None for others. Cost: a look-up."""
        found = self._entries.get(text)
        entry = self._kept.get(text) or (None if found is None else found.holds)
        if entry is None or isinstance(entry, DocumentRejected):
            return None
        operation = next(iter(entry.values())) if name is None and len(entry) == 1 else entry.get(name)
        return None if operation is None else operation.kind

    def keep(self, text: str) -> Operations:
        """Its operations, kept for good: for documents of the operator's own. Raises: DocumentRejected."""
        entry = self._kept[text] = self.read(text, is_trusted=True)
        return entry

    def read(self, text: str, *, is_trusted: bool = False) -> Operations:
        """Its operations, not kept. A document that is trusted has no bounds. Raises: DocumentRejected."""
        entry = self._read(text, is_trusted=is_trusted)
        if isinstance(entry, DocumentRejected):
            raise entry
        return entry

    def _read(self, text: str, *, is_trusted: bool = False, may_ask: bool = False) -> Operations | DocumentRejected:
        """A document that is trusted has no bounds."""
        if not is_trusted and (excess := of_text(text, self._bounds, max_tokens=self._max_tokens)) is not None:
            return _beyond(excess)
        try:
            document = parse(text, max_lexical_tokens=None if is_trusted else self._max_tokens)
        except GraphQLSyntaxError as error:
            return DocumentRejected(ParseFailed, [error])
        except RecursionError:
            return DocumentRejected(ParseFailed, [GraphQLError("the document is nested too deeply")])
        refusal = None if is_trusted else self._refusal(document, may_ask=may_ask)
        return refusal or self._validated(document, is_trusted=is_trusted)

    def _refusal(self, document: DocumentNode, *, may_ask: bool) -> DocumentRejected | None:
        """Of one that is not worth validating."""
        excess = of_document(document, self._bounds)
        if excess is not None:
            return _beyond(excess)
        asked = [] if self._introspection or may_ask else introspections(document)
        if asked:
            errors = [GraphQLError("the schema cannot be asked for here", asked)]
            return DocumentRejected(Forbidden, errors, setting="operation.introspection")
        return None

    def _validated(self, document: DocumentNode, *, is_trusted: bool) -> Operations | DocumentRejected:
        errors = self._errors(document, rules=specified_rules if is_trusted else _RULES)
        if not errors and not is_trusted and not are_plainly_the_same(self._schema, document):
            errors = self._errors(document, rules=(ComparesLittle,))
        if not errors:
            return self._admitted(operations_of(document))
        return DocumentRejected(ValidationFailed, [_told(each) for each in errors])

    def _errors(self, document: DocumentNode, *, rules: Collection[type[ASTValidationRule]]) -> list[GraphQLError]:
        try:
            return validate(
                self._schema, document, rules, max_errors=MAX_ERRORS, hide_suggestions=not self._suggestions
            )
        except RecursionError:
            return [GraphQLError("the document is nested too deeply")]

    def _admitted(self, operations: Operations) -> Operations | DocumentRejected:
        if not self._is_incremental:
            return {name: each.at_once for name, each in operations.items()}
        most = max((each.deferrals for each in operations.values()), default=0)
        if most <= self._max_deferrals:
            return operations
        said = (
            f"an operation has {most} @defer and @stream, more than {self._max_deferrals}: defer fewer and larger parts"
        )
        return DocumentRejected(ValidationFailed, [GraphQLError(said)], setting="operation.max_deferrals")

    def __repr__(self) -> str:
        kept = f", {len(self._kept)} kept" if self._kept else ""
        return f"<Documents {len(self._entries)}/{self._entries.maxsize:.0f}{kept}>"


def _remember(entries: LRUCache[str, _Entry], text: str, holds: Operations | DocumentRejected) -> None:
    entry = _Entry(holds, weight=1 + len(text) // USUAL)
    if len(text) <= MAX_KEPT and entry.weight <= entries.maxsize:
        entries[text] = entry


def _weight(entry: _Entry) -> int:
    return entry.weight


def _beyond(excess: Excess) -> DocumentRejected:
    is_of_tokens = excess.bound == "tokens"
    reason = ParseFailed if is_of_tokens else ValidationFailed
    setting = "operation.max_tokens" if is_of_tokens else f"operation.bounds.{excess.bound}"
    return DocumentRejected(reason, [GraphQLError(str(excess))], setting=None if excess.bound == "circle" else setting)


def _told(error: GraphQLError) -> GraphQLError:
    """graphql-core's word for having given up helps nobody."""
    return GraphQLError(_ENTANGLED) if error.message == "Validation aborted." else error


def _chosen(operations: Operations, name: str | None) -> Operation:
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name is None:
        raise RequestError(
            f"the document has {len(operations)} operations: say which in operationName"
            if operations
            else "the document has no operation: it holds only fragments"
        )
    found = operations.get(name)
    if found is None:
        known = ", ".join(str(each) for each in operations if each is not None) or "none has a name"
        raise RequestError(f"operationName names no operation of the document ({known})")
    return found


def operations_of(document: DocumentNode) -> Operations:
    """The operations of a document that is valid, in its order."""
    found = _operations(document)
    if not any(each.deferrals for each in found.values()):
        return found
    whole = _operations(without(document))
    return {name: replace(each, whole=whole[name]) if each.deferrals else each for name, each in found.items()}


def _operations(document: DocumentNode) -> Operations:
    fragments = {
        each.name.value: each.selection_set for each in document.definitions if isinstance(each, FragmentDefinitionNode)
    }
    return {
        each.name.value if each.name else None: Operation(
            document,
            each,
            roots=tuple(_roots(each.selection_set, fragments, opened=set())),
            deferrals=deferrals(each, fragments),
        )
        for each in document.definitions
        if isinstance(each, OperationDefinitionNode)
    }


def _roots(
    selections: SelectionSetNode, fragments: Mapping[str, SelectionSetNode], *, opened: set[str]
) -> Iterator[FieldNode]:
    """`opened`: names of fragments that were seen; each is opened once, or two spreads a fragment would double the work n times."""
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from _roots(node.selection_set, fragments, opened=opened)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in opened:
            opened.add(node.name.value)
            yield from _roots(fragments[node.name.value], fragments, opened=opened)
