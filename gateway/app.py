"""The composition root: settings and graph become one ASGI application. The only module that knows every floor.

Invariant: everything with state is made here, per application; two applications in one process share nothing that changes.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

import strawberry
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter
from starlette.applications import Starlette
from starlette.routing import Route

from .admission import Admission
from .clock import Clock, LoopClock
from .edge import GraphQLEndpoint, StaticTokens, graphiql_routes, hashed, health_routes, landing
from .execution import Engine
from .execution.document import Documents
from .execution.engine import OperationLimits
from .graph import Graph
from .identity import Authenticator, Identity
from .loading import Loaders
from .project import load_graph
from .saga_ports import CacheInvalidation, LoaderReader, ServiceSender
from .sagas import Codec
from .sagas.embedded import EmbeddedHost
from .sagas.journal import Journal
from .sagas.sqlite_journal import SqliteJournal
from .services import Services, Wire
from .settings import Settings
from .telemetry import Telemetry, json_log, tracer_provider

GRAPHIQL_PATH = "/graphiql"

__all__ = ["Application", "create_app", "load_graph"]


@dataclass(frozen=True, kw_only=True)
class Application:
    """The parts of one running gateway, for whoever composes or tests it; `app.state.gateway` holds it."""

    graph: Graph
    engine: Engine
    services: Services
    loaders: Loaders
    sagas: EmbeddedHost | None
    telemetry: Telemetry
    admission: Admission

    def leave(self) -> None:
        """Admit nothing more and say so; what runs goes on. The lifespan's end does the same, later."""
        self.admission.is_draining = True


def create_app(
    settings: Settings,
    graph: Graph | None = None,
    *,
    telemetry: Telemetry | None = None,
    wires: Mapping[str, Wire] | None = None,
    authenticator: Authenticator | None = None,
    clock: Clock | None = None,
    journal: Journal | None = None,
) -> Starlette:
    """One ASGI application. Nothing is opened before its lifespan begins.

    `telemetry`, `wires`, `authenticator`, `clock` and `journal` stand in for the real ones in tests and embeddings.
    Raises: GraphInvalid, SettingsInvalid.
    """
    graph = graph or load_graph(settings)
    gateway = compose(
        settings,
        graph,
        telemetry=telemetry or _telemetry(settings),
        wires=wires or {},
        clock=clock or LoopClock(),
        journal=journal,
    )
    app = Starlette(
        routes=_routes(settings, gateway, authenticator or _authenticator(settings)),
        lifespan=_lifespan(settings, gateway),
    )
    app.state.gateway = gateway
    return app


def compose(
    settings: Settings,
    graph: Graph,
    *,
    telemetry: Telemetry,
    wires: Mapping[str, Wire],
    clock: Clock,
    journal: Journal | None,
) -> Application:
    """Every floor, from the bottom up."""
    random = SystemRandom()
    services = Services(settings.service_configs(), telemetry=telemetry, clock=clock, random=random, wires=wires)
    loaders = Loaders(services=services, telemetry=telemetry, clock=clock, keep=graph.keep)
    sagas = None
    if graph.sagas:  # without any no journal is needed
        journal = journal or SqliteJournal(settings.journal, telemetry=telemetry)
        sagas = _sagas(
            settings, graph, services=services, loaders=loaders, telemetry=telemetry, clock=clock, journal=journal
        )
    admission = Admission(settings.server.max_operations, telemetry=telemetry)
    operation = settings.operation
    engine = Engine(
        graph,
        documents=Documents(
            graph.core, max_entries=operation.documents, max_tokens=operation.max_tokens, metrics=telemetry.metrics
        ),
        loaders=loaders,
        admission=admission,
        limits=OperationLimits(
            query=operation.query_deadline,
            mutation=operation.mutation_deadline,
            longest=operation.max_deadline,
            saga_wait=settings.sagas.wait,
        ),
        telemetry=telemetry,
        clock=clock,
        services=services,
        sagas=sagas,
        secret_keys=settings.secret_keys,
    )
    return Application(
        graph=graph,
        engine=engine,
        services=services,
        loaders=loaders,
        sagas=sagas,
        telemetry=telemetry,
        admission=admission,
    )


def _sagas(
    settings: Settings,
    graph: Graph,
    *,
    services: Services,
    loaders: Loaders,
    telemetry: Telemetry,
    clock: Clock,
    journal: Journal,
) -> EmbeddedHost:
    """The host of the graph's sagas, older versions included."""
    return EmbeddedHost(
        [definition.saga for definition in (*graph.sagas.values(), *graph.older_sagas)],
        journal,
        sender=ServiceSender(services),
        reader=LoaderReader(loaders),
        telemetry=telemetry,
        clock=clock,
        codec=Codec(unset=[strawberry.UNSET]),
        secret_keys=settings.secret_keys,
        observer=CacheInvalidation(loaders),
        max_open=settings.sagas.max_open,
    )


def _routes(settings: Settings, gateway: Application, authenticator: Authenticator) -> list[Any]:
    endpoint = GraphQLEndpoint(
        gateway.engine,
        authenticator=authenticator,
        max_body=settings.server.max_body,
        is_draining=lambda: gateway.admission.is_draining,
        critical_scope=settings.operation.critical_scope,
        page=GRAPHIQL_PATH if settings.server.graphiql else None,
        forwarded=frozenset(
            name for service in settings.services.values() for name in map(str.lower, service.send_headers)
        ),
    )
    pages = (
        [landing(page_path=GRAPHIQL_PATH), *graphiql_routes(page_path=GRAPHIQL_PATH)]
        if settings.server.graphiql
        else []
    )
    return [
        Route("/graphql", endpoint),
        *health_routes(status=lambda: _status(gateway), metrics=gateway.telemetry.metrics),
        *pages,
    ]


def _lifespan(settings: Settings, gateway: Application) -> Any:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with gateway.services:
            if gateway.sagas is not None:
                await gateway.sagas.start()
            gateway.telemetry.log.info("started", services=sorted(gateway.services), sagas=sorted(gateway.graph.sagas))
            try:
                yield
            finally:
                gateway.leave()
                if gateway.sagas is not None:
                    await gateway.sagas.stop(settings.sagas.drain)
                gateway.telemetry.log.info("stopped")
        gateway.telemetry.close()

    return lifespan


def _status(gateway: Application) -> tuple[bool, dict[str, Any]]:
    services = {name: "breaker open" if client.is_breaker_open else "ok" for name, client in gateway.services.items()}
    sagas = "none" if gateway.sagas is None else ("ok" if gateway.sagas.is_healthy else "journal failed")
    return not gateway.admission.is_draining, {"services": services, "sagas": sagas}


def _telemetry(settings: Settings) -> Telemetry:
    exporter: SpanExporter | None = OTLPSpanExporter() if settings.telemetry.exporter == "otlp" else None
    provider = tracer_provider(
        service_name=settings.telemetry.service_name, sample_ratio=settings.telemetry.sample_ratio, exporter=exporter
    )
    return Telemetry(provider=provider, log=json_log(level=settings.telemetry.log_level))


def _authenticator(settings: Settings) -> StaticTokens:
    return StaticTokens(
        {
            hashed(each.token.get_secret_value()): Identity(each.tenant, each.subject, frozenset(each.scopes))
            for each in settings.identity.tokens
        }
    )
