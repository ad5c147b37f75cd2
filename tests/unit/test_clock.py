"""Time: durations as they are written, deadlines as they pass, two clocks that are never mixed."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Deadline, Epoch, Instant, LoopClock, duration, utc
from gateway.testing import VirtualClock, in_virtual_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("2s", 2), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("1.5s", 1.5), (" 2 s ", 2), (3, 3)],
)
def test_a_duration_is_a_number_and_a_unit(text: str | float, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "2", "2 seconds", "-2s", "2s2", "1e3s", ".5s", "nans"])
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write a number and a unit"):
        duration(text)


@pytest.mark.parametrize("number", [-1, -0.5, float("nan")])
def test_a_duration_is_not_negative(number: float) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        duration(number)


@given(st.integers(0, 10**6))
def test_milliseconds_are_thousandths(number: int) -> None:
    assert duration(f"{number}ms") == pytest.approx(number / 1000)


@in_virtual_time
async def test_a_deadline_passes_with_the_loop_s_clock() -> None:
    for clock in (VirtualClock(), LoopClock()):
        deadline = Deadline.after(1, clock=clock)
        assert deadline.remaining(clock) == 1.0
        assert not deadline.has_passed(clock)
        await asyncio.sleep(0.25)
        assert deadline.remaining(clock) == 0.75
        await asyncio.sleep(1)
        assert deadline.remaining(clock) == 0.0
        assert deadline.has_passed(clock)


@in_virtual_time
async def test_the_body_of_a_deadline_s_scope_ends_at_the_instant() -> None:
    with pytest.raises(TimeoutError):
        async with Deadline(Instant(0.5)).scope():
            await asyncio.sleep(10)
    assert VirtualClock().now() == 0.5


@in_virtual_time
async def test_a_deadline_that_never_comes_lets_everything_end() -> None:
    async with Deadline().scope():
        await asyncio.sleep(10**6)
    assert Deadline().remaining(VirtualClock()) == float("inf")
    assert not Deadline().has_passed(VirtualClock())


def test_the_earlier_deadline_is_the_smaller_one() -> None:
    assert min(Deadline(), Deadline(Instant(3)), Deadline(Instant(2))) == Deadline(Instant(2))


def test_epochs_are_utc_for_people() -> None:
    assert utc(Epoch(0)) == datetime(1970, 1, 1, tzinfo=UTC)
    assert abs(LoopClock().wall() - time.time()) < 5
