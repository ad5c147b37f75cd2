"""Timers and timeouts that cost little: they ring at their instant, and once taken back never."""

import asyncio
from functools import partial
from random import Random

import pytest

from gateway.clock import FOREVER, Instant
from gateway.services.timers import Expiry, Timers
from gateway.testing import in_virtual_time, run_virtual

from .calling import elapsed


@in_virtual_time
async def test_timers_ring_in_the_order_of_their_instants_whatever_the_order_they_were_set_in() -> None:
    timers, rang = Timers(), list[tuple[float, float]]()
    for instant in (0.5, 0.1, 0.3, 0.1, 0.9):
        timers.at(Instant(instant), lambda instant=instant: rang.append((instant, elapsed())))  # type: ignore[misc]
    taken_back = timers.at(Instant(0.2), lambda: rang.append((0.2, 0.2)))
    timers.cancel(taken_back)
    await asyncio.sleep(1)
    assert rang == [(each, each) for each in (0.1, 0.1, 0.3, 0.5, 0.9)]
    assert len(timers) == 0


@in_virtual_time
async def test_those_that_are_due_together_ring_by_their_instants_then_in_the_order_they_were_set_in() -> None:
    timers, rang = Timers(), list[str]()
    await asyncio.sleep(1)
    for name, instant in (("c", 0.4), ("d", 0.4), ("a", 0.2), ("b", 0.3)):
        timers.at(Instant(instant), partial(rang.append, name))
    await asyncio.sleep(0.1)
    assert rang == ["a", "b", "c", "d"]


@in_virtual_time
async def test_one_that_rings_may_take_back_another_that_is_due_and_set_a_new_one() -> None:
    timers, rang = Timers(), list[str]()
    second = timers.at(Instant(0.3), lambda: rang.append("second"))

    def first() -> None:
        rang.append("first")
        timers.cancel(second)
        timers.at(Instant(0.3), lambda: rang.append("third"))

    timers.at(Instant(0.2), first)
    await asyncio.sleep(1)
    assert rang == ["first", "third"]


@in_virtual_time
async def test_one_taken_back_by_another_of_the_same_moment_does_not_ring() -> None:
    timers, rang = Timers(), list[str]()
    await asyncio.sleep(1)
    timers.at(Instant(0.2), lambda: timers.cancel(later))
    later = timers.at(Instant(0.3), lambda: rang.append("taken back"))
    timers.at(Instant(0.4), lambda: rang.append("the next"))
    await asyncio.sleep(1)
    assert (rang, len(timers)) == (["the next"], 0)


@in_virtual_time
async def test_nothing_is_kept_of_one_that_was_taken_back() -> None:
    timers = Timers()
    for _ in range(3):
        timer = timers.at(Instant(60.0), lambda: None)
        assert len(timers) == 1
        timers.cancel(timer)
        timers.cancel(timer)
        assert len(timers) == 0


@in_virtual_time
async def test_one_that_is_due_already_rings_at_once() -> None:
    timers, rang = Timers(), asyncio.Event()
    await asyncio.sleep(1)
    timers.at(Instant(0.5), rang.set)
    await rang.wait()
    assert elapsed() == 1.0


def test_on_another_loop_it_begins_anew() -> None:
    timers = Timers()

    async def run() -> bool:
        rang = asyncio.Event()
        timers.at(Instant(5.0), lambda: None)
        timers.at(Instant(0.1), rang.set)
        await rang.wait()
        return elapsed() == pytest.approx(0.1)

    async def left_behind() -> bool:
        timers.at(Instant(0.05), lambda: None)
        return True

    assert run_virtual(run())
    assert run_virtual(left_behind())  # its loop ends before it rings
    assert run_virtual(run())


@in_virtual_time
async def test_a_body_that_takes_too_long_is_cancelled_and_told_as_a_timeout() -> None:
    with pytest.raises(TimeoutError), Expiry(Timers(), Instant(0.3)) as expiry:
        await asyncio.sleep(9)
    assert (elapsed(), expiry.has_expired) == (0.3, True)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@in_virtual_time
async def test_a_body_that_ends_in_time_leaves_nothing_behind() -> None:
    timers = Timers()
    with Expiry(timers, Instant(0.3)) as expiry:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    assert (expiry.has_expired, len(timers)) == (False, 0)


@in_virtual_time
async def test_a_cancellation_from_outside_passes_even_in_the_tick_of_the_timeout() -> None:
    timers = Timers()

    async def body() -> None:
        with Expiry(timers, Instant(0.3)):
            await asyncio.sleep(9)

    task = asyncio.create_task(body())
    asyncio.get_running_loop().call_at(0.3, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seed", range(50))
def test_nested_timeouts_and_cancellations_do_what_asyncio_s_do(seed: int) -> None:
    """The same plan with `asyncio.timeout_at` and with ours ends in the same way at the same instant."""

    async def run(is_ours: bool) -> list[tuple[str, float, int]]:
        random, timers, ends = Random(seed), Timers(), list[tuple[str, float, int]]()

        async def within(at: float, inner: float, sleeps: float) -> None:
            if is_ours:
                with Expiry(timers, Instant(at)):
                    await deeper(inner, sleeps)
            else:
                async with asyncio.timeout_at(at):
                    await deeper(inner, sleeps)

        async def deeper(at: float, sleeps: float) -> None:
            if is_ours:
                with Expiry(timers, Instant(at)):
                    await asyncio.sleep(sleeps)
            else:
                async with asyncio.timeout_at(at):
                    await asyncio.sleep(sleeps)

        async def call() -> None:
            began = elapsed()
            times = [began + random.choice([0.1, 0.2, 0.3]) for _ in range(2)]
            task = asyncio.current_task()
            assert task is not None
            try:
                await within(times[0], times[1], random.choice([0.1, 0.25, 0.5]))
                ends.append(("done", elapsed(), task.cancelling()))
            except TimeoutError:
                ends.append(("timeout", elapsed(), task.cancelling()))

        tasks = [asyncio.create_task(call()) for _ in range(20)]
        for task in tasks:
            if random.random() < 0.3:
                asyncio.get_running_loop().call_later(random.choice([0.05, 0.15, 0.2]), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        return ends

    assert sorted(run_virtual(run(True))) == sorted(run_virtual(run(False)))


@in_virtual_time
async def test_a_timeout_that_never_comes_sets_no_timer() -> None:
    timers = Timers()
    with Expiry(timers, FOREVER) as expiry:
        await asyncio.sleep(100_000)
        assert len(timers) == 0
    assert not expiry.has_expired
