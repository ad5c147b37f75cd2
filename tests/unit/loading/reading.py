"""What the tests of this folder share: an inventory on a scripted wire, loaders bound to it, and the loads of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import StringIO
from random import Random
from typing import Any

import msgspec

from gateway.clock import Deadline, Seconds
from gateway.errors import ServiceUnavailable
from gateway.identity import ANONYMOUS, Identity
from gateway.loading import Loader, Loaders, Loads, Reading, Service
from gateway.services import Retry, ServiceConfig, ServiceRequest, ServiceResponse, Services
from gateway.services.policies import BreakerSettings
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, VirtualClock, answer

CLOCK = VirtualClock()
INVENTORY = Service("inventory")


@dataclass
class Stock:
    sku: str
    quantity: int


stock_by_sku = INVENTORY.loader("/stock", keys="skus", key="sku", into=Stock)


def quiet() -> Telemetry:
    return Telemetry(log=json_log(StringIO(), level="error"))


def loaders_over(
    wire: ScriptedWire,
    *,
    keep: Mapping[Loader[Any], Seconds] | None = None,
    send_headers: tuple[str, ...] = (),
    telemetry: Telemetry | None = None,
) -> Loaders:
    """Loaders of one application whose one service, the inventory, is behind `wire`; nothing is tried twice."""
    telemetry = telemetry or quiet()
    config = ServiceConfig(
        instances=("http://inventory.test",),
        retry=Retry(attempts=1),
        breaker=BreakerSettings(consecutive=10_000, volume=10_000),
        send_headers=send_headers,
    )
    services = Services(
        {"inventory": config}, telemetry=telemetry, clock=CLOCK, random=Random(1), wires={"inventory": wire}
    )
    return Loaders(services=services, telemetry=telemetry, clock=CLOCK, keep=keep)


def request_of(
    loaders: Loaders,
    *,
    identity: Identity = ANONYMOUS,
    headers: Mapping[str, str] | None = None,
    faults: str | None = None,
) -> Loads:
    """The loads of one request."""
    reading = Reading(identity=identity, deadline=Deadline(), headers=tuple((headers or {}).items()), faults=faults)
    return Loads(loaders, reading)


def keys_of(request: ServiceRequest, parameter: str = "skus") -> list[str]:
    """The keys that a request asks for."""
    if request.body is not None:
        keys: list[str] = msgspec.json.decode(request.body)[parameter]
        return keys
    return [value for name, value in request.query if name == parameter]


def asked(wire: ScriptedWire) -> list[list[str]]:
    """The keys of each call, in the order of calls."""
    return [keys_of(request) for request in wire.requests]


def in_stock(request: ServiceRequest) -> ServiceResponse:
    """One record a key, as many pieces as the key has characters."""
    return answer([{"sku": key, "quantity": len(key)} for key in keys_of(request)])


def inventory(otherwise: Callable[[ServiceRequest], Any] = in_stock) -> ScriptedWire:
    return ScriptedWire(otherwise=otherwise)


def unavailable(_: ServiceRequest) -> ServiceUnavailable:
    return ServiceUnavailable("inventory is away", service="inventory", applied=False)


def counted(telemetry: Telemetry, name: str, **labels: str) -> float:
    return telemetry.metrics.registry.get_sample_value(name, labels) or 0.0
