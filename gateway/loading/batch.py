"""A loader bound to its service: the batch of one layer becomes one call, and the answer one value per key.

Invariant: len(result) == len(keys), in their order; a failure stands at the place of the keys it concerns. State: the caches,
one per loader and application; requests keep nothing here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from ..clock import NEVER, Clock, Deadline, Seconds
from ..errors import GatewayError, ServiceContractBroken, ServiceRefused
from ..identity import Identity
from ..services import UNREADABLE, Priority, ServiceRequest, ServiceResponse, Services, Sharing
from ..telemetry import Telemetry
from .cache import Found, LoaderCache
from .loader import Loader, Page, Pages
from .records import RecordBroken, loader_codec, page_decoder

V = TypeVar("V")

Arguments = tuple[tuple[str, Any], ...]
"""A loader's arguments, sorted by name: part of the batch key, so hashable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """On whose behalf and until when something is read."""

    identity: Identity
    deadline: Deadline
    headers: tuple[tuple[str, str], ...] = ()
    """Client headers that may be forwarded; never sent where the answer is shared as public."""
    may_retry: bool = True
    """False where whoever reads repeats by itself, as a saga's step does."""
    skip_fresh: bool = False
    """After a write of this request: ask the service even where a fresh answer is cached."""
    priority: Priority = Priority.NORMAL
    faults: str | None = None
    """Faults of a game day, verified: what is read with them is neither shared nor cached."""

    @property
    def asks_anew(self) -> bool:
        """Whether nothing that was read for somebody else, or before, will do."""
        return self.skip_fresh or self.faults is not None


class BoundLoader(Generic[V]):
    """One loader of one application."""

    def __init__(
        self, loader: Loader[V], *, services: Services, telemetry: Telemetry, clock: Clock, keep: Seconds
    ) -> None:
        self.loader = loader
        self._client = services[loader.service]
        self._codec = loader_codec(loader)
        self._clock = clock
        self._metrics = telemetry.metrics
        self._log = telemetry.log
        self.cache = LoaderCache(fresh=loader.fresh, keep=keep, max_entries=loader.max_entries)

    async def read(self, keys: Sequence[str], arguments: Arguments, reading: Reading) -> list[V | GatewayError]:
        """Values for distinct `keys`, in their order. Cost: one call, or none when all are fresh in the cache."""
        rows = {} if reading.asks_anew else self._fresh(keys, arguments, reading)
        values = {key: self._hydrated(row) for key, row in rows.items()}
        missing = [key for key in keys if key not in values]
        if missing:
            values.update(await self._fetch(missing, arguments, reading))
        return [values[key] for key in keys]

    def stale(self, key: str, arguments: Arguments, *, reading: Reading, max_age: Seconds) -> tuple[V, Seconds] | None:
        """The last known value and its age, if it is at most `max_age` old. What failed is never among them."""
        found = self.cache.stale(self._cache_key(key, arguments, reading), now=self._clock.now(), max_age=max_age)
        if found is None:
            return None
        value = self._hydrated(found.row)
        if isinstance(value, GatewayError):
            return None
        self._count_cache("stale")
        return value, found.age

    def _fresh(self, keys: Sequence[str], arguments: Arguments, reading: Reading) -> dict[str, Any]:
        if not self.cache.serves_fresh:
            return {}
        now, rows = self._clock.now(), {}
        for key in keys:
            found = self.cache.fresh(self._cache_key(key, arguments, reading), now=now)
            self._count_cache("miss" if found is None else "fresh")
            if found is not None:
                rows[key] = found.row
        return rows

    async def _fetch(self, keys: list[str], arguments: Arguments, reading: Reading) -> dict[str, V | GatewayError]:
        """From the service. What cannot be translated is a failure, so it is not cached and displaces no older answer."""
        self._metrics.batches.labels(self.loader.name).observe(len(keys))
        asked_at = self._clock.now()
        try:
            response = await self._client.call(self._request(keys, arguments, reading))
            rows = self._by_key(response, keys)
        except GatewayError as error:
            return dict.fromkeys(keys, error)
        values = {key: self._hydrated(row) for key, row in rows.items()}
        for key, value in values.items():
            if not isinstance(value, GatewayError) and reading.faults is None:
                self.cache.put(self._cache_key(key, arguments, reading), rows[key], asked_at=asked_at)
        return values

    def _request(self, keys: list[str], arguments: Arguments, reading: Reading) -> ServiceRequest:
        loader = self.loader
        parameters = [(loader.params[name], value) for name, value in arguments if value is not None]
        common: dict[str, Any] = {
            "service": loader.service,
            "method": loader.method,
            "path": loader.path,
            "endpoint": loader.endpoint,
            "deadline": reading.deadline,
            **_on_behalf_of(reading, loader.sharing, sent=self._sent(reading), generation=self.cache.generation),
        }
        if loader.method == "GET":
            query = (*((loader.keys, key) for key in keys), *_query(parameters))
            return ServiceRequest(query=query, **common)
        body = msgspec.json.encode({loader.keys: keys, **dict(parameters)})
        return ServiceRequest(body=body, is_read=True, **common)

    def _by_key(self, response: ServiceResponse, keys: list[str]) -> dict[str, Any | GatewayError]:
        """Rows by asked key. Keys that nobody asked for make the absence of asked ones untrustworthy."""
        records = self._records(response)
        rows: dict[str, Any | GatewayError] = {key: [] if self.loader.many else _ABSENT for key in keys}
        strangers = 0
        for key, row in records:
            if key not in rows:
                strangers += 1
            elif isinstance(row, RecordBroken):
                rows[key] = self._broken(str(row))
            elif self.loader.many:
                known = rows[key]
                if not isinstance(known, GatewayError):
                    known.append(row)
            elif rows[key] is _ABSENT:
                rows[key] = row
            else:
                rows[key] = self._broken(f"two records answer the key {key!r}")
        if strangers:
            problem = self._broken(f"{strangers} record(s) answer keys that were not asked for")
            rows = {key: problem if row is _ABSENT or row == [] else row for key, row in rows.items()}
        return rows

    def _records(self, response: ServiceResponse) -> list[tuple[str, Any | RecordBroken]]:
        ensure_success(response, self.loader.service, self.loader.endpoint)
        try:
            return self._codec.decode(response.body)
        except RecordBroken as error:
            raise self._broken(str(error)) from error

    def _broken(self, detail: str) -> ServiceContractBroken:
        """The client reads that the contract is broken; the log says how (a payload's detail is not for clients)."""
        self._metrics.contract_breaks.labels(self.loader.name).inc()
        self._log.warning("service contract broken", loader=self.loader.name, detail=detail)
        return contract_broken(self.loader.service, self.loader.endpoint)

    def _hydrated(self, row: Any | GatewayError) -> V | GatewayError:
        if isinstance(row, GatewayError):
            return row
        if row is _ABSENT:
            absent: V = self.loader.absent
            return absent
        try:
            value: Any = [self._codec.hydrate(each) for each in row] if self.loader.many else self._codec.hydrate(row)
        except (
            Exception
        ) as error:  # the author's translation: what it cannot take is not what was agreed, for this key only
            return self._broken(f"{type(error).__name__}: {error}")
        return value  # type: ignore[no-any-return]

    def _cache_key(self, key: str, arguments: Arguments, reading: Reading) -> Hashable:
        return (scope_of(reading, self.loader.sharing, sent=self._sent(reading)), arguments, key)

    def _sent(self, reading: Reading) -> tuple[tuple[str, str], ...]:
        return forwarded(reading, self.loader.sharing, names=self._client.config.send_headers)

    def _count_cache(self, result: str) -> None:
        self._metrics.cache.labels(self.loader.name, result).inc()


class BoundPages(Generic[V]):
    """One listing of one application."""

    def __init__(
        self, pages: Pages[V], *, services: Services, telemetry: Telemetry, clock: Clock, keep: Seconds = NEVER
    ) -> None:
        self.pages = pages
        self._metrics = telemetry.metrics
        self._log = telemetry.log
        self._client = services[pages.service]
        self._decoder, self._hydrate = page_decoder(pages)
        self._clock = clock
        self.cache = LoaderCache(fresh=pages.fresh, keep=keep, max_entries=pages.max_entries)

    async def read(self, arguments: Arguments, reading: Reading) -> Page[V]:
        """One page. Raises: GatewayError."""
        cache_key = (scope_of(reading, self.pages.sharing, sent=self._sent(reading)), arguments)
        found = self._cached(cache_key, reading)
        if found is not None:
            return self._hydrated(found.row)
        asked_at = self._clock.now()
        row = await self._fetch(arguments, reading)
        page = self._hydrated(row)  # before it is cached: what cannot be translated is a failure
        if reading.faults is None:
            self.cache.put(cache_key, row, asked_at=asked_at)
        return page

    def _hydrated(self, row: Any) -> Page[V]:
        try:
            page: Page[V] = self._hydrate(row)
        except Exception as error:  # the author's translation, as in BoundLoader
            raise self._broken(f"{type(error).__name__}: {error}") from error
        return page

    def _broken(self, detail: str) -> ServiceContractBroken:
        self._metrics.contract_breaks.labels(self.pages.name).inc()
        self._log.warning("service contract broken", loader=self.pages.name, detail=detail)
        return contract_broken(self.pages.service, self.pages.endpoint)

    def _sent(self, reading: Reading) -> tuple[tuple[str, str], ...]:
        return forwarded(reading, self.pages.sharing, names=self._client.config.send_headers)

    def _cached(self, cache_key: Hashable, reading: Reading) -> Found | None:
        if reading.asks_anew or not self.cache.serves_fresh:
            return None
        return self.cache.fresh(cache_key, now=self._clock.now())

    async def _fetch(self, arguments: Arguments, reading: Reading) -> Any:
        pages = self.pages
        request = ServiceRequest(
            service=pages.service,
            path=pages.path,
            endpoint=pages.endpoint,
            query=_query([(pages.params[name], value) for name, value in arguments if value is not None]),
            deadline=reading.deadline,
            **_on_behalf_of(reading, pages.sharing, sent=self._sent(reading), generation=self.cache.generation),
        )
        response = await self._client.call(request)
        ensure_success(response, pages.service, pages.endpoint)
        try:
            return self._decoder.decode(response.body)
        except UNREADABLE as error:
            raise self._broken(str(error)) from error


class Loaders:
    """Every loader of one application, bound when it is first named; `keep` says how long joins may want stale rows."""

    def __init__(
        self,
        *,
        services: Services,
        telemetry: Telemetry,
        clock: Clock,
        keep: Mapping[Loader[Any], Seconds] | None = None,
    ) -> None:
        self._services = services
        self._telemetry = telemetry
        self._clock = clock
        self._keep = keep or {}
        self._loaders: dict[Loader[Any], BoundLoader[Any]] = {}
        self._pages: dict[Pages[Any], BoundPages[Any]] = {}

    def loader(self, loader: Loader[V]) -> BoundLoader[V]:
        """Bounded by the number of declarations in the graph."""
        bound = self._loaders.get(loader)
        if bound is None:
            keep = self._keep.get(loader, Seconds(0.0))
            bound = BoundLoader(
                loader, services=self._services, telemetry=self._telemetry, clock=self._clock, keep=keep
            )
            self._loaders[loader] = bound
        return bound

    def pages(self, pages: Pages[V]) -> BoundPages[V]:
        bound = self._pages.get(pages)
        if bound is None:
            bound = self._pages[pages] = BoundPages(
                pages, services=self._services, telemetry=self._telemetry, clock=self._clock
            )
        return bound

    def invalidate(self, declared: object) -> None:
        """After a write that changed it, serve nothing of a loader or listing as fresh that was asked for before."""
        if isinstance(declared, Loader):
            self.loader(declared).cache.distrust(now=self._clock.now())
        elif isinstance(declared, Pages):
            self.pages(declared).cache.distrust(now=self._clock.now())
        else:
            raise TypeError(f"invalidates= takes loaders and pages, not {declared!r}")


class _Absent:
    """The service answered and has nothing under the key."""

    def __repr__(self) -> str:
        return "<absent>"


_ABSENT = _Absent()


def scope_of(reading: Reading, sharing: Sharing, *, sent: tuple[tuple[str, str], ...]) -> Hashable:
    """With whom an answer may be shared, as part of its cache key: whatever was `sent` may have changed the answer."""
    if sharing is Sharing.PUBLIC:
        return None
    if sharing is Sharing.TENANT:
        return (reading.identity.tenant, sent)
    return (reading.identity.tenant, reading.identity.subject, reading.identity.scopes, sent)


def _on_behalf_of(
    reading: Reading, sharing: Sharing, *, sent: tuple[tuple[str, str], ...], generation: int
) -> dict[str, Any]:
    """What a request says of who asks: and with whom its answer may be shared while it is under way."""
    return {
        "headers": sent,
        "is_personal": bool(sent),
        "may_retry": reading.may_retry,
        "priority": reading.priority,
        "faults": reading.faults,
        "share": None if reading.asks_anew else (sharing, scope_of(reading, sharing, sent=sent), generation),
    }


def forwarded(reading: Reading, sharing: Sharing, *, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Client headers that go with a call: those that the service declares (`names`, in lower case) and no other.

    None where the answer is public, so that sharing it is safe by construction.
    """
    if sharing is Sharing.PUBLIC:
        return ()
    return tuple((name, value) for name, value in reading.headers if name.lower() in names)


def ensure_success(response: ServiceResponse, service: str, endpoint: str) -> None:
    """Raises: ServiceRefused for anything but 2xx: a read that is refused is a disagreement, not "there is none"."""
    if not 200 <= response.status < 300:
        raise ServiceRefused(
            f"{service} refused {endpoint} with status {response.status}", service=service, http_status=response.status
        )


def contract_broken(service: str, endpoint: str) -> ServiceContractBroken:
    return ServiceContractBroken(f"{service} answered {endpoint} in a shape that was not agreed", service=service)


def _query(parameters: Sequence[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Pairs of a query; a list is its name once for each item."""
    return tuple(
        (name, _query_text(item))
        for name, value in parameters
        for item in (value if isinstance(value, tuple | list) else (value,))
    )


def _query_text(value: Any) -> str:
    """As JSON writes it, without quotes: an enum by its value, a time by ISO 8601."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(msgspec.to_builtins(value))
