"""The supervisor's decisions: how long it waits before it starts a child again."""

from __future__ import annotations

from random import Random

from gateway.clock import Seconds
from gateway.supervisor import FIRST_WAIT, LONGEST_WAIT, STEADY, Restarts


class Highest(Random):
    """Jitter at its upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_waits_double_with_each_early_death_up_to_a_longest() -> None:
    restarts = Restarts()

    waits = [restarts.next_wait(lived=Seconds(1), random=Highest()) for _ in range(12)]

    assert waits[:4] == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT, 8 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT


def test_a_child_that_had_lived_long_is_started_again_soon() -> None:
    restarts = Restarts(deaths=9)

    assert restarts.next_wait(lived=STEADY, random=Highest()) == FIRST_WAIT


def test_children_that_die_together_are_not_started_together() -> None:
    waits = {Restarts(deaths=5).next_wait(lived=Seconds(0), random=Random(seed)) for seed in range(10)}

    assert len(waits) == 10
    assert all(1.6 <= wait <= 3.2 for wait in waits)


def test_ten_thousand_deaths_overflow_nothing() -> None:
    assert Restarts(deaths=10_000).next_wait(lived=Seconds(0), random=Highest()) == LONGEST_WAIT
