"""For whom something is done: customers for themselves, support for any customer that it names.

Invariant: what is done for a customer was begun by that customer, or by support; the access rule says so before the saga is begun.
"""

from typing import Protocol

import strawberry

from gateway import AccessRule, Identity, key_of, own, scope
from gateway.sagas import Owner
from resolvers.customer import Customer


class ForCustomer(Protocol):
    """An input that may name a customer."""

    customer_id: strawberry.ID | None


def is_for_themselves(wanted: ForCustomer, identity: Identity) -> bool:
    return wanted.customer_id is None or key_of(wanted.customer_id, Customer) == identity.subject


customers_for_themselves_or_support: AccessRule[ForCustomer] = scope("support") | (
    scope("customer") & own(is_for_themselves)
)


def customer_of(wanted: ForCustomer, owner: Owner) -> str:
    """The key of the customer for whom it is done: the one who is named, or else whoever began it."""
    return owner.subject if wanted.customer_id is None else key_of(wanted.customer_id, Customer)
