"""Shares of clients while more comes than can be judged: simulated arrivals, seeded dice."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from gateway.admission.fair_share import MAX_CLIENTS, FairShare
from gateway.clock import Instant, Seconds

WINDOW = Seconds(0.1)


def simulated(rates: dict[str, float], *, capacity: float, seconds: float = 10.0) -> tuple[Counter[str], FairShare]:
    """How many of each client's requests passed in the second half; of those that pass, `capacity` a second get a permit."""
    share, dice, passed = FairShare(), Random(3), Counter[str]()
    arrivals = sorted((at, client) for client, rate in rates.items() for at in _arrivals(rate, seconds, Random(client)))
    window_ends, in_window = WINDOW, 0
    for at, client in arrivals:
        while at > window_ends:
            taken = min(in_window, round(capacity * WINDOW))
            share.tell(is_crowded=in_window > taken, taken=taken, window=WINDOW, now=Instant(window_ends))
            window_ends, in_window = Seconds(window_ends + WINDOW), 0
        if not share.is_on or share.passes(client, now=Instant(at), dice=dice.random()):
            in_window += 1
            passed[client] += at > seconds / 2
    return passed, share


def _arrivals(rate: float, seconds: float, random: Random) -> list[float]:
    found, at = list[float](), 0.0
    while (at := at + random.expovariate(rate)) < seconds:
        found.append(at)
    return found


def test_while_nothing_is_crowded_it_is_off() -> None:
    passed, share = simulated({"a": 50, "b": 100}, capacity=500)
    assert not share.is_on
    assert sum(passed.values()) == pytest.approx(750, rel=0.1)


def test_all_have_as_much_whatever_the_greedy_one_sends() -> None:
    rates = {"greedy": 4_000.0} | {f"honest-{number}": 200.0 for number in range(5)}
    passed, _ = simulated(rates, capacity=300)
    shares = [passed[client] / 5 for client in rates]
    assert min(shares) > 0.75 * max(shares)
    assert sum(shares) == pytest.approx(300 * 1.15, rel=0.2)


def test_who_asks_for_less_than_a_share_is_never_refused() -> None:
    rates = {"greedy": 3_000.0, "modest": 20.0, "other": 500.0}
    passed, _ = simulated(rates, capacity=400)
    sent = sum(1 for at in _arrivals(20.0, 10.0, Random("modest")) if at > 5)
    assert passed["modest"] >= sent - 1
    assert passed["greedy"] == pytest.approx(passed["other"], rel=0.25)


def test_when_the_crowd_has_gone_everything_passes_again() -> None:
    share = FairShare()
    for number in range(1_000):
        share.passes("a", now=Instant(number * 0.001), dice=0.5)
    share.tell(is_crowded=True, taken=10, window=WINDOW, now=Instant(1.0))
    assert not share.passes("a", now=Instant(1.001), dice=0.99)
    on = list[bool]()
    for window in range(1, 21):
        on.append(share.is_on)
        share.tell(is_crowded=False, taken=0, window=WINDOW, now=Instant(1.0 + window * WINDOW))
    assert (on[0], on[-1]) == (True, False)


def test_what_is_known_of_clients_is_bounded() -> None:
    share = FairShare()
    for number in range(MAX_CLIENTS + 10):
        share.passes(number, now=Instant(number * 0.001), dice=0.5)
    assert repr(share) == f"<FairShare inf requests/s of {MAX_CLIENTS} clients>"


def test_a_kind_with_more_shares_passes_where_another_does_not() -> None:
    share = FairShare()
    for number in range(1_000):
        share.passes("a", now=Instant(number * 0.001), dice=0.5)
    share.tell(is_crowded=True, taken=30, window=WINDOW, now=Instant(1.0))
    assert not share.passes("a", now=Instant(1.001), dice=0.8)
    assert share.passes("a", now=Instant(1.002), dice=0.8, weight=4.0)


def test_kinds_that_have_more_shares_leave_the_others_less_so_that_no_more_pass_in_all() -> None:
    share, dice, passed = FairShare(), Random(3), 0
    arrivals = sorted((at, client) for client in "abcd" for at in _arrivals(500.0, 10.0, Random(client)))
    window_ends, in_window = WINDOW, 0
    for at, client in arrivals:
        while at > window_ends:
            taken = min(in_window, 10)
            share.tell(is_crowded=in_window > taken, taken=taken, window=WINDOW, now=Instant(window_ends))
            window_ends, in_window = Seconds(window_ends + WINDOW), 0
        weight = 4.0 if client == "a" else 1.0
        if not share.is_on or share.passes(client, now=Instant(at), dice=dice.random(), weight=weight):
            in_window += 1
            passed += at > 5.0
    assert passed / 5 == pytest.approx(100 * 1.15, rel=0.25)
