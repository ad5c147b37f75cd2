"""Many keys, few calls: what travels together, what is asked once, in which order it comes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from enum import Enum

import msgspec
import pytest

from gateway.clock import Deadline, Instant
from gateway.errors import GatewayError, ServiceUnavailable
from gateway.identity import ANONYMOUS
from gateway.loading import Loads, Reading
from gateway.services import Priority
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .reading import (
    INVENTORY,
    Stock,
    asked,
    in_stock,
    inventory,
    keys_of,
    loaders_over,
    request_of,
    stock_by_sku,
    unavailable,
)

by_warehouse = INVENTORY.loader(
    "/stock",
    keys="skus",
    key="sku",
    into=Stock,
    params={"warehouse": "wh", "since": "since", "kinds": "kind", "reserved": "reserved"},
)
two_at_once = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, max_batch=2)
posted = INVENTORY.loader("/stock/batch", keys="skus", key="sku", into=Stock, method="POST", params={"warehouse": "wh"})


@in_virtual_time
async def test_keys_of_one_tick_travel_in_one_call() -> None:
    wire = inventory()
    loads = request_of(loaders_over(wire))
    found = await asyncio.gather(*(loads.load(stock_by_sku, key) for key in ("a", "bb", "ccc")))
    assert [stock.quantity for stock in found if stock] == [1, 2, 3]
    assert asked(wire) == [["a", "bb", "ccc"]]


@in_virtual_time
async def test_keys_of_different_ticks_travel_apart() -> None:
    wire = inventory()
    loads = request_of(loaders_over(wire))
    await loads.load(stock_by_sku, "a")
    await loads.load(stock_by_sku, "b")
    assert asked(wire) == [["a"], ["b"]]


@in_virtual_time
async def test_a_key_is_asked_for_once_a_request() -> None:
    wire = inventory()
    loads = request_of(loaders_over(wire))
    await asyncio.gather(*(loads.load(stock_by_sku, key) for key in ("a", "a", "b")))
    await loads.load(stock_by_sku, "a")
    assert asked(wire) == [["a", "b"]]


@in_virtual_time
async def test_two_requests_share_no_batch() -> None:
    wire = inventory()
    loaders = loaders_over(wire)
    one, other = request_of(loaders), request_of(loaders)
    await asyncio.gather(one.load(stock_by_sku, "a"), other.load(stock_by_sku, "a"))
    assert asked(wire) == [["a"], ["a"]]


@in_virtual_time
async def test_values_come_in_the_order_of_the_keys_whatever_the_order_of_the_answer() -> None:
    wire = inventory(lambda request: answer([{"sku": k, "quantity": len(k)} for k in reversed(keys_of(request))]))
    found = await request_of(loaders_over(wire)).load_many(stock_by_sku, ["ccc", "a", "bb", "a"])
    assert [stock.sku for stock in found if stock] == ["ccc", "a", "bb", "a"]


@in_virtual_time
async def test_more_keys_than_max_batch_are_split_into_calls_that_run_at_the_same_time() -> None:
    wire = inventory(after(0.1, in_stock))
    found = await request_of(loaders_over(wire)).load_many(two_at_once, ["a", "b", "c", "d", "e"])
    assert [stock.sku for stock in found if stock] == ["a", "b", "c", "d", "e"]
    assert asked(wire) == [["a", "b"], ["c", "d"], ["e"]]
    assert set(wire.instants) == {0.0}


@in_virtual_time
async def test_one_failing_part_of_a_split_batch_fails_its_own_keys_only() -> None:
    wire = ScriptedWire(in_stock, unavailable, in_stock)
    loads = request_of(loaders_over(wire))
    found = await asyncio.gather(*(loads.load(two_at_once, key) for key in "abcde"), return_exceptions=True)
    assert [isinstance(value, GatewayError) for value in found] == [False, False, True, True, False]


@in_virtual_time
async def test_each_set_of_arguments_is_a_batch_of_its_own_and_is_sent_by_the_wire_s_names() -> None:
    wire = inventory()
    loads = request_of(loaders_over(wire))
    await asyncio.gather(
        loads.load(by_warehouse, "a", {"warehouse": "north"}),
        loads.load(by_warehouse, "b", {"warehouse": "north"}),
        loads.load(by_warehouse, "a", {"warehouse": "south"}),
        loads.load(by_warehouse, "a"),
    )
    assert [request.query for request in wire.requests] == [
        (("skus", "a"), ("skus", "b"), ("wh", "north")),
        (("skus", "a"), ("wh", "south")),
        (("skus", "a"),),
    ]


class Kind(Enum):
    NEW = "new"
    USED = "used"


@in_virtual_time
async def test_arguments_are_written_as_json_writes_them() -> None:
    wire = inventory()
    arguments = {
        "since": datetime(2026, 1, 2, tzinfo=UTC),
        "kinds": [Kind.NEW, Kind.USED],
        "reserved": True,
        "warehouse": None,
    }
    await request_of(loaders_over(wire)).load(by_warehouse, "a", arguments)
    (request,) = wire.requests
    assert request.query == (
        ("skus", "a"),
        ("kind", "new"),
        ("kind", "used"),
        ("reserved", "true"),
        ("since", "2026-01-02T00:00:00Z"),
    )


@in_virtual_time
async def test_a_post_loader_sends_keys_and_arguments_in_its_body_and_may_be_retried() -> None:
    wire = inventory()
    found = await request_of(loaders_over(wire)).load_many(posted, ["a", "bb"], {"warehouse": "north"})
    (request,) = wire.requests
    assert (request.method, request.path, request.query) == ("POST", "/stock/batch", ())
    assert msgspec.json.decode(request.body or b"") == {"skus": ["a", "bb"], "wh": "north"}
    assert request.is_retryable
    assert [stock.quantity for stock in found if stock] == [1, 2]


@in_virtual_time
async def test_a_failure_of_the_call_is_the_failure_of_every_key_in_it() -> None:
    loads = request_of(loaders_over(inventory(unavailable)))
    found = await asyncio.gather(*(loads.load(stock_by_sku, key) for key in "ab"), return_exceptions=True)
    assert [type(value) for value in found] == [ServiceUnavailable, ServiceUnavailable]


@in_virtual_time
async def test_one_waiter_s_cancellation_leaves_the_batch_to_the_others() -> None:
    wire = inventory(after(0.1, in_stock))
    loads = request_of(loaders_over(wire))
    one, other = (asyncio.ensure_future(loads.load(stock_by_sku, key)) for key in "ab")
    await asyncio.sleep(0.05)
    one.cancel()
    found = await other
    assert found == Stock("b", 1)
    assert one.cancelled()


@in_virtual_time
async def test_close_cancels_the_calls_that_are_under_way() -> None:
    wire = inventory(hang)
    loads = request_of(loaders_over(wire))
    waiting = asyncio.ensure_future(loads.load(stock_by_sku, "a"))
    await asyncio.sleep(0.01)
    assert wire.in_flight == 1
    await loads.close()
    assert wire.in_flight == 0
    waiting.cancel()


@pytest.mark.parametrize("ticks", range(8))
@in_virtual_time
async def test_whenever_a_request_ends_no_call_of_it_goes_out_any_more(ticks: int) -> None:
    wire = inventory(hang)
    loads = request_of(loaders_over(wire))
    waiting = asyncio.ensure_future(loads.load(stock_by_sku, "a"))
    for _ in range(ticks):
        await asyncio.sleep(0)
    waiting.cancel()
    await loads.close()
    sent = len(wire.sent)
    await asyncio.sleep(1)
    assert (len(wire.sent), wire.in_flight) == (sent, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_a_new_generation_asks_again() -> None:
    wire = inventory()
    loads = request_of(loaders_over(wire))
    await loads.load(stock_by_sku, "a")
    loads.new_generation()
    await loads.load(stock_by_sku, "a")
    assert asked(wire) == [["a"], ["a"]]


def test_a_batch_of_nothing_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="max_batch must be at least 1, not 0"):
        INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, max_batch=0)


@in_virtual_time
async def test_a_question_carries_until_when_how_often_and_how_important_it_is() -> None:
    """Of a loader and of a listing: else a call would outlive its operation, or be repeated where a saga repeats already."""
    wire = ScriptedWire(
        otherwise=lambda request: in_stock(request) if request.path == "/stock" else answer({"items": []})
    )
    deadline = Deadline(Instant(3.0))
    reading = Reading(identity=ANONYMOUS, deadline=deadline, may_retry=False, priority=Priority.CRITICAL)
    loads = Loads(loaders_over(wire), reading)
    await loads.load(stock_by_sku, "a")
    await loads.page(INVENTORY.pages("/all", into=Stock, params={}))
    asked_ = [(request.deadline, request.may_retry, request.priority) for request in wire.requests]
    assert asked_ == [(deadline, False, Priority.CRITICAL)] * 2
