"""Whether an operation is executed by its own plan: what `explain` says of it is what the engine does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from gateway.clock import Seconds
from gateway.execution.explaining import explain
from gateway.execution.planner import NotPlanned
from gateway.execution.plans import Plans
from gateway.explanation_tree import explained as told
from gateway.telemetry import Telemetry
from tests.unit.execution.compiling import operation_of
from tests.unit.execution.explaining.asking import configured, explained, reference

PLAIN = "{ products(first: 2) { edges { node { name } } } }"
OFTEN = (
    "query($more: Boolean!) { products(first: 2) { edges { node { name stock @include(if: $more) { quantity } } } } }"
)


@pytest.mark.parametrize(
    ("document", "variables", "reason"),
    [
        (PLAIN, None, None),
        ("{ __typename }", None, None),
        (OFTEN, None, None),
        (OFTEN, {"more": True}, None),
        ("{ __schema { types { name } } }", None, "introspection"),
        (
            "query($x: Boolean! = true) { products(first: 2) @skip(if: $x) { totalCount } __schema { types { name } } }",
            None,
            "introspection",
        ),
    ],
)
def test_it_is_told_as_the_engine_does_it(
    document: str, variables: Mapping[str, Any] | None, reason: str | None
) -> None:
    assert explained(document, variables).not_compiled == reason
    plans = Plans(reference.core, is_on=True, telemetry=Telemetry(), sights=1)
    has_plan = not isinstance(plans.find(operation_of(reference, document), variables or {"more": False}), NotPlanned)
    assert has_plan == (reason is None)


def test_one_setting_of_the_conditions_without_a_plan_is_enough_when_none_is_given() -> None:
    document = (
        "query($all: Boolean!) { products(first: 2) { totalCount } __schema @include(if: $all) { types { name } } }"
    )
    said = {str(given): explained(document, given).not_compiled for given in (None, {"all": True}, {"all": False})}
    assert said == {"None": "introspection", "{'all': True}": "introspection", "{'all': False}": None}


def test_where_the_settings_have_nothing_compiled_that_is_why() -> None:
    found = explain(
        reference,
        operation_of(reference, PLAIN),
        None,
        services=configured(),
        deadline=Seconds(10.0),
        saga_wait=Seconds(10.0),
        compiles=False,
    )
    assert found.not_compiled == "off"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (PLAIN, "executed by its own plan, from its second time on"),
        ("{ __schema { types { name } } }", "executed by graphql-core, since it asks for the schema"),
    ],
)
def test_a_person_reads_it_in_words(document: str, says: str) -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(told(explained(document)))
    assert says in " ".join(captured.get().split())
