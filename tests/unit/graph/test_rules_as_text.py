"""Rules in a module whose annotations are texts: this one's are."""

from __future__ import annotations

from typing import Annotated

import pytest
import strawberry
from graphql import GraphQLObjectType

from gateway import Between, Ctx, batched, entity, field, resolver
from gateway.errors import BadUserInput
from gateway.graph import build_graph
from gateway.graph.rules import checked


@entity
class Thing:
    name: str = field("What it is.")

    @resolver
    def times(self, most: Annotated[int, Between(1, 3)]) -> int:
        return most

    @batched
    @staticmethod
    async def shares(
        things: list[Thing], ctx: Ctx, most: Annotated[int, Between(1, 3)], other: Later | None = None
    ) -> list[int]:
        return [most for _ in things]


@strawberry.input
class Later:
    word: str


@strawberry.type
class Query:
    thing: Thing


GRAPH = build_graph(Query)


@pytest.mark.parametrize("name", ["times", "shares"])
def test_a_rule_that_is_a_text_is_printed_and_kept(name: str) -> None:
    kind = GRAPH.core.type_map["Thing"]
    assert isinstance(kind, GraphQLObjectType)
    declared = kind.fields[name].extensions["strawberry-definition"]
    assert f"{name}(most: Int! @constraint(min: 1, max: 3)" in GRAPH.sdl
    checked(declared.checks, {"most": 3})
    with pytest.raises(BadUserInput):
        checked(declared.checks, {"most": 4})
