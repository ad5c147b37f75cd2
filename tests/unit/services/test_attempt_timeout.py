"""How long one attempt may take, and whose fault it is."""

import asyncio

import pytest
from msgspec.structs import replace

from gateway.clock import Seconds
from gateway.errors import DeadlineExceeded, ServiceTimeout
from gateway.services import DeadlineCut, Handler
from gateway.services.latency import Latencies
from gateway.services.policies import attempt_timeout
from gateway.services.stack import over
from gateway.services.timers import Timers
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .calling import CLOCK, STOCK, due, elapsed


def limited(wire: ScriptedWire, seconds: float = 2.0) -> Handler:
    return attempt_timeout(
        "catalog", Latencies(), Timers(), floor=lambda: Seconds(seconds), longest=lambda: Seconds(seconds), clock=CLOCK
    )(over(wire))


@in_virtual_time
async def test_a_slow_service_times_out_and_nobody_knows_whether_it_was_applied() -> None:
    with pytest.raises(ServiceTimeout, match="2000 ms") as caught:
        await limited(ScriptedWire(hang))(STOCK)
    assert caught.value.applied is None
    assert elapsed() == 2.0


@in_virtual_time
async def test_a_request_may_bring_its_own_timeout() -> None:
    with pytest.raises(ServiceTimeout):
        await limited(ScriptedWire(hang))(replace(STOCK, attempt_timeout=Seconds(5.0)))
    assert elapsed() == 5.0


@in_virtual_time
async def test_an_answer_in_time_passes() -> None:
    assert (await limited(ScriptedWire(after(1.9, answer())))(STOCK)).status == 200


@in_virtual_time
async def test_the_deadline_cuts_an_attempt_short_and_that_is_not_the_services_timeout() -> None:
    with pytest.raises(DeadlineCut) as caught:
        await limited(ScriptedWire(hang))(due(0.5))
    assert elapsed() == 0.5
    assert caught.value.waited == 0.5
    assert caught.value.code == "DEADLINE_EXCEEDED"


@in_virtual_time
async def test_nothing_is_sent_after_the_deadline() -> None:
    wire = ScriptedWire()
    await asyncio.sleep(1)
    with pytest.raises(DeadlineExceeded) as caught:
        await limited(wire)(due(1.0))
    assert not isinstance(caught.value, DeadlineCut)
    assert wire.sent == []


@in_virtual_time
async def test_a_cancellation_is_not_a_timeout() -> None:
    wire = ScriptedWire(hang)
    call = asyncio.ensure_future(limited(wire)(STOCK))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert wire.in_flight == 0


@in_virtual_time
async def test_a_foreign_timeout_error_is_left_as_it_is() -> None:
    with pytest.raises(TimeoutError, match="not ours"):
        await limited(ScriptedWire(TimeoutError("not ours")))(STOCK)
