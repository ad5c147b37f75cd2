"""Variables are what graphql-core makes of them, whether it is asked or not."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import OperationDefinitionNode, build_schema, parse
from graphql.execution.values import get_variable_values

from gateway.execution import variables as module
from gateway.execution.variables import MAX_COERCION_ERRORS, Variables

SCHEMA = build_schema(
    """
    enum Colour { RED }
    input Size { height: Int! }
    type Query { field(s: String, i: Int, b: Boolean, d: ID, f: Float, c: Colour, z: Size, l: [Int]): Int }
    """
)

PLAIN = "query ($s: String!, $i: Int, $b: Boolean!, $d: ID) { field }"


def declared(text: str) -> Any:
    (operation,) = parse(text).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation.variable_definitions or ()


def said(found: Any) -> Any:
    """Errors by their text, signatures by their name and type."""
    if isinstance(found, list):
        return [str(error) for error in found]
    sources = {name: (str(each.signature.type), each.value) for name, each in found.sources.items()}
    return found.coerced, sources


@pytest.mark.parametrize(
    "given",
    [
        {"s": "x", "i": 1, "b": True, "d": "7"},
        {"s": "x", "b": False, "i": None, "d": None},
        {"s": "x", "b": False},
        {"s": "x", "i": 2**31 - 1, "b": True},
        {"s": "x", "i": 2**31, "b": True},
        {"s": "x", "i": -(2**31) - 1, "b": True},
        {"s": "x", "i": True, "b": True},
        {"s": "x", "i": 1.0, "b": 1},
        {"s": 1, "b": True},
        {"s": None, "b": True},
        {"b": True},
        {"s": "x", "b": True, "d": 7},
        {"s": "x", "b": True, "unknown": 1},
        {},
    ],
)
def test_plain_scalars_are_what_graphql_core_makes_of_them(given: dict[str, Any]) -> None:
    found = Variables(SCHEMA, declared(PLAIN)).coerced(given)
    assert said(found) == said(get_variable_values(SCHEMA, declared(PLAIN), given, max_errors=MAX_COERCION_ERRORS))


@pytest.mark.parametrize(
    ("text", "given", "coerced"),
    [
        ("query ($f: Float) { field }", {"f": 1}, {"f": 1.0}),
        ("query ($c: Colour) { field }", {"c": "RED"}, {"c": "RED"}),
        ("query ($z: Size!) { field }", {"z": {"height": 1}}, {"z": {"height": 1}}),
        ("query ($l: [Int]) { field }", {"l": 1}, {"l": [1]}),
        ("query ($s: String = \"d\") { field }", {}, {"s": "d"}),
        ("query { field }", {}, {}),
    ],
)  # fmt: skip
def test_everything_else_is_as_well(text: str, given: dict[str, Any], coerced: dict[str, Any]) -> None:
    found = Variables(SCHEMA, declared(text)).coerced(given)
    assert not isinstance(found, list)
    assert found.coerced == coerced
    assert said(found) == said(get_variable_values(SCHEMA, declared(text), given))


def test_graphql_core_is_not_asked_about_what_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = Variables(SCHEMA, declared(PLAIN))
    monkeypatch.setattr(module, "get_variable_values", None)
    assert not isinstance(variables.coerced({"s": "x", "b": True, "i": 3}), list)
