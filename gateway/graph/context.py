"""`Ctx`: what a resolver may know and do. One per request; `info.context` in plain strawberry resolvers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from ..clock import Clock, Deadline, duration
from ..errors import Forbidden, Unauthenticated
from ..identity import Identity
from ..loading import Loader, Loads, Page, Pages, Polls, Service
from ..loading.calls import Wanted
from ..sagas import Host, KeyRing, SagaView
from ..services import HttpClient, Services
from ..services.timers import Timers
from ..telemetry import Telemetry
from .access import Allow, lets, refusal
from .connection import Connection, connection, window
from .consistency import StrongReads
from .degradation import Degraded, Notes

V = TypeVar("V")


class Expected(NamedTuple):
    """What will be read of the objects `of` a class that a resolver hands on as it found them."""

    of: type[Any]
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class BegunSaga:
    """A saga as the field that waited for it left it."""

    view: SagaView
    is_new: bool
    """False: the same idempotency key had begun it before."""


@dataclass(slots=True, kw_only=True)
class Ctx:
    """The request as resolvers see it. State: what was degraded, in the order it happened, httpx clients that were asked for, and
    the sagas of an operation that is explained; all else is fixed."""

    identity: Identity
    deadline: Deadline
    loads: Loads
    telemetry: Telemetry
    clock: Clock
    timers: Timers = field(default_factory=Timers)
    """Of the application: those of resolvers, which end with the deadline."""
    polls: Polls | None = None
    services: Services | None = None
    sagas: Host | None = None
    secret_keys: KeyRing | None = None
    """Of the settings: inputs that hold secrets are hashed under them."""
    idempotency_key: str | None = field(default=None, repr=False)
    """Of the request's header; valid for the one saga of the operation."""
    raw_variables: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """Variables as the client sent them, before defaults."""
    saga_wait: float = 10.0
    """Seconds that a synchronous mutation waits before it answers `SagaAccepted`."""
    operator_scope: str = "operator"
    overseer_scope: str | None = None
    """Of those who see everybody's sagas; None: operators alone do."""
    signal_scope: str = "signals"
    sheds: bool = False
    """The gateway is overloaded: joins that can do without their service do."""
    notes: Notes = field(default_factory=Notes)
    http_clients: dict[str, HttpClient] = field(default_factory=dict[str, HttpClient])
    """Those that were asked for, by service."""
    last_event_id: str | None = None
    """In a subscription: the `event_id` that its client has seen last, where it goes on after it; as the client says it."""
    begun: dict[str, BegunSaga] | None = None
    """Sagas by the response keys of their fields; None: the operation is not explained, and nobody asks."""
    expected: Expected | None = None
    """By the field whose resolver this was handed to; None: nothing is known."""

    def expecting(self, expected: Expected) -> Ctx:
        """The same for one resolver."""
        return replace(self, expected=expected)

    async def load(self, loader: Loader[V], key: str, **arguments: Any) -> V | None:
        """The value of one key; keys asked for in the same tick travel in one call. Raises: GatewayError."""
        return await self.loads.load(loader, key, arguments)

    async def load_many(self, loader: Loader[V], keys: Sequence[str], **arguments: Any) -> list[V | None]:
        """Values in the order of `keys`. Raises: GatewayError, the first failure."""
        return await self.loads.load_many(loader, keys, arguments)

    async def page(self, pages: Pages[V], **arguments: Any) -> Page[V]:
        """One page of a listing. Raises: GatewayError.

        Hand `items` on as they are where you can: only what the client selects is then read of them.
        """
        expected = self.expected
        wanted = expected.wanted if expected is not None and pages.shape.into is expected.of else None
        return await self.loads.page(pages, arguments, wanted=wanted)

    def poll(
        self, loader: Loader[V], key: str, *, every: str | float, **arguments: Any
    ) -> AsyncGenerator[V | None, None]:
        """The key's value now, and whenever it has changed, for a subscription whose service tells nobody of changes.

        The service is asked every `every` ("1s"), once for all who follow the key, and for as long as somebody does; a slow reader
        gets the newest value. Raises, when it is read: GatewayError, where the first question fails.
        """
        if self.polls is None:
            raise LookupError(f"nothing is polled here, so {loader.name} cannot be followed")
        return self.polls.follow(loader, key, arguments, reading=self.loads.reading, every=duration(every))

    @property
    def strong(self) -> StrongReads:
        """The same reads where only what the service says now will do: nothing cached, shared or asked for earlier.

        `await ctx.strong.load(orders_by_key, key)`.
        """
        return StrongReads(self.loads)

    async def connection(self, pages: Pages[V], *, first: int, after: str | None, **filters: Any) -> Connection[V]:
        """A listing as clients page through it. Raises: GatewayError; BadUserInput for a cursor that is not ours."""
        asked = window(first, after, longest=pages.max_page)
        page = await self.loads.page(pages, {"first": asked.limit, "after": asked.cursor.page, **filters})
        return connection(page, asked)

    def http(self, service: Service) -> HttpClient:
        """An `httpx.AsyncClient` whose transport is the service's stack: timeouts, retries, breaker and trace apply.

        For what no loader says; its calls are not batched. They end with the operation's deadline, or sooner with a timeout of
        yours, are as important as the operation, and carry the client headers that the service declares; yours of the same name
        win. An httpx error that the resolver lets pass reads to the client as the service's error.
        Raises: LookupError for a service that gateway.toml does not have. Cost: about 35 µs for a service's first in a request.
        """
        if self.services is None:
            raise LookupError(f"no services are bound here, so {service.name} cannot be called")
        known = self.http_clients.get(service.name)
        if known is None:
            known = self.http_clients[service.name] = self.loads.reading.http(self.services[service.name])
        return known

    def require(self, scope: str) -> None:
        """Raises: Unauthenticated for an anonymous caller, Forbidden for a known one without `scope`."""
        if self.identity.has(scope):
            return
        if self.identity.is_anonymous:
            raise Unauthenticated(f'send a header "Authorization: Bearer …" with a token that has the scope {scope!r}')
        raise Forbidden(f"this needs the scope {scope!r}")

    def ensure(self, allow: Allow, parent: object) -> None:
        """For what only a resolver's own code has in hand. Raises: Unauthenticated or Forbidden, unless the access rule lets."""
        if not lets(allow, parent, self.identity):
            raise refusal(self.identity, "object")

    def note(self, degraded: Degraded, *, times: int = 1) -> None:
        """Tell the client, and whoever reads the metrics, that a field was answered with less, in so many places."""
        self.telemetry.metrics.degraded.labels(degraded.service or "gateway", degraded.to.value).inc(times)
        self.notes.add(degraded)
