from typing import Literal, Optional, Union

from pydantic import Field

from .base_model import BaseModel
from .enums import OrderStatus, PaymentStatus, SagaStatus


class CancelOrder(BaseModel):
    cancel_order: Union[
        "CancelOrderCancelOrderCancelOrderCompleted",
        "CancelOrderCancelOrderSagaAccepted",
        "CancelOrderCancelOrderSagaRejected",
        "CancelOrderCancelOrderSagaFailed",
        "CancelOrderCancelOrderSagaNeedsAttention",
        "CancelOrderCancelOrderIdempotencyConflict",
    ] = Field(discriminator="typename__")


class CancelOrderCancelOrderCancelOrderCompleted(BaseModel):
    typename__: Literal["CancelOrderCompleted"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    order: "CancelOrderCancelOrderCancelOrderCompletedOrder"


class CancelOrderCancelOrderCancelOrderCompletedOrder(BaseModel):
    id: str
    status: OrderStatus
    payment: Optional["CancelOrderCancelOrderCancelOrderCompletedOrderPayment"]


class CancelOrderCancelOrderCancelOrderCompletedOrderPayment(BaseModel):
    status: PaymentStatus


class CancelOrderCancelOrderSagaAccepted(BaseModel):
    typename__: Literal["SagaAccepted"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus


class CancelOrderCancelOrderSagaRejected(BaseModel):
    typename__: Literal["SagaRejected"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    code: str
    message: str


class CancelOrderCancelOrderSagaFailed(BaseModel):
    typename__: Literal["SagaFailed"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    code: str
    undone: list[str]


class CancelOrderCancelOrderSagaNeedsAttention(BaseModel):
    typename__: Literal["SagaNeedsAttention"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    code: str


class CancelOrderCancelOrderIdempotencyConflict(BaseModel):
    typename__: Literal["IdempotencyConflict"] = Field(alias="__typename")
    saga_id: str
    status: SagaStatus
    message: str


CancelOrder.model_rebuild()
CancelOrderCancelOrderCancelOrderCompleted.model_rebuild()
CancelOrderCancelOrderCancelOrderCompletedOrder.model_rebuild()
