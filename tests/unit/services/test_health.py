"""Instances are asked whether they are well: who is believed when, and that asking costs the traffic nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Seconds
from gateway.errors import ServiceUnavailable
from gateway.services import (
    BreakerSettings,
    BulkheadSettings,
    HealthSettings,
    Retry,
    ServiceClient,
    ServiceConfig,
    ServiceRequest,
    ServiceResponse,
)
from gateway.services.health import Health
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import CLOCK, STOCK, Dice, broken_off, elapsed

A, B, FAR = "http://a", "http://b", "http://far"

Patients = dict[str, Callable[[ServiceRequest], Any]]


def settings(**knobs: Any) -> HealthSettings:
    return HealthSettings(**{"path": "/health", **knobs})


def config(health: HealthSettings, *instances: str, fallback: tuple[str, ...] = (), **knobs: Any) -> ServiceConfig:
    return ServiceConfig(instances=instances or (A, B), fallback=fallback, health=health, **knobs)


def checking(wire: ScriptedWire, checked: ServiceConfig, log: StringIO | None = None) -> ServiceClient:
    telemetry = Telemetry(log=json_log(log or StringIO(), level="info"))
    return ServiceClient("catalog", checked, telemetry=telemetry, clock=CLOCK, random=Dice(0.5), wire=wire)


def well(_: ServiceRequest) -> ServiceResponse:
    return answer()


def refused(_: ServiceRequest) -> ServiceResponse:
    return answer(status=503)


def per_instance(patients: Patients) -> ScriptedWire:
    """A wire whose instances answer as `patients` says at that moment; the others are well."""
    return ScriptedWire(otherwise=lambda request: patients.get(request.instance or "", well)(request))


def states(client: ServiceClient) -> dict[str, str]:
    return {each["address"]: each["state"] for each in client.stack.instances.snapshot(CLOCK.now())}


def others() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


# -- the decision ------------------------------------------------------------------------------------------------------


def told(results: str, **knobs: Any) -> str:
    """What is believed after each result: "-" failed, "+" passed."""
    health = Health()
    return "".join("+" if health.tell(each == "+", settings(**knobs)) else "-" for each in results)


def test_it_takes_some_failures_in_a_row_to_be_unhealthy_and_some_good_ones_to_be_well() -> None:
    assert told("-+---+-++", unhealthy_after=3, healthy_after=2) == "++++----+"
    assert told("--+++-", unhealthy_after=2, healthy_after=3) == "+---++"
    assert told("-+-+", unhealthy_after=1, healthy_after=1) == "-+-+"


@given(st.text("+-", max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_a_belief_changes_exactly_at_a_run_of_its_threshold(results: str, bad: int, good: int) -> None:
    believed = told(results, unhealthy_after=bad, healthy_after=good)
    for at, now in enumerate(believed):
        before = believed[at - 1] if at else "+"
        ends_a_run = results[: at + 1].endswith("-" * bad if before == "+" else "+" * good)
        assert (now != before) == ends_a_run


def test_it_shows_what_it_holds() -> None:
    health = Health()
    health.tell(False, settings())
    assert repr(health) == "<Health well, 1 checks against it>"
    health.tell(False, settings())
    assert repr(health) == "<Health unhealthy, 0 checks against it>"


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("path", "health"),
        ("path", "/health?deep=1"),
        ("path", "/a#b"),
        ("path", "/a/../b"),
        ("interval", 0.0),
        ("interval", float("inf")),
        ("timeout", -1.0),
        ("timeout", float("nan")),
        ("unhealthy_after", 0),
        ("healthy_after", 0),
    ],
)
def test_impossible_settings_fail_when_built(knob: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"health\.{knob} is ") as caught:
        settings(**{knob: value})
    assert str(value) in str(caught.value)


# -- the checks --------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_without_a_path_nobody_is_asked() -> None:
    wire = ScriptedWire()
    async with checking(wire, config(HealthSettings())):
        assert others() == set()
        await asyncio.sleep(60)
    assert wire.sent == []


@in_virtual_time
async def test_every_instance_is_asked_each_interval_those_of_the_fallback_region_too() -> None:
    wire = ScriptedWire(otherwise=well)
    async with checking(wire, config(settings(interval=Seconds(10.0), timeout=Seconds(0.7)), fallback=(FAR,))):
        await asyncio.sleep(26)
    assert [each.at for each in wire.sent] == pytest.approx([5.0] * 3 + [15.0] * 3 + [25.0] * 3)
    assert [each.request.instance for each in wire.sent[:3]] == [A, B, FAR]
    assert {(each.request.method, each.request.path) for each in wire.sent} == {("GET", "/health")}
    assert {each.timeout for each in wire.sent} == {0.7}


@pytest.mark.parametrize(("thrown", "instants"), [(0.0, [0.0, 9.0, 18.0]), (0.99, [9.9, 20.88, 31.86])])
@in_virtual_time
async def test_the_first_round_is_anywhere_in_the_interval_and_the_others_are_jittered_by_a_tenth(
    thrown: float, instants: list[float]
) -> None:
    wire = ScriptedWire(otherwise=well)
    client = ServiceClient(
        "catalog",
        config(settings(interval=Seconds(10.0)), A),
        telemetry=Telemetry(log=json_log(StringIO())),
        clock=CLOCK,
        random=Dice(thrown),
        wire=wire,
    )
    async with client:
        await asyncio.sleep(35)
    assert wire.instants[:3] == pytest.approx(instants)


@in_virtual_time
async def test_an_unhealthy_instance_is_given_no_traffic_until_it_is_well_again_and_each_change_is_told_once() -> None:
    patients: Patients = {B: refused}
    log = StringIO()
    async with checking(per_instance(patients), config(settings(), A, B, "http://c"), log) as client:
        await asyncio.sleep(4)  # one round has failed
        assert states(client)[B] == "well"
        await asyncio.sleep(20)
        assert (states(client)[A], states(client)[B]) == ("well", "unhealthy")
        patients[B] = well
        await asyncio.sleep(5)
        assert states(client)[B] == "unhealthy"
        await asyncio.sleep(5)
        assert states(client)[B] == "well"
    lines = [line for line in log.getvalue().splitlines() if "instance is" in line]
    assert len(lines) == 2
    assert '"instance is unhealthy"' in lines[0]
    assert '"instance is well again"' in lines[1]
    assert all('"service":"catalog"' in line and f'"instance":"{B}"' in line for line in lines)


@pytest.mark.parametrize(
    "broken", [hang, broken_off, refused, lambda _: answer(status=302), lambda _: TypeError("bug")]
)
@in_virtual_time
async def test_whatever_is_no_good_answer_in_time_is_a_failed_check_and_the_checks_go_on(broken: Any) -> None:
    patients: Patients = {B: broken}
    async with checking(per_instance(patients), config(settings(), A, B)) as client:
        await asyncio.sleep(15)
        assert states(client) == {A: "well", B: "unhealthy"}
        patients[B] = well
        await asyncio.sleep(15)
        assert states(client) == {A: "well", B: "well"}


@in_virtual_time
async def test_a_wire_that_forgets_its_timeout_does_not_hold_up_the_next_round() -> None:
    wire = per_instance({B: hang})
    async with checking(wire, config(settings(timeout=Seconds(1.0)))):
        await asyncio.sleep(3)
        assert wire.in_flight == 1
        await asyncio.sleep(1)
        assert wire.in_flight == 0


@in_virtual_time
async def test_instances_are_asked_at_once_and_not_one_after_the_other() -> None:
    wire = ScriptedWire(otherwise=after(0.9, answer()))
    async with checking(wire, config(settings(), A, B, fallback=(FAR,))):
        await asyncio.sleep(10)
    assert wire.peak == 3


@in_virtual_time
async def test_a_bug_in_a_check_is_told_as_one_and_a_failed_check_is_not() -> None:
    log = StringIO()
    wire = per_instance({A: lambda _: TypeError("bug"), B: broken_off, FAR: hang})
    async with checking(wire, config(settings(), fallback=(FAR,)), log):
        await asyncio.sleep(4)
    assert log.getvalue().count('"health check failed"') == 1
    assert "TypeError" in log.getvalue()


@in_virtual_time
async def test_a_bug_in_a_round_is_told_and_the_checks_go_on() -> None:
    log, wire = StringIO(), per_instance({B: refused})
    client = checking(wire, config(settings(), A, B, "http://c"), log)
    real, failures = client.stack.instances.set_well, [RuntimeError("bug")]

    def fails_once(address: str, is_well: bool, **now: Any) -> bool:
        if failures:
            raise failures.pop()
        return real(address, is_well, **now)

    client.stack.instances.set_well = fails_once  # type: ignore[method-assign]  # there is no other way to a bug in it
    async with client:
        await asyncio.sleep(20)
        assert states(client)[B] == "unhealthy"
    assert log.getvalue().count('"health checks failed"') == 1


# -- apart from the traffic --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_check_holds_no_permit_and_opens_no_breaker_and_an_open_breaker_stops_no_check() -> None:
    wire = per_instance({A: broken_off})
    alone = config(
        settings(unhealthy_after=99),
        A,
        retry=Retry(attempts=1),
        breaker=BreakerSettings(consecutive=1, open_for=Seconds(10.0)),
        bulkhead=BulkheadSettings(limit=1, queue=0),
    )
    async with checking(wire, alone) as client:
        await asyncio.sleep(30)
        assert (len(wire.sent), client.is_breaker_open) == (6, False)
        with pytest.raises(ServiceUnavailable):
            await client.call(STOCK)
        assert client.is_breaker_open
        sent = len(wire.sent)
        await asyncio.sleep(5.1)
        assert len(wire.sent) > sent


@in_virtual_time
async def test_a_full_bulkhead_stops_no_check() -> None:
    def holds_calls(request: ServiceRequest) -> Any:
        return answer() if request.path == "/health" else hang(request)

    wire = ScriptedWire(otherwise=holds_calls)
    full = config(settings(), A, bulkhead=BulkheadSettings(limit=1, queue=0), attempt_timeout=Seconds(60.0))
    async with checking(wire, full) as client:
        call = asyncio.create_task(client.call(STOCK))
        await asyncio.sleep(12)
        assert client.in_flight == 1
        assert [each.path for each in wire.requests] == ["/stock", "/health", "/health"]
        call.cancel()
        await asyncio.wait([call])


# -- beginning, changing, ending ---------------------------------------------------------------------------------------


@in_virtual_time
async def test_closing_ends_a_round_that_is_under_way_and_leaves_nothing_behind() -> None:
    wire = ScriptedWire(otherwise=hang)
    client = checking(wire, config(settings()))
    await client.start()
    await asyncio.sleep(3)
    assert wire.in_flight == 2
    await client.close()
    assert (wire.in_flight, others(), wire.is_started) == (0, set(), False)
    await client.close()


@in_virtual_time
async def test_no_check_is_sent_before_the_start_and_none_after_the_end() -> None:
    wire = ScriptedWire(otherwise=well)
    client = checking(wire, config(HealthSettings()))
    client.configure(config(settings()))
    await asyncio.sleep(20)
    assert wire.sent == []
    await client.start()
    await asyncio.sleep(3)
    assert len(wire.sent) == 2
    await client.close()
    client.configure(config(settings(path="/other")))
    await asyncio.sleep(20)
    assert (len(wire.sent), others()) == (2, set())


def test_it_may_be_started_again_on_another_loop() -> None:
    wire = ScriptedWire(otherwise=well)
    client = checking(wire, config(settings()))

    @in_virtual_time
    async def for_a_while() -> None:
        async with client:
            await asyncio.sleep(3)

    for_a_while()
    for_a_while()
    assert len(wire.sent) == 4


@in_virtual_time
async def test_a_shorter_interval_and_another_path_hold_at_once() -> None:
    wire = ScriptedWire(otherwise=well)
    async with checking(wire, config(settings(interval=Seconds(3600.0)), A)) as client:
        await asyncio.sleep(10)
        client.configure(config(settings(path="/ready", interval=Seconds(2.0)), A))
        await asyncio.sleep(4)
    assert [(each.at, each.request.path) for each in wire.sent] == [(11.0, "/ready"), (13.0, "/ready")]


@in_virtual_time
async def test_settings_that_change_often_do_not_put_off_the_checks() -> None:
    wire = ScriptedWire(otherwise=well)
    async with checking(wire, config(settings(), A)) as client:
        for limit in range(1, 31):
            client.configure(config(settings(), A, bulkhead=BulkheadSettings(limit=limit)))
            await asyncio.sleep(1)
    assert len(wire.sent) == 6


@in_virtual_time
async def test_switched_off_and_on_before_anybody_noticed_there_is_still_one_task() -> None:
    wire = ScriptedWire(otherwise=well)
    async with checking(wire, config(settings(), A)) as client:
        await asyncio.sleep(1)
        client.configure(config(HealthSettings(), A))
        client.configure(config(settings(), A))
        await asyncio.sleep(1)
        assert len(others()) == 1
        await asyncio.sleep(10)
    assert elapsed() == pytest.approx(12.0)
    assert wire.instants == pytest.approx([3.5, 8.5])


@in_virtual_time
async def test_when_nobody_asks_any_more_all_are_taken_for_well() -> None:
    async with checking(per_instance({B: refused}), config(settings())) as client:
        await asyncio.sleep(15)
        assert states(client) == {A: "well", B: "unhealthy"}
        client.configure(config(HealthSettings()))
        await asyncio.sleep(0.1)
        assert (states(client), others()) == ({A: "well", B: "well"}, set())


@in_virtual_time
async def test_an_instance_that_left_and_came_back_is_judged_anew() -> None:
    patients: Patients = {B: refused}
    async with checking(per_instance(patients), config(settings())) as client:
        await asyncio.sleep(15)
        client.configure(config(settings(), A))
        await asyncio.sleep(6)
        client.configure(config(settings(), A, B))
        assert states(client)[B] == "well"
        await asyncio.sleep(5)
        assert states(client)[B] == "well"  # one failed check
        await asyncio.sleep(5)
        assert states(client)[B] == "unhealthy"


@in_virtual_time
async def test_the_wire_is_closed_even_if_closing_is_cancelled_meanwhile() -> None:
    unwinding = asyncio.Event()

    async def takes_its_time_to_end(_: ServiceRequest) -> ServiceResponse:
        try:
            await asyncio.sleep(3600)
        finally:
            unwinding.set()
            await asyncio.sleep(1)
        return answer()

    wire = ScriptedWire(otherwise=takes_its_time_to_end)
    client = checking(wire, config(settings(timeout=Seconds(60.0)), A))
    await client.start()
    await asyncio.sleep(3)
    closing = asyncio.create_task(client.close())
    await unwinding.wait()
    closing.cancel()
    await asyncio.wait([closing])
    assert (closing.cancelled(), wire.is_started) == (True, False)
    await asyncio.sleep(2)
    assert others() == set()
