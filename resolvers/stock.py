"""Stock: how much of a product can be bought now, from the inventory."""

import msgspec

from gateway import entity, field

from .services import inventory


@entity
class Stock:
    """What can be bought of a product now."""

    quantity: int = field("Pieces that are there and not reserved.")
    warehouse: str = field("Where they are.")


class StockRecord(msgspec.Struct, rename="camel"):
    """The inventory's own shape."""

    sku: str
    on_hand: int
    reserved: int
    warehouse_code: str


def stock_from(record: StockRecord) -> Stock:
    return Stock(quantity=max(0, record.on_hand - record.reserved), warehouse=record.warehouse_code)


stock_by_sku = inventory.loader(
    "/stock", keys="skus", key="sku", into=Stock, record=StockRecord, to=stock_from, max_batch=1000, shared="public"
)
