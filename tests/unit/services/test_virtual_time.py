"""The test doubles themselves: virtual time and the scripted wire."""

import asyncio
import time

import pytest

from gateway.clock import Seconds
from gateway.testing import Deadlock, ScriptedWire, VirtualClock, after, answer, hang, in_virtual_time, run_virtual

from .calling import STOCK, broken_off

SECOND = Seconds(1.0)


def test_an_hour_takes_no_time_and_ends_exactly() -> None:
    began = time.monotonic()

    async def an_hour() -> float:
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(1800))
        return asyncio.get_running_loop().time()

    assert run_virtual(an_hour()) == 3600.0
    assert time.monotonic() - began < 5


@in_virtual_time
async def test_timers_fire_in_order_and_time_stands_still_while_something_is_ready() -> None:
    order: list[tuple[str, float]] = []

    async def after_a_while(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for _ in range(10):
            await asyncio.sleep(0)
        order.append((name, asyncio.get_running_loop().time()))

    await asyncio.gather(after_a_while("b", 0.2), after_a_while("a", 0.1))
    assert order == [("a", 0.1), ("b", 0.2)]


def test_a_deadlock_is_an_error_that_names_who_waits() -> None:
    async def waits_for_ever() -> None:
        await asyncio.sleep(1.5)
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"deadlock at 1\.500 s .*waits_for_ever"):
        run_virtual(waits_for_ever())


@in_virtual_time
async def test_work_in_a_thread_is_waited_for_and_no_time_passes() -> None:
    timer = asyncio.ensure_future(asyncio.sleep(1))
    assert await asyncio.to_thread(lambda: time.sleep(0.02) or "done") == "done"  # type: ignore[func-returns-value]
    assert asyncio.get_running_loop().time() == 0
    await timer


@in_virtual_time
async def test_sockets_between_tasks_of_the_loop_work() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        # A connection is established by the kernel at once, so the jump finds it ready before any timer.
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()


@in_virtual_time
async def test_the_wall_clock_moves_with_the_loop_and_may_jump() -> None:
    clock = VirtualClock(epoch=1000.0)
    await asyncio.sleep(5)
    assert (clock.now(), clock.wall()) == (5.0, 1005.0)
    clock.jump(-100)
    assert (clock.now(), clock.wall()) == (5.0, 905.0)


@in_virtual_time
async def test_a_scripted_wire_follows_its_script_and_remembers() -> None:
    wire = ScriptedWire(answer({"n": 1}), broken_off, otherwise=after(2.0, answer(status=404)))
    assert (await wire.send(STOCK, timeout=SECOND)).body == b'{"n":1}'
    with pytest.raises(Exception, match="closed the connection"):
        await wire.send(STOCK, timeout=SECOND)
    assert (await wire.send(STOCK, timeout=SECOND)).status == 404
    assert (await wire.send(STOCK, timeout=SECOND)).status == 404
    assert wire.instants == [0.0, 0.0, 0.0, 2.0]
    assert repr(wire) == "<ScriptedWire 4 sent, 0 scripted, 0 in flight>"


@in_virtual_time
async def test_an_attempt_beyond_the_script_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="attempt 1 is one more"):
        await ScriptedWire().send(STOCK, timeout=SECOND)


@in_virtual_time
async def test_a_hanging_wire_ends_by_cancellation_only() -> None:
    wire = ScriptedWire(hang)
    task = asyncio.create_task(wire.send(STOCK, timeout=SECOND))
    await asyncio.sleep(1000)
    assert (wire.in_flight, wire.peak) == (1, 1)
    task.cancel()
    await asyncio.wait([task])
    assert (wire.in_flight, wire.peak) == (0, 1)
