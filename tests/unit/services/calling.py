"""What the tests of this folder share: a service called catalog, on a scripted wire, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from io import StringIO
from random import Random

from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.clock import Deadline, Instant
from gateway.errors import ServiceUnavailable
from gateway.services import BudgetSettings, Retry, ServiceClient, ServiceConfig, ServiceRequest
from gateway.services.policies import BreakerSettings, BulkheadSettings
from gateway.telemetry import Telemetry, json_log
from gateway.testing import ScriptedWire, VirtualClock

CLOCK = VirtualClock()

STOCK = ServiceRequest(service="catalog", path="/stock", endpoint="GET /stock")
ORDER = replace(STOCK, method="POST", path="/orders", endpoint="POST /orders", body=b"{}")

ONCE = Retry(attempts=1)
PLENTY = BudgetSettings(ratio=1.0, reserve=100.0)
NEVER_OPENS = BreakerSettings(consecutive=10_000, volume=10_000)


class Dice(Random):
    """A generator that always throws the same."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


def quiet() -> Telemetry:
    return Telemetry(log=json_log(StringIO(), level="error"))


def recording() -> tuple[Telemetry, InMemorySpanExporter]:
    """Telemetry whose spans can be read."""
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Telemetry(provider=provider, log=json_log(StringIO(), level="error")), spans


def catalog(
    wire: ScriptedWire,
    *,
    retry: Retry = ONCE,
    budget: BudgetSettings = PLENTY,
    breaker: BreakerSettings = NEVER_OPENS,
    bulkhead: BulkheadSettings | None = None,
    attempt_timeout: float = 2.0,
    jitter: float = 0.5,
    telemetry: Telemetry | None = None,
) -> ServiceClient:
    config = ServiceConfig(
        instances=("http://catalog.test",),
        retry=retry,
        budget=budget,
        breaker=breaker,
        bulkhead=bulkhead or BulkheadSettings(),
        attempt_timeout=attempt_timeout,  # type: ignore[arg-type]  # a float, as a settings file has it
    )
    return ServiceClient("catalog", config, telemetry=telemetry or quiet(), clock=CLOCK, random=Dice(jitter), wire=wire)


def due(seconds: float, request: ServiceRequest = STOCK) -> ServiceRequest:
    """`request` with a deadline that many seconds after the loop's beginning."""
    return replace(request, deadline=Deadline(Instant(seconds)))


def unreachable(_: ServiceRequest) -> ServiceUnavailable:
    return ServiceUnavailable("catalog refused the connection", service="catalog", applied=False)


def broken_off(_: ServiceRequest) -> ServiceUnavailable:
    return ServiceUnavailable("catalog closed the connection", service="catalog", applied=None)


def elapsed() -> float:
    return asyncio.get_running_loop().time()


def measured(telemetry: Telemetry, name: str, labels: Mapping[str, str]) -> float | None:
    return telemetry.metrics.registry.get_sample_value(name, dict(labels))
