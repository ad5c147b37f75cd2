"""What GraphQL's specification says of @defer and @stream, section by section, by its own examples.

Source: the proposal of incremental delivery (graphql-spec #1110): "Type System", "Validation", "Execution", "Response".
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import strawberry

from gateway import Ctx, resolver
from gateway.errors import BadUserInput
from gateway.execution import GraphQLRequest
from gateway.execution.document import DocumentRejected, Documents
from gateway.execution.planner import NotPlanned
from gateway.graph import build_graph
from gateway.telemetry import Metrics
from gateway.testing import GatewayUnderTest, in_virtual_time
from tests.unit.execution.in_parts import merged, parts_of
from tests.unit.graph.shop import settings, working_wires


@strawberry.type
class Film:
    title: str


@strawberry.type
class Planet:
    name: str


@strawberry.type
class Person:
    name: str

    @resolver
    async def home_world(self) -> Planet:
        """Takes a while."""
        await asyncio.sleep(1)
        return Planet(name="Tatooine")

    @resolver
    async def lost_world(self) -> Planet:
        """Is not there."""
        await asyncio.sleep(1)
        raise BadUserInput("nobody knows where it is")

    @resolver
    def films(self) -> list[Film]:
        """In their order."""
        return [Film(title="A New Hope"), Film(title="The Empire Strikes Back")]

    @strawberry.field
    async def sequels(self) -> strawberry.Streamable[Film]:
        """One a second."""
        for title in ("V", "VI", "VII"):
            await asyncio.sleep(1)
            yield Film(title=title)

    @resolver
    async def friend(self) -> Person:
        """Himself."""
        await asyncio.sleep(1)
        return self


@strawberry.type
class Query:
    @resolver
    def person(self) -> Person | None:
        """The one."""
        return Person(name="Luke Skywalker")


@strawberry.type
class Mutation:
    @resolver
    def rename(self, ctx: Ctx, name: str) -> Person:
        """Him."""
        ctx.telemetry.log.debug("renamed", name=name)
        return Person(name=name)

    @resolver
    async def marry(self) -> Person:
        """Takes a while."""
        await asyncio.sleep(1)
        return Person(name="Leia Solo")


GRAPH = build_graph(Query, Mutation)
both = pytest.mark.parametrize("sights", [1, 2], ids=["by graphql-core", "by a plan"])


async def answered(text: str, *, sights: int = 1, variables: dict[str, Any] | None = None) -> list[Any]:
    async with GatewayUnderTest(settings(), GRAPH, wires=working_wires()) as gateway:
        for _ in range(sights - 1):
            await parts_of(gateway, text, variables)
            found = gateway.parts.engine.plans.find(
                gateway.parts.engine.documents.operation(text, None), variables or {}
            )
            assert not isinstance(found, NotPlanned), found
        return await parts_of(gateway, text, variables)


async def timed(text: str, *, sights: int = 1) -> list[float]:
    """When each part was there."""
    loop = asyncio.get_running_loop()
    async with GatewayUnderTest(settings(), GRAPH, wires=working_wires()) as gateway:
        for _ in range(sights - 1):
            await parts_of(gateway, text)
        began, asked = loop.time(), GraphQLRequest(text=text)
        return [round(loop.time() - began, 3) async for _ in gateway.parts.engine.stream(asked)]


def refused(text: str) -> list[str]:
    with pytest.raises(DocumentRejected) as caught:
        Documents(GRAPH.core, max_entries=1, max_tokens=1_000, metrics=Metrics()).operation(text, None)
    return [error.message for error in caught.value.errors]


# -- Type System: @defer, @stream ----------------------------------------------------------------------------------------


def test_the_schema_tells_both_directives() -> None:
    assert "directive @defer(" in GRAPH.sdl
    assert "on FRAGMENT_SPREAD | INLINE_FRAGMENT" in GRAPH.sdl
    assert "directive @stream(" in GRAPH.sdl


# -- Validation ----------------------------------------------------------------------------------------------------------


def test_defer_and_stream_directives_are_used_on_valid_root_field() -> None:
    (said,) = refused('mutation { ... @defer { rename(name: "Leia") { name } } }')
    assert "root mutation type" in said


def test_defer_and_stream_directive_labels_are_unique() -> None:
    (said,) = refused('{ person { ... @defer(label: "a") { name } ... @defer(label: "a") { films { title } } } }')
    assert "label" in said


def test_a_label_is_no_variable() -> None:
    (said,) = refused("query($label: String) { person { ... @defer(label: $label) { name } } }")
    assert "label" in said


def test_stream_directives_are_used_on_list_fields() -> None:
    (said,) = refused("{ person { name @stream } }")
    assert "@stream" in said.lower() or "Stream" in said


# -- Response: Incremental Delivery ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_example_of_a_query_containing_both_defer_and_stream() -> None:
    parts = await answered("""{ person {
        ...HomeWorldFragment @defer(label: "homeWorldDefer")
        name
        films @stream(initialCount: 1, label: "filmsStream") { title }
      } }
      fragment HomeWorldFragment on Person { homeWorld { name } }""")
    assert parts[0] == {
        "data": {"person": {"name": "Luke Skywalker", "films": [{"title": "A New Hope"}]}},
        "pending": [
            {"id": "0", "path": ["person"], "label": "homeWorldDefer"},
            {"id": "1", "path": ["person", "films"], "label": "filmsStream"},
        ],
        "hasNext": True,
    }
    assert parts[-1] == {
        "incremental": [{"id": "0", "data": {"homeWorld": {"name": "Tatooine"}}}],
        "completed": [{"id": "0"}],
        "hasNext": False,
    }
    data, errors = merged(parts)
    assert [film["title"] for film in data["person"]["films"]] == ["A New Hope", "The Empire Strikes Back"]
    assert errors == []


@both
@in_virtual_time
async def test_a_non_null_error_in_a_deferred_fragment_completes_it_with_errors(sights: int) -> None:
    parts = await answered("{ person { name ... @defer { lostWorld { name } } } }", sights=sights)
    assert parts[0]["data"] == {"person": {"name": "Luke Skywalker"}}
    (completed,) = parts[1]["completed"]
    assert "incremental" not in parts[1]
    assert [(error["path"], error["message"]) for error in completed["errors"]] == [
        (["person", "lostWorld"], "nobody knows where it is")
    ]


@both
@in_virtual_time
async def test_where_a_part_of_a_deferred_fragment_fails_nothing_of_it_is_delivered(sights: int) -> None:
    text = """{ person { name friend { name } ... @defer(label: "outer") { films { title }
        friend { lostWorld { name } ... @defer(label: "inner") { homeWorld { name } } } } } }"""
    parts = await answered(text, sights=sights)
    assert [each["label"] for part in parts for each in part.get("pending", ())] == ["outer"]
    data, errors = merged(parts)
    assert data == {"person": {"name": "Luke Skywalker", "friend": {"name": "Luke Skywalker"}}}
    assert [error["path"] for error in errors] == [["person", "friend", "lostWorld"]]


@both
@in_virtual_time
async def test_a_fragment_inside_another_goes_deeper_as_well(sights: int) -> None:
    text = """{ person { name friend { name } ... @defer(label: "outer") { films { title } friend { films { title } }
        ... @defer(label: "inner") { homeWorld { name } friend { homeWorld { name } } } } } }"""
    parts = await answered(text, sights=sights)
    assert [[each["label"] for each in part.get("pending", ())] for part in parts] == [["outer"], ["inner"], []]
    home, films = {"name": "Tatooine"}, [{"title": "A New Hope"}, {"title": "The Empire Strikes Back"}]
    friend = {"name": "Luke Skywalker", "films": films, "homeWorld": home}
    assert merged(parts) == ({"person": {**friend, "friend": friend}}, [])


@both
@in_virtual_time
async def test_fragments_nested_in_deferred_fragments_are_pending_when_these_are_completed(sights: int) -> None:
    text = """{ person { name
        ... @defer(label: "outer") { friend { name ... @defer(label: "inner") { homeWorld { name } } } } } }"""
    parts = await answered(text, sights=sights)
    assert [[(each["label"], each["path"]) for each in part.get("pending", ())] for part in parts] == [
        [("outer", ["person"])],
        [("inner", ["person", "friend"])],
        [],
    ]
    assert merged(parts)[0]["person"]["friend"] == {"name": "Luke Skywalker", "homeWorld": {"name": "Tatooine"}}


@both
@in_virtual_time
async def test_a_fragment_without_fields_of_its_own_is_not_announced_but_those_within_it_are(sights: int) -> None:
    text = '{ person { name ... @defer(label: "outer") { name ... @defer(label: "inner") { homeWorld { name } } } } }'
    parts = await answered(text, sights=sights)
    assert [each["label"] for each in parts[0]["pending"]] == ["inner"]


# -- Execution: Collecting Fields ------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("wanted", [True, False])
@in_virtual_time
async def test_defer_heeds_its_condition(sights: int, wanted: bool) -> None:
    text = "query($later: Boolean!) { person { name ... @defer(if: $later) { homeWorld { name } } } }"
    parts = await answered(text, sights=sights, variables={"later": wanted})
    assert len(parts) == (2 if wanted else 1)
    assert merged(parts)[0] == {"person": {"name": "Luke Skywalker", "homeWorld": {"name": "Tatooine"}}}


@both
@in_virtual_time
async def test_a_condition_that_is_not_given_defers(sights: int) -> None:
    text = "query($later: Boolean = true) { person { name ... @defer(if: $later) { homeWorld { name } } } }"
    assert len(await answered(text, sights=sights)) == 2


@both
@in_virtual_time
async def test_what_a_mutation_returns_may_be_deferred(sights: int) -> None:
    text = 'mutation { rename(name: "Leia") { name ... @defer { homeWorld { name } } } }'
    parts = await answered(text, sights=sights)
    assert parts[0]["data"] == {"rename": {"name": "Leia"}}
    assert merged(parts) == ({"rename": {"name": "Leia", "homeWorld": {"name": "Tatooine"}}}, [])


@both
@in_virtual_time
async def test_what_is_deferred_in_a_mutation_is_begun_when_its_last_field_has_ended(sights: int) -> None:
    text = """mutation { rename(name: "Leia") { name ... @defer { homeWorld { name } } }
        marry { name ... @defer { friend { name } } } }"""
    assert await timed(text, sights=sights) == [1.0, 2.0]


# -- Execution: Completing Values, @stream -------------------------------------------------------------------------------


@in_virtual_time
async def test_items_that_come_by_and_by_are_delivered_each_when_it_is_there() -> None:
    text = "{ person { sequels @stream(initialCount: 1) { title } } }"
    assert await timed(text) == [1.0, 2.0, 3.0]
    data, errors = merged(await answered(text))
    assert ([film["title"] for film in data["person"]["sequels"]], errors) == (["V", "VI", "VII"], [])
