"""How the gateway feels: measured on a virtual loop that is held up as an operation would hold it up."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.admission import Admission, Pressure
from gateway.clock import LoopClock, Seconds
from gateway.overload_limits import OverloadLimits
from gateway.telemetry import Telemetry
from gateway.testing import VirtualLoop, in_virtual_time

USUAL = OverloadLimits()


def pressed(limits: OverloadLimits = USUAL) -> tuple[Admission, Pressure, Telemetry]:
    telemetry = Telemetry()
    admission = Admission(100, telemetry=telemetry, clock=LoopClock(), limits=limits, random=Random(1))
    return admission, Pressure(admission, limits=limits, telemetry=telemetry), telemetry


async def busy(admission: Admission, *, seconds: float, held_up: float) -> None:
    """An operation which lets the loop go every ten milliseconds, and holds it up in between for `held_up`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with admission.permit():
        ends = loop.time() + seconds
        while loop.time() < ends:
            loop.advance(held_up)
            await asyncio.sleep(0.01)


@in_virtual_time
async def test_while_nothing_runs_nothing_is_measured() -> None:
    admission, pressure, _ = pressed()
    pressure.begin()
    async with admission.permit():
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)
    with pytest.raises(TimeoutError):  # on a loop where nothing else is due, time stands still without a timer
        await asyncio.wait_for(asyncio.Event().wait(), 100.0)
    pressure.end()
    assert repr(pressure).startswith("<Pressure relieved")


@in_virtual_time
async def test_a_late_loop_lowers_the_limit_and_a_quiet_one_raises_it_again() -> None:
    admission, pressure, telemetry = pressed()
    pressure.begin()
    await busy(admission, seconds=3.0, held_up=0.3)
    lag = telemetry.metrics.registry.get_sample_value("sagaql_event_loop_lag_seconds")
    assert lag is not None
    assert 0.05 < lag < 0.3
    assert (admission.limit, pressure.is_strained) == (16, False)
    await busy(admission, seconds=2.0, held_up=0.0)
    assert admission.limit > 16
    pressure.end()


@in_virtual_time
async def test_an_operation_that_only_waits_strains_nothing() -> None:
    admission, pressure, _ = pressed()
    pressure.begin()
    await busy(admission, seconds=5.0, held_up=0.0)
    pressure.end()
    assert (admission.limit, pressure.is_strained, pressure.share.is_on) == (64, False, False)


@in_virtual_time
async def test_refusals_strain_and_turn_the_shares_on() -> None:
    limits = OverloadLimits(queue=0)
    admission, pressure, _ = pressed(limits)
    pressure.begin()
    admission.learnt.tell(Seconds(1.0), used=1)
    runs = [asyncio.ensure_future(busy(admission, seconds=0.6, held_up=0.0)) for _ in range(60)]
    for _ in range(4):
        await asyncio.sleep(0.1)
        asked = [asyncio.ensure_future(busy(admission, seconds=0.1, held_up=0.0)) for _ in range(60)]
        await asyncio.gather(*asked, return_exceptions=True)
    assert (pressure.is_strained, pressure.share.is_on) == (True, True)
    await asyncio.gather(*runs, return_exceptions=True)
    await asyncio.sleep(5.0)
    assert (pressure.is_strained, pressure.share.is_on) == (False, False)
    pressure.end()


@in_virtual_time
async def test_both_can_be_switched_off() -> None:
    admission, pressure, _ = pressed(OverloadLimits(adaptive=False, shed_early=False, queue=0))
    pressure.begin()
    await busy(admission, seconds=1.0, held_up=0.05)
    pressure.end()
    assert (admission.limit, pressure.share.is_on, pressure.is_strained) == (100, False, False)
