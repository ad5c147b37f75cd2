from datetime import datetime
from typing import Literal, Optional, Union

from pydantic import Field

from .base_model import BaseModel
from .enums import OrderStatus, SagaStatus


class PlaceOrder(BaseModel):
    place_order: Union[
        "PlaceOrderPlaceOrderPlaceOrderCompleted",
        "PlaceOrderPlaceOrderSagaAccepted",
        "PlaceOrderPlaceOrderSagaRejected",
        "PlaceOrderPlaceOrderSagaFailed",
        "PlaceOrderPlaceOrderSagaNeedsAttention",
        "PlaceOrderPlaceOrderIdempotencyConflict",
    ] = Field(discriminator="typename__")


class PlaceOrderPlaceOrderPlaceOrderCompleted(BaseModel):
    typename__: Literal["PlaceOrderCompleted"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    order: "PlaceOrderPlaceOrderPlaceOrderCompletedOrder"


class PlaceOrderPlaceOrderPlaceOrderCompletedOrder(BaseModel):
    id: str
    status: OrderStatus
    placed_at: datetime
    total: "PlaceOrderPlaceOrderPlaceOrderCompletedOrderTotal"
    shipment: Optional["PlaceOrderPlaceOrderPlaceOrderCompletedOrderShipment"]


class PlaceOrderPlaceOrderPlaceOrderCompletedOrderTotal(BaseModel):
    amount: int
    currency: str


class PlaceOrderPlaceOrderPlaceOrderCompletedOrderShipment(BaseModel):
    carrier: str
    tracking_number: str


class PlaceOrderPlaceOrderSagaAccepted(BaseModel):
    typename__: Literal["SagaAccepted"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus


class PlaceOrderPlaceOrderSagaRejected(BaseModel):
    typename__: Literal["SagaRejected"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    code: str
    message: str


class PlaceOrderPlaceOrderSagaFailed(BaseModel):
    typename__: Literal["SagaFailed"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    code: str
    undone: list[str]


class PlaceOrderPlaceOrderSagaNeedsAttention(BaseModel):
    typename__: Literal["SagaNeedsAttention"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    code: str


class PlaceOrderPlaceOrderIdempotencyConflict(BaseModel):
    typename__: Literal["IdempotencyConflict"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    message: str


PlaceOrder.model_rebuild()
PlaceOrderPlaceOrderPlaceOrderCompleted.model_rebuild()
PlaceOrderPlaceOrderPlaceOrderCompletedOrder.model_rebuild()
