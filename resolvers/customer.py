"""Customers: a name for everybody, an address and orders for themselves and for support."""

from typing import Annotated

import msgspec
import strawberry

from gateway import AccessRule, Between, Connection, Identity, Node, entity, join, own, resolver, scope

from .order import Order, orders_by_customer
from .services import customers


def are_themselves(customer: "Customer", identity: Identity) -> bool:
    return customer.key == identity.subject


is_themselves_or_support: AccessRule["Customer"] = scope("support") | own(are_themselves)
"""Who may read what is private to a customer."""


@entity
class Customer(Node):
    """Somebody who buys, and reviews."""

    given_name: strawberry.Private[str]
    family_name: strawberry.Private[str]
    email_address: strawberry.Private[str]

    @resolver
    def name(self) -> str:
        """As it is shown to everybody."""
        return f"{self.given_name} {self.family_name}"

    @resolver(allow=is_themselves_or_support)
    def email(self) -> str | None:
        """For the customer and for support only."""
        return self.email_address

    orders: Connection[Order] | None = join(
        orders_by_customer,
        on="key",
        first=(Annotated[int, Between(1, 100)], 10),
        allow=is_themselves_or_support,
        description="Newest first; for the customer and for support only.",
    )


class CustomerRecord(msgspec.Struct, rename="camel"):
    """The customer service's own shape."""

    customer_id: str
    given_name: str
    family_name: str
    email_address: str


def customer_from(record: CustomerRecord) -> Customer:
    return Customer(
        key=record.customer_id,
        given_name=record.given_name,
        family_name=record.family_name,
        email_address=record.email_address,
    )


customers_by_key = customers.loader(
    "/customers", keys="ids", key="customerId", into=Customer, record=CustomerRecord, to=customer_from, max_batch=1000
)
