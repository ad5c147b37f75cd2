"""An embedded host behind its socket: everything that a worker asks goes through frames and back."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from gateway.clock import Clock, Seconds
from gateway.sagas import EmbeddedHost, Owner
from gateway.sagas.hosting import Broadcast, SagaServer
from gateway.sagas.meeting import meeting_place
from gateway.sagas.remote import RemoteHost
from gateway.sagas.running import Observer
from gateway.telemetry import Telemetry


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def invalidated(self, what: Sequence[object], *, owner: Owner) -> None:
        self.heard.append((*what, owner.subject))


class SagaProcess:
    """What the saga process is made of, around a host that is given. `dies` is a SIGKILL as its workers see one."""

    def __init__(self, host: EmbeddedHost, place: Path, *, telemetry: Telemetry) -> None:
        self.host = host
        self.place = place
        self.definitions = list(host._definitions.values())
        self.broadcast = Broadcast(self.definitions, own=host._around.observer)
        host._around = replace(host._around, observer=self.broadcast)
        self.server = SagaServer(
            host, self.definitions, broadcast=self.broadcast, telemetry=telemetry, codec=host._codec
        )

    async def start(self) -> None:
        await self.host.start()
        await self.server.start(self.place)

    async def stop(self, drain: Seconds = Seconds(1)) -> None:
        await self.host.stop(drain)
        await self.server.stop()

    async def dies(self) -> None:
        for worker in list(self.server._workers):
            worker.frames.abort()
        await self.server.stop()
        await self.host.stop(Seconds(0))

    def worker(
        self, *, telemetry: Telemetry, clock: Clock, observer: Observer | None = None, name: str = "worker"
    ) -> RemoteHost:
        sagas = [each.saga for each in self.definitions]
        new_id = self.host._new_id
        return RemoteHost(
            sagas, self.place, telemetry=telemetry, clock=clock, observer=observer, name=name, new_id=new_id
        )


_FOLDER = tempfile.TemporaryDirectory(prefix="sagas-", ignore_cleanup_errors=True)
"""Of all tests of this process, and gone with it: a socket's path must be short."""

_NUMBERS = count()


def new_place() -> Path:
    """A meeting place of its own."""
    return meeting_place(Path(_FOLDER.name) / f"{next(_NUMBERS)}.sqlite3")


class ServedHost:
    """A host of a saga process, asked by a worker. What only an embedded host has is found in it."""

    def __init__(self, host: EmbeddedHost) -> None:
        around = host._around
        self.process = SagaProcess(host, new_place(), telemetry=around.telemetry)
        self.worker = self.process.worker(telemetry=around.telemetry, clock=around.clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.worker if hasattr(self.worker, name) else self.process.host, name)

    @property
    def is_healthy(self) -> bool:
        return self.process.host.is_healthy  # the worker hears of it within half a second

    async def start(self) -> None:
        await self.process.start()
        await self.worker.start()

    async def stop(self, drain: Seconds) -> None:
        await self.process.stop(drain)
        await self.worker.stop(drain)
