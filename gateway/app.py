"""The composition root: settings and graph become one ASGI application. The only module that knows every floor.

Invariant: everything with state is made here, per application; two applications in one process share nothing that changes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any

import strawberry
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter
from starlette.applications import Starlette

from .admission import WITHOUT_LIMITS, Admission, Clients, LimitedClients, MemoryRates, Pressure, SharedRates
from .application import Application
from .authenticators import authenticator_of, proxy_of
from .clock import Clock, LoopClock
from .documents import documents_of
from .edge import Doorstep, Front
from .execution import Engine
from .execution.cost import CALL
from .execution.limits import OperationLimits, SagaScopes
from .execution.plans import Plans
from .graph import Graph
from .identity import Authenticator
from .loading import Loaders
from .project import load_graph
from .routes import GRAPHQL_PATH, admin_door, endpoint_of, requests_of, routes_of
from .saga_commands import saga_commands
from .saga_ports import CacheInvalidation, LoaderReader, ServiceSender
from .sagas import Codec, EmbeddedHost, Host, Observer, Saga
from .sagas.journal import Journal
from .sagas.sqlite_journal import SqliteJournal
from .services import Services, Wire
from .settings import Settings, SettingsInvalid
from .shared import ClientMissing, SharedStore, StoreClient, connect
from .siblings import Siblings
from .steering import Steering
from .telemetry import Telemetry, json_log, tracer_provider
from .trusted_documents import trust

__all__ = ["Application", "create_app", "load_graph"]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a host of sagas is made of."""

    settings: Settings
    graph: Graph
    services: Services
    loaders: Loaders
    telemetry: Telemetry
    clock: Clock
    codec: Codec
    journal: Journal | None

    @property
    def sagas(self) -> list[type[Saga[Any, Any]]]:
        """Those of the graph, older versions included."""
        return [definition.saga for definition in (*self.graph.sagas.values(), *self.graph.older_sagas)]


Hosting = Callable[[Parts], Host]


def create_app(
    settings: Settings,
    graph: Graph | None = None,
    *,
    telemetry: Telemetry | None = None,
    wires: Mapping[str, Wire] | None = None,
    authenticator: Authenticator | None = None,
    clock: Clock | None = None,
    journal: Journal | None = None,
    store: StoreClient | None = None,
    steered: bool = False,
    hosting: Hosting | None = None,
    siblings: Siblings | None = None,
) -> Starlette:
    """One ASGI application. Nothing is opened before its lifespan begins.

    `steered`: whether the settings' file is watched, operators are listened to and overload is measured while it runs, as `sagaql
    serve` does.
    `telemetry`, `wires`, `authenticator`, `clock`, `journal` and `store` stand in for the real ones in tests and embeddings.
    `hosting` makes the host of the sagas, an embedded one unless it is given; with `siblings` it is one of the processes
    that share the machine's bounds.
    Raises: GraphInvalid, SettingsInvalid.
    """
    graph = graph or load_graph(settings)
    clock = clock or LoopClock()
    gateway = compose(
        settings,
        graph,
        telemetry=telemetry or telemetry_of(settings),
        wires=wires or {},
        clock=clock,
        journal=journal,
        store=store,
        hosting=hosting or embedded,
        siblings=siblings,
    )
    own = authenticator_of(settings, telemetry=gateway.telemetry, wires=wires or {}, clock=clock)
    keys: AbstractAsyncContextManager[Any] = own if authenticator is None else nullcontext()
    authenticator = authenticator or own
    proxy = proxy_of(settings, telemetry=gateway.telemetry)
    requests = requests_of(settings, gateway, clock=clock)
    endpoint = endpoint_of(settings, gateway, authenticator, requests, proxy=proxy, clock=clock)
    app = Front(
        endpoint,
        path=GRAPHQL_PATH,
        routes=routes_of(settings, gateway, endpoint, authenticator, requests, clock=clock),
        introduced=None if proxy is None else proxy.introduced,
        lifespan=_lifespan(settings, gateway, keys, steered=steered),
    )
    app.state.gateway = gateway
    app.state.admin = admin_door(settings, gateway)  # another application, for a port of its own
    return app


def compose(
    settings: Settings,
    graph: Graph,
    *,
    telemetry: Telemetry,
    wires: Mapping[str, Wire],
    clock: Clock,
    journal: Journal | None,
    store: StoreClient | None = None,
    hosting: Hosting,
    siblings: Siblings | None,
) -> Application:
    """Every floor, from the bottom up."""
    random = Random()  # noqa: S311 - it spreads load and waits, and keeps nobody out; the system's costs a call each time
    callers, operations, streams = (
        (1, settings.server.max_operations, settings.server.max_subscriptions)
        if siblings is None
        else (settings.callers, settings.server.operations_each, settings.server.subscriptions_each)
    )
    services = Services(
        settings.service_configs(callers=callers), telemetry=telemetry, clock=clock, random=random, wires=wires
    )
    loaders = Loaders(services=services, telemetry=telemetry, clock=clock, keep=graph.keep)
    sagas = None
    if graph.sagas:  # without any no journal is needed
        sagas = hosting(
            Parts(
                settings=settings,
                graph=graph,
                services=services,
                loaders=loaders,
                telemetry=telemetry,
                clock=clock,
                codec=Codec(unset=[strawberry.UNSET]),
                journal=journal,
            )
        )
    admission = Admission(
        operations, telemetry=telemetry, clock=clock, random=random, max_streams=streams, limits=settings.overload
    )
    pressure = Pressure(admission, limits=settings.overload, telemetry=telemetry)
    operation = settings.operation
    shared = _shared(settings, store, telemetry=telemetry, clock=clock, random=random)
    clients = _clients(settings, shared, telemetry=telemetry, clock=clock)
    documents = documents_of(operation, graph.core, metrics=telemetry.metrics)
    plans = Plans(graph.core, is_on=operation.compile, telemetry=telemetry)
    trusted = {} if settings.trusted is None else trust(settings.trusted, documents, plans)
    engine = Engine(
        graph,
        documents=documents,
        plans=plans,
        loaders=loaders,
        admission=admission,
        limits=OperationLimits(
            query=operation.query_deadline,
            mutation=operation.mutation_deadline,
            longest=operation.max_deadline,
            saga_wait=settings.sagas.wait,
            max_cost=operation.max_cost,
            cost=operation.cost,
        ),
        telemetry=telemetry,
        clock=clock,
        services=services,
        sagas=sagas,
        scopes=SagaScopes(
            operator=settings.sagas.operator_scope,
            overseer=settings.sagas.overseer_scope,
            signal=settings.sagas.signal_scope,
        ),
        secret_keys=settings.secret_keys,
        clients=clients,
        is_strained=lambda: pressure.is_strained and settings.overload.shed_optional,
    )
    steering = Steering(
        settings, services, telemetry=telemetry, callers=callers, process=None if siblings is None else siblings.name
    )
    if sagas is not None:
        steering.commands.add(saga_commands(sagas))
    return Application(
        graph=graph,
        engine=engine,
        services=services,
        loaders=loaders,
        sagas=sagas,
        telemetry=telemetry,
        admission=admission,
        clients=clients,
        pressure=pressure,
        doorstep=Doorstep(pressure.share, path=GRAPHQL_PATH.encode(), metrics=telemetry.metrics, random=random),
        steering=steering,
        trusted=trusted,
        shared=shared,
        siblings=siblings,
    )


def _shared(
    settings: Settings, client: StoreClient | None, *, telemetry: Telemetry, clock: Clock, random: Random
) -> SharedStore | None:
    """Nothing is connected yet. Raises: SettingsInvalid where it never could be."""
    shared = settings.shared
    if client is None and shared.address is not None:
        try:
            client = connect(shared.address, ca_file=shared.ca_file)
        except ClientMissing as error:
            raise SettingsInvalid([f"shared.url: {error}"]) from error
        except OSError as error:
            raise SettingsInvalid([f"shared.ca_file: its certificates cannot be read: {error}"]) from error
    if client is None:
        return None
    return SharedStore(
        client, timeout=shared.timeout, prefix=shared.prefix, telemetry=telemetry, clock=clock, jitter=random.random
    )


def _clients(settings: Settings, shared: SharedStore | None, *, telemetry: Telemetry, clock: Clock) -> Clients:
    """Who has limits, and where it is counted what they have taken."""
    limits, workers = settings.limits, settings.server.workers
    classes = limits.client_classes
    if not classes.are_limits:
        return WITHOUT_LIMITS
    unread = 1 if settings.operation.cost is None else CALL
    if shared is None or not limits.shared:
        return LimitedClients(classes, MemoryRates(clock, among=workers), unread=unread, telemetry=telemetry)
    rates = SharedRates(
        shared, when_unreachable=limits.when_unreachable, among=workers, clock=clock, telemetry=telemetry
    )
    return LimitedClients(classes, rates, unread=unread, telemetry=telemetry)


def embedded(parts: Parts, *, observer: Observer | None = None) -> EmbeddedHost:
    """The host of sagas that live in this process. `observer`: told of what steps invalidate; else this process's caches are."""
    settings = parts.settings
    journal = parts.journal or SqliteJournal(
        settings.journal, telemetry=parts.telemetry, clock=parts.clock, keeping=settings.keeping
    )
    return EmbeddedHost(
        parts.sagas,
        journal,
        sender=ServiceSender(parts.services),
        reader=LoaderReader(parts.loaders),
        telemetry=parts.telemetry,
        clock=parts.clock,
        codec=parts.codec,
        secret_keys=settings.secret_keys,
        observer=observer or CacheInvalidation(parts.loaders),
        max_open=settings.sagas.max_open,
    )


def _lifespan(
    settings: Settings, gateway: Application, keys: AbstractAsyncContextManager[Any], *, steered: bool
) -> Any:
    """`keys`: whatever keeps those of issuers renewed."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with gateway.services, gateway.loaders, gateway.engine.polls, keys:
            if gateway.sagas is not None:
                await gateway.sagas.start()
            if gateway.siblings is not None:
                await gateway.siblings.attach(gateway.telemetry.metrics.exposition)
            if gateway.shared is not None:
                gateway.shared.start()
            gateway.telemetry.log.info(
                "started",
                profile=settings.profile,
                services=sorted(gateway.services),
                sagas=sorted(gateway.graph.sagas),
            )
            try:
                if steered:
                    gateway.pressure.begin()
                async with gateway.steering.listening() if steered else nullcontext():
                    yield
            finally:
                gateway.pressure.end()
                await gateway.left()
                if gateway.sagas is not None:
                    await gateway.sagas.stop(settings.sagas.drain)
                if gateway.shared is not None:
                    await gateway.shared.close()
                if gateway.siblings is not None:
                    await gateway.siblings.detach()
                gateway.telemetry.log.info("stopped")
        gateway.telemetry.close()

    return lifespan


def telemetry_of(settings: Settings, *, process: str | None = None) -> Telemetry:
    """As the settings say; `process`: its name among those of this gateway, on each line of the log."""
    log = json_log(level=settings.telemetry.log_level)
    exporter: SpanExporter | None = OTLPSpanExporter() if settings.telemetry.exporter == "otlp" else None
    provider = tracer_provider(
        service_name=settings.telemetry.service_name, sample_ratio=settings.telemetry.sample_ratio, exporter=exporter
    )
    return Telemetry(provider=provider, log=log if process is None else log.bind(process=process))
