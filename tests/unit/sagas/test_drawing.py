"""Sagas drawn: what stands in drawings/ is what is drawn. To renew a file when it shall change: delete it, run, look at it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Seconds
from gateway.sagas import Saga, definition_of, draw
from gateway.sagas.drawing import Kind, Subject, _span, direct_needs, layers, transitions
from gateway.sagas.states import SagaState

from .ticket import SellTicket
from .world import Chain, PlaceOrder

DRAWINGS = Path(__file__).with_name("drawings")
SAGAS: list[type[Saga[Any, Any]]] = [SellTicket, PlaceOrder, Chain]
KINDS: list[Kind] = ["terminal", "mermaid"]
SUBJECTS: list[Subject] = ["steps", "states"]


@pytest.mark.parametrize(("saga", "kind", "of"), list(product(SAGAS, KINDS, SUBJECTS)))
def test_a_saga_is_drawn_as_it_was(saga: type[Saga[Any, Any]], kind: Kind, of: Subject) -> None:
    file = DRAWINGS / f"{saga.__name__}.{of}.{'txt' if kind == 'terminal' else 'mmd'}"
    drawn = draw(definition_of(saga), kind, of=of)
    if not file.exists():
        file.write_text(drawn, encoding="utf-8")
        pytest.fail(f"{file.name} was not there and is now: look whether it is right")
    assert drawn == file.read_text(encoding="utf-8")


def test_steps_of_one_layer_need_nothing_of_one_another() -> None:
    drawn = [[step.name for step in layer] for layer in layers(definition_of(PlaceOrder))]
    assert drawn == [["reservation", "authorization"], ["capture"], ["shipment"]]


def test_a_need_that_another_need_has_already_is_not_drawn_twice() -> None:
    assert definition_of(PlaceOrder).plan.steps["shipment"].needs == ("reservation", "capture")
    assert direct_needs(definition_of(PlaceOrder))["shipment"] == ("capture",)


def test_a_saga_without_a_pivot_never_goes_forward_only() -> None:
    states = {state for start, end, _ in transitions(definition_of(Chain)) for state in (start, end)}
    assert SagaState.FORWARD_ONLY not in states
    assert SagaState.NEEDS_ATTENTION in states


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.25, "250ms"), (1, "1s"), (90, "90s"), (60, "1m"), (5_400, "90m"), (172_800, "2d"), (1.5, "1.5s")],
)
def test_a_time_is_written_as_an_author_would(seconds: float, written: str) -> None:
    assert _span(Seconds(seconds)) == written
