"""Documents: refused with a code, kept within a bound, parsed once."""

from __future__ import annotations

import pytest
from graphql import parse, print_ast

from gateway.errors import RequestError
from gateway.execution.bounds import Bounds
from gateway.execution.document import MAX_ERRORS, MAX_KEPT, USUAL, DocumentRejected, Documents
from gateway.telemetry import Metrics
from tests.unit.graph.shop import graph


def documents(*, max_entries: int = 10, max_tokens: int = 1_000, bounds: Bounds = Bounds()) -> Documents:
    return Documents(graph.core, max_entries=max_entries, max_tokens=max_tokens, metrics=Metrics(), bounds=bounds)


def looked_up(kept: Documents) -> dict[str, float]:
    samples = [sample for family in kept._look_ups.instrument.collect() for sample in family.samples]
    return {sample.labels["result"]: sample.value for sample in samples if sample.name.endswith("_total")}


def rejected(text: str, *, max_tokens: int = 1_000) -> DocumentRejected:
    with pytest.raises(DocumentRejected) as caught:
        documents(max_tokens=max_tokens).operation(text, None)
    return caught.value


def test_syntax_is_told_with_its_place() -> None:
    error = rejected("{ hello ")
    assert error.reason.code == "GRAPHQL_PARSE_FAILED"
    assert [(place.line, place.column) for place in error.errors[0].locations or ()] == [(1, 9)]


def test_validation_tells_all_mistakes_up_to_a_bound() -> None:
    error = rejected("{ a b c }")
    assert (error.reason.code, len(error.errors)) == ("GRAPHQL_VALIDATION_FAILED", 3)
    many = rejected("{" + " ".join(f"x{number}" for number in range(50)) + "}")
    assert len(many.errors) == MAX_ERRORS + 1
    assert "Too many validation errors" in many.errors[-1].message


def test_tokens_are_limited_before_anything_is_validated() -> None:
    error = rejected("{" + " hello" * 100 + "}", max_tokens=50)
    assert error.reason.code == "GRAPHQL_PARSE_FAILED"
    assert "50" in error.errors[0].message


@pytest.mark.parametrize("depth", [100, 300, 1_000, 4_000])
@pytest.mark.parametrize(
    ("opened", "closed"),
    [("{ ...on Query ", "}"), ("{ products(keys: []) ", "}"), ("{ hello(name: [", "])}")],
    ids=["fragments", "fields", "lists"],
)
def test_deep_nesting_is_refused_and_never_an_accident(opened: str, closed: str, depth: int) -> None:
    inner = "{ hello }" if closed == "}" else "1"
    opening = opened * depth if closed == "}" else "{ hello(name: " + "[" * depth
    closing = closed * depth if closed == "}" else "]" * depth + ") }"
    try:
        documents(max_tokens=100_000).operation(opening + inner + closing, None)
    except DocumentRejected as error:
        code = error.reason.code
    else:
        code = "taken"
    assert code in {"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "taken"}


def test_the_only_operation_needs_no_name() -> None:
    assert documents().operation("query One { hello }", None).name == "One"


def test_one_of_several_operations_is_chosen_by_name() -> None:
    text = "query One { hello } query Two { whoami } mutation Three { touch }"
    chosen = documents().operation(text, "Three")
    assert (chosen.name, chosen.kind.value, chosen.root_fields) == ("Three", "mutation", ("touch",))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("query A { hello } query B { hello }", None, "has 2 operations: say which in operationName"),
        ("query A { hello } query B { hello }", "C", r"names no operation of the document \(A, B\)"),
        ("{ hello }", "C", r"names no operation of the document \(none has a name\)"),
    ],
)
def test_a_name_that_does_not_choose_one_is_refused(text: str, name: str | None, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        documents().operation(text, name)


def test_a_document_of_fragments_only_cannot_be_executed() -> None:
    with pytest.raises(RequestError):
        documents().operation("fragment F on Query { hello }", None)


def test_root_fields_are_found_within_fragments() -> None:
    text = "{ hello ...F ... on Query { a: whoami ...{ hello } } } fragment F on Query { boom }"
    assert documents().operation(text, None).root_fields == ("hello", "boom", "whoami", "hello")


def test_a_document_is_parsed_once_and_look_ups_are_counted() -> None:
    kept = documents()
    first = kept.operation("{ hello }", None)
    assert kept.operation("{ hello }", None) is first
    assert looked_up(kept) == {"miss": 1.0, "hit": 1.0}


def test_what_was_refused_is_remembered_as_well() -> None:
    kept = documents()
    for _ in range(3):
        with pytest.raises(DocumentRejected):
            kept.operation("{ nothing }", None)
    assert looked_up(kept) == {"miss": 1.0, "hit": 2.0}


def test_so_many_documents_are_kept_and_no_more() -> None:
    kept = documents(max_entries=3)
    for number in range(50):
        kept.operation(f"query Q{number} {{ hello }}", None)
    assert repr(kept) == "<Documents 3/3>"


def test_a_long_document_is_answered_and_not_kept() -> None:
    kept = documents(bounds=Bounds(characters=2 * MAX_KEPT))
    kept.operation("{ hello } #" + "x" * MAX_KEPT, None)
    assert repr(kept) == "<Documents 0/10>"


def test_a_long_document_counts_as_several_among_those_kept() -> None:
    kept = documents(max_entries=4)
    kept.operation("{ hello }", None)
    kept.operation("{ hello } #" + "x" * 3 * USUAL, None)
    assert repr(kept) == "<Documents 1/4>"


# -- @defer and @stream ----------------------------------------------------------------------------------------------------

DEFERS = "{ ... @defer { hello } } "


def test_an_operation_knows_itself_without_what_comes_later() -> None:
    operation = documents().operation(
        '{ ...A @defer(label: "a") products(keys: []) @stream { sku } } fragment A on Query { hello }', None
    )
    assert (operation.defers, operation.deferrals) == (True, 2)
    assert not operation.at_once.defers
    assert print_ast(operation.at_once.document) == print_ast(
        parse("{ ...A products(keys: []) { sku } } fragment A on Query { hello }")
    )
    assert operation.at_once.node.loc == operation.node.loc


def test_an_operation_that_defers_nothing_is_itself() -> None:
    kept = documents()
    several = "query A { hello } query B { ...F } fragment F on Query { ... @defer { hello } }"
    assert kept.operation(several, "A").at_once is kept.operation(several, "A")
    assert kept.operation(several, "B").defers


def test_more_deferrals_than_allowed_are_refused_with_their_number() -> None:
    fine = Documents(graph.core, max_entries=1, max_tokens=1_000, metrics=Metrics(), max_deferrals=2)
    assert fine.operation("{ ... @defer { hello } ... @defer { whoami } }", None).defers
    with pytest.raises(DocumentRejected, match="3 @defer and @stream, more than 2: defer fewer"):
        fine.operation("{ ... @defer { hello ... @defer { a: hello ... @defer { b: hello } } } }", None)


def test_where_parts_are_switched_off_the_same_document_asks_for_all_at_once() -> None:
    off = Documents(graph.core, max_entries=1, max_tokens=1_000, metrics=Metrics(), is_incremental=False)
    operation = off.operation(DEFERS, None)
    assert (operation.defers, operation.deferrals) == (False, 0)
