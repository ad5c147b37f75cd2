"""Shipments: how an order travels. The fields fit; a renaming is all it takes."""

from enum import Enum

import strawberry

from gateway import Node, entity, field

from .services import shipping


@strawberry.enum(description="How far a shipment is.")
class ShipmentStatus(Enum):
    BOOKED = strawberry.enum_value("booked", description="The carrier will collect it.")
    DISPATCHED = strawberry.enum_value("dispatched", description="It is on its way.")
    DELIVERED = strawberry.enum_value("delivered", description="It arrived.")
    CANCELLED = strawberry.enum_value("cancelled", description="It will not be collected.")


@entity
class Shipment(Node):
    """How an order travels."""

    status: ShipmentStatus = field("How far it is.")
    carrier: str = field("Who carries it.")
    tracking_number: str = field("What the carrier calls it.")


shipments_by_key = shipping.loader(
    "/shipments",
    keys="ids",
    key="shipmentId",
    into=Shipment,
    fields={"key": "shipmentId", "status": "state", "carrier": "carrierCode"},
    max_batch=1000,
)
