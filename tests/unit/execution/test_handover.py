"""Pieces are handed from a task to a reader: in order, not far ahead, and nothing is left when either ends."""

from __future__ import annotations

import asyncio

import pytest

from gateway.execution.handover import Give, handed_over
from gateway.testing import in_virtual_time


@in_virtual_time
async def test_pieces_come_in_their_order_and_end() -> None:
    async def make(give: Give[int]) -> None:
        for number in range(3):
            await give(number)

    assert [piece async for piece in handed_over(make)] == [0, 1, 2]


@in_virtual_time
async def test_the_maker_is_not_far_ahead_of_its_reader() -> None:
    made = []

    async def make(give: Give[int]) -> None:
        for number in range(100):
            made.append(number)
            await give(number)

    reading = handed_over(make)
    assert await anext(reading) == 0
    await asyncio.sleep(1)
    assert len(made) <= 3
    await reading.aclose()


@in_virtual_time
async def test_a_failure_comes_after_what_was_given() -> None:
    async def make(give: Give[int]) -> None:
        await give(1)
        raise LookupError("no more")

    reading = handed_over(make)
    assert await anext(reading) == 1
    with pytest.raises(LookupError, match="no more"):
        await anext(reading)


@in_virtual_time
async def test_the_maker_is_cancelled_when_its_reader_goes() -> None:
    ended = asyncio.Event()

    async def make(give: Give[int]) -> None:
        try:
            await give(1)
            await asyncio.sleep(1_000)
        finally:
            ended.set()

    reading = handed_over(make)
    assert await anext(reading) == 1
    await reading.aclose()
    assert ended.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_a_maker_that_is_cancelled_by_others_does_not_keep_its_reader_waiting() -> None:
    async def make(give: Give[int]) -> None:
        await give(1)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        assert [piece async for piece in handed_over(make)] == [1]
