"""The rate of one client: never more than a burst and what the rate brings, whatever is asked, refused, given back or owed."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.rate import SLACK, RateLimit, Verdict, ahead_of, later, settled, taken
from gateway.clock import Instant

LIMITS = st.builds(
    RateLimit,
    name=st.just("default"),
    rate=st.sampled_from([0.1, 1 / 3, 1.0, 3.0, 7.0, 1000.0, 250_000.0]),
    burst=st.integers(1, 5_000),
)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "settle"]), st.floats(0, 2), st.floats(-1, 1)), max_size=30
)
"""What is done, after how many thirds of a window, and how much of a burst."""


def limit(rate: float = 10.0, burst: int = 100) -> RateLimit:
    return RateLimit(name="default", rate=rate, burst=burst)


class Client:
    """One, and its clock."""

    def __init__(self, of: RateLimit, *, at: float = 1e6) -> None:
        self.now = Instant(at)
        self.arrival: Instant | None = None
        self._limit = of

    @property
    def ahead(self) -> float:
        return ahead_of(self.now, self.arrival, self._limit)

    def take(self, points: int) -> Verdict:
        verdict = taken(self.ahead, points=points, limit=self._limit)
        self.arrival = later(self.now, verdict.ahead)
        return verdict

    def settle(self, points: int) -> None:
        self.arrival = later(self.now, settled(self.ahead, points=points, limit=self._limit))

    def rest(self, seconds: float) -> None:
        self.now = Instant(self.now + seconds)


@given(LIMITS, EVENTS)
def test_in_no_stretch_of_time_is_more_taken_than_a_burst_and_what_the_rate_brings(
    of: RateLimit, events: list[tuple[str, float, float]]
) -> None:
    client = Client(of)
    took: list[tuple[float, int, int]] = [(0.0, 0, 0)]
    for what, rest, share in events:
        client.rest(rest * of.window / 3)
        points = round(share * of.burst)
        if what == "settle":
            client.settle(points)
            took.append((client.now, 0, max(0, -points)))
        elif client.take(abs(points) or 1).is_allowed:
            took.append((client.now, abs(points) or 1, 0))
    sums = list(accumulate(points for _, points, _ in took))
    given_back = list(accumulate(back for _, _, back in took))
    for first in range(1, len(took)):
        for last in range(first, len(took)):
            seconds = took[last][0] - took[first][0]
            most = (
                of.burst
                + of.rate * (seconds + 2 * SLACK + 1e-9 * client.now)
                + given_back[last]
                - given_back[first - 1]
            )
            assert sums[last] - sums[first - 1] <= most


@given(LIMITS, EVENTS)
def test_what_is_refused_takes_nothing_and_is_allowed_when_it_was_said_to_be(
    of: RateLimit, events: list[tuple[str, float, float]]
) -> None:
    client = Client(of)
    for what, rest, share in events:
        client.rest(rest * of.window / 3)
        points = round(share * of.burst)
        if what == "settle":
            client.settle(points)
            continue
        before, asked = client.ahead, abs(points) or 1
        verdict = client.take(asked)
        if not verdict.is_allowed:
            assert client.ahead == pytest.approx(before, abs=1e-6)
            early = Client(of, at=client.now + verdict.wait * 0.99 - 1e-5)
            early.arrival = client.arrival
            assert not early.take(asked).is_allowed
            client.rest(verdict.wait + 1e-6)
            assert client.take(asked).is_allowed


@given(LIMITS, st.lists(st.floats(0, 3), max_size=30))
def test_whoever_keeps_to_the_rate_is_never_refused(of: RateLimit, pauses: list[float]) -> None:
    client = Client(of)
    for pause in pauses:
        assert client.take(1).is_allowed
        client.rest((1 + pause) / of.rate)


@given(LIMITS, EVENTS)
def test_nobody_has_more_than_a_burst_or_owes_more_than_one(
    of: RateLimit, events: list[tuple[str, float, float]]
) -> None:
    client = Client(of)
    for _, rest, share in events:
        client.rest(rest)
        client.settle(round(3 * share * of.burst))
        assert 0 <= client.ahead <= 2 * of.window * (1 + 1e-9) + 1e-6
        assert 0 <= Verdict(True, client.ahead).quota(of).remaining <= of.burst


def test_a_burst_may_be_taken_point_by_point() -> None:
    client = Client(limit(rate=3.0, burst=3), at=1.8e9)
    assert [client.take(1).is_allowed for _ in range(4)] == [True, True, True, False]


def test_what_is_left_is_told_in_whole_points_and_seconds() -> None:
    client = Client(limit())
    quota = client.take(25).quota(limit())
    assert (quota.policy, quota.burst, quota.window, quota.remaining, quota.reset) == ("default", 100, 10, 75, 3)


def test_an_operation_given_back_is_as_if_it_had_not_been() -> None:
    client = Client(limit())
    client.take(100)
    client.settle(-100)
    assert client.take(100).is_allowed


def test_who_has_cost_more_than_was_taken_waits_for_it() -> None:
    client = Client(limit())
    client.take(10)
    client.settle(+140)
    assert client.take(1).wait == pytest.approx(5.1)
    client.settle(+1_000_000)
    assert client.take(100).wait == pytest.approx(20.0), "a burst is the most that is owed"
    client.rest(20.0)
    assert client.take(100).is_allowed


def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_two_bursts() -> None:
    client = Client(limit())
    client.take(50)
    client.rest(-86_400)
    assert client.take(100).wait == pytest.approx(20.0)


def test_those_who_do_not_know_of_one_another_share_the_rate_and_each_has_the_burst() -> None:
    part = limit().divided(4)
    assert (part.rate, part.burst) == (2.5, 100)


@pytest.mark.parametrize(
    ("rate", "burst", "remedy"),
    [
        (0.0, 1, "leave it out for no limit"),
        (float("inf"), 1, "above zero"),
        (1.0, 0, "at least 1"),
        (0.001, 100, "a higher rate or a smaller burst"),
    ],
)
def test_what_is_no_limit_is_refused_with_a_remedy(rate: float, burst: int, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        limit(rate, burst)
