"""What a record's declaration makes certain is not looked at again; everything else is, and nothing is ever taken on trust."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import pytest
import strawberry

from gateway import Ctx, Service, entity, field, resolver
from gateway.execution.declared import Declared
from gateway.execution.plan import Selection, Single
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.graph import build_graph
from gateway.loading.records import derive
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, in_virtual_time
from tests.unit.execution.compiling import operation_of

depot = Service("depot")


@strawberry.enum
class Colour(Enum):
    RED = "red"


@entity
class Part:
    key: strawberry.Private[str]
    name: str = field("Text.")
    code: strawberry.ID = field("An id.")
    note: str | None = field("Text or nothing.")
    weight: float = field("A number.")
    is_new: bool = field("Yes or no.")
    count: int = field("A whole number.")
    most: int | None = field("A whole number or nothing.")
    colour: Colour = field("One of few.")
    sizes: list[int] = field("Several.")
    wrong: str = field("The author was careless.", default=None)


parts = depot.pages("/parts", into=Part, params={}, shared="public")


@strawberry.type
class Query:
    @resolver
    async def parts(self, ctx: Ctx) -> Sequence[Part]:
        """All."""
        return (await ctx.page(parts)).items


graph = build_graph(Query)


def selection_of(fields: str) -> Selection:
    plans = Plans(graph.core, is_on=True, telemetry=Telemetry(), sights=1)
    found = plans.find(operation_of(graph, f"{{ parts {{ {fields} }} }}"), {})
    assert not isinstance(found, NotPlanned)
    shape: Any = found[0].plan.root.fields[0].shape
    assert isinstance(shape.of, Single)
    return shape.of.selection


@pytest.mark.parametrize(
    ("fields", "certain", "is_copied"),
    [
        ("name code note weight isNew", {"name", "code", "note", "weight", "isNew"}, True),
        ("x: name __typename", {"x"}, True),
        ("name count most", {"name"}, True),
        ("name colour", {"name"}, False),
        ("name sizes", {"name"}, False),
        ("name wrong", {"name"}, False),
        ("__typename", set(), False),
    ],
)
def test_what_is_certain_of_records(fields: str, certain: set[str], is_copied: bool) -> None:
    kind, _ = derive(Part)
    record = kind(**dict.fromkeys(kind.__struct_fields__))
    found = Declared(selection_of(fields)).of([record])
    assert ({each.name for each in found.fields}, found.copy is not None) == (certain, is_copied)


def test_nothing_is_certain_of_objects_of_several_classes_or_of_nothing() -> None:
    kind, hydrate = derive(Part)
    record, declared = kind(**dict.fromkeys(kind.__struct_fields__)), Declared(selection_of("name"))
    for objects in ([hydrate(record)], [record, hydrate(record)], [record, derive(Part)[0]], []):
        assert (declared.of(objects).fields, declared.of(objects).copy) == (frozenset(), None)


def part(**others: object) -> dict[str, object]:
    usual = {
        "key": "k",
        "name": "bolt",
        "code": "b",
        "note": None,
        "weight": 1,
        "isNew": True,
        "count": 1,
        "most": None,
    }
    return {**usual, "colour": "red", "sizes": [1], **others}


async def answered(text: str, *records: dict[str, object]) -> tuple[Any, list[str]]:
    """Data and messages, alike by graphql-core and by the plan."""

    def served(_: ServiceRequest) -> ServiceResponse:
        return answer({"items": list(records)})

    settings = Settings.model_validate({"services": {"depot": {"url": "http://depot.test"}}})
    async with GatewayUnderTest(settings, graph, wires={"depot": ScriptedWire(otherwise=served)}) as gateway:
        first, second = await gateway.execute(text), await gateway.execute(text)
    by_core, by_plan = (
        [f"{error['path']}: {error['extensions']['code']}" for error in found.errors] for found in (first, second)
    )
    assert (first.data, by_core) == (second.data, by_plan)
    return second.data, by_plan


@in_virtual_time
async def test_certain_or_not_the_answer_is_graphql_cores() -> None:
    text = "{ parts { name code note weight isNew count most __typename } }"
    data, errors = await answered(text, part(), part(note="n", most=2**31 - 1))
    assert ([each["weight"] for each in data["parts"]], errors) == ([1.0, 1.0], [])


@pytest.mark.parametrize("broken", [{"count": 2**31}, {"most": -(2**40)}], ids=str)
@in_virtual_time
async def test_a_whole_number_that_graphql_does_not_have_is_an_error_at_its_place(broken: dict[str, object]) -> None:
    name = "count" if "count" in broken else "most"
    _, errors = await answered(f"{{ parts {{ name {name} }} }}", part(), part(**broken))
    assert errors == [f"['parts', 1, '{name}']: INTERNAL_SERVER_ERROR"]


@in_virtual_time
async def test_a_default_of_the_wrong_type_is_found_out() -> None:
    data, errors = await answered("{ parts { name wrong } }", part())
    assert (data, errors) == (None, ["['parts', 0, 'wrong']: INTERNAL_SERVER_ERROR"])
