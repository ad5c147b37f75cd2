"""Bounds of a document: each at its edge, told with its figures; trusted documents have none."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
from graphql import get_introspection_query, parse

from gateway.errors import Forbidden, ParseFailed, ValidationFailed
from gateway.execution.bounds import Bounds, Excess, of_document, of_text
from gateway.execution.document import DocumentRejected, Documents
from gateway.telemetry import Metrics
from tests.unit.graph.shop import graph


def excess(text: str, *, max_tokens: int = 10_000, **bounds: int) -> Excess | None:
    found = Bounds(**bounds)
    return of_text(text, found, max_tokens=max_tokens) or of_document(parse(text), found)


def documents(*, introspection: bool = True, suggestions: bool = True, **bounds: int) -> Documents:
    return Documents(
        graph.core,
        max_entries=10,
        max_tokens=2_000,
        metrics=Metrics(),
        bounds=Bounds(**bounds),
        introspection=introspection,
        suggestions=suggestions,
    )


def rejected(kept: Documents, text: str) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        kept.operation(text, None)
    return caught.value


@pytest.mark.parametrize(
    ("bound", "text", "has"),
    [
        ("characters", "{ hello }", 9),
        ("word", "{ hello(name: 12345) }", 5),
        ("depth", "{ a { b { c } } }", 3),
        ("depth", "{ a { ...F } } fragment F on T { ... { b { c } } }", 3),
        ("depth", "{ a } fragment F on T { b { ...G } } fragment G on T { c { d } }", 3),
        ("aliases", "query ($v: Int, $w: [Int!] = [1]) { a: x(b: 1, c: {d: 2}) @e(f: 3) b: y }", 2),
        ("directives", '{ a @b(c: "@") @d ...F @e } fragment F on T @f { a }', 4),
        ("directives_at_once", "query ($a: Int @x) { a @b @c b @d ...F @e }", 2),
        ("root_fields", "{ a ... { b { c d } } ...F } fragment F on Query { e f ...G } fragment G on Query { g }", 5),
        ("fields", "{ ...F ...F } fragment F on Query { ...G ...G } fragment G on Query { a { b } }", 8),
        ("fields", "query A { a b } query B { c ...F } fragment F on Query { d }", 4),
        ("nesting", "{ a(b: [{c: [1]}]) }", 5),
        ("literal_nesting", "{ a(b: [{c: [1]}]) }", 3),
        ("literal", "{ a(b: [1, 2, 3], c: $d) }", 12),
        ("definitions", "query A($a: T = {b: 1}) @c(d: {}) { a } query B { b } fragment C on T { c { d } }", 3),
        ("operations", "query A { a } query B { b } fragment F on T { c }", 2),
        ("variables", "query A($a: Int) { a } query B($a: Int, $b: Int) { b }", 2),
    ],
)
def test_a_document_may_have_as_much_as_its_bound_and_no_more(bound: str, text: str, has: int) -> None:
    assert excess(text, **{bound: has}) is None
    if has > 1:
        assert excess(text, **{bound: has - 1}) == (bound, has, has - 1)


def test_words_in_strings_and_comments_count_for_nothing() -> None:
    text = r'''{ a(b: "{{[@: \" : @", c: """ [[ \""" {{ @ : """) # a: b @c {{
             }'''
    assert excess(text, aliases=1, directives=1, nesting=2, literal_nesting=1) is None


def test_a_string_that_never_ends_is_the_parsers_business() -> None:
    assert of_text('{ a(b: """' + '\n\\"""' * 9_000, Bounds(), max_tokens=10) is None


def test_comments_count_as_tokens_since_the_parser_reads_them() -> None:
    assert excess("{ a }" + "#\n" * 100, max_tokens=100) == ("tokens", 101, 100)


def test_a_document_of_as_many_tokens_as_are_allowed_is_taken() -> None:
    assert excess("{ a b c }", max_tokens=5) is None


@pytest.mark.parametrize(
    "circle",
    [
        "{ ...A } fragment A on Query { hello ...A }",
        "{ ...A } fragment A on Query { hello ...B } fragment B on Query { ...Missing ...A }",
        "{ hello } fragment A on Query { products { ...B } } fragment B on Product { madeBy { ...B } }",
    ],
)
def test_fragments_that_spread_one_another_in_a_circle_are_refused(circle: str) -> None:
    error = rejected(documents(), circle)
    assert (error.reason, "circle" in error.errors[0].message) == (ValidationFailed, True)


def test_a_fragment_that_is_spread_twice_is_no_circle() -> None:
    assert (
        excess("{ ...A ...B } fragment A on Query { ...B ...C } fragment B on Query { ...C } fragment C on Query { a }")
        is None
    )


def test_the_schema_is_asked_for_a_few_times_at_most() -> None:
    text = "{ " + " ".join(f"a{n}: __schema {{ queryType {{ name }} }}" for n in range(3)) + " }"
    assert excess(text, introspections=3) is None
    assert excess(text, introspections=2) == ("introspections", 3, 2)


def test_a_long_chain_of_fragments_is_opened_without_recursion() -> None:
    levels = 5_000
    chain = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(levels))
    text = f"{{ ...F0 }} {chain} fragment F{levels} on Query {{ hello }}"
    found = of_document(parse(text), Bounds())
    assert found is not None
    assert (found.bound, found.has) == ("fields", 2**levels)
    assert "more than 1000000000 fields" in str(found)


def test_the_client_reads_what_there_is_and_what_is_taken() -> None:
    error = rejected(documents(aliases=2), "{ a: hello b: hello c: hello }")
    assert error.reason is ValidationFailed
    assert error.errors[0].message == (
        "the document has 3 aliases, and 2 are the most that is taken here: "
        "use lists and variables, or several requests"
    )


def test_too_many_tokens_are_no_document() -> None:
    assert rejected(documents(), "{" + " hello" * 2_000 + "}").reason is ParseFailed


def test_a_trusted_document_has_no_bounds() -> None:
    kept = documents(aliases=1, introspection=False)
    text = "{ a: hello b: hello __schema { queryType { name } } }" + "# " + "x" * 60_000
    kept.keep(text)
    assert kept.operation(text, None).root_fields == ("hello", "hello", "__schema")


def test_ides_may_ask_for_the_schema_within_the_bounds() -> None:
    text = get_introspection_query(specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True)
    assert documents().operation(text, None).root_fields == ("__schema",)


@pytest.mark.parametrize(
    "text",
    [
        "{ __schema { types { name } } }",
        '{ __type(name: "Query") { name } }',
        "{ hello ...F } fragment F on Query { ... { x: __schema { queryType { name } } } }",
    ],
)
def test_the_schema_is_no_clients_business_where_introspection_is_off(text: str) -> None:
    assert rejected(documents(introspection=False), text).reason is Forbidden


def test_who_may_ask_for_the_schema_is_answered_and_nobody_after_them() -> None:
    kept, text = documents(introspection=False), "{ __schema { queryType { name } } }"

    assert rejected(kept, text).reason is Forbidden
    assert kept.operation(text, None, introspects=True).root_fields == ("__schema",)
    assert kept.operation(text, None, introspects=True) is kept.operation(text, None, introspects=True)
    assert rejected(kept, text).reason is Forbidden


def test_who_may_ask_for_the_schema_has_the_same_bounds_as_everybody() -> None:
    kept = documents(introspection=False)
    text = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"

    with pytest.raises(DocumentRejected) as caught:
        kept.operation(text, None, introspects=True)
    assert "introspection depth" in caught.value.errors[0].message


def test_a_type_name_is_no_introspection() -> None:
    assert documents(introspection=False).operation("{ __typename }", None).root_fields == ("__typename",)


def test_lists_of_the_schema_cannot_be_asked_for_in_circles() -> None:
    text = "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    assert "introspection depth" in rejected(documents(), text).errors[0].message


@pytest.mark.parametrize(
    ("off", "is_told"), [({}, True), ({"suggestions": False}, False), ({"introspection": False}, False)]
)
def test_what_was_perhaps_meant_is_told_unless_it_is_switched_off(off: dict[str, bool], is_told: bool) -> None:
    message = rejected(documents(**off), "{ helo }").errors[0].message
    assert ("Did you mean" in message) is is_told


def test_fields_that_cannot_be_compared_in_time_are_refused_with_a_remedy() -> None:
    text = "{ products(keys: []) {" + " id" * 1_500 + " id: sku } }"
    assert [each.message for each in rejected(documents(), text).errors] == [
        "the document is too entangled to be validated: select each field once, and nest fragments less"
    ]


def test_bounds_below_one_are_impossible() -> None:
    with pytest.raises(ValueError, match=r"operation\.bounds\.depth is 0"):
        Bounds(depth=0)


def test_the_guide_has_every_bound_with_its_default() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "limits-and-cost.md").read_text(encoding="utf-8")
    _, _, rest = guide.partition("[operation.bounds]\n")
    table = tomllib.loads(rest.partition("```")[0])
    assert table == asdict(Bounds())
