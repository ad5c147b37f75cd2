"""JSON of clients: what could be read in two ways, or is deeper or wider than anybody needs, is refused."""

from __future__ import annotations

import pytest

from gateway.edge.json_reading import MAX_NESTING, MAX_VALUES, read_json
from gateway.errors import RequestError


def refused(text: bytes) -> str:
    with pytest.raises(RequestError) as caught:
        read_json(text, what="the body")
    return caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        b'{"query": "{ a }", "query": "{ b }"}',
        b'{"variables": {"list": [{"query": 1, "query": 1}]}}',
        b'{"\\u0071uery": 1, "query": 2}',
        b'{"query": null, "query": null}',
    ],
)
def test_a_member_that_stands_twice_is_refused_wherever_it_is(text: bytes) -> None:
    assert refused(text) == "the body has the member 'query' twice in one object: send it once"


def test_the_same_name_in_two_objects_is_no_twin() -> None:
    assert read_json(b'[{"a": 1}, {"a": {"a": 2}}]', what="x") == [{"a": 1}, {"a": {"a": 2}}]


@pytest.mark.parametrize("text", [b'{"a": NaN}', b"[Infinity]", b"[-Infinity]", b"[1e999]", b"[" + b"9" * 400 + b"]"])
def test_what_is_no_number_of_json_is_refused(text: bytes) -> None:
    assert refused(text).startswith("the body is not JSON")


def test_an_integer_of_more_than_64_bits_is_a_float_that_no_int_takes() -> None:
    assert read_json(b"[36893488147419103232]", what="x") == [2.0**65]


@pytest.mark.parametrize("text", [b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00\\ud800"'])
def test_what_is_no_unicode_is_refused(text: bytes) -> None:
    assert refused(text).startswith("the body is not JSON")


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_values_are_as_deep_as_is_allowed_and_no_deeper(opened: bytes, closed: bytes) -> None:
    read_json(opened * MAX_NESTING + b"1" + closed * MAX_NESTING, what="the body")
    assert "deep" in refused(opened * (MAX_NESTING + 1) + b"1" + closed * (MAX_NESTING + 1))


def test_values_are_as_many_as_is_allowed_and_no_more() -> None:
    read_json(b"[" + b"1," * (MAX_VALUES - 2) + b"1]", what="the body")
    assert str(MAX_VALUES) in refused(b"[" + b"[]," * MAX_VALUES + b"1]")


def test_commas_and_brackets_in_strings_are_text() -> None:
    text = '"' + ',[{\\"' * MAX_VALUES + '"'
    assert read_json(text.encode(), what="x") == ',[{"' * MAX_VALUES
