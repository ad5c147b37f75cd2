"""What a run waits for: it ends with the last, fails with the first that is wrong, and is not held up by what nobody needs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.execution.tasks import Tasks, Work
from gateway.loading.calls import Call, Loaded
from gateway.testing import in_virtual_time


def layer(*, is_dead: bool = False) -> Any:
    return SimpleNamespace(is_dead=is_dead, tasks=set())


def call() -> Call:
    return Call(asyncio.get_running_loop().create_future())


@in_virtual_time
async def test_a_run_goes_on_once_when_the_first_of_its_calls_has_ended() -> None:
    tasks, calls, told, its = Tasks(), [call(), call()], list[str](), layer()
    tasks.expect(its, calls, lambda: told.append("then"))
    assert len(its.tasks) == 1
    calls[1].end(Loaded({}))
    await tasks.end()
    calls[0].end(Loaded({}))
    await asyncio.sleep(0)
    assert (told, its.tasks) == (["then"], set())


@in_virtual_time
async def test_what_follows_may_begin_more_and_the_end_waits_for_it() -> None:
    tasks, first = Tasks(), call()
    tasks.expect(layer(), [first], lambda: tasks.begin([Work(layer(), asyncio.sleep(1.0))]))
    first.end(Loaded({}))
    await tasks.end()
    assert asyncio.get_running_loop().time() == 1.0


@in_virtual_time
async def test_a_layer_that_dies_is_not_waited_for() -> None:
    tasks, its, told = Tasks(), layer(), list[str]()
    tasks.expect(its, [call()], lambda: told.append("then"))
    tasks.begin([Work(its, asyncio.sleep(9.0))])
    its.is_dead = True
    for each in list(its.tasks):
        each.cancel()
    await tasks.end()
    assert (told, asyncio.get_running_loop().time()) == ([], 0.0)


@in_virtual_time
async def test_a_call_that_others_have_cancelled_cancels_the_run() -> None:
    tasks, cancelled, told = Tasks(), call(), list[str]()
    tasks.expect(layer(), [cancelled], lambda: told.append("then"))
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks.end()
    assert told == []


@in_virtual_time
async def test_what_goes_wrong_in_what_follows_is_raised_and_the_others_can_be_ended() -> None:
    tasks, first = Tasks(), call()

    def wrong() -> None:
        raise ZeroDivisionError

    tasks.expect(layer(), [first], wrong)
    tasks.begin([Work(layer(), asyncio.sleep(9.0))])
    first.end(Loaded({}))
    with pytest.raises(ZeroDivisionError):
        await tasks.end()
    await tasks.cancel()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_the_work_of_a_dead_layer_is_not_begun() -> None:
    tasks, rest = Tasks(), asyncio.sleep(9.0)
    tasks.begin([Work(layer(is_dead=True), rest)])
    await tasks.end()
    rest.close()
    assert asyncio.get_running_loop().time() == 0.0
