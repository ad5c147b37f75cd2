"""Faults on purpose: each is what a service could do, and repeats by its seed."""

from __future__ import annotations

import asyncio
from dataclasses import replace as replace_config
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.errors import GatewayError, ServiceTimeout, ServiceUnavailable
from gateway.services import FaultSettings, ServiceConfig, ServiceRequest
from gateway.services.policies.faults import planned
from gateway.services.stack import Stack
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .calling import CLOCK, NEVER_OPENS, ONCE, STOCK, Dice, elapsed, measured, quiet


def stack(wire: ScriptedWire, telemetry: Any = None, **faults: Any) -> Stack:
    config = ServiceConfig(
        instances=("http://a",),
        retry=ONCE,
        breaker=NEVER_OPENS,
        faults=FaultSettings(**faults),
        attempt_timeout=1.0,  # type: ignore[arg-type]
    )
    return Stack(wire, config, service="catalog", telemetry=telemetry or quiet(), clock=CLOCK, random=Dice(0.5))


def once() -> ServiceRequest:
    return replace(STOCK, tried=[])


@pytest.mark.parametrize(
    ("kind", "sent", "error"),
    [
        ("error", 0, "catalog answered 503"),
        ("reset", 0, "closed the connection"),
        ("hang", 0, "did not answer within 1000 ms"),
        ("trickle", 1, "did not answer within 1000 ms"),
        ("lost", 1, "closed the connection"),
    ],
)
@in_virtual_time
async def test_each_fault_is_what_a_service_could_do(kind: str, sent: int, error: str) -> None:
    telemetry, wire = quiet(), ScriptedWire(otherwise=answer())
    with pytest.raises((ServiceUnavailable, ServiceTimeout), match=error) as caught:
        await stack(wire, telemetry, **{kind: 1.0})(once())
    assert caught.value.applied is None  # whatever it was, the caller cannot tell
    assert len(wire.sent) == sent
    assert measured(telemetry, "sagaql_service_faults_total", {"service": "catalog", "kind": kind}) == 1


@in_virtual_time
async def test_garbage_is_answered_in_place_of_the_body() -> None:
    response = await stack(ScriptedWire(answer()), garbage=1.0)(once())
    assert (response.status, response.body) == (200, b"\0garbage")


@in_virtual_time
async def test_what_is_slow_takes_longer_and_is_answered() -> None:
    assert (await stack(ScriptedWire(answer()), slow=1.0, latency=0.4)(once())).status == 200
    assert elapsed() == pytest.approx(0.4)


@in_virtual_time
async def test_the_same_seed_brings_the_same_faults_in_about_their_share() -> None:
    async def outcomes(seed: int) -> list[bool]:
        faulty = stack(ScriptedWire(otherwise=answer()), seed=seed, error=0.2, lost=0.1)
        found = await asyncio.gather(*(faulty(once()) for _ in range(50)), return_exceptions=True)
        return [isinstance(each, GatewayError) for each in found]

    assert await outcomes(1) == await outcomes(1)
    assert await outcomes(1) != await outcomes(2)
    assert 5 <= sum(await outcomes(3)) <= 25


@in_virtual_time
async def test_a_plan_of_a_game_day_holds_for_its_services_and_wins_over_the_settings() -> None:
    wire = ScriptedWire(otherwise=answer())
    with pytest.raises(ServiceUnavailable):
        await stack(wire)(replace(once(), faults='{"catalog": {"error": 1.0}}'))
    assert (await stack(wire)(replace(once(), faults='{"orders": {"error": 1.0}}'))).status == 200
    assert (await stack(wire, error=1.0)(replace(once(), faults='{"catalog": {"slow": 0.0}}'))).status == 200


@pytest.mark.parametrize(
    ("knob", "reason"),
    [
        ({"error": 1.2}, "faults.error is 1.2"),
        ({"slow": -0.1}, "faults.slow is -0.1"),
        ({"error": 0.6, "hang": 0.6}, "1.2 together"),
        ({"latency": -1.0}, "faults.latency is -1.0"),
    ],
)
def test_impossible_faults_fail_when_built(knob: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        FaultSettings(**knob)  # type: ignore[arg-type]


@pytest.mark.parametrize("plan", ['{"a": {"explode": 1}}', '{"a": {"error": 2}}', '{"a": 1}', "nonsense"])
def test_what_is_no_plan_is_refused(plan: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's words, or ours
        planned(plan)


@in_virtual_time
async def test_attempts_while_it_is_off_do_not_change_what_comes_when_it_is_on() -> None:
    """Else the same seed would not bring the same faults: how much traffic there was before is nobody's to repeat."""

    async def seen(*, before: int) -> list[int]:
        handle, statuses = stack(ScriptedWire(otherwise=answer()), seed=7), list[int]()
        for _ in range(before):
            await handle(once())
        handle.configure(replace_config(handle.config, faults=FaultSettings(seed=7, error=0.5)), now=CLOCK.now())
        for _ in range(20):
            try:
                statuses.append((await handle(once())).status)
            except ServiceUnavailable:
                statuses.append(503)
        return statuses

    first = await seen(before=0)
    assert await seen(before=5) == first
    assert {*first} == {200, 503}
