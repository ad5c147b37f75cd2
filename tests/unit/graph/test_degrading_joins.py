"""Joins that degrade in every declared way: fallbacks in their order, several sources of one fact, strong reads."""

import asyncio
from typing import Any

import pytest

from gateway.telemetry import Telemetry
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .market import costing, graph, market, wire
from .shop import CUSTOMER, STAFF
from .test_joins import away, degraded


async def first(gateway: Any, name: str, key: str = "abc", **more: Any) -> tuple[Any, list[str], list[dict[str, Any]]]:
    """The field of one article: its amount, the codes of errors, the notes."""
    query = f"query($keys: [String!]!) {{ articles(keys: $keys) {{ it: {name} {{ amount }} }} }}"
    found = await gateway.execute(query, {"keys": [key]}, **more)
    value = found.data["articles"][0]["it"]
    return (value and value["amount"]), found.codes, found.degraded


PATH = ["articles", 0, "it"]


# -- fallbacks ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_alternative_is_served_without_an_error_and_says_whose_answer_it_is() -> None:
    async with market(list=away("list"), archive=wire(otherwise=costing(7))) as gateway:
        found = await first(gateway, "price")
    assert found == (7, [], [degraded(PATH, "ALTERNATIVE", "list", servedBy="archive")])


@in_virtual_time
async def test_the_alternative_is_asked_under_its_own_attribute_in_one_call_for_the_whole_layer() -> None:
    archive = wire()
    async with market(list=away("list"), archive=archive) as gateway:
        found = await gateway.execute('{ articles(keys: ["a", "b", "c"]) { price { amount } } }')
    assert found.errors == []
    (request,) = archive.requests
    assert [value for _, value in request.query] == ["old-a", "old-b", "old-c"]


@in_virtual_time
async def test_nobody_else_is_asked_while_the_service_is_well() -> None:
    archive = wire()
    async with market(archive=archive) as gateway:
        assert await first(gateway, "price") == (3, [], [])
    assert archive.sent == []


@in_virtual_time
async def test_fallbacks_are_tried_in_their_order_and_the_reason_stays_the_first_failure_s() -> None:
    lists = wire(costing(5), otherwise=away("list")._otherwise)
    async with market(list=lists, archive=away("archive")) as gateway:
        await first(gateway, "price")
        await asyncio.sleep(60)
        found = await first(gateway, "price")
    assert found == (5, [], [degraded(PATH, "STALE", "list", ageSeconds=60.0)])


@in_virtual_time
async def test_when_no_fallback_can_serve_the_field_is_null_with_the_first_failure() -> None:
    async with market(list=away("list"), archive=away("archive")) as gateway:
        found = await first(gateway, "price")
    assert found == (None, ["SERVICE_UNAVAILABLE"], [degraded(PATH, "NULL", "list")])


@in_virtual_time
async def test_an_alternative_without_a_key_to_ask_for_is_passed_by() -> None:
    archive = wire()
    async with market(list=away("list"), archive=archive) as gateway:
        found = await first(gateway, "price", key="new")
    assert (found[0], archive.sent) == (None, [])


@in_virtual_time
async def test_there_is_none_of_an_alternative_is_its_answer_where_null_may_be_served() -> None:
    async with market(list=away("list"), archive=wire(answer([]))) as gateway:
        found = await first(gateway, "price")
    assert found == (None, [], [degraded(PATH, "ALTERNATIVE", "list", servedBy="archive")])


@in_virtual_time
async def test_there_is_none_goes_on_to_the_next_where_null_may_not_be_served() -> None:
    nothing = ScriptedWire(otherwise=lambda _: answer([]))
    async with market(list=away("list"), shelf=nothing, archive=wire(otherwise=costing(9))) as gateway:
        found = await first(gateway, "shown")
    assert found == (9, [], [degraded(PATH, "ALTERNATIVE", "list", servedBy="archive")])


@in_virtual_time
async def test_a_default_ends_a_chain() -> None:
    async with market(list=away("list"), shelf=away("shelf"), archive=away("archive")) as gateway:
        found = await first(gateway, "shown")
    assert found == (0, [], [degraded(PATH, "DEFAULT", "list")])


@in_virtual_time
async def test_the_arguments_of_the_join_go_to_the_alternative_too() -> None:
    archive = wire()
    async with market(list=away("list"), archive=archive) as gateway:
        found = await gateway.execute('{ articles(keys: ["a"]) { notes(first: 3) { text } } }')
    assert found.data["articles"][0]["notes"] == [{"text": "of archive"}]
    assert archive.requests[0].query == (("ids", "a"), ("limit", "3"))


@in_virtual_time
async def test_an_alternative_serves_each_caller_what_was_fetched_for_them() -> None:
    archive = wire(costing(1), costing(2))
    async with market(list=away("list"), archive=archive) as gateway:
        mine = await first(gateway, "price", headers=STAFF)
        yours = await first(gateway, "price", headers=CUSTOMER)
    assert (mine[0], yours[0]) == (1, 2)


@in_virtual_time
async def test_callers_who_fall_back_at_the_same_instant_share_no_call_of_the_alternative() -> None:
    archive = wire(costing(1), costing(2))
    async with market(list=away("list"), archive=archive) as gateway:
        found = await asyncio.gather(*(first(gateway, "price", headers=who) for who in (STAFF, CUSTOMER)))
    assert sorted(amount for amount, *_ in found) == [1, 2]


# -- several sources ---------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_all_sources_are_asked_once_a_layer_and_the_newest_is_served_without_a_note() -> None:
    lists, shelf = wire(otherwise=costing(5, day=1)), wire(otherwise=costing(4, day=2))
    async with market(list=lists, shelf=shelf) as gateway:
        found = await gateway.execute('{ articles(keys: ["a", "b"]) { current { amount updatedAt } } }')
    at = "2026-01-02T00:00:00+00:00"
    assert found.json == {"data": {"articles": [{"current": {"amount": 4, "updatedAt": at}}] * 2}}
    assert (len(lists.sent), len(shelf.sent)) == (1, 1)
    assert lists.instants == shelf.instants


@in_virtual_time
async def test_a_source_that_fails_is_left_out_and_the_answer_says_so() -> None:
    async with market(list=wire(otherwise=costing(5)), shelf=away("shelf")) as gateway:
        found = await first(gateway, "current")
    assert found == (5, [], [degraded(PATH, "PARTIAL", "shelf")])


@in_virtual_time
async def test_when_every_source_fails_the_fallbacks_are_tried_for_the_first_failure() -> None:
    async with market(list=away("list"), shelf=away("shelf"), archive=wire(otherwise=costing(8))) as gateway:
        found = await first(gateway, "current")
    assert found == (8, [], [degraded(PATH, "ALTERNATIVE", "list", servedBy="archive")])


@in_virtual_time
async def test_stale_is_what_the_rule_makes_of_the_last_that_each_source_said() -> None:
    lists = wire(costing(5, day=1), otherwise=away("list")._otherwise)
    shelf = wire(costing(4, day=2), otherwise=away("shelf")._otherwise)
    async with market(list=lists, shelf=shelf) as gateway:
        await first(gateway, "current")
        await asyncio.sleep(60)
        found = await first(gateway, "current")
    assert found == (4, [], [degraded(PATH, "STALE", "list", ageSeconds=60.0)])


@in_virtual_time
async def test_what_no_rule_decides_goes_on_to_a_fallback_that_is_no_guess_between_them() -> None:
    telemetry = Telemetry()
    sources = {"list": wire(otherwise=costing(5)), "shelf": wire(otherwise=costing(4))}
    async with market(telemetry=telemetry, archive=wire(otherwise=costing(8)), **sources) as gateway:
        amount, codes, (note,) = await first(gateway, "current")
    assert (amount, codes) == (8, [])
    assert (note["to"], note["code"]) == ("ALTERNATIVE", "SERVICE_SOURCES_UNDECIDED")
    assert note["reason"] == "list and shelf: they differ at the same instant"
    sample = telemetry.metrics.registry.get_sample_value
    assert sample("sagaql_reconciled_total", {"field": "Article.current", "outcome": "undecided"}) == 1


@in_virtual_time
async def test_without_its_authority_a_field_is_null_and_names_all_its_services() -> None:
    async with market(list=away("list")) as gateway:
        found = await gateway.execute('{ articles(keys: ["abc"]) { official { amount } } }')
    (error,) = found.errors
    assert found.data == {"articles": [{"official": None}]}
    assert error["message"] == "shelf and list: their authority, list, did not answer (list is away)"
    assert error["extensions"] == {
        "code": "SERVICE_SOURCES_UNDECIDED",
        "retryable": True,
        "service": "shelf",
        "services": ["shelf", "list"],
    }
    assert [note["to"] for note in found.degraded] == ["NULL"]


@pytest.mark.parametrize(
    ("amounts", "served", "notes"),
    [((1, 2, 1), 1, []), ((1, 2, None), None, ["NULL"]), ((1, 1, None), 1, ["PARTIAL"]), ((1, 2, 3), None, ["NULL"])],
)
@in_virtual_time
async def test_a_quorum_serves_what_most_of_all_sources_say(amounts: Any, served: int | None, notes: Any) -> None:
    wires: dict[str, Any] = {
        name: away(name) if amount is None else wire(otherwise=costing(amount))
        for name, amount in zip(("list", "shelf", "web"), amounts, strict=True)
    }
    async with market(**wires) as gateway:
        amount, codes, told = await first(gateway, "common")
    assert (amount, [note["to"] for note in told]) == (served, notes)
    assert codes == ([] if served else ["SERVICE_SOURCES_UNDECIDED"])


# -- strong ------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_strong_join_never_serves_what_is_known_from_before() -> None:
    lists = wire(costing(5), costing(6), otherwise=away("list")._otherwise)
    async with market(list=lists) as gateway:
        assert await first(gateway, "exact") == (5, [], [])
        assert await first(gateway, "exact") == (6, [], [])
        assert await first(gateway, "exact") == (None, ["SERVICE_UNAVAILABLE"], [degraded(PATH, "NULL", "list")])


@in_virtual_time
async def test_strong_and_weak_joins_of_one_loader_share_no_batch_and_strong_ones_are_one_call() -> None:
    lists = wire()
    async with market(list=lists) as gateway:
        await gateway.execute('{ articles(keys: ["a", "b", "a"]) { price { amount } exact { amount } } }')
    asked = [([value for _, value in request.query], request.share is None) for request in lists.requests]
    assert sorted(asked) == [(["a", "b"], False), (["a", "b"], True)]


@in_virtual_time
async def test_resolvers_read_strongly_through_their_context() -> None:
    lists = wire(costing(1), costing(2))
    async with market(list=lists) as gateway:
        found = await gateway.execute('{ exact(key: "a") { amount } exactMany(keys: ["b", "b"]) { amount } }')
    assert found.errors == []
    assert all(request.share is None and not request.may_hedge for request in lists.requests)
    assert found.data["exactMany"] == [{"amount": 1}, {"amount": 1}]


# -- the schema --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        'price: Price @degrades(to: ALTERNATIVE) @degrades(to: STALE, maxAge: "15m")',
        "shown: Price! @degrades(to: ALTERNATIVE) @degrades(to: ALTERNATIVE) @degrades(to: DEFAULT)",
        'current: Price @degrades(to: PARTIAL) @degrades(to: STALE, maxAge: "15m") @degrades(to: ALTERNATIVE)',
        "official: Price @degrades(to: PARTIAL) @degrades(to: NULL)",
        "exact: Price @degrades(to: NULL) @consistency(level: STRONG)",
    ],
)
def test_the_schema_says_each_way_in_its_order(line: str) -> None:
    assert line in graph.sdl


def test_a_declaration_can_be_read_by_others() -> None:
    current, price, exact = (graph.joins[f"Article.{name}"] for name in ("current", "price", "exact"))
    assert [source.service for source in current.sources] == ["list", "shelf"]
    assert [loader.service for loader in current.loaders] == ["list", "shelf", "archive"]
    assert (repr(current.reconcile), current.loader.service) == ("newest('updatedAt')", "list")
    assert [type(each).__name__ for each in price.fallbacks] == ["Alternative", "Stale"]
    assert (exact.consistency, price.consistency, exact.fallbacks) == ("strong", "eventual", ())
    assert graph.services == {"list", "shelf", "web", "archive"}
    assert {loader.service for loader, seconds in graph.keep.items() if seconds} == {"list", "shelf"}
    assert repr(current) == (
        "<JoinField current on key by <Loader list /prices>, <Loader shelf /prices>, newest('updatedAt')>"
    )
