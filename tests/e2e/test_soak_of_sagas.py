"""A short soak: orders, faults and kills at once; `make soak` takes a thousand sagas and fifty kills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.soaking import Soak
from tests.numbers import assert_told

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

SAGAS, KILLS = 60, 6


def test_orders_through_kills_lost_answers_and_late_effects_are_all_done_or_undone(demo: Demo) -> None:
    soak = Soak(demo, SAGAS, KILLS, seed=2)
    ended = soak.run()
    assert ended.total() >= SAGAS
    assert ended["COMPLETED"] > ended.total() / 4
    assert_told("Sagas of the short soak, at least", SAGAS)
    assert_told("SIGKILLs of the short soak", soak.killed.total())
