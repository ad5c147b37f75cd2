"""Which instance an attempt goes to: the cheap one of two, never one that fails, never one that was tried."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from math import exp
from random import Random
from typing import Any

import pytest

from gateway.clock import Instant, Seconds
from gateway.services import BalanceSettings, Retry, ServiceConfig, ServiceRequest
from gateway.services.instances import Instance, Instances
from gateway.services.outcome import Outcome
from gateway.services.stack import Stack
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .calling import CLOCK, NEVER_OPENS, PLENTY, STOCK, Dice, broken_off, quiet

A, B, C, FAR = "http://a", "http://b", "http://c", "http://far"
PENALTY = Seconds(2.0)


def instances(*addresses: str, fallback: tuple[str, ...] = (), seed: int = 1, **knobs: Any) -> Instances:
    return Instances(addresses, fallback, BalanceSettings(**knobs), Random(seed).random)


def attempt(
    state: Instances, outcome: Outcome, at: float = 0.0, *, took: float = 0.01, tried: tuple[str, ...] = ()
) -> str:
    instance = state.pick(tried, now=Instant(at))
    state.finished(instance, outcome, elapsed=Seconds(took), penalty=PENALTY, now=Instant(at + took))
    return instance.address


def fail(state: Instances, address: str, *, times: int = 5, at: float = 0.0) -> None:
    others = tuple(each for each in state.addresses if each != address)
    for _ in range(times):
        assert attempt(state, Outcome.FAILURE, at, tried=others, took=0.0) == address


def picks(state: Instances, at: float, *, tried: tuple[str, ...] = ()) -> set[str]:
    """Whom an attempt may go to; which of them is cheaper is another matter."""
    state.pick(tried, now=Instant(at)).in_flight -= 1
    return {each.address for each in state._candidates(tried, Instant(at))}


def simulated(
    state: Instances,
    latency: dict[str, Callable[[Random], float]],
    outcome: dict[str, Outcome],
    *,
    rate: float,
    seconds: float,
) -> Counter[str]:
    """An open loop of attempts, each ended in its time; how many each instance was sent."""
    random, at, counts = Random(2), 0.0, Counter[str]()
    under_way: list[tuple[float, int, Instance, float]] = []
    number = 0
    while at < seconds:
        at += random.expovariate(rate)
        while under_way and under_way[0][0] <= at:
            ends, _, instance, began = heapq.heappop(under_way)
            what = outcome.get(instance.address, Outcome.SUCCESS)
            state.finished(instance, what, elapsed=Seconds(ends - began), penalty=PENALTY, now=Instant(ends))
        instance = state.pick((), now=Instant(at))
        counts[instance.address] += 1
        number += 1
        heapq.heappush(under_way, (at + latency[instance.address](random), number, instance, at))
    return counts


def around(seconds: float) -> Callable[[Random], float]:
    return lambda random: seconds * random.lognormvariate(0, 0.4)


def test_equal_instances_share_the_traffic() -> None:
    counts = simulated(instances(A, B, C), dict.fromkeys((A, B, C), around(0.02)), {}, rate=200, seconds=60)
    assert min(counts.values()) > 0.25 * counts.total()


def test_one_that_is_ten_times_slower_is_hardly_asked() -> None:
    latency = {A: around(0.02), B: around(0.02), C: around(0.2)}
    counts = simulated(instances(A, B, C), latency, {}, rate=200, seconds=60)
    assert 0 < counts[C] < 0.02 * counts.total()


def test_one_that_fails_fast_attracts_no_traffic() -> None:
    latency = {A: around(0.02), B: around(0.02), C: around(0.001)}
    counts = simulated(instances(A, B, C), latency, {C: Outcome.FAILURE}, rate=200, seconds=60)
    assert counts[C] < 0.02 * counts.total()


def test_even_if_nobody_is_ever_ejected() -> None:
    latency = {A: around(0.02), B: around(0.02), C: around(0.001)}
    state = instances(A, B, C, eject_after=10**9)
    assert simulated(state, latency, {C: Outcome.FAILURE}, rate=200, seconds=60)[C] < 600


def test_a_slow_one_that_recovers_is_found_again() -> None:
    state = instances(A, B)
    fail(state, B, times=1)
    late = simulated(state, {A: around(0.02), B: around(0.02)}, {}, rate=200, seconds=120)
    assert late[B] > 0.25 * late.total()


def test_five_failures_in_a_row_leave_it_out_and_each_time_for_longer() -> None:
    state = instances(A, B, slow_start=Seconds(0.0))
    fail(state, A, times=4)
    attempt(state, Outcome.SUCCESS, tried=(B,))
    fail(state, A, times=4)
    assert state.ejections == 0
    fail(state, A, times=1)
    assert picks(state, 4.9) == {B}
    assert state.counts() == {"well": 1, "ejected": 1, "unhealthy": 0, "drained": 0}
    assert picks(state, 5.1) == {A, B}
    fail(state, A, times=1, at=5.1)  # it is on probation
    assert picks(state, 15.0) == {B}
    assert A in picks(state, 15.2)


def test_a_cancelled_attempt_is_no_failure_but_one_that_took_too_long_is_remembered() -> None:
    state = instances(A, B)
    for _ in range(10):
        attempt(state, Outcome.IGNORED, tried=(B,))
    assert state.ejections == 0
    for tried in ((A,), (B,)):
        attempt(state, Outcome.SUCCESS, 1.0, tried=tried)
    attempt(state, Outcome.IGNORED, 1.1, tried=(B,), took=0.5)  # the loser of a hedge
    assert {attempt(state, Outcome.IGNORED, 1.7, took=0.0) for _ in range(20)} == {B}


def test_no_more_than_half_is_left_out() -> None:
    state = instances(A, B, C)
    fail(state, A)
    fail(state, B)
    assert state.ejections == 1
    assert picks(state, 1.0) == {B, C}


def test_one_instance_alone_is_never_left_out() -> None:
    state = instances(A)
    fail(state, A, times=50)
    assert picks(state, 0.1) == {A}


def test_with_too_few_well_ones_health_is_disbelieved() -> None:
    state = instances(A, B, C)
    for address in (A, B):
        assert state.set_well(address, False, now=Instant(0.0))
    assert picks(state, 1.0) == {A, B, C}
    state.set_well(A, True, now=Instant(1.0))
    assert picks(state, 30.0) == {A, C}
    assert not state.set_well(A, True, now=Instant(30.0))


def test_the_fallback_region_stands_in_for_those_that_fail_and_only_for_them() -> None:
    state = instances(A, B, fallback=(FAR,))
    assert picks(state, 0.0) == {A, B}
    assert picks(state, 0.0, tried=(A, B)) == {FAR}
    fail(state, A)
    assert picks(state, 1.0) == {B}
    fail(state, B)
    assert picks(state, 1.0) == {FAR}
    assert picks(state, 6.0) == {A, B}


def test_what_was_tried_is_avoided_as_long_as_there_is_another() -> None:
    state = instances(A, B, C)
    assert picks(state, 0.0, tried=(A,)) == {B, C}
    assert picks(state, 0.0, tried=(A, B)) == {C}
    assert picks(state, 0.0, tried=(A, B, C)) == {A, B, C}
    fail(state, C)
    assert picks(state, 1.0, tried=(A, B)) == {A, B}  # sooner one that failed once than one that fails always


def test_a_new_instance_starts_slowly_and_known_ones_stay_known() -> None:
    state = instances(A, B)
    fail(state, A)
    state.configure([A, B, C], [], BalanceSettings(), now=Instant(1.0))
    assert picks(state, 1.1) == {B, C}
    latency = dict.fromkeys((A, B, C), around(0.02))
    early = simulated(instances(A, B), latency, {}, rate=100, seconds=20)
    assert early[C] == 0
    state = instances(A, B)
    simulated(state, latency, {}, rate=100, seconds=20)
    state.configure([A, B, C], [], BalanceSettings(), now=Instant(20.0))
    newcomer = state.pick((A, B), now=Instant(20.1))
    assert newcomer.cost(Instant(20.1), BalanceSettings()) > 5 * newcomer.cost(Instant(31.0), BalanceSettings())


def test_one_that_is_gone_ends_what_it_has_under_way() -> None:
    state = instances(A, B)
    held = state.pick((B,), now=Instant(0.0))
    state.configure([B], [], BalanceSettings(), now=Instant(1.0))
    state.finished(held, Outcome.SUCCESS, elapsed=Seconds(2.0), penalty=PENALTY, now=Instant(2.0))
    assert (held.in_flight, state.in_flight, picks(state, 2.0)) == (0, 0, {B})
    assert repr(state) == "<Instances 1/1 well, 0 ejections so far>"


@pytest.mark.parametrize(
    "knob", [{"eject_after": 0}, {"memory": 0.0}, {"eject_for": 200.0}, {"max_ejected": 1.5}, {"panic": -0.1}]
)
def test_impossible_settings_fail_when_built(knob: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"balance.*{next(iter(knob))}.*{next(iter(knob.values()))}"):
        BalanceSettings(**knob)


# -- as a policy -------------------------------------------------------------------------------------------------------


def stack_over(wire: ScriptedWire, *addresses: str, telemetry: Any = None) -> Stack:
    config = ServiceConfig(instances=addresses, retry=Retry(), budget=PLENTY, breaker=NEVER_OPENS)
    return Stack(wire, config, service="catalog", telemetry=telemetry or quiet(), clock=CLOCK, random=Dice(0.5))


@in_virtual_time
async def test_every_retry_goes_to_another_instance() -> None:
    wire = ScriptedWire(broken_off, broken_off, answer())
    await stack_over(wire, A, B, C)(stock())
    assert {request.instance for request in wire.requests} == {A, B, C}


def stock() -> ServiceRequest:
    return ServiceRequest(service=STOCK.service, path=STOCK.path, endpoint=STOCK.endpoint)


def test_without_a_slow_start_an_instance_that_is_left_out_can_still_be_compared() -> None:
    """All are left out, so all are used: those that come back later have an age below nothing."""
    state = instances(A, B, C, slow_start=Seconds(0.0), max_ejected=1.0, eject_after=1)
    for address in (A, B, C):
        fail(state, address, times=1)
    assert state.counts()["ejected"] == 3
    assert attempt(state, Outcome.SUCCESS, 1.0) in {A, B, C}


def test_an_instance_that_becomes_slow_is_known_as_slow_at_once() -> None:
    instance = Instance(A, since=Instant(0.0), latency=0.01)
    instance.measure(1.0, Instant(0.0), BalanceSettings())
    assert instance.latency == 1.0
    instance.measure(0.01, Instant(1.0), BalanceSettings())
    assert 0.8 < instance.latency < 1.0


def test_an_instance_that_comes_back_is_given_a_tenth_at_first() -> None:
    state, settings = instances(A, B), BalanceSettings()
    fail(state, A)
    (instance,) = (each for each in state._primary if each.address == A)
    back, usual = instance.cost(Instant(5.0), settings), instance.cost(Instant(15.0), settings)
    fade = exp(-10.0 / settings.memory)
    assert back == pytest.approx(10 * usual / fade, rel=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_work_is_spread_although_nothing_has_ended_yet(seed: int) -> None:
    state = instances(A, B, seed=seed)
    counts = Counter(state.pick((), now=Instant(0.0)).address for _ in range(40))
    assert counts == {A: 20, B: 20}
