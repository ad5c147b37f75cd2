"""Who there is in the demo: three people, the tokens that they show, and what each may do.

Their tokens are known to everybody, so that what the README shows works as it is pasted: they guard a shop on your own machine, and
nothing else. Invariant: gateway.toml holds the digests of these tokens and nobody else's; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    token: str
    """What stands after "Bearer"."""
    subject: str
    may: str
    """For people to read."""

    @property
    def header(self) -> str:
        return f"authorization: Bearer {self.token}"


CUSTOMER = Person("demo-customer", "c-001", "buys and cancels, and sees their own orders and sagas")
SUPPORT = Person("demo-support", "support", "sees everybody's orders and sagas, buys and cancels for whom it names")
OPERATOR = Person(
    "demo-operator", "operator", "what support may; retries and resolves sagas, has answers explained, reads /metrics"
)

PEOPLE = (CUSTOMER, SUPPORT, OPERATOR)
