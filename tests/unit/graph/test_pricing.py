"""What authors declare that fields cost and how long lists are: printed, estimated, counted; and every mistake a sentence."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import pytest
import strawberry

from gateway import Between, Ctx, Items, Service, batched, entity, field, join, resolver, sized
from gateway.execution.cost import Cost
from gateway.execution.costing import Costs
from gateway.execution.document import Documents
from gateway.execution.explaining.estimating import ASSUMED
from gateway.graph import GraphInvalid, build_graph
from gateway.telemetry import Metrics
from tests.unit.execution.explaining.asking import explained, formula_of

catalog = Service("catalog")


@entity
class Forecast:
    pieces: int = field("How many will be sold.")


@entity
class Part:
    name: str = field("As it is written on it.")


@entity
class Parts:
    edges: list[Part] = field("Some.")
    hidden: list[Part] = field("Others.")


forecasts = catalog.loader("/forecasts", keys="ids", key="id", into=Forecast, params={"day": "day"}, max_batch=50)
parts_by_id = catalog.loader(
    "/parts", keys="ids", key="id", into=Part, many=True, params={"limit": "limit"}, max_batch=50
)


@entity
class Thing:
    key: str = field("Of the catalog.")
    secret: str = field("Dear to make.", cost=2)
    tags: list[Part] = field("A few.", list_size=3)
    forecast: Forecast | None = join(forecasts, on="key", day=(str, "today"), cost=5)
    parts: list[Part] | None = join(
        parts_by_id, on="key", limit=(Annotated[int | None, Between(1, 40)], None), list_size=sized(by="limit")
    )
    usual: list[Part] | None = join(parts_by_id, on="key", limit=(int | None, None), list_size=sized(4, by="limit"))

    @resolver(cost=7, list_size=6)
    def computed(self) -> list[Part]:
        return []

    @batched.priced(3, list_size=sized(by="most", of="edges"))
    @staticmethod
    async def window(things: list["Thing"], ctx: Ctx, most: int) -> list[Parts]:
        return [Parts(edges=[], hidden=[]) for _ in things]


@entity
class Cheap:
    value: str = field("Read.", cost=1)


@entity
class Dear:
    value: str = field("Computed.", cost=4)


@strawberry.type
class Query:
    @resolver
    def either(self) -> Annotated[Cheap | Dear, strawberry.union("Either")]:
        raise NotImplementedError  # only what it is declared to cost is read: nobody executes it

    @resolver(list_size=sized(by=["first_of", "last_of"]))
    def things(self, first_of: int | None = None, last_of: int | None = None) -> list[Thing]:
        return []

    @resolver(list_size=sized(by="keys"))
    def chosen(self, keys: Annotated[list[str], Items(1, 30)]) -> list[Thing]:
        return []

    @strawberry.field
    def thing(self) -> Thing:
        raise NotImplementedError  # only what it is declared to cost is read: nobody executes it


@entity
class Wrong:
    name: str = field("No list.", list_size=3)

    @resolver(list_size=sized(by="limit"))
    def missing(self) -> list[str]:
        return []

    @resolver(list_size=sized(by="word"))
    def no_number(self, word: str) -> list[str]:
        return [word]

    @resolver(list_size=sized(3, of="elsewhere"))
    def no_field(self) -> Parts:
        raise NotImplementedError  # only what it is declared to cost is read: nobody executes it


@strawberry.type
class Misled:
    wrong: Wrong


GRAPH = build_graph(Query)


def cost(selection: str, variables: Mapping[str, Any] | None = None) -> Cost:
    return explained(selection, variables, graph=GRAPH).cost


def of_thing(selection: str) -> Cost:
    """Besides the thing itself."""
    found = cost(f"{{ thing {{ {selection} }} }}")
    return Cost(calls=found.calls, objects=found.objects - 1, declared=found.declared)


@pytest.mark.parametrize(
    "line",
    [
        'secret: String! @cost(weight: "2")',
        "tags: [Part!]! @listSize(assumedSize: 3)",
        'forecast(day: String! = "today"): Forecast @degrades(to: NULL) @cost(weight: "5")',
        '@listSize(slicingArguments: ["limit"], requireOneSlicingArgument: false)',
        '@listSize(assumedSize: 4, slicingArguments: ["limit"], requireOneSlicingArgument: false)',
        'computed: [Part!]! @cost(weight: "7") @listSize(assumedSize: 6)',
        (
            'window(most: Int!): Parts! @cost(weight: "3") @listSize(slicingArguments: ["most"], sizedFields: ["edges"], '
            "requireOneSlicingArgument: false)"
        ),
        '@listSize(slicingArguments: ["firstOf", "lastOf"], requireOneSlicingArgument: false)',
        "directive @cost(weight: String!) on FIELD_DEFINITION",
        (
            "directive @listSize(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], "
            "requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION"
        ),
    ],
)
def test_what_is_declared_stands_in_the_schema(line: str) -> None:
    assert line in re.sub(r"\s+", " ", GRAPH.sdl)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("key", Cost()),
        ("secret", Cost(declared=2)),
        ("tags { name }", Cost(objects=3)),
        ("forecast { pieces }", Cost(calls=1, objects=1, declared=5)),
        ("parts(limit: 7) { name }", Cost(calls=1, objects=7)),
        ("parts(limit: 99) { name }", Cost(calls=1, objects=40)),
        ("parts { name }", Cost(calls=1, objects=40)),
        ("usual { name }", Cost(calls=1, objects=4)),
        ("usual(limit: 9) { name }", Cost(calls=1, objects=9)),
        ("computed { name }", Cost(objects=6, declared=7)),
        ("window(most: 8) { edges { name } hidden { name } }", Cost(objects=1 + 8 + 10, declared=3)),
    ],
)
def test_what_is_declared_is_estimated(selection: str, expected: Cost) -> None:
    assert of_thing(selection) == expected


def test_a_list_of_which_nobody_says_how_long_it_is_has_the_assumed_length() -> None:
    assert of_thing("window(most: 1) { hidden { name } }").objects == 1 + ASSUMED


def test_a_weight_is_paid_for_each_parent_and_a_call_for_each_batch() -> None:
    found = cost("{ things(firstOf: 120) { secret forecast { pieces } } }")
    assert found == Cost(calls=3, objects=120 + 120, declared=120 * (2 + 5))
    assert found.total == 3 * 10 + 240 + 840


@pytest.mark.parametrize(
    ("arguments", "length"), [("firstOf: 3, lastOf: 8", 8), ("lastOf: 2", 2), ("firstOf: null", 10)]
)
def test_of_several_arguments_the_largest_says_how_long_the_list_is(arguments: str, length: int) -> None:
    assert cost(f"{{ things({arguments}) {{ key }} }}").objects == length


@pytest.mark.parametrize(
    ("text", "variables", "length"),
    [
        ('{ chosen(keys: ["a", "b", "c"]) { key } }', {}, 3),
        ('{ chosen(keys: "a") { key } }', {}, 1),
        ("query ($keys: [String!]!) { chosen(keys: $keys) { key } }", {"keys": ["a"] * 7}, 7),
        ("query ($keys: [String!]!) { chosen(keys: $keys) { key } }", {"keys": ["a"] * 5_000}, 30),
        ('query ($keys: [String!]! = ["a", "b"]) { chosen(keys: $keys) { key } }', {}, 2),
        ("query ($one: String!) { chosen(keys: [$one, $one]) { key } }", {"one": "a"}, 2),
    ],
)
def test_a_list_that_is_an_argument_says_its_own_length(text: str, variables: Mapping[str, Any], length: int) -> None:
    documents = Documents(GRAPH.core, max_entries=1, max_tokens=10_000, metrics=Metrics())
    make = partial(formula_of, graph=GRAPH)
    costs = Costs(limit=None, mode=None, slicing=GRAPH.slicing, formula=make, metrics=Metrics())
    assert costs.estimate(documents.operation(text, None), variables).objects == length
    assert cost(text, variables).objects == length


def test_nobody_has_a_cheap_operation_estimated_and_then_sends_a_dear_one() -> None:
    """Joins with equal arguments are one call; whether they are equal shows only when the variables are there."""
    names = [f"d{number}" for number in range(10)]
    asked = " ".join(f"{name}: forecast(day: ${name}) {{ pieces }}" for name in names)
    text = f"query ({', '.join(f'${name}: String!' for name in names)}) {{ thing {{ {asked} }} }}"
    documents = Documents(GRAPH.core, max_entries=1, max_tokens=10_000, metrics=Metrics())
    costs = Costs(
        limit=None, mode=None, slicing=GRAPH.slicing, formula=partial(formula_of, graph=GRAPH), metrics=Metrics()
    )
    operation = documents.operation(text, None)

    alike = costs.estimate(operation, dict.fromkeys(names, "monday"))
    different = costs.estimate(operation, {name: name for name in names})

    assert alike == different
    assert different.calls == len(names)


def test_of_types_that_declare_different_costs_each_has_its_own() -> None:
    cheap, dear = (cost(f"{{ either {{ ... on {name} {{ value }} }} }}").declared for name in ("Cheap", "Dear"))
    assert (cheap, dear) == (1, 4)
    assert cost("{ either { ... on Cheap { value } ... on Dear { value } } }").declared == cheap + dear, "as if of both"


def test_the_names_of_all_arguments_that_say_a_length_are_known() -> None:
    assert GRAPH.slicing == {"first", "last", "firstOf", "lastOf", "keys", "limit", "most"}


@pytest.mark.parametrize(
    ("declare", "sentence"),
    [
        (lambda: field(cost=-1), "cost= is a weight from 0 to 1000000, not -1"),
        (lambda: field(list_size=0), "a list is assumed to have 1 to 1000000 items, not 0"),
        (lambda: sized(), "a list's size is assumed, or said by an argument"),
    ],
)
def test_what_cannot_be_a_cost_is_refused_where_it_is_written(declare: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        declare()


def test_what_does_not_fit_the_schema_is_told_when_it_is_built() -> None:
    with pytest.raises(GraphInvalid) as caught:
        build_graph(Misled)
    assert caught.value.problems == [
        "Wrong.name: list_size= stands on a field that has no list: it is of type String!",
        "Wrong.missing: list_size= names the argument 'limit', which the field has not (it has: none)",
        "Wrong.noNumber: list_size= names the argument 'word', which is neither an Int nor a list and so says no length",
        "Wrong.noField: list_size= names 'elsewhere', which is no list of Parts",
    ]
