"""Prices: what a product costs and since when. Two services tell: the catalog's list, and the labels on the inventory's shelves."""

from datetime import datetime

import msgspec

from gateway import entity, field

from .money import Money, minor_units
from .services import catalog, inventory


@entity
class Price:
    """What a product costs, and since when that is so."""

    amount: Money = field("Of one piece.")
    updated_at: datetime = field("When it was last set.")


class ListedRecord(msgspec.Struct, rename="camel"):
    value: str
    currency_code: str


class ListPriceRecord(msgspec.Struct, rename="camel"):
    """What the catalog says of a price: a decimal text."""

    stock_keeping_unit: str
    list_price: ListedRecord
    updated_at: datetime


def price_from_list(record: ListPriceRecord) -> Price:
    listed = record.list_price
    amount = Money(amount=minor_units(listed.value, listed.currency_code), currency=listed.currency_code)
    return Price(amount=amount, updated_at=record.updated_at)


class LabelRecord(msgspec.Struct, rename="camel"):
    """What the inventory says of the label on a shelf."""

    sku: str
    price_minor: int
    currency_code: str
    printed_at: datetime


def price_from_label(record: LabelRecord) -> Price:
    amount = Money(amount=record.price_minor, currency=record.currency_code)
    return Price(amount=amount, updated_at=record.printed_at)


list_price_by_sku = catalog.loader(
    "/products/by-sku",
    keys="skus",
    key="stockKeepingUnit",
    into=Price,
    record=ListPriceRecord,
    to=price_from_list,
    max_batch=1000,
    shared="public",
)
shelf_price_by_sku = inventory.loader(
    "/labels",
    keys="skus",
    key="sku",
    into=Price,
    record=LabelRecord,
    to=price_from_label,
    max_batch=1000,
    fresh="2s",
    revalidate="30s",
    shared="public",
)
