"""Small sagas, whole: every graph, every order of answers, every outcome, a crash at every point.

`make soak` searches further, with `FULL`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from gateway.sagas.plan import SagaPlan
from tests.numbers import assert_told

from .plans import found_out_plans, half_undone_plans, shapes, small_plans, waiting_plans
from .search import Luck, Search, all_luck, few_luck


@dataclass(frozen=True)
class Field:
    """What is searched: all `plans` of `size` steps, under `luck`, with up to `crashes` deaths anywhere."""

    plans: Callable[[int], Iterable[SagaPlan]]
    size: int
    luck: Luck
    crashes: int

    def __str__(self) -> str:
        return f"{self.plans.__name__} {self.size} {self.luck.__name__} {self.crashes}"

    def search(self) -> Search:
        return Search(self.luck, crashes=self.crashes).all_of(self.plans(self.size))


KINDS = (small_plans, half_undone_plans, found_out_plans, waiting_plans)
FIELDS = [
    *(
        Field(plans, *depth)
        for plans in KINDS
        for depth in [(1, all_luck, 2), (2, all_luck, 1), (2, few_luck, 2), (3, all_luck, 0), (3, few_luck, 1)]
    ),
    *(Field(plans, 4, few_luck, 0) for plans in (small_plans, found_out_plans)),
]
FULL = [
    *FIELDS,
    *(Field(plans, 4, few_luck, 0) for plans in (half_undone_plans, waiting_plans)),
    *(Field(plans, 3, all_luck, 1) for plans in KINDS),
    *(Field(plans, 4, all_luck, 0) for plans in KINDS),
    *(Field(plans, 4, few_luck, 1) for plans in KINDS),
]

_seen: Counter[str] = Counter()


@pytest.mark.parametrize("searched", FIELDS, ids=str)
def test_every_small_graph_keeps_its_promises_on_every_schedule(searched: Field) -> None:
    found = searched.search()
    _seen.update(fields=1, states=found.states, schedules=found.schedules)
    assert found.schedules > found.states > 0


def test_the_search_was_as_wide_as_the_page_says() -> None:
    if _seen["fields"] != len(FIELDS):
        pytest.skip("only after the whole search")
    assert_told("Graphs of up to four steps, with every pivot", sum(len(list(shapes(size))) for size in range(1, 5)))
    assert_told("States of small sagas searched", _seen["states"])
    assert_told("Schedules that lead through them", _seen["schedules"])
