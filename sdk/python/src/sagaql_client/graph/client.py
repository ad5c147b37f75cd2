from collections.abc import AsyncGenerator
from typing import Optional, Union

from ..core import Core, Operation
from ..model import UNSET, UnsetType
from ..result import Result
from .cancel_order import CancelOrderCancelOrderCancelOrderCompleted
from .input_types import CancelOrderInput, PlaceOrderInput
from .my_orders import MyOrders
from .place_order import PlaceOrderPlaceOrderPlaceOrderCompleted
from .product_shelf import ProductShelf
from .saga import Saga
from .saga_events import SagaEventsSagaEvents

CANCEL_ORDER = "mutation CancelOrder($input: CancelOrderInput!) {\n  cancelOrder(input: $input) {\n    __typename\n    ... on SagaOutcome {\n      sagaId\n      status\n    }\n    ... on SagaRejected {\n      code\n      message\n    }\n    ... on SagaFailed {\n      code\n      undone\n    }\n    ... on SagaNeedsAttention {\n      code\n    }\n    ... on IdempotencyConflict {\n      message\n    }\n    ... on CancelOrderCompleted {\n      order {\n        id\n        status\n        payment {\n          status\n        }\n      }\n    }\n  }\n}"
MY_ORDERS = "query MyOrders($customerId: ID!, $first: Int = 10, $after: String) {\n  customer(id: $customerId) {\n    name\n    orders(first: $first, after: $after) {\n      edges {\n        node {\n          id\n          status\n          placedAt\n          total {\n            amount\n            currency\n          }\n          shipment {\n            status\n            trackingNumber\n          }\n        }\n      }\n      pageInfo {\n        hasNextPage\n        endCursor\n      }\n    }\n  }\n}"
PLACE_ORDER = "mutation PlaceOrder($input: PlaceOrderInput!) {\n  placeOrder(input: $input) {\n    __typename\n    ... on SagaOutcome {\n      sagaId\n      status\n    }\n    ... on SagaRejected {\n      code\n      message\n    }\n    ... on SagaFailed {\n      code\n      undone\n    }\n    ... on SagaNeedsAttention {\n      code\n    }\n    ... on IdempotencyConflict {\n      message\n    }\n    ... on PlaceOrderCompleted {\n      order {\n        id\n        status\n        placedAt\n        total {\n          amount\n          currency\n        }\n        shipment {\n          carrier\n          trackingNumber\n        }\n      }\n    }\n  }\n}"
PRODUCT_SHELF = "query ProductShelf($first: Int = 20, $after: String, $category: String) {\n  products(first: $first, after: $after, category: $category) {\n    edges {\n      node {\n        id\n        sku\n        name\n        price {\n          amount\n          currency\n        }\n        rating\n        stock {\n          quantity\n        }\n        reviews(first: 3) {\n          rating\n          body\n        }\n      }\n    }\n    pageInfo {\n      hasNextPage\n      endCursor\n    }\n  }\n}"
SAGA = "query Saga($id: ID!) {\n  saga(id: $id) {\n    id\n    name\n    status\n    steps {\n      name\n      status\n      attempts\n      undoAttempts\n      code\n    }\n    createdAt\n    endedAt\n    cause\n  }\n}"
SAGA_EVENTS = "subscription SagaEvents($id: ID!, $after: Int = 0) {\n  sagaEvents(id: $id, after: $after) {\n    sequence\n    at\n    kind\n    step\n    attempt\n    code\n    saga {\n      status\n    }\n  }\n}"


class Client(Core):
    async def cancel_order(
        self,
        input: CancelOrderInput,
        *,
        key: str | None = None,
        deadline: float | None = None,
    ) -> Result[CancelOrderCancelOrderCancelOrderCompleted]:
        """Take an order back, as long as it has not been dispatched."""
        return await self._settle(
            Operation(CANCEL_ORDER, "CancelOrder", {"input": input}),
            "cancelOrder",
            CancelOrderCancelOrderCancelOrderCompleted,
            key=key,
            deadline=deadline,
        )

    async def my_orders(
        self,
        customer_id: str,
        first: Union[Optional[int], UnsetType] = UNSET,
        after: Union[Optional[str], UnsetType] = UNSET,
        *,
        deadline: float | None = None,
    ) -> Result[MyOrders]:
        """A customer by its id; null if there is none."""
        return await self._query(
            Operation(
                MY_ORDERS,
                "MyOrders",
                {"customerId": customer_id, "first": first, "after": after},
            ),
            MyOrders,
            deadline=deadline,
        )

    async def place_order(
        self,
        input: PlaceOrderInput,
        *,
        key: str | None = None,
        deadline: float | None = None,
    ) -> Result[PlaceOrderPlaceOrderPlaceOrderCompleted]:
        """Buy what is in the lines: stock, payment, order and shipment, or none of them."""
        return await self._settle(
            Operation(PLACE_ORDER, "PlaceOrder", {"input": input}),
            "placeOrder",
            PlaceOrderPlaceOrderPlaceOrderCompleted,
            key=key,
            deadline=deadline,
        )

    async def product_shelf(
        self,
        first: Union[Optional[int], UnsetType] = UNSET,
        after: Union[Optional[str], UnsetType] = UNSET,
        category: Union[Optional[str], UnsetType] = UNSET,
        *,
        deadline: float | None = None,
    ) -> Result[ProductShelf]:
        """Products in a stable order; `search` looks for a part of the name."""
        return await self._query(
            Operation(
                PRODUCT_SHELF,
                "ProductShelf",
                {"first": first, "after": after, "category": category},
            ),
            ProductShelf,
            deadline=deadline,
        )

    async def saga(self, id: str, *, deadline: float | None = None) -> Result[Saga]:
        """How a mutation stands that you began; support and operators see all."""
        return await self._query(
            Operation(SAGA, "Saga", {"id": id}), Saga, deadline=deadline
        )

    def saga_events(
        self,
        id: str,
        after: Union[Optional[int], UnsetType] = UNSET,
        *,
        deadline: float | None = None,
    ) -> AsyncGenerator[SagaEventsSagaEvents]:
        """A saga's history, from after the event with the number `after`; ends when the saga has ended."""
        return self._follow(
            Operation(SAGA_EVENTS, "SagaEvents", {"id": id, "after": after}),
            "sagaEvents",
            SagaEventsSagaEvents,
            deadline=deadline,
        )
