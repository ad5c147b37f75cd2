"""How one service is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from ..services import (
    BalanceSettings,
    BreakerSettings,
    BudgetSettings,
    BulkheadSettings,
    FaultSettings,
    HealthSettings,
    HedgeSettings,
    IdentityHeader,
    Retry,
    ServiceConfig,
    SetHeader,
)
from ..services.identity_headers import Says
from .concern import AsWritten, Concern, Duration, Size, Words

UNRESOLVED = ServiceConfig(instances=("http://unresolved.invalid",))
"""Where the defaults of a service stand, and what stands in for an address that is not known."""


class ServiceSettings(Concern):
    """How one service is called: `gateway.services.ServiceConfig`, as it is written."""

    url: str | None = None
    """Where its one instance is, as http://host:port, perhaps with a path. None: `instances`, or `discovery` knows."""
    instances: Words = ()
    """Where its instances are, in place of `url`."""
    fallback: Words = ()
    """Instances of another region: used when all others were tried, or too few of them are well."""
    coalesce: bool = UNRESOLVED.coalesce
    """Whether identical reads under way are one call."""
    retry: Annotated[Retry, AsWritten()] = Retry()
    """When and how often an attempt is repeated."""
    budget: Annotated[BudgetSettings, AsWritten()] = BudgetSettings()
    """How many attempts beyond the first ones the service is sent, by retries and hedges together."""
    hedge: Annotated[HedgeSettings, AsWritten()] = HedgeSettings()
    """When a slow read is asked a second time."""
    breaker: Annotated[BreakerSettings, AsWritten()] = BreakerSettings()
    """When the service is left alone, and for how long."""
    bulkhead: Annotated[BulkheadSettings, AsWritten()] = BulkheadSettings()
    """How much of this machine the service may hold: each process that calls it has its share of the permits, rounded up."""
    balance: Annotated[BalanceSettings, AsWritten()] = BalanceSettings()
    """How attempts are spread over several instances, and when one is left out."""
    health: Annotated[HealthSettings, AsWritten()] = HealthSettings()
    """How instances are asked for their health."""
    faults: Annotated[FaultSettings, AsWritten()] = FaultSettings()
    """What is done to attempts on purpose, for tests and game days."""
    attempt_timeout: Duration = UNRESOLVED.attempt_timeout
    """Seconds that one attempt may take at most, connecting included."""
    attempt_timeout_floor: Duration = UNRESOLVED.attempt_timeout_floor
    """Reads are cut after three times their endpoint's p99, but not sooner than this."""
    connect_timeout: Duration = UNRESOLVED.connect_timeout
    """Seconds for name, TCP and TLS."""
    ca_file: str | None = None
    """Certificates (PEM) that https addresses are verified against; None: the system's."""
    max_response: Size = UNRESOLVED.max_response
    """Bytes of a decompressed body beyond which an answer is given up."""
    send_headers: Words = UNRESOLVED.send_headers
    """Client headers that are forwarded to this service: names, or beginnings as "x-tenant-*". None: what is not declared is
    not leaked. Credentials (authorization, cookie) only by their whole name."""
    set_headers: Mapping[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Headers that go with every attempt and health check, such as the gateway's own key: { x-api-key = "${KEY}" }."""
    identity_headers: Mapping[str, Says] = Field(default_factory=dict[str, Says])
    """Headers that tell this service who is calling: { x-user-id = "subject", x-tenant = "tenant", x-scopes = "scopes" }. None:
    what is not declared is not told. Calls whose answers are shared as public have none, those of a tenant its tenant at most."""

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.url is not None and self.instances:
            raise ValueError("url and instances are both given: write all addresses as instances")
        self.config(self.addresses or UNRESOLVED.instances)  # the rules stand there
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """What is written here; empty where `discovery` is to be asked."""
        return self.instances if self.url is None else (self.url,)

    def config(self, instances: tuple[str, ...]) -> ServiceConfig:
        """The plain value that the floor below is handed. Raises: ValueError for an impossible address."""
        return ServiceConfig(
            instances=instances,
            fallback=self.fallback,
            coalesce=self.coalesce,
            retry=self.retry,
            budget=self.budget,
            hedge=self.hedge,
            breaker=self.breaker,
            bulkhead=self.bulkhead,
            balance=self.balance,
            health=self.health,
            faults=self.faults,
            attempt_timeout=self.attempt_timeout,
            attempt_timeout_floor=self.attempt_timeout_floor,
            connect_timeout=self.connect_timeout,
            ca_file=self.ca_file,
            max_response=self.max_response,
            send_headers=tuple(name.lower() for name in self.send_headers),
            set_headers=tuple(
                SetHeader(name.lower(), value.get_secret_value()) for name, value in self.set_headers.items()
            ),
            identity_headers=tuple(IdentityHeader(name.lower(), says) for name, says in self.identity_headers.items()),
        )
