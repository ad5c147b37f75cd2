"""Bounds of a document: what it may ask for before anything is spent on understanding it.

Two looks. `of_text` reads the words alone, before they are parsed, so that what is far too large costs a tenth of parsing it;
`of_document` opens the fragments, before the document is validated. Invariants: both are linear in the text, whatever stands in it
(a fragment is opened once, and what it holds is added up wherever it is spread), and neither recurses; a document that is within
all bounds is judged by graphql-core alone. What the looks leave to be validated is bounded in its cost by `overlapping.py`.
Source: the limits that GraphQL servers agree on (graphql-armor, Apollo Router, Hot Chocolate), with figures measured here; the
lexical grammar of the specification, section 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, NamedTuple, TypeAlias, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a document may have at most. Trusted documents are exempt: they are the operator's own."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    characters: int = 50_000
    """Characters of the text. 50 000: 2 000 tokens, each with a line and its indentation; strings and comments cost 0.3 µs a
    character."""
    word: int = 256
    """Characters of a name or a number. 256: nobody writes longer ones, and a number is read digit by digit."""
    depth: int = 20
    """Fields within one another, fragments opened, also those that nothing spreads. 20: the introspection of an IDE has 15, a
    page has 10."""
    aliases: int = 50
    """Aliases. 50: several times what a page has; a thousand are somebody who tries a thousand passwords in one request."""
    directives: int = 100
    """Directives in all. 100: each is checked and decided; pages have a handful."""
    directives_at_once: int = 10
    """Directives on one place. 10: no more are declared for any."""
    root_fields: int = 50
    """Fields at the root of an operation, fragments opened. 50: each is a call, or a saga; a page has ten."""
    fields: int = 2_000
    """Fields of all operations, fragments opened wherever they are spread. 2 000: as many as a document without fragments could
    have; five lines of fragments that spread one another twice can be a thousand times as many."""
    nesting: int = 50
    """Brackets of any kind within one another, as they are written. 50: the introspection of an IDE has 15."""
    literal_nesting: int = 10
    """Lists and objects within one another in a value. 10: inputs are not deeper."""
    literal: int = 1_000
    """Tokens between one pair of parentheses. 1 000: a list of more values belongs in a variable."""
    introspections: int = 5
    """`__schema` and `__type`. 5: an IDE asks once; each writes the schema anew."""
    definitions: int = 100
    """Operations and fragments. 100: a page of many components has fifty."""
    operations: int = 20
    """Operations in a document. 20: one is run; an IDE's tab holds some."""
    variables: int = 100
    """Variables of an operation. 100: a long form has forty."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) < 1:
                raise ValueError(
                    f"operation.bounds.{each.name} is {getattr(self, each.name)}: no document would be served"
                )


class Excess(NamedTuple):
    """What a document has more of than it may."""

    bound: str
    """The setting."""
    has: int
    """As many, or more: counting may stop there."""
    limit: int

    def __str__(self) -> str:
        if self.bound == "circle":
            return "fragments spread one another in a circle: an answer to them would never end"
        what, remedy = _SAID[self.bound]
        has = self.has if self.has < _UNTOLD else f"more than {_UNTOLD}"
        return f"{what.format(has)}, and {self.limit} are the most that is taken here: {remedy}"


_UNTOLD = 1_000_000_000
"""Fragments that spread one another twice have more fields than anybody wants to read."""

_SAID: Mapping[str, tuple[str, str]] = {
    "characters": ("the document has {} characters", "send long values in variables"),
    "word": ("a name or number has {} characters", "send long values in variables, as strings"),
    "tokens": ("the document has {} tokens or more", "ask for less at once"),
    "depth": ("fields are {} deep", "ask for less at once"),
    "aliases": ("the document has {} aliases", "use lists and variables, or several requests"),
    "directives": ("the document has {} directives", "use fewer"),
    "directives_at_once": ("{} directives stand in one place", "use fewer"),
    "root_fields": ("an operation has {} fields at its root", "send several requests"),
    "fields": ("the document has {} fields with its fragments opened", "ask for less at once"),
    "nesting": ("brackets are {} deep", "ask for less at once"),
    "literal_nesting": ("a value is {} deep", "send it in a variable"),
    "literal": ("{} tokens stand between two parentheses", "send long values in variables"),
    "definitions": ("the document has {} operations and fragments", "use fewer"),
    "operations": ("the document has {} operations", "send only those that are run"),
    "introspections": ("the document asks {} times for the schema", "ask once"),
    "variables": ("an operation has {} variables", "use lists and inputs"),
}


# -- the text ----------------------------------------------------------------------------------------------------------

_STRING = r'"""(?:[^"\\]++|\\"""|\\|"(?!""))*+(?:""")?+' r'|"(?:[^"\\\n\r]++|\\[^\n\r])*+"?+'
"""One that never ends is one token up to the end, so that nothing is read twice."""
_TOKENS = re.compile(rf"[\s,\ufeff]*+(?:([{{}}()\[\]@:])|([_A-Za-z0-9.+-]++)|#[^\n\r]*+|{_STRING}|.|\Z)", re.DOTALL)
"""Dots and a name that follows at once are one; a comment is one too, since the parser spends more on it than on a name; so is the
end."""


_IN_WORDS = ("nesting", "definitions", "aliases", "directives", "literal_nesting", "literal")


@dataclass(slots=True)
class _Words:
    """What the words of a document add up to, as they are read."""

    most: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_IN_WORDS, 0))
    nested: int = 0
    literal_at: int | None = None
    """How many tokens came before the parenthesis that is open."""
    literal_nested: int = 0

    def see(self, mark: str, at: int) -> None:
        if mark == "@":
            self.most["directives"] += 1
        elif mark == ":":
            self.most["aliases"] += self.literal_at is None
        elif mark in "{[(":
            self._open(mark, at)
        else:
            self._close(mark, at)

    def _open(self, mark: str, at: int) -> None:
        self.most["definitions"] += mark == "{" and not self.nested
        self.nested += 1
        self._note("nesting", self.nested)
        if self.literal_at is not None:
            self.literal_nested += 1
            self._note("literal_nesting", self.literal_nested)
        elif mark == "(":
            self.literal_at, self.literal_nested = at, 0

    def _close(self, mark: str, at: int) -> None:
        self.nested -= 1
        if self.literal_at is None:
            return
        self._note("literal", at - self.literal_at)
        if mark == ")":
            self.literal_at = None
        else:
            self.literal_nested -= 1

    def _note(self, bound: str, has: int) -> None:
        self.most[bound] = max(self.most[bound], has)


def of_text(text: str, bounds: Bounds, *, max_tokens: int) -> Excess | None:
    """What the words have too much of, before they are parsed. Cost: some 0.4 µs a token, for `max_tokens` at most."""
    if len(text) > bounds.characters:
        return Excess("characters", len(text), bounds.characters)
    words = _Words()
    for count, found in enumerate(_TOKENS.finditer(text)):
        if count > max_tokens:
            return Excess("tokens", count, max_tokens)
        mark, word = found.groups()
        if mark is not None:
            words.see(mark, count)
        elif word is not None and len(word) > bounds.word:
            return Excess("word", len(word), bounds.word)
    return next(_excesses(words.most, bounds), None)


_INTROSPECTION = frozenset({"__schema", "__type"})


# -- the document ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """What one operation or fragment has, then with what it spreads."""

    roots: int = 0
    fields: int = 0
    depth: int = 0
    spreads: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Names, and how many fields each is below."""

    def add(self, other: _Part, below: int) -> None:
        """`other` is spread below so many fields."""
        self.fields += other.fields
        self.depth = max(self.depth, below + other.depth)
        if not below:
            self.roots += other.roots


def of_document(document: DocumentNode, bounds: Bounds) -> Excess | None:
    """What a document has too much of, before it is validated. Cost: as of one of validation's thirty rules."""
    fragments = {
        each.name.value: _part(each.selection_set)
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }
    for name in _inmost_first(fragments):
        if name is None:
            return Excess("circle", 1, 0)
        _open(fragments[name], fragments)
    operations = [each for each in document.definitions if isinstance(each, OperationDefinitionNode)]
    most = {
        "operations": len(operations),
        "directives_at_once": _directives_at_once(document),
        "introspections": len(introspections(document)),
        "fields": 0,
        "depth": max((each.depth for each in fragments.values()), default=0),
    }
    for operation in operations:
        part = _part(operation.selection_set)
        _open(part, fragments)
        most["fields"] += part.fields
        has = {
            "root_fields": part.roots,
            "depth": part.depth,
            "variables": len(operation.variable_definitions or ()),
        }
        most |= {name: max(count, most.get(name, 0)) for name, count in has.items()}
    return next(_excesses(most, bounds), None)


def introspections(document: DocumentNode) -> list[FieldNode]:
    """The fields that ask for the schema."""
    return [node for node in _nodes(document) if isinstance(node, FieldNode) and node.name.value in _INTROSPECTION]


def _part(selections: SelectionSetNode) -> _Part:
    part, open_ = _Part(), [(selections, 0)]
    while open_:
        inner, depth = open_.pop()
        for node in inner.selections:
            if isinstance(node, FragmentSpreadNode):
                part.spreads.append((node.name.value, depth))
                continue
            below = depth
            if isinstance(node, FieldNode):
                part.fields += 1
                part.roots += not depth
                below += 1
                part.depth = max(part.depth, below)
            if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set:
                open_.append((node.selection_set, below))
    return part


def _open(part: _Part, fragments: Mapping[str, _Part]) -> None:
    """One that nobody defined adds nothing: validation refuses it."""
    for name, below in part.spreads:
        if name in fragments:
            part.add(fragments[name], below)


def _inmost_first(fragments: Mapping[str, _Part]) -> Iterator[str | None]:
    """Each after all that it spreads; None where one of them is itself."""
    done, begun = set[str](), set[str]()
    for root in fragments:
        path = [] if root in begun else [(root, iter(fragments[root].spreads))]
        begun.add(root)
        while path:
            name, spreads = path[-1]
            found = next((each for each, _ in spreads if each in fragments and each not in done), None)
            if found is None:
                yield name
                done.add(name)
                path.pop()
            elif found in begun:
                yield None
            else:
                begun.add(found)
                path.append((found, iter(fragments[found].spreads)))


def _directives_at_once(document: DocumentNode) -> int:
    return max((len(node.directives or ()) for node in _nodes(document)), default=0)


_Node: TypeAlias = (
    OperationDefinitionNode
    | FragmentDefinitionNode
    | VariableDefinitionNode
    | FieldNode
    | FragmentSpreadNode
    | InlineFragmentNode
)


def _nodes(document: DocumentNode) -> Iterator[_Node]:
    """Whatever may have directives."""
    open_: list[_Node] = [
        each for each in document.definitions if isinstance(each, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while open_:
        node = open_.pop()
        yield node
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            open_ += node.variable_definitions or ()
        if not isinstance(node, FragmentSpreadNode | VariableDefinitionNode) and node.selection_set:
            open_ += cast("Sequence[_Node]", node.selection_set.selections)


def _excesses(most: Mapping[str, int], bounds: Bounds) -> Iterator[Excess]:
    for name, has in most.items():
        limit: int = getattr(bounds, name)
        if has > limit:
            yield Excess(name, has, limit)
