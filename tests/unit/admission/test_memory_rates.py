"""What each client has taken, in memory: apart from one another, bounded, and forgotten without harm."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import MemoryRates, RateLimit
from tests.unit.admission.held import HeldClock

LIMIT = RateLimit(name="default", rate=10.0, burst=100)


def test_clients_have_nothing_to_do_with_one_another() -> None:
    rates = MemoryRates(HeldClock())
    assert rates.taken("a", LIMIT, points=100).is_allowed
    assert not rates.taken("a", LIMIT, points=1).is_allowed
    assert rates.taken("b", LIMIT, points=100).is_allowed


def test_a_look_takes_nothing() -> None:
    rates = MemoryRates(HeldClock())
    assert all(rates.look("a", LIMIT).is_allowed for _ in range(1_000))
    rates.taken("a", LIMIT, points=100)
    assert not rates.look("a", LIMIT).is_allowed


def test_who_has_a_whole_burst_is_not_kept() -> None:
    rates = MemoryRates(HeldClock())
    rates.taken("a", LIMIT, points=10)
    assert len(rates) == 1
    rates.settle("a", LIMIT, points=-10_000)
    assert len(rates) == 0
    assert not rates.taken("a", LIMIT, points=101).is_allowed, "what is given back never makes more than a burst"


def test_one_of_four_processes_has_a_quarter_of_the_rate() -> None:
    clock = HeldClock()
    rates = MemoryRates(clock, among=4)
    assert rates.taken("a", LIMIT, points=100).is_allowed
    clock.rest(4.0)
    assert rates.taken("a", LIMIT, points=10).is_allowed
    assert not rates.taken("a", LIMIT, points=1).is_allowed


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 60)), max_size=80))
def test_what_is_known_is_bounded_and_to_be_forgotten_gives_a_burst_once_more(
    room: int, asked: list[tuple[int, int]]
) -> None:
    rates, took, forgotten = MemoryRates(HeldClock(), max_clients=room), Counter[int](), Counter[int]()
    known: set[int] = set()
    for client, points in asked:
        before = {each for each in known if rates.look(each, LIMIT).ahead}
        if rates.taken(client, LIMIT, points=points).is_allowed:
            took[client] += points
        known.add(client)
        forgotten.update(each for each in before if not rates.look(each, LIMIT).ahead)
        assert len(rates) <= room
    for client in took:
        assert took[client] <= LIMIT.burst * (1 + forgotten[client])


def test_who_was_seen_longest_ago_is_forgotten_first_and_a_refused_one_was_seen() -> None:
    rates = MemoryRates(HeldClock(), max_clients=2)
    rates.taken("flood", LIMIT, points=100)
    rates.taken("b", LIMIT, points=10)
    rates.taken("flood", LIMIT, points=100)
    rates.taken("c", LIMIT, points=10)
    assert not rates.look("flood", LIMIT).is_allowed
    assert rates.look("b", LIMIT).ahead == 0
