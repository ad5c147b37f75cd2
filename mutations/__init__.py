"""The reference graph, write side: one file per saga, named by its verb."""

import strawberry

from gateway import SagaOperations, saga_field

from .cancel_order import CancelOrder
from .place_order import PlaceOrder


@strawberry.type(description="Whatever can be changed. Each field is a saga: it ends, done or undone.")
class Mutation(SagaOperations):
    place_order = saga_field(PlaceOrder)
    cancel_order = saga_field(CancelOrder)


__all__ = ["Mutation"]
