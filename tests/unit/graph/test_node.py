"""Ids of the whole graph: opaque, stable, and of one type each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import IdOf, global_id, key_of, parse_id
from gateway.errors import BadUserInput

from .shop import Product, Review

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(keys)
def test_an_id_gives_back_its_type_and_key(key: str) -> None:
    made = global_id(Product, key)
    assert parse_id(made) == ("Product", key)
    assert key_of(made, Product) == key
    assert made.isascii()


@given(keys)
def test_two_types_never_share_an_id(key: str) -> None:
    assert global_id(Product, key) != global_id(Review, key)
    with pytest.raises(BadUserInput, match="id is the id of a Review, not of a Product"):
        key_of(global_id(Review, key), Product)


@given(st.text())
def test_a_text_is_an_id_or_refused_and_never_anything_else(text: str) -> None:
    try:
        type_name, key = parse_id(text, argument="node")
    except BadUserInput as error:
        told = error.violations
    else:
        told = ()
        assert type_name.isidentifier()
        assert key
    assert [(violation.path, violation.rule) for violation in told] in ([], [(("node",), "id")])


@pytest.mark.parametrize("text", ["", "1", "UHJvZHVjdA", "UHJvZHVjdDo", "Omtlew", "é", "UHJvZHVjdDoxé", "a b"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(BadUserInput, match="id is not an id of this graph"):
        parse_id(text)


def test_an_entity_knows_its_id() -> None:
    assert Product.id is not None
    assert IdOf("Product").problem(global_id(Product, "k")) is None


def test_the_rule_on_ids_tells_what_was_expected() -> None:
    rule = IdOf("Product")
    assert rule.problem("nonsense") == "must be the id of a Product"
    assert rule.problem(global_id(Review, "k")) == "must be the id of a Product, not of a Review"
