"""The reference graph, write side: one file per saga, named by its verb."""

import strawberry

from gateway import SagaOperations, saga_field

from .access import customers_for_themselves_or_support
from .cancel_order import CancelOrder
from .place_order import PlaceOrder


@strawberry.type(description="Whatever can be changed. Each field is a saga: it ends, done or undone.")
class Mutation(SagaOperations):
    place_order = saga_field(PlaceOrder, allow=customers_for_themselves_or_support)
    cancel_order = saga_field(CancelOrder, allow=customers_for_themselves_or_support)


__all__ = ["Mutation"]
