"""Stale-while-revalidate: a slightly old answer is served at once, and asked for anew by a call that nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest

from gateway.clock import Instant, Seconds
from gateway.errors import GatewayError
from gateway.loading import Loader, LoaderCache, Loaders, Refreshes
from gateway.loading.reading import REFRESH_WITHIN
from gateway.loading.refreshes import MAX_REFRESHES
from gateway.services import Priority, ServiceRequest, ServiceResponse
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time

from .reading import INVENTORY, Stock, asked, counted, inventory, keys_of, loaders_over, quiet, request_of, unavailable

renewed = INVENTORY.loader(
    "/stock", keys="skus", key="sku", into=Stock, fresh="2s", revalidate="30s", shared="public", max_batch=1000
)
listing = INVENTORY.pages("/all", into=Stock, params={}, fresh="2s", revalidate="30s", shared="public")
REFRESHES = "sagaql_loader_refreshes_total"
LOOK_UPS = "sagaql_loader_cache_total"


def numbered() -> ScriptedWire:
    """Answers how many calls it has had: a second one is a newer answer."""
    wire = inventory()
    wire._otherwise = lambda request: nth(request, wire)
    return wire


def nth(request: ServiceRequest, wire: ScriptedWire) -> ServiceResponse:
    if request.path == "/all":
        return answer({"items": [{"sku": "all", "quantity": len(wire.sent)}]})
    return answer([{"sku": key, "quantity": len(wire.sent)} for key in keys_of(request)])


async def quantity(loaders: Loaders, key: str = "a", loader: Loader[Stock] = renewed) -> int:
    """What a request of its own is served."""
    found = await request_of(loaders).load(loader, key)
    assert found is not None
    return found.quantity


@in_virtual_time
async def test_what_is_due_is_served_at_once_and_renewed_for_the_next() -> None:
    wire, telemetry = numbered(), quiet()
    loaders = loaders_over(wire, telemetry=telemetry)
    assert await quantity(loaders) == 1
    await asyncio.sleep(10)
    assert await quantity(loaders) == 1
    await asyncio.sleep(0.1)
    assert await quantity(loaders) == 2
    assert len(wire.sent) == 2
    counts = {result: counted(telemetry, LOOK_UPS, loader=renewed.name, result=result) for result in RESULTS}
    assert counts == {"miss": 1, "revalidated": 1, "fresh": 1}
    assert counted(telemetry, REFRESHES, loader=renewed.name, outcome="renewed") == 1


RESULTS = ("miss", "revalidated", "fresh")


@pytest.mark.parametrize(("age", "calls"), [(2.0, 1), (2.001, 2), (32.0, 2), (32.001, 2)])
@in_virtual_time
async def test_up_to_fresh_nothing_is_asked_and_beyond_fresh_and_revalidate_the_reader_waits(
    age: float, calls: int
) -> None:
    wire = numbered()
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(age)
    served = await quantity(loaders)
    await asyncio.sleep(0.1)
    assert (len(wire.sent), served) == (calls, 1 if age <= 32 else 2)


@in_virtual_time
async def test_the_keys_of_a_batch_that_are_due_are_renewed_by_one_call_and_the_others_are_not() -> None:
    wire = numbered()
    loaders = loaders_over(wire)
    await request_of(loaders).load_many(renewed, ["a", "b"])
    await asyncio.sleep(5)
    await request_of(loaders).load(renewed, "c")
    await asyncio.sleep(1)
    await request_of(loaders).load_many(renewed, ["a", "b", "c", "d"])
    await asyncio.sleep(0.1)
    assert sorted(asked(wire)) == [["a", "b"], ["a", "b"], ["c"], ["d"]]


@in_virtual_time
async def test_a_key_under_refresh_is_not_refreshed_again() -> None:
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), otherwise=after(1.0, lambda r: nth(r, wire)))
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(5)
    for _ in range(4):
        assert await quantity(loaders) == 1
        await asyncio.sleep(0.1)
    assert repr(loaders.refreshes) == f"<Refreshes 1/{MAX_REFRESHES} under way, 1 keys>"
    await asyncio.sleep(1)
    assert await quantity(loaders) == 2
    assert (len(wire.sent), len(loaders.refreshes)) == (2, 0)


@in_virtual_time
async def test_a_refresh_is_dropped_first_tried_once_and_has_a_deadline_of_its_own() -> None:
    wire = numbered()
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(5)
    await quantity(loaders)
    await asyncio.sleep(0.1)
    first, refresh = wire.requests
    assert (first.priority, refresh.priority) == (Priority.NORMAL, Priority.SHEDDABLE)
    assert (refresh.may_retry, refresh.may_hedge) == (False, False)
    assert refresh.deadline.at == 5 + REFRESH_WITHIN


@pytest.mark.parametrize("failure", [unavailable, lambda _: answer(b"?"), lambda _: answer([{"sku": "a"}])])
@in_virtual_time
async def test_a_refresh_that_fails_is_counted_and_the_older_answer_stays(failure: Any) -> None:
    telemetry = quiet()
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), failure, answer([{"sku": "a", "quantity": 3}]))
    loaders = loaders_over(wire, telemetry=telemetry)
    await quantity(loaders)
    await asyncio.sleep(5)
    assert await quantity(loaders) == 1
    await asyncio.sleep(0.1)
    assert await quantity(loaders) == 1
    await asyncio.sleep(0.1)
    assert await quantity(loaders) == 3
    assert counted(telemetry, REFRESHES, loader=renewed.name, outcome="failed") == 1
    assert counted(telemetry, REFRESHES, loader=renewed.name, outcome="renewed") == 1


@in_virtual_time
async def test_a_service_that_stays_away_is_noticed_when_the_window_is_over() -> None:
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), otherwise=unavailable)
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(31)
    assert await quantity(loaders) == 1
    await asyncio.sleep(2)
    with pytest.raises(GatewayError):
        await quantity(loaders)


@in_virtual_time
async def test_a_bug_in_a_refresh_is_logged_and_hurts_nobody() -> None:
    lines = StringIO()
    telemetry = Telemetry(log=json_log(lines))
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), RuntimeError("ours"), answer([]))
    loaders = loaders_over(wire, telemetry=telemetry)
    await quantity(loaders)
    await asyncio.sleep(5)
    assert await quantity(loaders) == 1
    await asyncio.sleep(0.1)
    assert "refresh broken" in lines.getvalue()
    assert counted(telemetry, REFRESHES, loader=renewed.name, outcome="failed") == 1
    assert len(loaders.refreshes) == 0


# -- writes ------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_after_a_write_nothing_older_is_served() -> None:
    wire = numbered()
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(5)
    loaders.invalidate(renewed)
    assert await quantity(loaders) == 2
    mine = request_of(loaders)
    mine.new_generation()
    await asyncio.sleep(5)
    found = await mine.load(renewed, "a")
    assert found == Stock("a", 3)


@in_virtual_time
async def test_a_refresh_that_began_before_a_write_renews_nothing_after_it() -> None:
    wire = ScriptedWire(
        answer([{"sku": "a", "quantity": 1}]),
        after(1.0, answer([{"sku": "a", "quantity": 1}])),
        answer([{"sku": "a", "quantity": 0}]),
    )
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(5)
    await quantity(loaders)
    await asyncio.sleep(0.5)
    loaders.invalidate(renewed)
    await asyncio.sleep(1)
    assert await quantity(loaders) == 0


# -- whose task it is --------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_client_that_leaves_does_not_take_the_refresh_with_it() -> None:
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), otherwise=after(1.0, lambda r: nth(r, wire)))
    loaders = loaders_over(wire)
    await quantity(loaders)
    await asyncio.sleep(5)
    leaving = request_of(loaders)
    await leaving.load(renewed, "a")
    await leaving.close()
    await asyncio.sleep(1.1)
    assert await quantity(loaders) == 2


@in_virtual_time
async def test_the_end_of_the_application_cancels_refreshes_and_waits_for_them() -> None:
    wire = ScriptedWire(answer([{"sku": "a", "quantity": 1}]), otherwise=hang)
    telemetry = quiet()
    loaders = loaders_over(wire, telemetry=telemetry)
    async with loaders:
        await quantity(loaders)
        await asyncio.sleep(5)
        await quantity(loaders)
        await asyncio.sleep(0.1)
        assert wire.in_flight == 1
    assert (wire.in_flight, len(loaders.refreshes)) == (0, 0)
    assert await quantity(loaders) == 1
    assert counted(telemetry, REFRESHES, loader=renewed.name, outcome="refused") == 1
    assert len(wire.sent) == 2


@in_virtual_time
async def test_a_refresh_that_is_cancelled_before_its_first_line_leaves_its_key_free() -> None:
    loaders = loaders_over(numbered())
    await quantity(loaders)
    await asyncio.sleep(5)
    async with loaders:
        await quantity(loaders)
    assert repr(loaders.refreshes) == f"<Refreshes 0/{MAX_REFRESHES} under way, 0 keys>"


@in_virtual_time
async def test_so_many_refreshes_are_under_way_and_beyond_that_none_begins() -> None:
    telemetry = quiet()
    begun: list[int] = []

    async def for_ever(keys: list[int]) -> int:
        begun.extend(keys)
        await asyncio.sleep(3600)
        return 0

    async with Refreshes(telemetry=telemetry) as refreshes:
        for number in range(MAX_REFRESHES + 3):
            refreshes.start("some loader", {("loader", number): number}, for_ever)
        await asyncio.sleep(1)
        assert (len(refreshes), len(begun)) == (MAX_REFRESHES, MAX_REFRESHES)
        assert counted(telemetry, REFRESHES, loader="some loader", outcome="refused") == 3


# -- listings ----------------------------------------------------------------------------------------------------------


async def page_quantity(loaders: Loaders) -> int:
    return (await request_of(loaders).page(listing)).items[0].quantity


@in_virtual_time
async def test_a_page_that_is_due_is_served_at_once_and_renewed_for_the_next() -> None:
    wire, telemetry = numbered(), quiet()
    loaders = loaders_over(wire, telemetry=telemetry)
    assert await page_quantity(loaders) == 1
    await asyncio.sleep(5)
    assert await asyncio.gather(*(page_quantity(loaders) for _ in range(2))) == [1, 1]
    await asyncio.sleep(0.1)
    assert await page_quantity(loaders) == 2
    assert counted(telemetry, LOOK_UPS, loader="inventory /all", result="revalidated") == 2
    assert counted(telemetry, REFRESHES, loader="inventory /all", outcome="renewed") == 1


@pytest.mark.parametrize("failure", [unavailable, lambda _: answer({"items": [{}]})])
@in_virtual_time
async def test_a_page_whose_refresh_fails_stays(failure: Callable[[ServiceRequest], Any]) -> None:
    telemetry = quiet()
    wire = ScriptedWire(answer({"items": [{"sku": "all", "quantity": 1}]}), failure, otherwise=hang)
    loaders = loaders_over(wire, telemetry=telemetry)
    async with loaders:
        await page_quantity(loaders)
        await asyncio.sleep(5)
        await page_quantity(loaders)
        await asyncio.sleep(0.1)
        assert await page_quantity(loaders) == 1
    assert counted(telemetry, REFRESHES, loader="inventory /all", outcome="failed") == 1


@in_virtual_time
async def test_after_a_write_no_older_page_is_served() -> None:
    loaders = loaders_over(numbered())
    await page_quantity(loaders)
    await asyncio.sleep(5)
    loaders.invalidate(listing)
    assert await page_quantity(loaders) == 2


# -- the cache itself --------------------------------------------------------------------------------------------------


def test_a_cache_says_what_is_due_and_keeps_it_for_as_long_as_it_may_be_served() -> None:
    entries = LoaderCache(fresh=Seconds(2), revalidate=Seconds(30), keep=Seconds(0), max_entries=9)
    entries.put("a", 1, asked_at=Instant(0))
    found = {age: entries.fresh("a", now=Instant(age)) for age in (2, 3, 32, 33)}
    assert {age: None if entry is None else entry.is_due for age, entry in found.items()} == {
        2: False,
        3: True,
        32: True,
        33: None,
    }
    assert repr(entries) == "<LoaderCache 1/9 entries, fresh 2s, served 32s, kept 32s>"


@in_virtual_time
async def test_without_any_freshness_every_answer_may_be_served_while_it_is_renewed() -> None:
    loader = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, revalidate="30s", shared="public")
    loaders = loaders_over(numbered())
    assert await quantity(loaders, loader=loader) == 1
    await asyncio.sleep(1)
    assert await quantity(loaders, loader=loader) == 1
    await asyncio.sleep(1)
    assert await quantity(loaders, loader=loader) == 2
