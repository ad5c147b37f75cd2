"""The operation's deadline: what is ready is answered, the rest says DEADLINE_EXCEEDED."""

import asyncio

import pytest

from gateway.errors import DeadlineExceeded
from gateway.graph.resolver import within_deadline
from gateway.testing import ScriptedWire, after, hang, in_virtual_time

from .guarding import bare_ctx
from .shop import inventory_answers, shop

SOON = {"x-request-timeout-ms": "500"}


@pytest.mark.parametrize("name", ["plain", "mine"], ids=["strawberry's resolver", "our resolver"])
@in_virtual_time
async def test_a_resolver_ends_with_the_deadline_and_the_rest_is_answered(name: str) -> None:
    async with shop() as gateway:
        found = await gateway.execute(f"{{ hello {name} }}", headers=SOON)
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
    assert found.data == {"hello": "hello you", name: None}
    assert [(error["path"], error["extensions"]["code"]) for error in found.errors] == [([name], "DEADLINE_EXCEEDED")]


@pytest.mark.parametrize("selection", ["slow", 'days(country: "SLOW")'], ids=["method", "batched"])
@in_virtual_time
async def test_a_field_of_each_object_ends_with_the_deadline(selection: str) -> None:
    async with shop() as gateway:
        found = await gateway.execute(f'{{ products(keys: ["a", "b"]) {{ sku {selection} }} }}', headers=SOON)
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
    assert [product["sku"] for product in found.data["products"]] == ["a", "b"]
    assert found.codes == ["DEADLINE_EXCEEDED"] * 2


@in_virtual_time
async def test_a_join_whose_service_hangs_ends_with_the_deadline() -> None:
    async with shop(wires={"inventory": ScriptedWire(otherwise=hang)}) as gateway:
        found = await gateway.execute('{ products(keys: ["a"]) { sku stockIn { quantity } } }', headers=SOON)
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
    assert found.data == {"products": [{"sku": "a", "stockIn": None}]}
    assert found.codes == ["DEADLINE_EXCEEDED"]


@in_virtual_time
async def test_what_is_ready_in_time_is_not_lost() -> None:
    wire = ScriptedWire(otherwise=after(0.4, inventory_answers))
    async with shop(wires={"inventory": wire}) as gateway:
        found = await gateway.execute('{ mine products(keys: ["a"]) { stockIn { quantity } } }', headers=SOON)
    assert found.data == {"mine": None, "products": [{"stockIn": {"quantity": 1}}]}


@in_virtual_time
async def test_the_service_is_told_what_is_left() -> None:
    wire = ScriptedWire(otherwise=inventory_answers)
    async with shop(wires={"inventory": wire}) as gateway:
        await gateway.execute('{ products(keys: ["a"]) { stockIn { quantity } } }', headers=SOON)
    assert wire.requests[0].deadline.at == 0.5


@in_virtual_time
async def test_a_timeout_of_the_author_s_own_is_not_called_the_deadline() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.1):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError):
        await within_deadline(impatient(), bare_ctx())
    assert not issubclass(DeadlineExceeded, TimeoutError)
