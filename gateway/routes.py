"""The ways in, as the settings have them: GraphQL over HTTP and WebSocket, signals, health, the page, and the admins' port.

Invariants: clients are known and their requests read in the same way wherever they come in; streams are told when it leaves.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute, Route, WebSocketRoute

from .application import Application
from .clock import Clock
from .condition import gathering, status_of
from .edge import (
    AdminDoor,
    Compression,
    FaultsHeader,
    GraphQLEndpoint,
    GraphQLWebSocket,
    HttpStreams,
    KnownDocuments,
    Origins,
    Requests,
    Responses,
    SharedDocuments,
    TrustedProxy,
    graphiql_routes,
    health_routes,
    landing,
    signal_route,
    status_routes,
)
from .identity import Authenticator
from .settings import Settings

GRAPHIQL_PATH = "/graphiql"
GRAPHQL_PATH = "/graphql"


def requests_of(settings: Settings, gateway: Application, *, clock: Clock) -> Requests:
    return Requests(
        forwards=gateway.services.forwards,
        critical_scope=settings.operation.critical_scope,
        explain_scope=settings.operation.explain_scope,
        introspection_scope=settings.operation.introspection_scope,
        http_caching=settings.server.http_caching,
        faults=FaultsHeader(
            settings.operation.secret_of_game_days,
            services=gateway.services,
            clock=clock,
            metrics=gateway.telemetry.metrics,
        ),
        documents=_documents(settings, gateway),
    )


def _documents(settings: Settings, gateway: Application) -> KnownDocuments:
    operation, store = settings.operation, gateway.shared
    shared = (
        None if store is None else SharedDocuments(store, keep=operation.persisted_for, telemetry=gateway.telemetry)
    )
    return KnownDocuments(
        gateway.trusted, only_trusted=operation.trusted_only, persisted=operation.persisted, shared=shared
    )


def endpoint_of(
    settings: Settings,
    gateway: Application,
    authenticator: Authenticator,
    requests: Requests,
    *,
    proxy: TrustedProxy | None,
    clock: Clock,
) -> GraphQLEndpoint:
    server = settings.server
    streams = HttpStreams(gateway.engine, metrics=gateway.telemetry.metrics, limits=settings.streams, clock=clock)
    gateway.on_leave(streams.leave)
    return GraphQLEndpoint(
        gateway.engine,
        authenticator=authenticator,
        max_body=server.max_body,
        body_within=server.body_timeout,
        requests=requests,
        responses=Responses(
            partial=server.partial_success_status,
            compression=Compression(server.compress_above) if server.compress else None,
            varies=() if proxy is None else sorted(proxy.headers),
        ),
        origins=Origins(server.cors_origins),
        refuses_forged=server.csrf_prevention,
        streams=streams,
        is_draining=lambda: gateway.admission.is_draining,
        clients=gateway.clients,
        page=GRAPHIQL_PATH if server.graphiql else None,
    )


def routes_of(
    settings: Settings,
    gateway: Application,
    endpoint: GraphQLEndpoint,
    authenticator: Authenticator,
    requests: Requests,
    *,
    clock: Clock,
) -> list[Any]:
    sockets = GraphQLWebSocket(
        gateway.engine,
        authenticator=authenticator,
        requests=requests,
        origins=Origins(settings.server.cors_origins),
        limits=settings.streams,
        clock=clock,
        metrics=gateway.telemetry.metrics,
        clients=gateway.clients,
    )
    gateway.on_leave(sockets.leave)
    pages = (
        [landing(page_path=GRAPHIQL_PATH), *graphiql_routes(page_path=GRAPHIQL_PATH)]
        if settings.server.graphiql
        else []
    )
    return [
        Route(GRAPHQL_PATH, endpoint),
        WebSocketRoute(GRAPHQL_PATH, sockets),
        *_signal_routes(settings, gateway, authenticator),
        *(_status_routes(gateway) if settings.shows_itself else ()),
        *health_routes(status=lambda: status_of(gateway)),
        *pages,
    ]


def _status_routes(gateway: Application) -> list[BaseRoute]:
    return status_routes(
        status=lambda: status_of(gateway), metrics=gateway.telemetry.metrics, gathered=gathering(gateway)
    )


def admin_door(settings: Settings, gateway: Application) -> AdminDoor | None:
    """What is served at `admin.port`; None: there is none."""
    digest = settings.admin.digest
    if settings.admin.port is None or digest is None:
        return None
    return AdminDoor(_status_routes(gateway), digest=digest, metrics=gateway.telemetry.metrics)


def _signal_routes(settings: Settings, gateway: Application, authenticator: Authenticator) -> list[Any]:
    if gateway.sagas is None:
        return []
    server = settings.server
    return [
        signal_route(
            gateway.sagas,
            authenticator=authenticator,
            scope=settings.sagas.signal_scope,
            max_body=server.max_body,
            body_within=server.body_timeout,
        )
    ]
