"""Which limits a client has: those of its class. The first class whose words fit the caller is it.

Invariant: every caller has exactly one class; a class that names nobody is that of anonymous callers, or everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..identity import Identity
from .rate import RateLimit

USUAL = "default"
"""The name of the class of all who have no other."""
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientClass:
    """What each client of it may have. None: as much as it likes."""

    name: str = USUAL
    rate: RateLimit | None = None
    operations: int | None = None
    """Under way at once, in one process."""
    subscriptions: int | None = None
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A class for callers who are known: of all that is given here."""

    limits: ClientClass
    scope: str | None = None
    tenant: str | None = None
    subject: str | None = None

    def fits(self, identity: Identity) -> bool:
        return (
            (self.scope is None or identity.has(self.scope))
            and (self.tenant is None or identity.tenant == self.tenant)
            and (self.subject is None or identity.subject == self.subject)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientClasses:
    """All of them."""

    usual: ClientClass = ClientClass()
    anonymous: ClientClass | None = None
    """None: the usual one."""
    named: Sequence[Named] = ()
    """In the order in which they are asked."""

    def of(self, identity: Identity) -> ClientClass:
        if identity.is_anonymous:
            return self.anonymous or self.usual
        for each in self.named:
            if each.fits(identity):
                return each.limits
        return self.usual

    @property
    def are_limits(self) -> bool:
        """Whether anybody has any."""
        return any(each != ClientClass(name=each.name) for each in self._all)

    @property
    def are_rates(self) -> bool:
        """Whether anybody has a rate."""
        return any(each.rate is not None for each in self._all)

    @property
    def _all(self) -> Sequence[ClientClass]:
        return (self.usual, *(each.limits for each in self.named), *([self.anonymous] if self.anonymous else ()))
