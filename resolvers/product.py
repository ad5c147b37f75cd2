"""Products: what the shop sells. Names and list prices from the catalog, stock and shelf prices from the inventory."""

from typing import Annotated

import msgspec

from gateway import Between, Node, alternative, default, entity, field, join, newest, stale

from .money import Money, minor_units
from .price import Price, list_price_by_sku, shelf_price_by_sku
from .review import Review, reviews_by_product
from .services import catalog
from .stock import Stock, stock_by_sku


@entity
class Product(Node):
    """What the shop sells."""

    sku: str = field("What the warehouse calls it.")
    name: str = field("What shoppers read.")
    description: str = field("A few sentences.")
    category: str = field("One of the catalog's categories; `products(category)` takes it.")
    price: Money = field("Of one piece, today.")
    rating: float | None = field("Mean of its reviews' stars; null without reviews.")
    stock: Stock | None = join(
        stock_by_sku, on="sku", otherwise=stale("15m"), description="What can be bought now; null if it is not stocked."
    )
    reviews: list[Review] = join(
        reviews_by_product,
        on="key",
        otherwise=default([]),
        first=(Annotated[int, Between(1, 50)], 10),
        description="Newest first.",
    )
    current_price: Price | None = join(
        [list_price_by_sku, shelf_price_by_sku],
        on="sku",
        reconcile=newest("updated_at"),
        description="The newer of list price and shelf price; null where they differ and neither is newer.",
    )
    shelf_price: Price | None = join(
        shelf_price_by_sku,
        on="sku",
        otherwise=(alternative(list_price_by_sku), stale("1h")),
        cost=2,
        description="What the label on the shelf says; the list price while nobody can read it.",
    )


class PriceRecord(msgspec.Struct, rename="camel"):
    value: str
    currency_code: str


class RatingRecord(msgspec.Struct):
    average: float
    count: int


class ProductRecord(msgspec.Struct, rename="camel"):
    """The catalog's own shape: prices are decimal texts."""

    product_id: str
    stock_keeping_unit: str
    title: str
    long_description: str
    category_code: str
    list_price: PriceRecord
    rating: RatingRecord | None = None


def product_from(record: ProductRecord) -> Product:
    price = record.list_price
    return Product(
        key=record.product_id,
        sku=record.stock_keeping_unit,
        name=record.title,
        description=record.long_description,
        category=record.category_code,
        price=Money(amount=minor_units(price.value, price.currency_code), currency=price.currency_code),
        rating=record.rating.average if record.rating else None,
    )


products_by_key = catalog.loader(
    "/products/by-id",
    keys="ids",
    key="productId",
    into=Product,
    record=ProductRecord,
    to=product_from,
    max_batch=1000,
    shared="public",
)
products_by_sku = catalog.loader(
    "/products/by-sku",
    keys="skus",
    key="stockKeepingUnit",
    into=Product,
    record=ProductRecord,
    to=product_from,
    max_batch=1000,
    shared="public",
)
product_pages = catalog.pages(
    "/products",
    into=Product,
    record=ProductRecord,
    to=product_from,
    params={"first": "limit", "after": "after", "category": "category", "search": "search"},
    shared="public",
)
