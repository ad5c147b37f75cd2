"""The composition root: settings and graph become one ASGI application. The only module that knows every floor.

Invariant: everything with state is made here, per application; two applications in one process share nothing that changes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches, unified_diff
from random import SystemRandom
from typing import Any, TypeVar, cast

import strawberry
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter
from starlette.applications import Starlette
from starlette.routing import Route

from .admission import Admission
from .clock import Clock, Deadline, LoopClock, Seconds
from .edge import GraphQLEndpoint, StaticTokens, graphiql_routes, hashed, health_routes, landing
from .execution import Engine
from .execution.document import Documents
from .execution.engine import OperationLimits
from .graph import Graph, GraphInvalid, build_graph
from .identity import Authenticator, Identity
from .loading import Loader, Loaders, Loads, Reading
from .sagas import Codec, CommandLike, LoaderLike, Owner
from .sagas.embedded import EmbeddedHost
from .sagas.journal import Journal
from .sagas.sqlite_journal import SqliteJournal
from .services import Command, Services, Wire, send
from .settings import Settings, SettingsInvalid
from .telemetry import Telemetry, json_log, tracer_provider

V = TypeVar("V")

GRAPHIQL_PATH = "/graphiql"

__all__ = ["Application", "GraphInvalid", "create_app", "load_graph", "problems"]


# -- the graph ---------------------------------------------------------------------------------------------------------


def load_graph(settings: Settings) -> Graph:
    """Import the root types named in the settings and build the schema. Raises: GraphInvalid with every problem."""
    mistakes: list[str] = []
    roots: list[Any] = []
    for concern, name in (("graph.query", settings.graph.query), ("graph.mutation", settings.graph.mutation)):
        if name is None:
            roots.append(None)
            continue
        try:
            roots.append(_imported(name, concern, root=str(settings.root)))
        except GraphInvalid as error:
            mistakes += error.problems
    if mistakes:
        raise GraphInvalid(mistakes)
    return build_graph(*roots)


def _imported(name: str, concern: str, *, root: str) -> type[Any]:
    module_name, _, attribute = name.partition(":")
    if root not in sys.path:
        sys.path.insert(0, root)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the author's own modules: whatever they raise becomes what `check` prints
        raise GraphInvalid(
            [f"{concern} is {name!r}: importing {module_name} fails: {type(error).__name__}: {error}"]
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, type):
        near = get_close_matches(attribute, vars(module), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise GraphInvalid([f"{concern} is {name!r}: {module_name} has no class {attribute!r}{hint}"])
    return found


def problems(settings: Settings, graph: Graph) -> list[str]:
    """What does not fit between settings and graph, one sentence each; empty when it can be served."""
    found = [*_service_problems(settings, graph)]
    try:
        settings.service_configs()
    except SettingsInvalid as error:
        found += error.problems
    return found + _sdl_problems(settings, graph)


def _service_problems(settings: Settings, graph: Graph) -> list[str]:
    unknown = sorted(graph.services - set(settings.services))
    found: list[str] = []
    for name in unknown:
        near = get_close_matches(name, settings.services, n=1)
        hint = f" (gateway.toml has [services.{near[0]}])" if near else ""
        found.append(
            f"the graph joins to service {name!r}, which gateway.toml does not have: add [services.{name}]{hint}"
        )
    return found


def _sdl_problems(settings: Settings, graph: Graph) -> list[str]:
    if settings.sdl is None:
        return []
    if not settings.sdl.exists():
        return [f"{settings.sdl.name} is not there: write it with `sagaql schema --write`"]
    written = settings.sdl.read_text()
    if written == graph.sdl:
        return []
    changed = [
        line
        for line in unified_diff(written.splitlines(), graph.sdl.splitlines(), lineterm="", n=0)
        if line[:1] in "+-" and line[:3] not in {"+++", "---"}
    ]
    first = "; ".join(changed[:3])
    return [
        f"{settings.sdl.name} differs from the code in {len(changed)} lines ({first}): `sagaql schema --write` renews it"
    ]


# -- the application ---------------------------------------------------------------------------------------------------


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
        observer=CacheInvalidation(loaders),
        max_open=settings.sagas.max_open,
    )


def _routes(settings: Settings, gateway: Application, authenticator: Authenticator) -> list[Any]:
    endpoint = GraphQLEndpoint(
        gateway.engine,
        authenticator=authenticator,
        max_body=settings.server.max_body,
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
                gateway.admission.is_draining = True
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


# -- what sagas are given ----------------------------------------------------------------------------------------------


class ServiceSender:
    """Sends the commands of steps through the services' stacks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def send(
        self,
        command: CommandLike[V],
        body: object,
        *,
        idempotency_key: str,
        deadline: Deadline,
        attempt_timeout: Seconds | None,
    ) -> V:
        return await send(
            cast("Command[V]", command),
            body,
            client=self._services[command.service],
            idempotency_key=idempotency_key,
            deadline=deadline,
            may_retry=False,  # the saga's own retries are the journalled ones
        )


class CacheInvalidation:
    """After a step has changed what loaders read, forget what they have cached: clients read their own writes."""

    def __init__(self, loaders: Loaders) -> None:
        self._loaders = loaders

    def invalidated(self, what: Sequence[object], *, owner: Owner) -> None:
        for declared in what:
            self._loaders.invalidate(declared)


class LoaderReader:
    """Reads for steps through the graph's loaders: always from the service, never from a cache."""

    def __init__(self, loaders: Loaders) -> None:
        self._loaders = loaders

    async def load(
        self, loader: LoaderLike[V], key: str, *, arguments: Mapping[str, object], owner: Owner, deadline: Deadline
    ) -> V | None:
        loads = self._loads(owner, deadline)
        try:
            return await loads.load(cast("Loader[V]", loader), key, arguments)
        finally:
            await loads.close()

    async def load_many(
        self, loader: LoaderLike[V], keys: Sequence[str], *, owner: Owner, deadline: Deadline
    ) -> list[V | None]:
        loads = self._loads(owner, deadline)
        try:
            return await loads.load_many(cast("Loader[V]", loader), keys)
        finally:
            await loads.close()

    def _loads(self, owner: Owner, deadline: Deadline) -> Loads:
        reading = Reading(
            identity=Identity(owner.tenant, owner.subject), deadline=deadline, skip_fresh=True, may_retry=False
        )
        return Loads(self._loaders, reading)
