"""Caches: fresh answers are served again, older ones only when the service fails, failures never."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.clock import Instant, Seconds
from gateway.errors import GatewayError
from gateway.loading import LoaderCache, Loads, Page
from gateway.testing import ScriptedWire, after, answer, in_virtual_time

from .reading import (
    INVENTORY,
    Stock,
    asked,
    counted,
    in_stock,
    inventory,
    loaders_over,
    quiet,
    request_of,
    stock_by_sku,
    unavailable,
)

fresh = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, fresh="2s", shared="public")
listing = INVENTORY.pages("/all", into=Stock, params={"first": "limit", "after": "after"}, fresh="2s")
LOOK_UPS = "sagaql_loader_cache_total"
MINUTE = Seconds(60.0)


class Record(msgspec.Struct):
    sku: str
    quantity: str


translated = INVENTORY.loader(
    "/stock",
    keys="skus",
    key="sku",
    into=Stock,
    record=Record,
    to=lambda row: Stock(row.sku, int(row.quantity)),
    fresh="2s",
)


def stale_of(loads: Loads, loader: Any = stock_by_sku, key: str = "a", **arguments: Any) -> Any:
    return loads.stale(loader, key, arguments=arguments, max_age=MINUTE)


@in_virtual_time
async def test_a_fresh_answer_is_served_again_and_nothing_is_sent() -> None:
    wire, telemetry = inventory(), quiet()
    loaders = loaders_over(wire, telemetry=telemetry)
    first = await request_of(loaders).load(fresh, "a")
    await asyncio.sleep(2.0)
    assert await request_of(loaders).load(fresh, "a") == first
    assert asked(wire) == [["a"]]
    assert counted(telemetry, LOOK_UPS, loader="inventory /stock", result="miss") == 1
    assert counted(telemetry, LOOK_UPS, loader="inventory /stock", result="fresh") == 1


@in_virtual_time
async def test_what_a_game_day_answered_is_served_to_nobody_else() -> None:
    wire = inventory()
    loaders = loaders_over(wire)
    await request_of(loaders, faults="{}").load(fresh, "a")
    assert len(loaders.loader(fresh).cache) == 0
    await request_of(loaders).load(fresh, "a")
    assert asked(wire) == [["a"], ["a"]]


@in_virtual_time
async def test_an_answer_is_fresh_no_longer_than_declared() -> None:
    wire = inventory()
    loaders = loaders_over(wire)
    await request_of(loaders).load(fresh, "a")
    await asyncio.sleep(2.001)
    await request_of(loaders).load(fresh, "a")
    assert asked(wire) == [["a"], ["a"]]


@in_virtual_time
async def test_only_the_keys_that_are_not_fresh_are_sent() -> None:
    wire = inventory()
    loaders = loaders_over(wire)
    await request_of(loaders).load_many(fresh, ["a", "b"])
    found = await request_of(loaders).load_many(fresh, ["a", "ccc", "b"])
    assert asked(wire) == [["a", "b"], ["ccc"]]
    assert [stock.sku for stock in found if stock] == ["a", "ccc", "b"]


@in_virtual_time
async def test_without_a_declared_freshness_everything_is_asked_again() -> None:
    wire = inventory()
    loaders = loaders_over(wire)
    await request_of(loaders).load(stock_by_sku, "a")
    await request_of(loaders).load(stock_by_sku, "a")
    assert asked(wire) == [["a"], ["a"]]
    assert len(loaders.loader(stock_by_sku).cache) == 0


@in_virtual_time
async def test_there_is_none_is_an_answer_and_is_fresh_as_long() -> None:
    wire = ScriptedWire(answer([]))
    loaders = loaders_over(wire)
    assert await request_of(loaders).load(fresh, "a") is None
    assert await request_of(loaders).load(fresh, "a") is None


@in_virtual_time
async def test_what_one_reader_does_to_a_value_no_other_reader_sees() -> None:
    loaders = loaders_over(inventory())
    mine = await request_of(loaders).load(fresh, "a")
    assert mine is not None
    mine.quantity = -1
    assert await request_of(loaders).load(fresh, "a") == Stock("a", 1)


@in_virtual_time
async def test_after_a_write_a_fresh_answer_is_passed_by_and_renewed() -> None:
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), answer([{"sku": "a", "quantity": 0}]))
    loaders = loaders_over(wire)
    loads = request_of(loaders)
    await loads.load(fresh, "a")
    loads.new_generation()
    assert await loads.load(fresh, "a") == Stock("a", 0)
    assert await request_of(loaders).load(fresh, "a") == Stock("a", 0)


@in_virtual_time
async def test_what_is_invalidated_is_asked_again() -> None:
    wire = inventory()
    loaders = loaders_over(wire)
    await request_of(loaders).load(fresh, "a")
    loaders.invalidate(fresh)
    await request_of(loaders).load(fresh, "a")
    assert asked(wire) == [["a"], ["a"]]


def test_only_loaders_and_listings_can_be_invalidated() -> None:
    with pytest.raises(TypeError, match="invalidates= takes loaders and pages, not 'stock'"):
        loaders_over(inventory()).invalidate("stock")


@pytest.mark.parametrize(
    "failure",
    [unavailable, lambda _: answer(b"garbage"), lambda _: answer([{"sku": "a", "quantity": "?"}])],
    ids=["unavailable", "garbage", "untranslatable"],
)
@in_virtual_time
async def test_a_failure_is_never_cached(failure: Any) -> None:
    wire = ScriptedWire(failure, answer([{"sku": "a", "quantity": "1"}]))
    loaders = loaders_over(wire)
    with pytest.raises(GatewayError):
        await request_of(loaders).load(translated, "a")
    assert await request_of(loaders).load(translated, "a") == Stock("a", 1)


# -- stale -------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_last_known_answer_is_kept_as_long_as_a_join_may_want_it() -> None:
    loaders = loaders_over(inventory(), keep={stock_by_sku: MINUTE})
    await request_of(loaders).load(stock_by_sku, "a")
    await asyncio.sleep(60.0)
    assert stale_of(request_of(loaders)) == (Stock("a", 1), 60.0)
    await asyncio.sleep(0.001)
    assert stale_of(request_of(loaders)) is None


@in_virtual_time
async def test_nothing_is_stale_that_was_never_known() -> None:
    loaders = loaders_over(inventory(unavailable), keep={stock_by_sku: MINUTE})
    with pytest.raises(GatewayError):
        await request_of(loaders).load(stock_by_sku, "a")
    assert stale_of(request_of(loaders)) is None


@in_virtual_time
async def test_stale_answers_are_kept_apart_by_arguments() -> None:
    loader = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, params={"warehouse": "wh"})
    loaders = loaders_over(inventory(), keep={loader: MINUTE})
    await request_of(loaders).load(loader, "a", {"warehouse": "north"})
    assert stale_of(request_of(loaders), loader, warehouse="south") is None
    assert stale_of(request_of(loaders), loader, warehouse="north") is not None


@in_virtual_time
async def test_an_answer_that_cannot_be_translated_does_not_displace_the_last_good_one() -> None:
    wire = ScriptedWire(answer([{"sku": "a", "quantity": "1"}]), answer([{"sku": "a", "quantity": "?"}]))
    loaders = loaders_over(wire, keep={translated: MINUTE})
    await request_of(loaders).load(translated, "a")
    await asyncio.sleep(3)
    with pytest.raises(GatewayError):
        await request_of(loaders).load(translated, "a")
    assert stale_of(request_of(loaders), translated) == (Stock("a", 1), 3.0)


# -- listings ----------------------------------------------------------------------------------------------------------


def a_page(*skus: str, cursor: str | None = None) -> Any:
    return answer({"items": [{"sku": sku, "quantity": 1} for sku in skus], "nextCursor": cursor, "total": 9})


@in_virtual_time
async def test_a_page_is_asked_for_once_a_request_and_served_again_while_it_is_fresh() -> None:
    wire = ScriptedWire(a_page("a", cursor="x"), a_page("b"))
    loaders = loaders_over(wire)
    loads = request_of(loaders)
    pages = await asyncio.gather(*(loads.page(listing, {"first": 1}) for _ in range(3)))
    assert pages == [Page([Stock("a", 1)], "x", 9)] * 3
    assert await request_of(loaders).page(listing, {"first": 1}) == pages[0]
    assert (await request_of(loaders).page(listing, {"first": 1, "after": "x"})).items == [Stock("b", 1)]
    assert [request.query for request in wire.requests] == [(("limit", "1"),), (("after", "x"), ("limit", "1"))]


@in_virtual_time
async def test_a_page_may_leave_out_cursor_and_total() -> None:
    loads = request_of(loaders_over(ScriptedWire(answer({"items": []}))))
    assert await loads.page(listing, {"first": 1}) == Page([], None, None)


@pytest.mark.parametrize(
    "body",
    [
        b"garbage",
        b'{"items": [{"sku": "a"}]}',
        b"[]",
        b'{"items": [{"sku": "\xe4", "quantity": 1}]}',
        b'{"items": [], "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["garbage", "half a record", "a list", "latin-1", "too deep"],
)
@in_virtual_time
async def test_a_broken_page_fails_is_counted_and_is_not_cached(body: bytes) -> None:
    telemetry = quiet()
    loaders = loaders_over(ScriptedWire(answer(body), a_page("a")), telemetry=telemetry)
    with pytest.raises(GatewayError, match="in a shape that was not agreed"):
        await request_of(loaders).page(listing, {"first": 1})
    assert counted(telemetry, "sagaql_contract_breaks_total", loader="inventory /all") == 1
    assert (await request_of(loaders).page(listing, {"first": 1})).items == [Stock("a", 1)]


@in_virtual_time
async def test_a_page_whose_items_cannot_be_translated_is_not_cached() -> None:
    pages = INVENTORY.pages(
        "/all", into=Stock, params={}, record=Record, to=lambda row: Stock(row.sku, int(row.quantity)), fresh="2s"
    )
    bodies = [answer({"items": [{"sku": "a", "quantity": text}]}) for text in ("?", "1")]
    loaders = loaders_over(ScriptedWire(*bodies))
    with pytest.raises(GatewayError, match="in a shape that was not agreed"):
        await request_of(loaders).page(pages)
    assert (await request_of(loaders).page(pages)).items == [Stock("a", 1)]


@in_virtual_time
async def test_a_listing_that_is_invalidated_is_asked_again() -> None:
    wire = ScriptedWire(a_page("a"), a_page("b"))
    loaders = loaders_over(wire)
    await request_of(loaders).page(listing, {"first": 1})
    loaders.invalidate(listing)
    assert (await request_of(loaders).page(listing, {"first": 1})).items == [Stock("b", 1)]


# -- the cache itself --------------------------------------------------------------------------------------------------


def cache(*, max_entries: int = 2, keep: float = 10) -> LoaderCache:
    return LoaderCache(fresh=Seconds(1), keep=Seconds(keep), max_entries=max_entries)


def test_the_least_recently_used_entry_leaves_first_and_there_are_never_more_than_the_bound() -> None:
    entries = cache()
    entries.put("a", 1, asked_at=Instant(0))
    entries.put("b", 2, asked_at=Instant(0))
    entries.fresh("a", now=Instant(0))
    entries.put("c", 3, asked_at=Instant(0))
    found = {key: entries.fresh(key, now=Instant(0)) is not None for key in "abc"}
    assert found == {"a": True, "b": False, "c": True}
    assert repr(entries) == "<LoaderCache 2/2 entries, fresh 1s, served 1s, kept 10s>"


def test_an_answer_is_as_old_as_its_question() -> None:
    entries = cache()
    entries.put("a", 1, asked_at=Instant(0))
    assert entries.fresh("a", now=Instant(1)) is not None
    assert entries.fresh("a", now=Instant(1.5)) is None
    assert entries.stale("a", now=Instant(1.5), max_age=Seconds(2)) is not None


def test_the_answer_to_a_later_question_is_not_displaced_by_a_slower_earlier_one() -> None:
    entries = cache()
    entries.put("a", "later", asked_at=Instant(0.5))
    entries.put("a", "earlier", asked_at=Instant(0))
    found = entries.fresh("a", now=Instant(1))
    assert found is not None
    assert found.row == "later"


def test_what_was_asked_before_a_write_is_not_fresh_after_it_but_still_stands_in_for_a_failure() -> None:
    entries = cache(max_entries=3)
    entries.put("before", 1, asked_at=Instant(0))
    entries.distrust(now=Instant(0.1))
    entries.put("under way", 1, asked_at=Instant(0.05))
    entries.put("after", 1, asked_at=Instant(0.2))
    fresh = {key: entries.fresh(key, now=Instant(0.3)) is not None for key in ("before", "under way", "after")}
    assert fresh == {"before": False, "under way": False, "after": True}
    assert entries.stale("before", now=Instant(0.3), max_age=Seconds(10)) is not None


def test_a_cache_that_nobody_may_want_anything_of_keeps_nothing() -> None:
    entries = LoaderCache(fresh=Seconds(0), keep=Seconds(0), max_entries=2)
    entries.put("a", 1, asked_at=Instant(0))
    assert len(entries) == 0


@in_virtual_time
async def test_a_loader_s_cache_is_bounded() -> None:
    loaders = loaders_over(inventory(in_stock))
    many = [str(number) for number in range(120)]
    await request_of(loaders).load_many(fresh, many)
    bound = loaders.loader(fresh).cache
    assert len(bound) == 120
    assert f"/{fresh.max_entries} entries" in repr(bound)


@in_virtual_time
async def test_an_answer_that_took_long_is_fresh_for_less_long() -> None:
    """It tells of when it was asked for, as far as anybody knows."""
    wire = ScriptedWire(otherwise=after(1.5, in_stock))
    loaders = loaders_over(wire)
    await request_of(loaders).load(fresh, "a")
    await asyncio.sleep(1.0)
    await request_of(loaders).load(fresh, "a")
    assert asked(wire) == [["a"], ["a"]]
