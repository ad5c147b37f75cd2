"""The contract of the reference graph: what `schema.graphql` promises is what the code serves, and all of it is described."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from graphql import (
    DocumentNode,
    EnumTypeDefinitionNode,
    EnumValueDefinitionNode,
    FieldDefinitionNode,
    InputObjectTypeDefinitionNode,
    InputValueDefinitionNode,
    InterfaceTypeDefinitionNode,
    Node,
    ObjectTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    UnionTypeDefinitionNode,
    build_schema,
    parse,
    validate_schema,
)
from graphql.language import DirectiveDefinitionNode

from gateway.graph import Graph

ROOT = Path(__file__).resolve().parents[2]
DESCRIBED = (
    ObjectTypeDefinitionNode,
    InterfaceTypeDefinitionNode,
    InputObjectTypeDefinitionNode,
    EnumTypeDefinitionNode,
    UnionTypeDefinitionNode,
    ScalarTypeDefinitionNode,
    DirectiveDefinitionNode,
)


def parts(document: DocumentNode) -> Iterator[tuple[str, Node]]:
    """("Type.field", node) of every type, field, input's field, argument and enum value."""
    for definition in document.definitions:
        name = getattr(getattr(definition, "name", None), "value", "schema")
        yield name, definition
        for member in (*(getattr(definition, "fields", None) or ()), *(getattr(definition, "values", None) or ())):
            yield f"{name}.{member.name.value}", member
            for argument in getattr(member, "arguments", None) or ():
                yield f"{name}.{member.name.value}({argument.name.value}:)", argument


def test_the_printed_schema_equals_the_code(reference: Graph) -> None:
    written = (ROOT / "schema.graphql").read_text(encoding="utf-8")
    assert written == reference.sdl, "renew it with `sagaql schema --write`"


def test_the_printed_schema_is_a_valid_one(reference: Graph) -> None:
    assert validate_schema(build_schema(reference.sdl)) == []


def test_every_type_field_and_enum_value_is_described(reference: Graph) -> None:
    silent = [
        where
        for where, node in parts(parse(reference.sdl))
        if isinstance(node, (*DESCRIBED, FieldDefinitionNode, EnumValueDefinitionNode))
        and not getattr(node, "description", None)
    ]
    assert silent == []


def test_every_field_of_an_input_is_described(reference: Graph) -> None:
    silent = [
        where
        for where, node in parts(parse(reference.sdl))
        if isinstance(node, InputValueDefinitionNode) and "(" not in where and not node.description
    ]
    assert silent == []


def test_no_directive_is_repeated_where_it_may_not_be(reference: Graph) -> None:
    document = parse(reference.sdl)
    repeatable = {
        each.name.value
        for each in document.definitions
        if isinstance(each, DirectiveDefinitionNode) and each.repeatable
    }
    for where, node in parts(document):
        used = Counter(directive.name.value for directive in getattr(node, "directives", None) or ())
        assert not {name for name, times in used.items() if times > 1 and name not in repeatable}, where


def test_every_directive_that_is_used_is_defined(reference: Graph) -> None:
    document = parse(reference.sdl)
    defined = {each.name.value for each in document.definitions if isinstance(each, DirectiveDefinitionNode)}
    used = {
        directive.name.value for _, node in parts(document) for directive in getattr(node, "directives", None) or ()
    }
    assert used <= defined | {"deprecated", "specifiedBy", "oneOf"}


def test_the_graph_has_no_mistakes(reference: Graph) -> None:
    assert reference.problems() == []


def test_every_join_prints_how_it_degrades(reference: Graph) -> None:
    fields = {where: node for where, node in parts(parse(reference.sdl)) if isinstance(node, FieldDefinitionNode)}
    for name in reference.joins:
        assert "degrades" in [directive.name.value for directive in fields[name].directives or ()], name
