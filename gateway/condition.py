"""What a gateway tells of itself: whether it is ready, how its services and sagas do, and the metrics of all its processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .application import Application
from .sagas import Host
from .sagas.remote import RemoteHost
from .telemetry.merging import merged


def status_of(gateway: Application) -> tuple[bool, dict[str, Any]]:
    services = {name: "breaker open" if client.is_breaker_open else "ok" for name, client in gateway.services.items()}
    told: dict[str, Any] = {"services": services, "sagas": _sagas_condition(gateway.sagas)}
    if gateway.shared is not None:
        told["shared"] = "left alone" if gateway.shared.is_left_alone else "ok"
    return not (gateway.admission.is_leaving or gateway.admission.is_draining), told


def _sagas_condition(host: Host | None) -> str:
    match host:
        case None:
            return "none"
        case RemoteHost():
            return host.condition
        case _:
            return "ok" if host.is_healthy else "journal failed"


def gathering(gateway: Application) -> Callable[[], Awaitable[bytes]] | None:
    """The metrics of all processes of this gateway; None where this one is alone."""
    siblings, metrics = gateway.siblings, gateway.telemetry.metrics
    if siblings is None:
        return None

    async def gathered() -> bytes:
        texts = {siblings.name: metrics.exposition().decode(), **await siblings.gather()}
        return await asyncio.to_thread(merged, texts)  # milliseconds, in which others are answered

    return gathered
