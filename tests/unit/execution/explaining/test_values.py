"""Arguments as an explanation shows them: what is secret is not, wherever it was written."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
import strawberry

from gateway import Length, Secret, field, input_type, resolver
from gateway.execution.explaining import as_json
from gateway.execution.explaining.as_json import MAX_VALUE
from gateway.graph import build_graph
from tests.unit.execution.explaining.asking import at, explained


@input_type
class CardInput:
    """What is paid with."""

    name: str = field("On the card.")
    code: Annotated[Secret[str], Length(1, 40)] = field("On its back.")
    others: list[Secret[str]] | None = field("Tried when the first is refused.", default=None)


@input_type
class GiftInput(CardInput):
    """What is paid with, for somebody."""

    to: str = field("Whom.")


@input_type
class BasketInput:
    """What is bought."""

    cards: list[CardInput] = field("Paid with.")


@strawberry.type
class Query:
    @resolver
    def card(self, card: CardInput) -> int:
        """One."""
        return 1

    @resolver
    def gift(self, gift: GiftInput) -> int:
        """One."""
        return 1

    @resolver
    def basket(self, basket: BasketInput | None = None) -> int:
        """Several."""
        return 1

    @resolver
    def word(self, word: str) -> int:
        """Its length."""
        return len(word)


GRAPH = build_graph(Query)


@pytest.mark.parametrize(
    ("document", "variables", "shown"),
    [
        (
            "query ($x: CardInput!) { card(card: $x) }",
            {"x": {"name": "n", "code": "canary", "others": ["canary"]}},
            '{ name: "n", code: "***", others: "***" }',
        ),
        ("query ($x: CardInput!) { card(card: $x) }", None, "$x"),
        (
            'query ($x: String!) { card(card: {name: "n", code: $x, others: ["canary", $x]}) }',
            None,
            '{ name: "n", code: $x, others: "***" }',
        ),
        (
            'query ($x: String!) { card(card: {name: "n", code: $x, others: null}) }',
            {"x": "canary"},
            '{ name: "n", code: "***", others: null }',
        ),
        (
            '{ gift(gift: {name: "n", code: "canary", to: "ann"}) }',
            {},
            '{ name: "n", code: "***", others: null, to: "ann" }',
        ),
        (
            'query ($x: String!) { basket(basket: {cards: [{name: $x, code: "canary"}]}) }',
            None,
            '{ cards: [{ name: $x, code: "***" }] }',
        ),
        (
            'query ($x: String!) { basket(basket: {cards: {name: $x, code: "canary"}}) }',
            None,
            '{ cards: { name: $x, code: "***" } }',
        ),
        ('{ word(word: "plain") }', {}, '"plain"'),
    ],
)
def test_a_secret_is_not_shown(document: str, variables: dict[str, Any] | None, shown: str) -> None:
    found = explained(document, variables, graph=GRAPH)

    assert list(found.fields[0].arguments.values()) == [shown]
    assert "canary" not in json.dumps(as_json(found))


def test_a_long_value_is_cut_where_it_is_written_as_json() -> None:
    found = explained("query ($x: String!) { word(word: $x) }", {"x": "x" * 100_000}, graph=GRAPH)

    assert len(at(found, "word").arguments["word"]) == 100_002
    assert len(as_json(found)["fields"][0]["arguments"]["word"]) == MAX_VALUE
