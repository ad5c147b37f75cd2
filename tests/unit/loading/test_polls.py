"""Values that are followed by asking again: once for all who follow, as often as was said, and not at all for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from gateway.clock import Deadline, LoopClock, Seconds
from gateway.errors import ServiceError
from gateway.identity import ANONYMOUS, Identity
from gateway.loading import Polls, Reading
from gateway.services import ServiceRequest, ServiceResponse
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .reading import INVENTORY, Stock, keys_of, loaders_over

stock = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, shared="public")
mine = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock)
CLOCK = LoopClock()


class Inventory:
    """What there is of each sku; `is_down`: nothing can be asked."""

    def __init__(self, **quantities: int) -> None:
        self.quantities = quantities
        self.is_down = False
        self.wire = ScriptedWire(otherwise=self._answer)

    def _answer(self, request: ServiceRequest) -> ServiceResponse:
        if self.is_down:
            return ServiceResponse(400, {}, b"{}")
        known = [sku for sku in keys_of(request) if sku in self.quantities]
        return answer([{"sku": sku, "quantity": self.quantities[sku]} for sku in known])

    def polls(self) -> Polls:
        return Polls(loaders_over(self.wire), clock=CLOCK)


def follow(
    polls: Polls, sku: str, *, loader: Any = stock, every: float = 1.0, identity: Identity = ANONYMOUS
) -> AsyncGenerator[Any]:
    reading = Reading(identity=identity, deadline=Deadline())
    return polls.follow(loader, sku, {}, reading=reading, every=Seconds(every))


async def quantity(changes: AsyncGenerator[Any]) -> int | None:
    found = await anext(changes)
    return None if found is None else int(found.quantity)


async def collect(changes: AsyncGenerator[Any], into: list[Any]) -> None:
    async for found in changes:
        into += [found.quantity]


@in_virtual_time
async def test_the_first_value_comes_at_once_and_the_next_when_it_differs() -> None:
    shop = Inventory(a=1)
    async with shop.polls() as polls, aclosing(follow(polls, "a")) as changes:
        began = asyncio.get_running_loop().time()
        assert await quantity(changes) == 1
        assert asyncio.get_running_loop().time() == began
        asyncio.get_running_loop().call_later(5.5, shop.quantities.update, {"a": 2})
        assert await quantity(changes) == 2
        assert asyncio.get_running_loop().time() - began == pytest.approx(6.0)


@in_virtual_time
async def test_what_goes_and_comes_back_is_told_as_nothing_between() -> None:
    shop = Inventory(a=1)
    async with shop.polls() as polls, aclosing(follow(polls, "a")) as changes:
        seen = [await quantity(changes)]
        del shop.quantities["a"]
        seen.append(await quantity(changes))
        shop.quantities["a"] = 1
        seen.append(await quantity(changes))
    assert seen == [1, None, 1]


@in_virtual_time
async def test_a_thousand_followers_of_two_keys_cost_one_call_an_interval() -> None:
    shop = Inventory(a=1, b=2)
    async with shop.polls() as polls:
        seen: list[list[Any]] = [[] for _ in range(1_000)]
        following = [
            asyncio.ensure_future(collect(follow(polls, "ab"[index % 2]), into)) for index, into in enumerate(seen)
        ]
        await asyncio.sleep(9.5)
        shop.quantities["a"] = 7
        await asyncio.sleep(1)
        assert len(shop.wire.sent) == 11
        assert (seen[0], seen[1], seen[998]) == ([1, 7], [2], [1, 7])
        assert repr(polls) == "<Polls 1 questions, 2 keys>"
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


@in_virtual_time
async def test_who_comes_later_does_not_wait_for_the_interval() -> None:
    shop = Inventory(a=1, b=2)
    async with (
        shop.polls() as polls,
        aclosing(follow(polls, "a", every=60.0)) as first,
        aclosing(follow(polls, "b", every=60.0)) as second,
    ):
        await anext(first)
        await asyncio.sleep(10)
        async with asyncio.timeout(0.1):
            assert await quantity(second) == 2
        async with aclosing(follow(polls, "a", every=60.0)) as third, asyncio.timeout(0.1):
            assert await quantity(third) == 1
    assert len(shop.wire.sent) == 2


@in_virtual_time
async def test_a_slow_reader_gets_the_newest_value_and_misses_those_between() -> None:
    shop = Inventory(a=1)
    async with shop.polls() as polls, aclosing(follow(polls, "a")) as changes:
        assert await quantity(changes) == 1
        for each in (2, 3, 4):
            shop.quantities["a"] = each
            await asyncio.sleep(1)
        await asyncio.sleep(0.5)
        assert await quantity(changes) == 4


@in_virtual_time
async def test_nothing_is_asked_when_nobody_follows() -> None:
    before, shop = len(asyncio.all_tasks()), Inventory(a=1)
    async with shop.polls() as polls:
        async with aclosing(follow(polls, "a")) as changes:
            await anext(changes)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before
        await asyncio.sleep(100)
        assert len(shop.wire.sent) == 1
        assert repr(polls) == "<Polls 0 questions, 0 keys>"


@in_virtual_time
async def test_a_first_question_that_fails_is_told_and_a_later_one_is_passed_over() -> None:
    shop = Inventory(a=1)
    async with shop.polls() as polls, aclosing(follow(polls, "a")) as changes:
        assert await quantity(changes) == 1
        shop.is_down = True
        await asyncio.sleep(5)
        async with aclosing(follow(polls, "b")) as other:
            with pytest.raises(ServiceError):
                await anext(other)
        shop.is_down = False
        shop.quantities["a"] = 2
        assert await quantity(changes) == 2


@in_virtual_time
async def test_what_is_not_public_is_followed_for_each_caller_alone() -> None:
    shop = Inventory(a=1)
    callers = [Identity("shop", who) for who in ("ada", "bob", "ada")]
    async with shop.polls() as polls:
        following = [follow(polls, "a", loader=mine, identity=who) for who in callers]
        for each in following:
            await anext(each)
        assert repr(polls) == "<Polls 2 questions, 2 keys>"
        for each in following:
            await each.aclose()


@in_virtual_time
async def test_the_end_of_the_application_ends_every_poll() -> None:
    before, shop = len(asyncio.all_tasks()), Inventory(a=1)
    async with shop.polls() as polls:
        changes = follow(polls, "a")
        await anext(changes)
    assert len(asyncio.all_tasks()) == before
    await changes.aclose()


async def test_an_interval_that_would_be_a_load_test_is_refused() -> None:
    async with Inventory().polls() as polls:
        with pytest.raises(ValueError, match=r"the least is 0\.1 s"):
            await anext(follow(polls, "a", every=0.01))
