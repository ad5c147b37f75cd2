"""What an answer means: "there is none", "it is broken", "it failed"; and that these are never mixed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import StringIO
from typing import Any

import msgspec
import pytest

from gateway.errors import ServiceContractBroken, ServiceRefused
from gateway.loading import Loader, Page
from gateway.telemetry import Telemetry, json_log
from gateway.testing import answer, in_virtual_time

from .reading import INVENTORY, Stock, counted, inventory, loaders_over, quiet, request_of, stock_by_sku

BREAKS = "sagaql_contract_breaks_total"

all_by_sku = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, many=True)
pages_by_sku = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, page=True)
wrapped = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, envelope="data")


class PricedRecord(msgspec.Struct):
    sku: str
    price: str


def priced(record: PricedRecord) -> Stock:
    if record.price == "bug":
        raise AttributeError("a mistake in the translation")
    return Stock(record.sku, int(record.price))


translated = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock, record=PricedRecord, to=priced)


async def outcome(
    body: object, keys: Sequence[str], *, loader: Loader[Any] = stock_by_sku, status: int = 200, telemetry: Any = None
) -> list[Any]:
    """Each key's value, or its failure, where the service answers `body`."""
    wire = inventory(lambda _: answer(body, status=status))
    loads = request_of(loaders_over(wire, telemetry=telemetry))
    return list(await asyncio.gather(*(loads.load(loader, key) for key in keys), return_exceptions=True))


def is_broken(value: object) -> bool:
    return isinstance(value, ServiceContractBroken)


# -- there is none -----------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_key_that_the_answer_does_not_mention_is_none() -> None:
    assert await outcome([{"sku": "a", "quantity": 1}], ["a", "b"]) == [Stock("a", 1), None]


@in_virtual_time
async def test_a_key_of_many_that_is_not_mentioned_has_an_empty_list() -> None:
    body = [{"sku": "a", "quantity": 1}, {"sku": "a", "quantity": 2}]
    assert await outcome(body, ["a", "b"], loader=all_by_sku) == [[Stock("a", 1), Stock("a", 2)], []]


@in_virtual_time
async def test_a_key_of_pages_that_is_not_mentioned_has_an_empty_page() -> None:
    body = [{"sku": "a", "items": [{"sku": "x", "quantity": 1}], "nextCursor": "n", "total": 7}]
    assert await outcome(body, ["a", "b"], loader=pages_by_sku) == [Page([Stock("x", 1)], "n", 7), Page(())]


@in_virtual_time
async def test_two_keys_without_anything_do_not_share_a_list() -> None:
    one, other = await outcome([], ["a", "b"], loader=all_by_sku)
    one.append("mine")
    assert other == []


@in_virtual_time
async def test_numeric_keys_in_the_answer_are_the_texts_that_were_asked() -> None:
    class Numbered(msgspec.Struct):
        sku: int
        quantity: int

    loader = INVENTORY.loader(
        "/stock", keys="skus", key="sku", into=Stock, record=Numbered, to=lambda row: Stock(str(row.sku), row.quantity)
    )
    assert await outcome([{"sku": 7, "quantity": 1}], ["7"], loader=loader) == [Stock("7", 1)]


@in_virtual_time
async def test_records_are_found_within_the_declared_envelope() -> None:
    assert await outcome({"data": [{"sku": "a", "quantity": 1}]}, ["a"], loader=wrapped) == [Stock("a", 1)]


@in_virtual_time
async def test_members_that_were_not_agreed_are_left_alone() -> None:
    assert await outcome([{"sku": "a", "quantity": 1, "more": {"x": []}}], ["a"]) == [Stock("a", 1)]


# -- it is broken ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        {"sku": "b"},
        {"sku": "b", "quantity": "many"},
        {"sku": "b", "quantity": None},
        {"sku": "b", "quantity": 1.5},
        {"sku": "b", "quantity": True},
    ],
    ids=["missing", "text", "null", "fraction", "boolean"],
)
@in_virtual_time
async def test_a_broken_record_fails_its_own_key_and_is_counted(record: dict[str, Any]) -> None:
    telemetry = quiet()
    found = await outcome([{"sku": "a", "quantity": 1}, record], ["a", "b", "c"], telemetry=telemetry)
    assert (found[0], is_broken(found[1]), found[2]) == (Stock("a", 1), True, None)
    assert counted(telemetry, BREAKS, loader="inventory /stock") == 1


@in_virtual_time
async def test_one_broken_record_of_many_fails_the_whole_list_of_its_key() -> None:
    body = [{"sku": "a", "quantity": 1}, {"sku": "a", "quantity": "?"}, {"sku": "a", "quantity": 3}]
    found = await outcome([*body, {"sku": "b", "quantity": 4}], ["a", "b"], loader=all_by_sku)
    assert is_broken(found[0])
    assert found[1] == [Stock("b", 4)]


LATIN = b'[{"sku": "\xe4", "quantity": 1}]'
"""Not UTF-8, as JSON has to be."""
DEEP = b'[{"sku": "a", "quantity": 1, "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]"
"""Deeper than anybody decodes."""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[{]",
        b'{"sku": "a"}',
        b"null",
        b'[{"quantity": 1}]',
        b'[{"sku": "a", "quantity": 1}',
        b"\xff",
        LATIN,
        DEEP,
    ],
    ids=["empty", "html", "no json", "an object", "null", "no key", "cut off", "no text", "latin-1", "too deep"],
)
@in_virtual_time
async def test_a_broken_payload_fails_every_key_and_is_counted_once(body: bytes) -> None:
    telemetry = quiet()
    found = await outcome(body, ["a", "b"], telemetry=telemetry)
    assert [is_broken(value) for value in found] == [True, True]
    assert counted(telemetry, BREAKS, loader="inventory /stock") == 1


@in_virtual_time
async def test_a_payload_without_its_envelope_is_broken() -> None:
    assert is_broken((await outcome([{"sku": "a", "quantity": 1}], ["a"], loader=wrapped))[0])


@in_virtual_time
async def test_answers_to_strangers_keys_make_absence_untrustworthy_but_not_what_is_there() -> None:
    body = [{"sku": "a", "quantity": 1}, {"sku": "A", "quantity": 2}]
    found = await outcome(body, ["a", "b"])
    assert (found[0], is_broken(found[1])) == (Stock("a", 1), True)


@in_virtual_time
async def test_strangers_keys_make_an_empty_list_untrustworthy() -> None:
    found = await outcome([{"sku": "z", "quantity": 1}], ["a"], loader=all_by_sku)
    assert is_broken(found[0])


@in_virtual_time
async def test_two_records_for_one_key_are_a_broken_contract_for_that_key() -> None:
    body = [{"sku": "a", "quantity": 1}, {"sku": "a", "quantity": 2}, {"sku": "b", "quantity": 3}]
    found = await outcome(body, ["a", "b"])
    assert (is_broken(found[0]), found[1]) == (True, Stock("b", 3))


@pytest.mark.parametrize("price", ["cheap", "bug"], ids=["a value it cannot take", "a mistake of its own"])
@in_virtual_time
async def test_what_the_translation_cannot_take_fails_its_own_key_and_is_counted(price: str) -> None:
    telemetry = quiet()
    body = [{"sku": "a", "price": "5"}, {"sku": "b", "price": price}]
    found = await outcome(body, ["a", "b"], loader=translated, telemetry=telemetry)
    assert (found[0], is_broken(found[1])) == (Stock("a", 5), True)
    assert counted(telemetry, BREAKS, loader="inventory /stock") == 1


@in_virtual_time
async def test_the_client_reads_that_the_contract_is_broken_and_the_log_reads_how() -> None:
    lines = StringIO()
    telemetry = Telemetry(log=json_log(lines))
    (found,) = await outcome([{"sku": "a", "quantity": "s3cret"}], ["a"], telemetry=telemetry)
    assert found.message == "inventory answered GET /stock in a shape that was not agreed"
    assert "Expected `int`, got `str`" in lines.getvalue()
    assert "s3cret" not in lines.getvalue()


# -- it failed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 304, 400, 404])
@in_virtual_time
async def test_an_answer_that_is_no_success_is_a_disagreement_and_never_there_is_none(status: int) -> None:
    (found,) = await outcome([], ["a"], status=status)
    assert isinstance(found, ServiceRefused)
    assert (found.http_status, found.retryable) == (status, False)
