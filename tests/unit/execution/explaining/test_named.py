"""What code names is read off it, without running it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from gateway import Service, lazy_loader
from gateway.execution.explaining.named import MAX_FUNCTIONS, named_in
from resolvers import stock as stocks
from resolvers.customer import customers_by_key
from resolvers.product import product_pages, products_by_key
from resolvers.services import catalog
from resolvers.stock import stock_by_sku

TABLE = {"product": products_by_key, "stock": stock_by_sku}
LATER = lazy_loader("resolvers.customer:customers_by_key")
shelf = Service("catalog").command("POST", "/shelf", into=str)


async def directly(ctx: Any) -> None:
    await ctx.load(stock_by_sku, "x")


async def by_module(ctx: Any) -> None:
    await ctx.load(stocks.stock_by_sku, "x")


async def from_a_table(ctx: Any) -> None:
    await ctx.load(TABLE["stock"], "x")


async def named_later(ctx: Any) -> None:
    await ctx.load(LATER, "x")


async def in_nested_code(ctx: Any) -> None:
    async def inner() -> Any:
        return [await ctx.load(each, "x") for each in (lambda: [stock_by_sku])()]

    await inner()


async def by_a_helper(ctx: Any) -> None:
    await _helper(ctx)


async def _helper(ctx: Any) -> None:
    await directly(ctx)
    await by_a_helper(ctx)  # a circle is gone round once


async def by_hand(ctx: Any) -> None:
    await ctx.http(catalog).get("/x")


async def sends(ctx: Any) -> None:
    await ctx.send(shelf, {})


async def pages(ctx: Any) -> None:
    await ctx.page(product_pages, first=1)


async def nobody(ctx: Any) -> str:
    return str(ctx)


def enclosing(loader: Any) -> Callable[..., Any]:
    async def enclosed(ctx: Any) -> None:
        await ctx.load(loader, "x")

    return enclosed


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Owner:
    async def outer(self, ctx: Any) -> None:
        await self.inner(ctx)

    async def inner(self, ctx: Any) -> None:
        await ctx.load(stock_by_sku, "x")

    @staticmethod
    async def static(ctx: Any) -> None:
        await ctx.load(stock_by_sku, "x")


@pytest.mark.parametrize(
    ("function", "declared"),
    [
        (directly, stock_by_sku),
        (by_module, stock_by_sku),
        (in_nested_code, stock_by_sku),
        (by_a_helper, stock_by_sku),
        (enclosing(stock_by_sku), stock_by_sku),
        (wrapped(directly), stock_by_sku),
        (functools.partial(directly, None), stock_by_sku),
        (vars(Owner)["static"], stock_by_sku),
        (pages, product_pages),
        (sends, shelf),
        (by_hand, catalog),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_code_uses_by_a_global_name_is_found(function: Any, declared: object) -> None:
    assert [each.declaration for each in named_in(function)] == [declared]


def test_a_loader_that_is_named_lazily_is_found() -> None:
    assert [each.declaration for each in named_in(named_later)] == [customers_by_key]


def test_entries_of_a_table_say_that_they_are_alternatives() -> None:
    assert [(each.name, each.table) for each in named_in(from_a_table)] == [
        ("catalog /products/by-id", "TABLE"),
        ("inventory /stock", "TABLE"),
    ]


def test_methods_that_it_calls_on_itself_are_read_too() -> None:
    assert named_in(Owner.outer) == ()
    assert [each.declaration for each in named_in(Owner.outer, owner=Owner)] == [stock_by_sku]


@pytest.mark.parametrize("function", [nobody, print, None, 7])
def test_where_nothing_is_named_nothing_is_found(function: Any) -> None:
    assert named_in(function) == ()


def test_only_so_many_functions_are_read() -> None:
    names: dict[str, Any] = {"__name__": "chain", "stock_by_sku": stock_by_sku}
    for number in range(MAX_FUNCTIONS + 1):
        exec(f"def f{number}(): return f{number + 1}()", names)
    exec(f"def f{MAX_FUNCTIONS + 1}(): return stock_by_sku", names)

    assert named_in(names["f2"]) != ()
    assert named_in(names["f0"]) == ()
