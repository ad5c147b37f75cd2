"""What each process of `serve --workers N` runs: a worker's application, or the sagas.

Invariants: a worker answers requests and runs no saga; the saga process runs sagas and answers no request but those of workers, and
listens to them only once the journal is its own.
"""

from __future__ import annotations

import asyncio
import os
import signal

import uvloop
from starlette.applications import Starlette

from . import collector
from .app import Application, Parts, compose, create_app, embedded, telemetry_of
from .clock import LoopClock
from .graph import Graph
from .saga_ports import CacheInvalidation
from .sagas import Host
from .sagas.hosting import Broadcast, SagaServer
from .sagas.meeting import meeting_place
from .sagas.remote import RemoteHost
from .settings import Settings
from .siblings import Siblings, Unneeded
from .telemetry import Telemetry

# -- a worker ----------------------------------------------------------------------------------------------------------


def worker_app(settings: Settings, graph: Graph, *, siblings: Siblings) -> Starlette:
    """The application of one worker. Raises: GraphInvalid, SettingsInvalid."""

    def remote(parts: Parts) -> Host:
        return RemoteHost(
            parts.sagas,
            meeting_place(settings.journal),
            telemetry=parts.telemetry,
            clock=parts.clock,
            observer=CacheInvalidation(parts.loaders),
            codec=parts.codec,
            name=siblings.name,
        )

    telemetry = telemetry_of(settings, process=siblings.name)
    return create_app(settings, graph, telemetry=telemetry, hosting=remote, siblings=siblings, steered=True)


# -- the saga process --------------------------------------------------------------------------------------------------


def run_sagas(settings: Settings, graph: Graph, *, siblings: Siblings) -> None:
    """Run the sagas of this machine until a signal comes; the second one does not wait.

    Raises: SettingsInvalid; SagaStartError and whatever else stands in the way of a start.
    """
    if not graph.sagas:
        siblings.say(Unneeded())
        return
    uvloop.run(_sagas(settings, graph, siblings=siblings))


async def _sagas(settings: Settings, graph: Graph, *, siblings: Siblings) -> None:
    """Take up the open sagas, then let workers in; at the end the other way round."""
    asked = _asked_to_leave()
    telemetry = telemetry_of(settings, process=siblings.name)
    gateway, server = _composed(settings, graph, telemetry=telemetry, siblings=siblings)
    host = gateway.sagas
    assert host is not None  # noqa: S101 - the graph has sagas
    async with gateway.services, gateway.loaders, gateway.steering.listening():
        collector.leave_what_is_there()
        await host.start()
        try:
            await server.start(meeting_place(settings.journal))
            await siblings.attach(telemetry.metrics.exposition)
            collector.leave_what_is_there()
            telemetry.log.info("started", services=sorted(gateway.services), sagas=sorted(graph.sagas))
            await asked.wait()
            telemetry.log.info("draining")
        finally:
            await host.stop(settings.sagas.drain)
            await server.stop()
            await siblings.detach()
            telemetry.log.info("stopped")
    telemetry.close()


def _composed(
    settings: Settings, graph: Graph, *, telemetry: Telemetry, siblings: Siblings
) -> tuple[Application, SagaServer]:
    """All floors, of which this process serves the sagas only."""
    servers: list[SagaServer] = []

    def hosting(parts: Parts) -> Host:
        definitions = [*graph.sagas.values(), *graph.older_sagas]
        broadcast = Broadcast(definitions, own=CacheInvalidation(parts.loaders))
        host = embedded(parts, observer=broadcast)
        server = SagaServer(host, definitions, broadcast=broadcast, telemetry=telemetry, codec=parts.codec)
        servers.append(server)
        return host

    gateway = compose(
        settings,
        graph,
        telemetry=telemetry,
        wires={},
        clock=LoopClock(),
        journal=None,
        hosting=hosting,
        siblings=siblings,
    )
    return gateway, servers[0]


def _asked_to_leave() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM. The second ends the process where it is: the journal has what is needed."""
    asked = asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            os._exit(0)
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return asked
