"""When an operation is compiled, what is kept of it, and what is left to graphql-core."""

from __future__ import annotations

import gc
from inspect import cleandoc
from typing import Any

import pytest

from gateway.execution.planner import NotPlanned
from gateway.execution.plans import MAX_VARIANTS, Plans
from gateway.telemetry import Telemetry
from gateway.testing import in_virtual_time
from tests.unit.graph.shop import graph, shop

from .compiling import operation_of


def plans(**given: Any) -> Plans:
    return Plans(graph.core, **{"is_on": True, "telemetry": Telemetry(), **given})


def outcomes(known: Plans) -> dict[str, float]:
    samples = [sample for family in known._outcomes.instrument.collect() for sample in family.samples]
    return {sample.labels["outcome"]: sample.value for sample in samples if sample.name.endswith("_total")}


def test_an_operation_is_compiled_when_it_is_seen_again() -> None:
    known, operation = plans(), operation_of(graph, "{ hello }")
    assert isinstance(known.find(operation, {}), NotPlanned)
    first = known.find(operation, {})
    second = known.find(operation, {})
    assert not isinstance(first, NotPlanned)
    assert not isinstance(second, NotPlanned)
    assert first[0] is second[0]
    assert outcomes(known) == {"first sight": 1, "compiled": 2}


def test_nothing_is_compiled_where_it_is_switched_off() -> None:
    known, operation = plans(is_on=False), operation_of(graph, "{ hello }")
    assert [str(known.find(operation, {})) for _ in range(3)] == ["off"] * 3
    assert outcomes(known) == {"off": 3}


@in_virtual_time
async def test_the_setting_reaches_the_engine() -> None:
    for compiles, expected in ((True, {"first sight": 1, "compiled": 1}), (False, {"off": 2})):
        async with shop(operation={"compile": compiles}) as gateway:
            bodies = [(await gateway.execute("{ hello }")).body for _ in range(2)]
            assert outcomes(gateway.parts.engine.plans) == expected
        assert bodies[0] == bodies[1]


def test_a_plan_is_gone_with_its_document() -> None:
    known = plans(sights=1)
    operation = operation_of(graph, "{ hello }")
    assert not isinstance(known.find(operation, {}), NotPlanned)
    assert repr(known) == "<Plans of 1 operations>"
    del operation
    gc.collect()
    assert repr(known) == "<Plans of 0 operations>"


def test_each_setting_of_the_conditions_has_a_plan_of_its_own_up_to_a_bound() -> None:
    names = [f"b{number}" for number in range(5)]
    text = f"query({' '.join(f'${name}: Boolean!' for name in names)}) {{ hello "
    text += " ".join(f"a{name}: whoami @include(if: ${name})" for name in names) + " }"
    known, operation = plans(sights=1), operation_of(graph, text)
    found = [
        known.find(operation, {name: bool(number >> place & 1) for place, name in enumerate(names)})
        for number in range(MAX_VARIANTS + 4)
    ]
    compiled = [each[0] for each in found if not isinstance(each, NotPlanned)]
    assert len({id(program) for program in compiled}) == MAX_VARIANTS
    assert outcomes(known) == {"compiled": MAX_VARIANTS, "variants": 4}
    assert [len(program.plan.root.fields) for program in compiled[:4]] == [1, 2, 2, 3]


def test_other_variables_have_no_part_in_it() -> None:
    known, operation = plans(sights=1), operation_of(graph, "query($n: String) { hello(name: $n) }")
    found = [known.find(operation, {"n": name}) for name in ("a", "b", None)]
    assert len({id(each[0]) for each in found if not isinstance(each, NotPlanned)}) == 1


@pytest.mark.parametrize(
    ("text", "variables", "reason"),
    [
        ("{ __schema { types { name } } }", {}, "introspection"),
        ('{ hello __type(name: "Query") { name } }', {}, "introspection"),
        ("query($n: [String!]!) { products(keys: $n) { sku } }", {}, "variables"),
        ("query($b: Boolean = true) { hello @skip(if: $b) }", {"b": None}, "condition"),
    ],
)
def test_what_has_no_plan_is_counted_by_its_reason_and_left_to_graphql_core(
    text: str, variables: dict[str, Any], reason: str
) -> None:
    known, operation = plans(sights=1), operation_of(graph, text)
    assert [str(known.find(operation, variables)) for _ in range(2)] == [reason] * 2
    assert outcomes(known) == {reason: 2}


def test_a_document_of_nested_fragments_cannot_ask_for_a_plan_without_end() -> None:
    levels = 14
    fragments = " ".join(
        f"fragment F{level} on Product {{ a: madeBy {{ name }} pages {{ edges {{ node {{ id }} }} }} ...F{level + 1} }}"
        for level in range(levels)
    )
    wide = " ".join(f'p{number}: product(id: "x") {{ ...F0 }}' for number in range(400))
    text = f"{{ {wide} }} {fragments} fragment F{levels} on Product {{ {' '.join(f's{n}: sku' for n in range(40))} }}"
    known = plans(sights=1)
    assert str(known.find(operation_of(graph, text), {})) == "too large"
    assert outcomes(known) == {"too large": 1}


def test_a_plan_is_printed_for_people() -> None:
    text = """{ products(keys: ["a"]) { id sku t: __typename stock { quantity } days
                                  reviews(first: 1) { author { name } } margin } }"""
    found = plans(sights=1).find(operation_of(graph, text), {})
    assert not isinstance(found, NotPlanned)
    assert str(found[0].plan) == cleandoc(
        """
        query
          products: calls products
            id: makes the id of its key
            sku: copies sku
            t: the type's name
            stock: joins inventory /stock on sku
              quantity: copies quantity
            days: calls days once a layer
            reviews: joins reviews /reviews on key
              author: joins catalog /authors on author_key
                name: copies name
            margin: calls margin
        """
    )
