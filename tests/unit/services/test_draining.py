"""An operator takes one instance out: nothing new goes there, what is under way ends, and it comes back slowly."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.clock import Instant
from gateway.services import BalanceSettings, Retry, ServiceConfig, Services
from gateway.services.instances import Instances
from gateway.services.outcome import Outcome
from gateway.testing import ScriptedWire, after, answer, in_virtual_time

from .calling import CLOCK, NEVER_OPENS, STOCK, quiet

A, B, C, ELSEWHERE = "http://a", "http://b", "http://c", "http://elsewhere"


def instances(*addresses: str, fallback: tuple[str, ...] = ()) -> Instances:
    return Instances(addresses, fallback, BalanceSettings(), Random(1).random)


def picked(state: Instances, times: int = 40, *, tried: tuple[str, ...] = (), now: float = 1.0) -> set[str]:
    found: set[str] = set()
    for _ in range(times):
        instance = state.pick(tried, now=Instant(now))
        state.finished(instance, Outcome.IGNORED, elapsed=0.0, penalty=0.0, now=Instant(now))  # type: ignore[arg-type]
        found.add(instance.address)
    return found


def test_nothing_new_goes_to_what_is_drained_and_it_comes_back_when_it_is_not() -> None:
    state = instances(A, B, C)
    assert state.drain(A) == 0
    assert picked(state) == {B, C}
    assert state.counts() == {"well": 2, "ejected": 0, "unhealthy": 0, "drained": 1}
    assert state.undrain(A, now=Instant(2.0))
    assert not state.undrain(A, now=Instant(2.0))
    assert picked(state, 200, now=60.0) == {A, B, C}


def test_it_comes_back_slowly() -> None:
    state = instances(A, B)
    state.drain(A)
    state.undrain(A, now=Instant(100.0))
    (back,) = [each for each in state._primary if each.address == A]
    assert back.since == 100.0


def test_even_a_panic_and_a_spent_call_do_not_go_there() -> None:
    state = instances(A, B, C)
    state.drain(A)
    for address in (B, C):
        state.set_well(address, False, now=Instant(0.0))
    assert picked(state) == {B, C}
    assert picked(state, tried=(B, C)) == {B, C}
    assert picked(state, tried=(A, B)) == {C}


def test_with_all_of_a_region_drained_the_other_one_takes_over_well_or_not() -> None:
    state = instances(A, fallback=(ELSEWHERE,))
    state.drain(A)
    assert picked(state) == picked(state, tried=(ELSEWHERE,)) == {ELSEWHERE}
    state.set_well(ELSEWHERE, False, now=Instant(0.0))
    assert picked(state) == {ELSEWHERE}


def test_a_drained_fallback_stays_out_as_well() -> None:
    state = instances(A, fallback=(ELSEWHERE,))
    state.drain(ELSEWHERE)
    state.set_well(A, False, now=Instant(0.0))
    assert picked(state) == {A}


def test_the_last_one_cannot_be_drained_and_a_stranger_is_named_with_those_that_there_are() -> None:
    state = instances(A, B)
    state.drain(A)
    with pytest.raises(ValueError, match="http://b is the last instance that is not drained"):
        state.drain(B)
    with pytest.raises(LookupError, match="there is no instance http://x: there are http://a, http://b"):
        state.drain("http://x")
    with pytest.raises(LookupError):
        state.undrain("http://x", now=Instant(0.0))
    assert picked(state) == {B}


def test_other_settings_leave_it_drained_unless_nothing_else_would_be_left() -> None:
    state = instances(A, B, C)
    state.drain(A)
    state.drain(B)
    state.configure((A, B, ELSEWHERE), (), BalanceSettings(), now=Instant(1.0))
    assert picked(state) == {ELSEWHERE}
    state.configure((A, B), (), BalanceSettings(), now=Instant(1.0))
    assert state.counts()["drained"] == 0
    assert picked(state, 200, now=60.0) == {A, B}


@in_virtual_time
async def test_calls_under_way_end_where_they_are_and_retries_go_elsewhere() -> None:
    wire = ScriptedWire(after(1.0, answer()), after(1.0, answer()), otherwise=answer())
    config = ServiceConfig(instances=(A, B), breaker=NEVER_OPENS, retry=Retry(attempts=2))
    async with Services(
        {"catalog": config}, telemetry=quiet(), clock=CLOCK, random=Random(3), wires={"catalog": wire}
    ) as running:
        client = running["catalog"]
        under_way = [asyncio.create_task(client.call(STOCK)) for _ in range(2)]
        await asyncio.sleep(0.5)
        drained = wire.requests[0].instance or ""
        expected = sum(request.instance == drained for request in wire.requests)
        assert client.drain(drained) == expected
        for _ in range(30):
            await client.call(STOCK)
        assert [each.status for each in await asyncio.gather(*under_way)] == [200, 200]
    assert drained not in {request.instance for request in wire.requests[2:]}


@in_virtual_time
async def test_a_snapshot_says_how_a_service_is_doing() -> None:
    wire = ScriptedWire(answer(status=503), otherwise=after(0.1, answer()))
    config = ServiceConfig(instances=(A, B), fallback=(ELSEWHERE,), breaker=NEVER_OPENS)
    async with Services(
        {"catalog": config}, telemetry=quiet(), clock=CLOCK, random=Random(3), wires={"catalog": wire}
    ) as running:
        client = running["catalog"]
        assert client.snapshot()["latencySeconds"] == {"attempts": 0, "p50": None, "p95": None, "p99": None}
        await client.call(STOCK)
        client.drain(B)
        held = asyncio.create_task(client.call(STOCK))
        await asyncio.sleep(0.05)
        found = client.snapshot()
        await held

    assert (found["service"], found["breaker"], found["inFlight"], found["limit"], found["waiting"]) == (
        "catalog",
        "closed",
        1,
        64,
        0,
    )
    assert (
        found["latencySeconds"]["attempts"] == 1
    )  # the other one was answered 503, which says nothing of how long work takes
    assert found["latencySeconds"]["p99"] == pytest.approx(0.1, rel=0.11)
    assert (found["budget"]["extra"], found["budget"]["spent"], found["budget"]["refused"]) == (1, 1, 0)
    assert [(each["address"], each["region"], each["state"]) for each in found["instances"]] == [
        (A, "primary", "well"),
        (B, "primary", "drained"),
        (ELSEWHERE, "fallback", "well"),
    ]
