from datetime import datetime
from typing import Optional

from .base_model import BaseModel
from .enums import OrderStatus, ShipmentStatus


class MyOrders(BaseModel):
    customer: Optional["MyOrdersCustomer"]


class MyOrdersCustomer(BaseModel):
    name: str
    orders: Optional["MyOrdersCustomerOrders"]


class MyOrdersCustomerOrders(BaseModel):
    edges: list["MyOrdersCustomerOrdersEdges"]
    page_info: "MyOrdersCustomerOrdersPageInfo"


class MyOrdersCustomerOrdersEdges(BaseModel):
    node: "MyOrdersCustomerOrdersEdgesNode"


class MyOrdersCustomerOrdersEdgesNode(BaseModel):
    id: str
    status: OrderStatus
    placed_at: datetime
    total: "MyOrdersCustomerOrdersEdgesNodeTotal"
    shipment: Optional["MyOrdersCustomerOrdersEdgesNodeShipment"]


class MyOrdersCustomerOrdersEdgesNodeTotal(BaseModel):
    amount: int
    currency: str


class MyOrdersCustomerOrdersEdgesNodeShipment(BaseModel):
    status: ShipmentStatus
    tracking_number: str


class MyOrdersCustomerOrdersPageInfo(BaseModel):
    has_next_page: bool
    end_cursor: Optional[str]


MyOrders.model_rebuild()
MyOrdersCustomer.model_rebuild()
MyOrdersCustomerOrders.model_rebuild()
MyOrdersCustomerOrdersEdges.model_rebuild()
MyOrdersCustomerOrdersEdgesNode.model_rebuild()
