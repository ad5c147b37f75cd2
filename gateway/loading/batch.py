"""A loader bound to its service: the batch of one layer becomes one call, and the answer one value per key.

Invariant: len(result) == len(keys), in their order; a failure stands at the place of the keys it concerns. State: the caches,
one per loader and application; requests keep nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import msgspec
from cachetools import LRUCache

from ..clock import NEVER, Clock, Seconds
from ..errors import GatewayError, ServiceContractBroken, ServiceRefused
from ..services import UNREADABLE, ServiceClient, ServiceRequest, ServiceResponse, Services
from ..telemetry import Children, Telemetry
from .cache import Found, LoaderCache
from .calls import Loaded, Wanted
from .loader import Loader, Page, Pages
from .reading import Reading, on_behalf_of, scope_of, sent_with
from .reconciler import Reconciler
from .recording import Read
from .records import Codec, PageCodec, RecordBroken, Records, Rows, loader_codec, page_codec
from .refreshes import Refreshes

V = TypeVar("V")

Arguments = tuple[tuple[str, Any], ...]
"""A loader's arguments, sorted by name: part of the batch key, so hashable."""


MAX_CODECS = 64
"""Of one loader: as many parts of its records as clients' plans want at a time. One takes some 20 kB."""


class BoundLoader(Generic[V]):
    """One loader of one application."""

    def __init__(
        self,
        loader: Loader[V],
        *,
        services: Services,
        telemetry: Telemetry,
        clock: Clock,
        refreshes: Refreshes,
        keep: Seconds,
    ) -> None:
        self.loader = loader
        self._client = services[loader.service]
        self._codec = loader_codec(loader)
        self._codecs: LRUCache[tuple[str, ...], Codec] = LRUCache(MAX_CODECS)
        """Those that read a part, by what they read."""
        self._clock = clock
        self._metrics = telemetry.metrics
        self._sizes = telemetry.metrics.batches.labels(loader.name)
        self._cache_results = Children(telemetry.metrics.cache, loader.name)
        self._log = telemetry.log
        self._refreshes = refreshes
        self.cache = LoaderCache(
            fresh=loader.fresh, revalidate=loader.revalidate, keep=keep, max_entries=loader.max_entries
        )

    async def read(self, keys: Sequence[str], arguments: Arguments, reading: Reading, wanted: Wanted = None) -> Loaded:
        """What each of these distinct keys has: a value as it was loaded (`object_of`), or a GatewayError. Records that nobody
        will ask for later have only the attributes that are `wanted`.

        Cost: one call, or none when the cache serves all; and one that nobody waits for when some of those are due.
        """
        with _recorded(reading, self.loader, len(keys)) as told:
            rows = {} if reading.asks_anew else self._cached(keys, arguments, reading, told)
            missing = [key for key in keys if key not in rows] if rows else keys
            if told is not None:
                told.cached, told.asked = len(rows), len(missing)
            if not missing:
                return Loaded(self._all_loaded(rows))
            fetched = await self._fetch(missing, arguments, reading, wanted, told)
            return Loaded({**self._all_loaded(rows), **fetched.values}) if rows else fetched

    def object_of(self, loaded: Any) -> V | None:
        """The value of the graph that a loaded value is, or stands for."""
        is_it = loaded is None or not self._codec.stands_for_object
        value: V | None = loaded if is_it else self._codec.hydrate(loaded)
        return value

    def stale(
        self, key: str, arguments: Arguments, *, reading: Reading, max_age: Seconds
    ) -> tuple[V | None, Seconds] | None:
        """The last known value and its age, if it is at most `max_age` old: None is one too. What failed is never among them."""
        name = self._cache_name(arguments, reading)
        found = self.cache.stale(name(key), now=self._clock.now(), max_age=max_age)
        if found is None:
            return None
        value = self._loaded(found.row)
        if isinstance(value, GatewayError):
            return None
        self._count_cache("stale")
        return self.object_of(value), found.age

    def _cached(self, keys: Sequence[str], arguments: Arguments, reading: Reading, told: Read | None) -> dict[str, Any]:
        """Rows that may be served without asking; those of them that are due are asked for meanwhile."""
        if not self.cache.serves_again:
            return {}
        now, found, name = self._clock.now(), dict[str, Found](), self._cache_name(arguments, reading)
        for key in keys:
            entry = self.cache.fresh(name(key), now=now)
            self._count_cache(result_of(entry))
            if entry is not None:
                found[key] = entry
        if due := [key for key, entry in found.items() if entry.is_due]:
            self._revalidate(due, arguments, reading)
        if told is not None and found:
            told.oldest = max(entry.age for entry in found.values())
        return {key: entry.row for key, entry in found.items()}

    def _revalidate(self, due: list[str], arguments: Arguments, reading: Reading) -> None:
        """Ask for what is due in one call that nobody waits for, under this reading's own identity and headers."""
        later = reading.refreshing(self._clock)

        async def refresh(keys: list[str]) -> int:
            loaded = await self._fetch(keys, arguments, later, None)
            return sum(isinstance(value, GatewayError) for value in loaded.values.values())

        name = self._cache_name(arguments, reading)
        names = {(self.loader, name(key)): key for key in due}
        self._refreshes.start(self.loader.name, names, refresh)

    async def _fetch(
        self,
        keys: Sequence[str],
        arguments: Arguments,
        reading: Reading,
        wanted: Wanted,
        told: Read | None = None,
    ) -> Loaded:
        """From the service. What cannot be translated is a failure, so it is not cached and displaces no older answer."""
        self._sizes.observe(len(keys))
        asked_at = self._clock.now()
        try:
            request = self._request(keys, arguments, reading)
            reading.spent.calls += 1
            response = await _called(self._client, request, told)
            codec = self._codec_for(wanted)
            rows = self._by_key(response, keys, codec)
        except GatewayError as error:
            if told is not None:
                told.outcome = error.code
            return Loaded(dict.fromkeys(keys, error))
        if codec is not self._codec:
            return Loaded(rows, partial(self._whole, response, keys))
        values = self._all_loaded(rows)
        if self.cache.keeps and reading.faults is None:
            name = self._cache_name(arguments, reading)
            for key, value in values.items():
                if not isinstance(value, GatewayError):
                    self.cache.put(name(key), rows[key], asked_at=asked_at)
        return Loaded(values)

    def _codec_for(self, wanted: Wanted) -> Codec:
        """Reads what is wanted; or all, where it is kept for others."""
        if wanted is None or self.cache.keeps or not self._codec.stands_for_object:
            return self._codec
        found = self._codecs.get(wanted)
        if found is None:
            found = self._codecs[wanted] = loader_codec(self.loader, only=wanted)
        return found

    def _whole(self, response: ServiceResponse, keys: Sequence[str]) -> Mapping[str, Any]:
        """All that an answer says of which a part was read."""
        try:
            return self._by_key(response, keys, self._codec)
        except GatewayError as error:
            return dict.fromkeys(keys, error)

    def _request(self, keys: Sequence[str], arguments: Arguments, reading: Reading) -> ServiceRequest:
        loader = self.loader
        parameters = [(loader.params[name], value) for name, value in arguments if value is not None]
        common: dict[str, Any] = {
            "service": loader.service,
            "method": loader.method,
            "path": loader.path,
            "endpoint": loader.endpoint,
            **on_behalf_of(reading, loader.sharing, sent=self._sent(reading), generation=self.cache.generation),
        }
        if loader.method == "GET":
            query = (*((loader.keys, key) for key in keys), *_query(parameters))
            return ServiceRequest(query=query, **common)
        body = msgspec.json.encode({loader.keys: [*keys], **dict(parameters)})
        return ServiceRequest(body=body, is_read=True, **common)

    def _by_key(self, response: ServiceResponse, keys: Sequence[str], codec: Codec) -> dict[str, Any]:
        """Rows by asked key, None where the service has none; a GatewayError where they are not to be trusted."""
        records = self._records(response, codec)
        found = self._grouped(records, keys) if records.is_whole else None
        return self._judged(records, keys) if found is None else found

    def _grouped(self, records: Records, keys: Sequence[str]) -> dict[str, Any] | None:
        """Rows by asked key, if nothing about the answer is wrong."""
        if self.loader.many:
            lists: dict[str, Any] = {key: [] for key in keys}
            try:
                for key, row in zip(records.keys, records.rows, strict=True):
                    lists[key].append(row)
            except KeyError:
                return None
            return lists
        found = dict(zip(records.keys, records.rows, strict=True))
        if len(found) < len(records.rows) or not found.keys() <= set(keys):
            return None
        return found if len(found) == len(keys) else {key: found.get(key) for key in keys}

    def _judged(self, records: Records, keys: Sequence[str]) -> dict[str, Any]:
        """Rows one by one. Keys that nobody asked for make the absence of asked ones untrustworthy."""
        rows: dict[str, Any | GatewayError] = {key: [] if self.loader.many else None for key in keys}
        strangers = 0
        for key, row in zip(records.keys, records.rows, strict=True):
            if key not in rows:
                strangers += 1
            elif isinstance(row, RecordBroken):
                rows[key] = self._broken(str(row))
            elif self.loader.many:
                known = rows[key]
                if not isinstance(known, GatewayError):
                    known.append(row)
            elif rows[key] is None:
                rows[key] = row
            else:
                rows[key] = self._broken(f"two records answer the key {key!r}")
        if strangers:
            problem = self._broken(f"{strangers} record(s) answer keys that were not asked for")
            rows = {key: problem if row is None or row == [] else row for key, row in rows.items()}
        return rows

    def _records(self, response: ServiceResponse, codec: Codec) -> Records:
        ensure_success(response, self.loader.service, self.loader.endpoint)
        try:
            return codec.decode(response.body)
        except RecordBroken as error:
            raise self._broken(str(error)) from error

    def _broken(self, detail: str) -> ServiceContractBroken:
        """The client reads that the contract is broken; the log says how (a payload's detail is not for clients)."""
        self._metrics.contract_breaks.labels(self.loader.name).inc()
        self._log.warning("service contract broken", loader=self.loader.name, detail=detail)
        return contract_broken(self.loader.service, self.loader.endpoint)

    def _all_loaded(self, rows: Mapping[str, Any]) -> Mapping[str, Any]:
        """`_loaded` of each; at once, where rows stand for objects: None is then what a key without one has."""
        return rows if self._codec.stands_for_object else {key: self._loaded(row) for key, row in rows.items()}

    def _loaded(self, row: Any) -> Any:
        """What a row comes to for who loads it: itself, where it stands for the object; else what the author makes of it."""
        if row is None:
            return self.loader.absent
        if self._codec.stands_for_object or isinstance(row, GatewayError):
            return row
        try:
            return self._codec.hydrate(row)
        except (
            Exception
        ) as error:  # the author's translation: what it cannot take is not what was agreed, for this key only
            return self._broken(f"{type(error).__name__}: {error}")

    def _cache_name(self, arguments: Arguments, reading: Reading) -> Callable[[str], Hashable]:
        """What a key is called in the cache, for all keys of a batch."""
        scope = self.scope(reading)
        return lambda key: (scope, arguments, key)

    def scope(self, reading: Reading) -> Hashable:
        """With whom an answer may be shared."""
        return scope_of(reading, self.loader.sharing, sent=self._sent(reading))

    def _sent(self, reading: Reading) -> tuple[tuple[str, str], ...]:
        return sent_with(reading, self.loader.sharing, to=self._client.config)

    def _count_cache(self, result: str) -> None:
        self._cache_results[result,].inc()


class BoundPages(Generic[V]):
    """One listing of one application."""

    def __init__(
        self, pages: Pages[V], *, services: Services, telemetry: Telemetry, clock: Clock, refreshes: Refreshes
    ) -> None:
        self.pages = pages
        self._metrics = telemetry.metrics
        self._cache_results = Children(telemetry.metrics.cache, pages.name)
        self._log = telemetry.log
        self._client = services[pages.service]
        self._codec = page_codec(pages)
        self._codecs: LRUCache[tuple[str, ...], PageCodec] = LRUCache(MAX_CODECS)
        """As in BoundLoader; and the whole one for what was read in vain."""
        self._clock = clock
        self._refreshes = refreshes
        self.cache = LoaderCache(
            fresh=pages.fresh, revalidate=pages.revalidate, keep=NEVER, max_entries=pages.max_entries
        )

    async def read(self, arguments: Arguments, reading: Reading, wanted: Wanted = None) -> Loaded:
        """One page, as what these arguments have. Its items' records that nobody will ask for later have only what is `wanted`,
        until somebody looks at an item. Raises: GatewayError.
        """
        with _recorded(reading, self.pages, 1) as told:
            found = None if reading.asks_anew else self._cached(arguments, reading)
            if told is not None:
                told.cached, told.asked = (0, 1) if found is None else (1, 0)
            if found is not None:
                if told is not None:
                    told.oldest = found.age
                return Loaded({arguments: self._hydrated(found.row)})
            return await self._fresh(arguments, reading, wanted, told)

    def _cached(self, arguments: Arguments, reading: Reading) -> Found | None:
        """The page if it may be served without asking; it is asked for meanwhile where it is due."""
        if not self.cache.serves_again:
            return None
        found = self.cache.fresh(self._cache_key(arguments, reading), now=self._clock.now())
        self._cache_results[result_of(found),].inc()
        if found is not None and found.is_due:
            self._revalidate(arguments, reading)
        return found

    def _revalidate(self, arguments: Arguments, reading: Reading) -> None:
        """As in BoundLoader."""
        later = reading.refreshing(self._clock)

        async def refresh(asked: list[Arguments]) -> int:
            try:
                await self._fresh(asked[0], later)
            except GatewayError:
                return 1
            return 0

        self._refreshes.start(self.pages.name, {(self.pages, self._cache_key(arguments, reading)): arguments}, refresh)

    async def _fresh(
        self, arguments: Arguments, reading: Reading, wanted: Wanted = None, told: Read | None = None
    ) -> Loaded:
        """From the service, into the cache."""
        asked_at = self._clock.now()
        body = (await self._answer(arguments, reading, told)).body
        codec = self._codec_for(wanted)
        row = self._decoded(body, codec)
        if codec is not self._codec:
            return self._partly(row, body, arguments, wanted)
        page = self._hydrated(row)  # before it is cached: what cannot be translated is a failure
        if reading.faults is None:
            self.cache.put(self._cache_key(arguments, reading), row, asked_at=asked_at)
        return Loaded({arguments: page})

    def _codec_for(self, wanted: Wanted) -> PageCodec:
        """As in BoundLoader."""
        if wanted is None or self.cache.keeps or not self._codec.stands_for_objects:
            return self._codec
        found = self._codecs.get(wanted)
        if found is None:
            found = self._codecs[wanted] = page_codec(self.pages, only=wanted)
        return found

    def _partly(self, row: Any, body: bytes, arguments: Arguments, wanted: Wanted) -> Loaded:
        """A page of whose records a part was read. Who looks at an item reads the rest from the same answer, and has taught us to
        read it at once.
        """

        @cache
        def whole() -> Page[V] | GatewayError:
            try:
                return self._hydrated(self._decoded(body, self._codec))
            except GatewayError as error:
                return error

        def items() -> list[V]:
            if wanted is not None:
                self._codecs[wanted] = self._codec
            page = whole()
            if isinstance(page, GatewayError):
                raise page
            return [*page.items]

        page = Page(Rows(row.items, items, read=wanted), next=row.next, total=row.total)
        return Loaded({arguments: page}, lambda: {arguments: whole()})

    def _cache_key(self, arguments: Arguments, reading: Reading) -> Hashable:
        return (scope_of(reading, self.pages.sharing, sent=self._sent(reading)), arguments)

    def _hydrated(self, row: Any) -> Page[V]:
        try:
            page: Page[V] = self._codec.hydrate(row)
        except Exception as error:  # the author's translation, as in BoundLoader
            raise self._broken(f"{type(error).__name__}: {error}") from error
        return page

    def _broken(self, detail: str) -> ServiceContractBroken:
        self._metrics.contract_breaks.labels(self.pages.name).inc()
        self._log.warning("service contract broken", loader=self.pages.name, detail=detail)
        return contract_broken(self.pages.service, self.pages.endpoint)

    def _sent(self, reading: Reading) -> tuple[tuple[str, str], ...]:
        return sent_with(reading, self.pages.sharing, to=self._client.config)

    async def _answer(self, arguments: Arguments, reading: Reading, told: Read | None) -> ServiceResponse:
        pages = self.pages
        request = ServiceRequest(
            service=pages.service,
            path=pages.path,
            endpoint=pages.endpoint,
            query=_query([(pages.params[name], value) for name, value in arguments if value is not None]),
            **on_behalf_of(reading, pages.sharing, sent=self._sent(reading), generation=self.cache.generation),
        )
        reading.spent.calls += 1
        response = await _called(self._client, request, told)
        ensure_success(response, pages.service, pages.endpoint)
        return response

    def _decoded(self, body: bytes, codec: PageCodec) -> Any:
        try:
            return codec.row.decode(body)
        except UNREADABLE as error:
            raise self._broken(str(error)) from error


class Loaders:
    """Every loader of one application, bound when it is first named; `keep` says how long joins may want stale rows.

    Leaving its `async with` ends the refreshes under way; what is read after that is read without them.
    """

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
        self.refreshes = Refreshes(telemetry=telemetry)
        self.reconciler = Reconciler(telemetry=telemetry, clock=clock)
        self._loaders: dict[Loader[Any], BoundLoader[Any]] = {}
        self._pages: dict[Pages[Any], BoundPages[Any]] = {}

    def loader(self, loader: Loader[V]) -> BoundLoader[V]:
        """Bounded by the number of declarations in the graph."""
        bound = self._loaders.get(loader)
        if bound is None:
            keep = self._keep.get(loader, NEVER)
            bound = self._loaders[loader] = BoundLoader(loader, keep=keep, **self._floor())
        return bound

    def pages(self, pages: Pages[V]) -> BoundPages[V]:
        bound = self._pages.get(pages)
        if bound is None:
            bound = self._pages[pages] = BoundPages(pages, **self._floor())
        return bound

    def _floor(self) -> dict[str, Any]:
        """What everything bound here stands on."""
        return {
            "services": self._services,
            "telemetry": self._telemetry,
            "clock": self._clock,
            "refreshes": self.refreshes,
        }

    def invalidate(self, declared: object) -> None:
        """After a write that changed it, serve nothing of a loader or listing as fresh that was asked for before."""
        if isinstance(declared, Loader):
            self.loader(declared).cache.distrust(now=self._clock.now())
        elif isinstance(declared, Pages):
            self.pages(declared).cache.distrust(now=self._clock.now())
        else:
            raise TypeError(f"invalidates= takes loaders and pages, not {declared!r}")

    async def __aenter__(self) -> Self:
        await self.refreshes.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refreshes.close()


def result_of(found: Found | None) -> str:
    """What a look-up came to, as the metric calls it."""
    if found is None:
        return "miss"
    return "revalidated" if found.is_due else "fresh"


def _recorded(reading: Reading, declared: Loader[Any] | Pages[Any], keys: int) -> AbstractContextManager[Read | None]:
    """A read of so many keys, written down while it lasts if somebody will ask."""
    recording = reading.recording
    return nullcontext() if recording is None else recording.read(declared, keys, asks_anew=reading.asks_anew)


async def _called(client: ServiceClient, request: ServiceRequest, told: Read | None) -> ServiceResponse:
    """The service's answer; what became of the call is written down for whoever wants it told."""
    return await (client.call(request) if told is None else client.call(request, tried=told.tried, waited=told.waited))


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
