"""What one client may have: a rate by cost, and so many operations and subscriptions at once. Start with `Clients.operation`.

A client is a known caller (tenant and subject), or the place that an anonymous one calls from. Who has nothing left is refused
before its request is read; everybody else when it is known what the operation costs, and before anything is called for it.
Invariants: what was held is given back once, whatever ends the operation; an operation is charged once, before it is run, and what
was too much or too little is settled after it; a request that could not be read, and so was never charged, costs `unread`.
State: what was taken (`MemoryRates`, `SharedRates`) and what is held (`Holdings`).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from prometheus_client import Counter

from ..errors import (
    AdmissionError,
    GatewayError,
    OperationTooExpensive,
    Quota,
    RateLimited,
    TooManyOperations,
    TooManySubscriptions,
)
from ..identity import Identity
from ..telemetry import Children, Telemetry
from .client_classes import ClientClass, ClientClasses
from .holdings import Holdings
from .rate import RateLimit, Verdict, whole

_NOTICED = 5
"""Seconds after which a subscription whose client was lost may have been noticed."""


class Rates(Protocol):
    """Who has taken how much."""

    def look(self, client: Hashable, limit: RateLimit) -> Verdict: ...
    async def take(self, client: Hashable, limit: RateLimit, *, points: int) -> Verdict: ...
    def settle(self, client: Hashable, limit: RateLimit, *, points: int) -> None: ...


class Visit:
    """One operation of one client: its place among those that the client has at once, and what it costs. Enter it once.

    This one knows no limits.
    """

    __slots__ = ()
    is_priced = False
    """Whether it matters what the operation costs."""

    @property
    def quota(self) -> Quota | None:
        """What the client had left when it was charged; None: it was not."""
        return None

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None: ...

    async def charge(self, points: int) -> None:
        """Before it is run. Raises: RateLimited, RateLimitUnavailable; OperationTooExpensive beyond the burst."""

    def settle(self, points: int) -> None:
        """It has cost so much in the end; an event of a subscription, so much besides, which nobody refuses: it is under way."""


UNLIMITED = Visit()


class Clients:
    """All clients of one application. These have no limits."""

    def __repr__(self) -> str:
        return "<Clients without limits>"

    def ensure_welcome(self, client: Hashable, identity: Identity) -> None:
        """Before the request is read. Raises: RateLimited for a client that has nothing left."""

    def toll(self, client: Hashable, identity: Identity) -> None:
        """For a request that could not be read."""

    def operation(self, client: Hashable, identity: Identity) -> Visit:
        """A place among the client's operations. Entering raises: TooManyOperations."""
        return UNLIMITED

    def subscription(self, client: Hashable, identity: Identity) -> Visit:
        """A place among the client's subscriptions. Entering raises: TooManySubscriptions."""
        return UNLIMITED


WITHOUT_LIMITS = Clients()


class LimitedClients(Clients):
    """Those that have."""

    def __init__(self, classes: ClientClasses, rates: Rates, *, unread: int = 1, telemetry: Telemetry) -> None:
        """`unread`: points that a request costs which was refused before its cost was known."""
        self._classes = classes
        self._rates = rates
        self._unread = unread
        self._operations = Holdings()
        self._subscriptions = Holdings()
        self._outcomes: Children[Counter] = Children(telemetry.metrics.client_limits)

    def __repr__(self) -> str:
        return f"<Clients with operations {self._operations!r}, subscriptions {self._subscriptions!r}, {self._rates!r}>"

    def ensure_welcome(self, client: Hashable, identity: Identity) -> None:
        limit = self._classes.of(identity).rate
        if limit is not None and not (verdict := self._rates.look(client, limit)).is_allowed:
            self._outcomes[limit.name, "refused_early"].inc()
            raise _refusal(limit, verdict, "you have nothing left of what you may take")

    def toll(self, client: Hashable, identity: Identity) -> None:
        limit = self._classes.of(identity).rate
        if limit is not None:
            self._rates.settle(client, limit, points=self._unread)

    def operation(self, client: Hashable, identity: Identity) -> Visit:
        return _Operation(self, client, identity, self._classes.of(identity))

    def subscription(self, client: Hashable, identity: Identity) -> Visit:
        return _Subscription(self, client, identity, self._classes.of(identity))

    async def take(self, client: Hashable, limit: RateLimit, points: int) -> Quota:
        """Of a client's visit. Raises: RateLimited, RateLimitUnavailable, OperationTooExpensive."""
        if points > limit.burst:
            self._outcomes[limit.name, "too_expensive"].inc()
            raise OperationTooExpensive(estimated=points, limit=limit.burst)
        verdict = await self._rates.take(client, limit, points=points)
        if not verdict.is_allowed:
            self._outcomes[limit.name, "refused"].inc()
            raise _refusal(limit, verdict, f"it costs {points}, and you do not have as much left of what you may take")
        self._outcomes[limit.name, "allowed"].inc()
        return verdict.quota(limit)

    def settle(self, client: Hashable, limit: RateLimit, points: int) -> None:
        """Of a client's visit: so much more, or less, than was taken."""
        self._rates.settle(client, limit, points=points)

    def enter_operation(self, client: Hashable, of: ClientClass) -> None:
        """Raises: TooManyOperations."""
        if of.operations is not None and not self._operations.take(client, limit=of.operations):
            self._outcomes[of.name, "too_many_operations"].inc()
            raise TooManyOperations(
                f"you have {of.operations} operations under way, which is as many as you may have: wait for one to end"
            )

    def leave_operation(self, client: Hashable, of: ClientClass) -> None:
        if of.operations is not None:
            self._operations.give_back(client)

    def enter_subscription(self, client: Hashable, of: ClientClass) -> None:
        """Raises: TooManySubscriptions."""
        if of.subscriptions is not None and not self._subscriptions.take(client, limit=of.subscriptions):
            self._outcomes[of.name, "too_many_subscriptions"].inc()
            raise TooManySubscriptions(
                f"you have {of.subscriptions} subscriptions, which is as many as you may have: end one",
                retry_after=_NOTICED,
            )

    def leave_subscription(self, client: Hashable, of: ClientClass) -> None:
        if of.subscriptions is not None:
            self._subscriptions.give_back(client)


class _Limited(Visit):
    """What operations and subscriptions have in common."""

    __slots__ = ("_charged", "_client", "_identity", "_limits", "_of", "_quota", "is_priced")

    def __init__(self, limits: LimitedClients, client: Hashable, identity: Identity, of: ClientClass) -> None:
        self.is_priced = of.rate is not None
        self._limits = limits
        self._client = client
        self._identity = identity
        self._of = of
        self._charged = 0
        self._quota: Quota | None = None

    @property
    def quota(self) -> Quota | None:
        return self._quota

    async def charge(self, points: int) -> None:
        if self._of.rate is not None:
            points = max(1, points)
            self._quota = await self._limits.take(self._client, self._of.rate, points)
            self._charged = points

    def settle(self, points: int) -> None:
        if self._charged:
            points = max(1, points)
            self._owe(points - self._charged)
            self._charged = points

    def _owe(self, points: int) -> None:
        if points and self._of.rate is not None:
            self._limits.settle(self._client, self._of.rate, points)

    def _left_by(self, error: BaseException | None) -> None:
        """What could not be read, or may not be done, costs something too; what we refuse for want of room does not."""
        if not self._charged and isinstance(error, GatewayError) and not isinstance(error, AdmissionError):
            self._limits.toll(self._client, self._identity)


class _Operation(_Limited):
    __slots__ = ()

    def __enter__(self) -> None:
        self._limits.enter_operation(self._client, self._of)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._limits.leave_operation(self._client, self._of)
        self._left_by(error)


class _Subscription(_Limited):
    __slots__ = ()

    def settle(self, points: int) -> None:
        self._owe(max(1, points))

    def __enter__(self) -> None:
        self._limits.enter_subscription(self._client, self._of)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._limits.leave_subscription(self._client, self._of)
        self._left_by(error)


def _refusal(limit: RateLimit, verdict: Verdict, why: str) -> RateLimited:
    later = whole(verdict.wait)
    return RateLimited(
        f"{why} ({limit.burst} at once, {limit.rate:g} a second): try again in {later} s",
        retry_after=later,
        quota=verdict.quota(limit),
    )
