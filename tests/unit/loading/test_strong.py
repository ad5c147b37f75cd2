"""Strong reads: what the service says now, whatever is cached, under way or was asked for before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.clock import Seconds
from gateway.testing import ScriptedWire, after, answer, in_virtual_time

from .reading import INVENTORY, Stock, asked, inventory, keys_of, loaders_over, request_of

cached = INVENTORY.loader(
    "/stock", keys="skus", key="sku", into=Stock, fresh="1h", revalidate="1h", shared="public", max_batch=3
)
listing = INVENTORY.pages("/all", into=Stock, params={}, fresh="1h", shared="public")


def numbered(latency: float = 0.0) -> ScriptedWire:
    """Answers how many calls it has had."""
    wire = inventory()

    def nth(request: Any) -> Any:
        rows = [{"sku": key, "quantity": len(wire.sent)} for key in keys_of(request) or ["all"]]
        return answer({"items": rows} if request.path == "/all" else rows)

    wire._otherwise = after(latency, nth)
    return wire


@in_virtual_time
async def test_a_strong_read_passes_by_what_is_cached_and_leaves_its_answer_there() -> None:
    wire = numbered()
    loaders = loaders_over(wire)
    await request_of(loaders).load(cached, "a")
    assert await request_of(loaders).load(cached, "a", is_strong=True) == Stock("a", 2)
    assert await request_of(loaders).load(cached, "a") == Stock("a", 2)


@in_virtual_time
async def test_a_strong_read_asks_again_for_what_its_own_request_has_read_before() -> None:
    wire = numbered()
    loads = request_of(loaders_over(wire))
    read = [await loads.load(cached, "a", is_strong=is_strong) for is_strong in (False, True, True, False)]
    assert [stock.quantity for stock in read if stock] == [1, 2, 3, 1]


@in_virtual_time
async def test_a_strong_read_shares_no_call_that_is_under_way_and_no_hedge_is_sent_for_it() -> None:
    wire = numbered(latency=0.1)
    loaders = loaders_over(wire)
    early = asyncio.create_task(request_of(loaders).load(cached, "a"))
    await asyncio.sleep(0.05)
    await asyncio.gather(*(request_of(loaders).load(cached, "a", is_strong=True) for _ in range(2)))
    await early
    weak, *strong = wire.requests
    assert (weak.share is not None, weak.may_hedge) == (True, True)
    assert [(request.share, request.may_hedge) for request in strong] == [(None, False)] * 2


@in_virtual_time
async def test_strong_and_weak_reads_of_one_tick_travel_apart_and_strong_ones_together() -> None:
    wire = numbered()
    loads = request_of(loaders_over(wire))
    keys = [("a", True), ("a", True), ("b", False), ("c", True), ("a", False)]
    found = await asyncio.gather(*(loads.load(cached, key, is_strong=is_strong) for key, is_strong in keys))
    assert [stock.sku for stock in found if stock] == ["a", "a", "b", "c", "a"]
    assert sorted(asked(wire)) == [["a", "c"], ["b", "a"]]


@in_virtual_time
async def test_many_strong_reads_keep_their_order_and_the_batch_its_bound() -> None:
    wire = numbered()
    keys = ["a", "b", "a", "c", "d"]
    found = await request_of(loaders_over(wire)).load_many(cached, keys, is_strong=True)
    assert [stock.sku for stock in found if stock] == keys
    assert all(len(batch) <= 3 for batch in asked(wire))


@in_virtual_time
async def test_a_strong_page_is_asked_for_anew() -> None:
    loads = request_of(loaders_over(numbered()))
    pages = [await loads.page(listing, is_strong=is_strong) for is_strong in (False, True, True, False)]
    assert [page.items[0].quantity for page in pages] == [1, 2, 3, 1]


@in_virtual_time
async def test_two_strong_readers_of_a_page_in_one_tick_share_its_call() -> None:
    wire = numbered()
    loads = request_of(loaders_over(wire))
    one, other = await asyncio.gather(*(loads.page(listing, is_strong=True) for _ in range(2)))
    assert one == other
    assert len(wire.sent) == 1


@pytest.mark.parametrize("is_strong", [True, False])
@in_virtual_time
async def test_what_a_strong_read_was_answered_may_stand_in_for_a_weak_one_later(is_strong: bool) -> None:
    plain = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock)
    loaders = loaders_over(numbered(), keep={plain: Seconds(60.0)})
    await request_of(loaders).load(plain, "a", is_strong=is_strong)
    await asyncio.sleep(1)
    assert request_of(loaders).stale(plain, "a", max_age=Seconds(60.0)) == (Stock("a", 1), 1.0)
