"""What each signal brings, and what a server does about it: in virtual time, with real bytes and no socket."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from signal import SIGINT, SIGTERM

import pytest
import uvicorn

from gateway.clock import Seconds
from gateway.departure import Departure, Stage
from gateway.server import Server
from gateway.telemetry import Telemetry
from gateway.testing import in_virtual_time

DELAY = Seconds(5.0)


@pytest.mark.parametrize(
    ("signals", "stages"),
    [
        ([SIGTERM, SIGTERM, SIGTERM], [Stage.ANNOUNCED, Stage.DRAINING, Stage.FORCED]),
        ([SIGTERM, SIGINT, SIGINT], [Stage.ANNOUNCED, Stage.DRAINING, Stage.FORCED]),
        ([SIGINT, SIGINT], [Stage.DRAINING, Stage.FORCED]),
        ([SIGINT, SIGTERM], [Stage.DRAINING, Stage.FORCED]),
    ],
)
def test_each_signal_brings_the_next_stage_and_a_terminals_announces_nothing(
    signals: Sequence[signal.Signals], stages: Sequence[Stage]
) -> None:
    departure = Departure(DELAY)
    assert [departure.asked(number) for number in signals] == stages


def test_without_a_delay_nothing_is_announced() -> None:
    departure = Departure()
    assert not departure.has_begun
    assert [departure.asked(SIGTERM), departure.asked(SIGTERM)] == [Stage.DRAINING, Stage.FORCED]


def test_the_end_of_the_wait_brings_the_drain_once_and_never_a_stage_back() -> None:
    departure = Departure(DELAY)
    assert not departure.waited()
    departure.asked(SIGTERM)
    assert departure.waited()
    assert (departure.waited(), departure.stage) == (False, Stage.DRAINING)
    departure.asked(SIGTERM)
    assert (departure.waited(), departure.stage) == (False, Stage.FORCED)


class Leaving:
    """A server that is asked to leave, and when it did what."""

    def __init__(self, delay: Seconds = DELAY) -> None:
        self.told = list[tuple[str, float]]()
        self.server = Server(
            uvicorn.Config(_nothing, lifespan="off", log_config=None),
            log=Telemetry().log,
            departure=Departure(delay),
            on_announce=lambda: self._note("announced"),
            on_leave=lambda: self._note("drains"),
        )

    def _note(self, what: str) -> None:
        self.told.append((what, asyncio.get_running_loop().time()))


async def _nothing(scope: object, receive: object, send: object) -> None: ...


@in_virtual_time
async def test_a_server_announces_waits_and_drains() -> None:
    leaving, now = Leaving(), asyncio.get_running_loop().time()
    leaving.server.asked(SIGTERM)
    await asyncio.sleep(DELAY - 0.1)
    assert (leaving.told, leaving.server.should_exit) == ([("announced", now)], False)
    await asyncio.sleep(0.2)
    assert leaving.told == [("announced", now), ("drains", now + DELAY)]
    assert (leaving.server.should_exit, leaving.server.force_exit) == (True, False)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
@in_virtual_time
async def test_a_second_signal_ends_the_wait_and_the_third_waits_for_nothing(number: signal.Signals) -> None:
    leaving, now = Leaving(), asyncio.get_running_loop().time()
    leaving.server.asked(SIGTERM)
    await asyncio.sleep(1.0)
    leaving.server.asked(number)
    assert leaving.told == [("announced", now), ("drains", now + 1.0)]
    assert (leaving.server.should_exit, leaving.server.force_exit) == (True, False)
    await asyncio.sleep(DELAY)
    assert len(leaving.told) == 2, "it drained twice"
    leaving.server.asked(number)
    assert leaving.server.force_exit


@in_virtual_time
async def test_an_interrupt_drains_at_once() -> None:
    leaving, now = Leaving(), asyncio.get_running_loop().time()
    leaving.server.asked(SIGINT)
    assert (leaving.told, leaving.server.should_exit) == ([("drains", now)], True)
