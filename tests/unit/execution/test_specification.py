"""Executing a plan, section by section of the GraphQL specification (October 2021, chapter 6). After graphql-core's own tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Optional

import pytest
import strawberry

from gateway import batched, entity, field, resolver
from gateway.execution.plans import Plans
from gateway.graph import build_graph
from gateway.telemetry import Telemetry
from gateway.testing import in_virtual_time

from .compiling import executed, operation_of, told

SAID: list[str] = []


@strawberry.interface
class Pet:
    name: str


@strawberry.type
class Dog(Pet):
    barks: bool


@strawberry.type
class Cat(Pet):
    meows: bool


@strawberry.type
class Stone:
    weight: int


Found = Annotated[Dog | Stone, strawberry.union("Found")]


@entity
class Item:
    """Something, and whether it is well."""

    key: str = field("Its key.")
    note: str | None = field("A word.")
    must: str = field("A word that must be there.")

    @resolver
    async def late(self, seconds: float = 1.0) -> str | None:
        """There in a while."""
        SAID.append(f"begin {self.key}")
        await asyncio.sleep(seconds)
        SAID.append(f"end {self.key}")
        return self.key

    @resolver
    async def late_must(self) -> str:
        """Fails in a while."""
        await asyncio.sleep(0.5)
        raise RuntimeError("late and broken")

    @batched
    @staticmethod
    async def sizes(items: list["Item"]) -> list[int]:
        """Once for all."""
        SAID.append(f"sizes of {len(items)}")
        return [len(each.key) for each in items]

    @strawberry.field
    def child(self) -> Optional["Item"]:
        return item(f"{self.key}.")

    @strawberry.field
    def child_must(self) -> "Item":
        return item(f"{self.key}.", must=None)

    @strawberry.field
    def promised(self) -> list[Optional["Item"]]:
        """Items that come one by one, the later the longer their names."""
        return [promise("c" * length) for length in (3, 1, 2)]  # type: ignore[misc]


def item(key: str, **given: Any) -> Item:
    return Item(key=key, **{"note": None, "must": "there", **given})


async def promise(key: str) -> Item:
    await asyncio.sleep(len(key))
    return item(key)


def some_numbers() -> Iterator[Any]:
    yield 1
    raise RuntimeError("cut")


async def later_numbers() -> AsyncIterator[Any]:
    yield 1
    await asyncio.sleep(1)
    yield 2


LISTS: dict[str, Any] = {
    "plain": [1, 2],
    "null": None,
    "holed": [1, None, 2],
    "broken": [1, RuntimeError("bad"), 2],
    "tuple": (1, 2),
    "set": {1},
    "text": "12",
    "number": 7,
    "error": RuntimeError("all bad"),
}


def given(what: str) -> list[Any]:
    """No list at all, sometimes: authors promise more than they keep."""
    made: dict[str, Any] = {"generator": some_numbers, "stream": later_numbers}
    found: Any = made[what]() if what in made else LISTS[what]
    return found  # type: ignore[no-any-return]


@strawberry.type
class Query:
    @strawberry.field
    def numbers(self, what: str) -> list[int | None] | None:
        return given(what)

    @strawberry.field
    def list_of_must(self, what: str) -> list[int] | None:
        return given(what)

    @strawberry.field
    def must_list(self, what: str) -> list[int | None]:
        return given(what)

    @strawberry.field
    def must_list_of_must(self, what: str) -> list[int]:
        return given(what)

    @strawberry.field
    def pets(self) -> list[Pet]:
        return [Dog(name="Odie", barks=True), Cat(name="Garfield", meows=False)]

    @strawberry.field
    def cat(self) -> Cat | None:
        return None

    @strawberry.field
    def found(self) -> list[Found]:
        return [Stone(weight=3), Dog(name="Odie", barks=True)]

    @strawberry.field
    def stray(self) -> Pet | None:
        return Stone(weight=1)  # type: ignore[return-value]

    @strawberry.field
    def lost(self) -> Found | None:
        return item("lost")  # type: ignore[return-value]

    @strawberry.field
    def item(self, key: str = "a", note: str | None = None) -> Item | None:
        return item(key, note=note)

    @strawberry.field
    def items(self, keys: list[str], broken: str | None = None) -> list[Item] | None:
        return [item(key, must=None if key == broken else "there") for key in keys]

    @strawberry.field
    def holes(self, keys: list[str], broken: str | None = None) -> list[Item | None]:
        return [item(key, must=None if key == broken else "there") for key in keys]

    @strawberry.field
    def must(self) -> Item:
        return item("must", must=None)

    @resolver
    async def hang(self) -> str | None:
        """Never there."""
        await asyncio.get_running_loop().create_future()
        return None


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def add(self, name: str, seconds: float = 0.0) -> Item | None:
        SAID.append(f"begin {name}")
        await asyncio.sleep(seconds)
        SAID.append(f"end {name}")
        if name == "bad":
            raise RuntimeError("refused")
        return item(name)

    @strawberry.mutation
    def must_add(self, name: str) -> Item:
        raise RuntimeError("refused")


graph = build_graph(Query, Mutation)


@pytest.fixture(autouse=True)
def _silence() -> None:
    SAID.clear()


# -- 6.1.2 Coercing Variable Values, 6.4.1 Coercing Field Arguments ----------------------------------------------------


@in_virtual_time
async def test_a_variable_that_is_not_given_leaves_the_argument_to_its_default_and_null_does_not() -> None:
    text = 'query($note: String) { item(key: "k", note: $note) { key note } }'
    assert (await executed(graph, text, {"note": "n"})).data == {"item": {"key": "k", "note": "n"}}
    assert (await executed(graph, text, {"note": None})).data == {"item": {"key": "k", "note": None}}
    text = 'query($key: String = "v") { item(key: $key) { key } }'
    assert (await executed(graph, text)).data == {"item": {"key": "v"}}
    found = await executed(graph, 'query($key: String!) { items(keys: [$key, "b"]) { key } }', {"key": "a"})
    assert found.data == {"items": [{"key": "a"}, {"key": "b"}]}


@in_virtual_time
async def test_an_argument_that_its_variable_makes_wrong_is_an_error_of_the_field() -> None:
    found = await executed(graph, 'query($key: String = "k") { item(key: $key) { key } cat { name } }', {"key": None})
    assert found.data == {"item": None, "cat": None}
    assert [path for path, _ in told(found)] == [["item"]]


# -- 6.2.2 Mutation, 6.3.2 Normal and Serial Execution -----------------------------------------------------------------


@in_virtual_time
async def test_fields_of_a_mutation_are_executed_one_after_the_other_with_all_that_is_below() -> None:
    text = 'mutation { a: add(name: "a", seconds: 1) { late } b: add(name: "b") { key } c: add(name: "c") { key } }'
    found = await executed(graph, text)
    assert list(found.data or {}) == ["a", "b", "c"]
    assert ", ".join(SAID) == "begin a, end a, begin a, end a, begin b, end b, begin c, end c"


@in_virtual_time
async def test_a_mutation_goes_on_after_a_field_that_failed_unless_it_had_to_be_there() -> None:
    found = await executed(graph, 'mutation { a: add(name: "bad") { key } b: add(name: "b") { key } }')
    assert (found.data, told(found)) == ({"a": None, "b": {"key": "b"}}, [(["a"], "refused")])
    SAID.clear()
    found = await executed(graph, 'mutation { mustAdd(name: "a") { key } b: add(name: "b") { key } }')
    assert (found.data, told(found), SAID) == (None, [(["mustAdd"], "refused")], [])


@in_virtual_time
async def test_fields_of_a_query_are_executed_side_by_side() -> None:
    await executed(graph, '{ a: item(key: "a") { late } b: item(key: "b") { late other: late } }')
    assert asyncio.get_running_loop().time() == pytest.approx(1.0)
    assert SAID[:3] == ["begin a", "begin b", "begin b"]


# -- 6.3.1 Field Collection, 3.13 @skip and @include -------------------------------------------------------------------


@in_virtual_time
async def test_fields_of_one_name_are_merged_in_the_place_of_the_first() -> None:
    text = """{ item { key } second: item { note } item { ...F key } }
              fragment F on Item { must child { key } child { note } }"""
    data: Any = (await executed(graph, text)).data
    assert data == {
        "item": {"key": "a", "must": "there", "child": {"key": "a.", "note": None}},
        "second": {"note": None},
    }
    assert [list(data), list(data["item"])] == [["item", "second"], ["key", "must", "child"]]


@pytest.mark.parametrize("yes", [True, False])
@in_virtual_time
async def test_conditions_are_taken_from_literals_and_variables(yes: bool) -> None:
    text = """query($yes: Boolean!) { item {
        a: key @include(if: $yes) b: key @skip(if: $yes) c: key @include(if: true) @skip(if: $yes) d: key @skip(if: true)
        ... @include(if: $yes) { e: key } ...F @skip(if: $yes) } } fragment F on Item { f: key }"""
    found = await executed(graph, text, {"yes": yes})
    assert found.data == {"item": dict.fromkeys("ae" if yes else "bcf", "a")}


# -- 6.4.2 Value Resolution --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_batch_resolver_is_called_once_for_a_layer() -> None:
    found = await executed(graph, '{ items(keys: ["a", "bb", "ccc"]) { sizes } }')
    assert found.data == {"items": [{"sizes": 1}, {"sizes": 2}, {"sizes": 3}]}
    assert SAID == ["sizes of 3"]


@in_virtual_time
async def test_what_is_below_an_object_that_is_there_does_not_wait_for_the_others() -> None:
    await executed(graph, '{ quick: item(key: "a") { late(seconds: 1) child { late(seconds: 3) } } }')
    assert asyncio.get_running_loop().time() == pytest.approx(3.0)


@in_virtual_time
async def test_what_is_below_an_item_that_is_there_does_not_wait_for_the_other_items() -> None:
    found = await executed(graph, "{ item { promised { key late(seconds: 5) } } }")
    assert found.data == {"item": {"promised": [{"key": key, "late": key} for key in ("ccc", "c", "cc")]}}
    assert asyncio.get_running_loop().time() == pytest.approx(8.0)
    assert SAID[:3] == ["begin c", "begin cc", "begin ccc"]


# -- 6.4.3 Value Completion: lists -------------------------------------------------------------------------------------

NO_LIST = "Expected Iterable, but did not find one for field 'Query.numbers'."


@pytest.mark.parametrize(
    ("what", "expected", "errors"),
    [
        ("plain", [1, 2], []),
        ("null", None, []),
        ("holed", [1, None, 2], []),
        ("broken", [1, None, 2], [((1,), "bad")]),
        ("tuple", [1, 2], []),
        ("set", [1], []),
        ("generator", None, [((), "cut")]),
        ("stream", [1, 2], []),
        ("text", None, [((), NO_LIST)]),
        ("number", None, [((), NO_LIST)]),
        ("error", None, [((), "all bad")]),
    ],
)
@in_virtual_time
async def test_a_list_is_whatever_can_be_iterated_and_is_no_text(what: str, expected: Any, errors: list[Any]) -> None:
    found = await executed(graph, f'{{ numbers(what: "{what}") }}')
    assert found.data == {"numbers": expected}
    assert told(found) == [(["numbers", *path], message) for path, message in errors]


@pytest.mark.parametrize(
    ("name", "what", "data", "path"),
    [
        ("listOfMust", "holed", {"listOfMust": None}, ["listOfMust", 1]),
        ("mustList", "null", None, ["mustList"]),
        ("mustList", "holed", {"mustList": [1, None, 2]}, None),
        ("mustListOfMust", "holed", None, ["mustListOfMust", 1]),
        ("mustListOfMust", "null", None, ["mustListOfMust"]),
    ],
)
@in_virtual_time
async def test_null_in_a_list_goes_as_far_up_as_the_type_says(name: str, what: str, data: Any, path: Any) -> None:
    found = await executed(graph, f'{{ {name}(what: "{what}") }}')
    message = f"Cannot return null for non-nullable field Query.{name}."
    assert found.data == data
    assert told(found) == ([] if path is None else [(path, message)])


# -- 6.4.3 Value Completion: abstract types ----------------------------------------------------------------------------


@in_virtual_time
async def test_objects_of_an_interface_and_of_a_union_are_told_apart() -> None:
    found = await executed(
        graph,
        """{ pets { __typename name ... on Dog { barks } ... on Cat { meows } }
             found { __typename ... on Pet { name } ... on Stone { weight } } }""",
    )
    assert found.data == {
        "pets": [
            {"__typename": "Dog", "name": "Odie", "barks": True},
            {"__typename": "Cat", "name": "Garfield", "meows": False},
        ],
        "found": [{"__typename": "Stone", "weight": 3}, {"__typename": "Dog", "name": "Odie"}],
    }


@in_virtual_time
async def test_an_object_that_is_none_of_the_possible_types_is_an_error_at_its_place() -> None:
    found = await executed(graph, "{ stray { name } lost { __typename } }")
    assert found.data == {"stray": None, "lost": None}
    assert [path for path, _ in told(found)] == [["lost"], ["stray"]]


@strawberry.type
class Awaited:
    here: bool

    @classmethod
    async def is_type_of(cls, value: object, info: object) -> bool:
        return True


@strawberry.type
class AskingQuery:
    @strawberry.field
    def it(self) -> Awaited | None:
        return None


def test_a_type_check_that_is_awaited_is_left_to_graphql_core() -> None:
    plans = Plans(build_graph(AskingQuery).core, is_on=True, telemetry=Telemetry(), sights=1)
    found = plans.find(operation_of(build_graph(AskingQuery), "{ it { here } }"), {})
    assert str(found) == "type check"


# -- 6.4.4 Handling Field Errors ---------------------------------------------------------------------------------------

NULL = "Cannot return null for non-nullable field Item.must."


@pytest.mark.parametrize(
    ("text", "data", "path"),
    [
        (
            '{ holes(keys: ["a", "b"], broken: "b") { key must } }',
            {"holes": [{"key": "a", "must": "there"}, None]},
            ["holes", 1, "must"],
        ),
        ('{ items(keys: ["a", "b"], broken: "b") { key must } }', {"items": None}, ["items", 1, "must"]),
        (
            "{ item { child { childMust { must } key } } }",
            {"item": {"child": None}},
            ["item", "child", "childMust", "must"],
        ),
        ("{ must { must } }", None, ["must", "must"]),
    ],
    ids=["an item", "a list", "two objects up", "the whole answer"],
)
@in_virtual_time
async def test_null_goes_up_to_the_nearest_place_that_may_be_null(text: str, data: Any, path: list[str]) -> None:
    found = await executed(graph, text)
    assert (found.data, told(found)) == (data, [(path, NULL)])


@in_virtual_time
async def test_of_several_errors_in_what_became_null_only_the_first_is_told() -> None:
    found = await executed(graph, "{ must { must again: must } }")
    assert found.data is None
    assert len(told(found)) == 1


@in_virtual_time
async def test_where_the_whole_answer_became_null_nobody_is_waited_for() -> None:
    found = await executed(graph, '{ holes(keys: ["a"]) { late(seconds: 9) lateMust } must { must } hang }')
    assert (found.data, asyncio.get_running_loop().time()) == (None, 0.0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_whoever_works_for_what_became_null_is_cancelled() -> None:
    found = await executed(graph, '{ holes(keys: ["a", "b"]) { late(seconds: 9) lateMust } }')
    assert found.data == {"holes": [None, None]}
    assert asyncio.get_running_loop().time() == pytest.approx(0.5)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_who_cancels_the_run_cancels_all_of_it() -> None:
    text = '{ hang other: hang items(keys: ["a", "b"]) { late(seconds: 9) } }'
    running = asyncio.ensure_future(executed(graph, text))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == {asyncio.current_task()}
