"""`@batched`: one call a layer, an answer that fits its question, failures in their places."""

from io import StringIO

import orjson
import pytest

from gateway import Ctx, batched
from gateway.telemetry import Telemetry, json_log
from gateway.testing import in_virtual_time

from .guarding import bare_ctx
from .shop import DSN, Product, shop


def calls(log: StringIO) -> list[tuple[list[str], str]]:
    lines = [orjson.loads(line) for line in log.getvalue().splitlines()]
    return [(line["skus"], line["country"]) for line in lines if line["event"] == "days"]


@in_virtual_time
async def test_it_is_called_once_a_layer_and_set_of_arguments() -> None:
    log = StringIO()
    async with shop(telemetry=Telemetry(log=json_log(log))) as gateway:
        found = await gateway.execute('{ products(keys: ["a", "bb", "a"]) { days fr: days(country: "FR") } }')
    assert [(product["days"], product["fr"]) for product in found.data["products"]] == [(1, 1), (2, 2), (1, 1)]
    assert sorted(calls(log), key=lambda call: call[1]) == [(["a", "bb", "a"], "DE"), (["a", "bb", "a"], "FR")]


@in_virtual_time
async def test_an_answer_of_the_wrong_length_is_our_bug_so_it_is_masked_and_the_log_has_the_numbers() -> None:
    log = StringIO()
    async with shop(telemetry=Telemetry(log=json_log(log))) as gateway:
        found = await gateway.execute('{ products(keys: ["a", "b"]) { sku days(country: "SHORT") } }')
    assert found.data == {"products": [{"sku": "a", "days": None}, {"sku": "b", "days": None}]}
    assert found.codes == ["INTERNAL_SERVER_ERROR"] * 2
    assert "parents" not in found.errors[0]["message"]
    assert "days answered 1 values for 2 parents" in log.getvalue()


@in_virtual_time
async def test_an_exception_in_a_place_is_that_parent_s_own_error() -> None:
    async with shop() as gateway:
        found = await gateway.execute('{ products(keys: ["a", "bb"]) { days(country: "MIXED") } }')
    assert found.data == {"products": [{"days": None}, {"days": 2}]}
    assert [error["path"] for error in found.errors] == [["products", 0, "days"]]
    assert DSN.encode() not in found.body


@in_virtual_time
async def test_an_exception_of_the_whole_is_everyone_s_error() -> None:
    async with shop() as gateway:
        found = await gateway.execute('{ products(keys: ["a", "bb"]) { days(country: "BAD") } }')
    assert found.codes == ["INTERNAL_SERVER_ERROR"] * 2
    assert DSN.encode() not in found.body


@in_virtual_time
async def test_on_an_instance_it_is_a_function_of_one_parent() -> None:
    assert await Product(key="k", sku="abc").days(bare_ctx(), country="FR") == 3


def test_it_says_what_to_write_where_the_answer_is_no_list() -> None:
    with pytest.raises(TypeError, match=r"@batched .*wrong: annotate what it returns as list\[...\], one value for"):

        @batched  # type: ignore[arg-type]
        async def wrong(parents: list[Product], ctx: Ctx) -> int:
            return 1
