"""`onError`: what a field's error does to the rest of the answer, executed by graphql-core (first sight) and by a plan (second)."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
import strawberry

from gateway import entity, field, resolver
from gateway.graph import build_graph
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, in_virtual_time

DONE: list[str] = []


@entity
class Leaf:
    """What must be there, and what is not."""

    name: str = field("Its name.")

    @resolver
    def must(self) -> str:
        """Fails."""
        raise RuntimeError("on purpose")

    @resolver
    async def late(self) -> str | None:
        """There in a minute."""
        await asyncio.sleep(60)
        DONE.append(self.name)
        return "late"


@strawberry.type
class Query:
    @resolver
    def leaf(self) -> Leaf | None:
        """One."""
        return Leaf(name="a")

    @resolver
    def leaves(self) -> list[Leaf]:
        """Some."""
        return [Leaf(name="a"), Leaf(name="b")]

    @resolver
    def holes(self) -> list[str]:
        """A list with a hole where none may be."""
        return ["a", None, "c"]  # type: ignore[list-item]  # the mistake that is to be told


@strawberry.type
class Mutation:
    @resolver
    def fail(self) -> str | None:
        """Fails."""
        raise RuntimeError("on purpose")

    @resolver
    def touch(self) -> str | None:
        """Does something."""
        DONE.append("touched")
        return "touched"


graph = build_graph(Query, Mutation)


async def twice(query: str, **parameters: Any) -> list[Any]:
    """(status, data, paths of errors) by graphql-core, and by the plan."""
    DONE.clear()
    found = list[Any]()
    async with GatewayUnderTest(Settings(), graph, wires={}) as gateway:
        for _ in range(2):
            body = orjson.dumps({"query": query, **parameters})
            told = await gateway.request("POST", "/graphql", body=body, headers={"content-type": "application/json"})
            json = told.json
            found.append((told.status, json.get("data"), [error["path"] for error in json.get("errors", ())]))
    return found


@pytest.mark.parametrize("parameters", [{}, {"onError": None}, {"onError": "PROPAGATE"}])
@in_virtual_time
async def test_by_default_an_error_nulls_the_nearest_place_that_may_be_null(parameters: dict[str, Any]) -> None:
    expected = (200, {"leaf": None}, [["leaf", "must"]])
    assert await twice("{ leaf { name must } }", **parameters) == [expected, expected]


@in_virtual_time
async def test_null_is_where_the_error_is_and_nowhere_else() -> None:
    query = "{ leaf { name must } leaves { must name } holes }"
    data = {
        "leaf": {"name": "a", "must": None},
        "leaves": [{"must": None, "name": "a"}, {"must": None, "name": "b"}],
        "holes": ["a", None, "c"],
    }
    for status, found, paths in await twice(query, onError="NULL"):
        assert (status, found) == (200, data)
        assert sorted(paths, key=str) == [
            ["holes", 1],
            ["leaf", "must"],
            ["leaves", 0, "must"],
            ["leaves", 1, "must"],
        ]


@in_virtual_time
async def test_halting_leaves_no_data_and_waits_for_nothing() -> None:
    began = asyncio.get_running_loop().time()
    for status, data, paths in await twice("{ leaves { late } leaf { must } }", onError="HALT"):
        assert (status, data, paths) == (200, None, [["leaf", "must"]])
    assert asyncio.get_running_loop().time() - began < 1
    assert DONE == []


@pytest.mark.parametrize(
    ("on_error", "done"), [("HALT", []), ("NULL", ["touched"] * 2), ("PROPAGATE", ["touched"] * 2)]
)
@in_virtual_time
async def test_a_mutation_that_halts_begins_no_further_field(on_error: str, done: list[str]) -> None:
    await twice("mutation { fail touch }", onError=on_error)
    assert done == DONE


@in_virtual_time
async def test_without_errors_it_makes_no_difference() -> None:
    for word in ("NULL", "HALT"):
        assert await twice("{ leaf { name } }", onError=word) == [(200, {"leaf": {"name": "a"}}, [])] * 2


@pytest.mark.parametrize("word", ["null", "ABORT", "", 1, True, [], {}])
@in_virtual_time
async def test_an_unknown_word_is_refused_with_those_that_are_known(word: object) -> None:
    async with GatewayUnderTest(Settings(), graph, wires={}) as gateway:
        body = orjson.dumps({"query": "{ leaf { name } }", "onError": word})
        told = await gateway.request("POST", "/graphql", body=body, headers={"content-type": "application/json"})
    assert told.status == 400
    assert told.errors[0]["message"] == "onError must be one of PROPAGATE, NULL, HALT"


@in_virtual_time
async def test_it_is_a_parameter_of_a_get_too() -> None:
    async with GatewayUnderTest(Settings(), graph, wires={}) as gateway:
        told = await gateway.request("GET", "/graphql", query={"query": "{ leaf { must } }", "onError": "NULL"})
    assert told.data == {"leaf": {"must": None}}
