"""What each client may have: a rate by cost, and so many operations and subscriptions at once."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Self

from pydantic import Field, model_validator

from ..admission import ClientClass, ClientClasses, Named, RateLimit, WhenUnreachable
from ..admission.client_classes import ANONYMOUS, USUAL
from .concern import Concern, Positive, Scope

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_SECONDS_OF_BURST = 10


class _ClassLimits(Concern):
    """What stands in [limits] and in each of its classes."""

    rate: Rate | None = None
    """Points of cost a second: what `operation.cost` estimates, or 1 for each operation where nothing is estimated. None: no
    limit."""
    burst: Positive | None = None
    """Points that may be taken at once, after a rest; no operation may cost more. None: ten seconds of the rate, since a page
    that is opened asks for several things at once."""
    concurrent_operations: Positive | None = None
    """Operations under way at once, waiting ones too, of one client in each worker. None: no limit but the gateway's own."""
    subscriptions: Positive | None = None
    """Subscriptions at once of one client in each worker, over whatever transport. None: no limit but the gateway's own."""

    def in_class(self, name: str) -> ClientClass:
        rate = None
        if self.rate is not None:
            rate = RateLimit(name=name, rate=self.rate, burst=self.burst or ceil(_SECONDS_OF_BURST * self.rate))
        return ClientClass(
            name=name, rate=rate, operations=self.concurrent_operations, subscriptions=self.subscriptions
        )


class ClientClassSettings(_ClassLimits):
    """Clients that have other limits. What a class does not say is as in [limits]; a rate of its own brings a burst of its own."""

    scope: Scope | None = None
    """A scope that its callers have."""
    tenant: str | None = None
    """The tenant that they are of."""
    subject: str | None = None
    """What they are called in it."""
    limited: bool = True
    """Whether they have limits at all."""

    @model_validator(mode="after")
    def _free_means_free(self) -> Self:
        if not self.limited and any(getattr(self, field) is not None for field in _ClassLimits.model_fields):
            raise ValueError("limited is off, and it has limits: leave one or the other out")
        return self

    @property
    def names_somebody(self) -> bool:
        return not (self.scope is self.tenant is self.subject is None)

    def over(self, usual: _ClassLimits, *, name: str) -> ClientClass:
        """The limits of the class."""
        if not self.limited:
            return ClientClass(name=name)
        given = {field: getattr(self, field) for field in _ClassLimits.model_fields}
        inherited = {field: getattr(usual, field) for field in given}
        if self.rate is not None:
            inherited["burst"] = None
        return _ClassLimits(**{field: given[field] or inherited[field] for field in given}).in_class(name)


class LimitSettings(_ClassLimits):
    """What each client may have; nothing is limited unless it is said. A client is a known caller, or the address that an anonymous
    one calls from."""

    shared: bool = False
    """Whether rates are counted in the store that `shared.url` names, for all workers and gateways together. Off: each worker
    counts by itself, an Nth of the rate where there are N workers."""
    when_unreachable: WhenUnreachable = "open"
    """What happens while the shared store cannot be reached: "open" goes by each worker's own memory, as if `shared` were off;
    "closed" refuses what has a rate (RATE_LIMIT_UNAVAILABLE). "open": a limit is there to serve the others better."""
    classes: Mapping[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")], ClientClassSettings] = Field(
        default_factory=dict[str, ClientClassSettings]
    )
    """Clients with other limits, by a name that metrics and RateLimit headers show: [limits.classes.partner]. The first whose
    `scope`, `tenant` and `subject` all fit is the caller's; "anonymous" is that of callers without credentials."""

    @model_validator(mode="after")
    def _classes_have_callers(self) -> Self:
        for name, each in self.classes.items():
            if name == USUAL:
                raise ValueError(
                    f"classes.{name}: the name is that of all who have no class: write it into [limits] itself"
                )
            if name == ANONYMOUS and each.names_somebody:
                raise ValueError(
                    f"classes.{name} has no scope, tenant or subject: it is that of callers without credentials"
                )
            if name != ANONYMOUS and not each.names_somebody:
                raise ValueError(f"classes.{name} names nobody: give it a scope, a tenant or a subject")
        return self

    @model_validator(mode="after")
    def _limits_are_possible(self) -> Self:
        """Raises: ValueError, as the limits themselves do."""
        classes = self.client_classes
        if not classes.are_rates:
            if self.shared:
                raise ValueError("shared is on, and nothing has a rate: give one, or leave shared out")
            if self.burst is not None:
                raise ValueError("burst is given, and nothing has a rate: give one, or leave burst out")
        return self

    @property
    def client_classes(self) -> ClientClasses:
        """The plain value that the floor below is handed."""
        anonymous = self.classes.get(ANONYMOUS)
        return ClientClasses(
            usual=self.in_class(USUAL),
            anonymous=None if anonymous is None else anonymous.over(self, name=ANONYMOUS),
            named=tuple(
                Named(limits=each.over(self, name=name), scope=each.scope, tenant=each.tenant, subject=each.subject)
                for name, each in self.classes.items()
                if name != ANONYMOUS
            ),
        )
