"""What an attempt says of itself: one span, one measurement."""

import asyncio
from contextlib import suppress

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode

from gateway.errors import GatewayError
from gateway.services import Retry, ServiceRequest, ServiceResponse
from gateway.telemetry import Telemetry
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time
from gateway.testing.wire import Step

from .calling import STOCK, broken_off, catalog, measured, quiet, recording

ATTEMPTS = "sagaql_service_attempt_duration_seconds"


def labels(outcome: str) -> dict[str, str]:
    return {"service": "catalog", "endpoint": "GET /stock", "outcome": outcome}


@in_virtual_time
async def test_a_span_names_the_endpoint_and_the_service_by_the_conventions() -> None:
    telemetry, spans = recording()
    await catalog(ScriptedWire(answer()), telemetry=telemetry).call(STOCK)
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("GET /stock", SpanKind.CLIENT)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "server.address": "catalog",
        "url.template": "/stock",
        "http.response.status_code": 200,
    }


@in_virtual_time
async def test_there_is_one_span_per_attempt() -> None:
    telemetry, spans = recording()
    wire = ScriptedWire(answer(status=503), broken_off, answer(status=404))
    await catalog(wire, retry=Retry(), telemetry=telemetry).call(STOCK)
    finished = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    assert [span.get("http.response.status_code") for span in finished] == [503, None, 404]
    assert [span["error.type"] for span in finished] == ["503", "SERVICE_UNAVAILABLE", "404"]
    assert {span.status.status_code for span in spans.get_finished_spans()} == {StatusCode.ERROR}


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (answer(), "ok"),
        (answer(status=409), "refused"),
        (answer(status=500), "SERVICE_UNAVAILABLE"),
        (hang, "SERVICE_TIMEOUT"),
        (ValueError("a bug of ours"), "INTERNAL_SERVER_ERROR"),
    ],
    ids=["ok", "refused", "unavailable", "timeout", "bug"],
)
@in_virtual_time
async def test_an_attempt_is_counted_under_its_outcome(step: Step, outcome: str) -> None:
    telemetry = quiet()
    with suppress(GatewayError, ValueError):
        await catalog(ScriptedWire(step), telemetry=telemetry).call(STOCK)
    assert measured(telemetry, f"{ATTEMPTS}_count", labels(outcome)) == 1


@in_virtual_time
async def test_a_cancelled_attempt_is_counted_as_cancelled() -> None:
    telemetry, spans = recording()
    call = asyncio.create_task(catalog(ScriptedWire(hang), telemetry=telemetry).call(STOCK))
    await asyncio.sleep(0.1)
    call.cancel()
    await asyncio.wait([call])
    assert measured(telemetry, f"{ATTEMPTS}_count", labels("cancelled")) == 1
    assert len(spans.get_finished_spans()) == 1


@in_virtual_time
async def test_the_duration_is_the_services() -> None:
    telemetry = quiet()
    await catalog(ScriptedWire(after(0.3, answer())), telemetry=telemetry).call(STOCK)
    assert measured(telemetry, f"{ATTEMPTS}_sum", labels("ok")) == pytest.approx(0.3)


@in_virtual_time
async def test_below_an_operation_that_is_not_sampled_no_span_is_made_and_its_context_goes_on() -> None:
    telemetry = Telemetry(provider=TracerProvider(sampler=ParentBased(ALWAYS_OFF)))
    sent: list[dict[str, str]] = []

    def note(_: ServiceRequest) -> ServiceResponse:
        sent.append(telemetry.trace_headers())
        return answer()

    with telemetry.span("query"):
        ours = telemetry.trace_headers()
        await catalog(ScriptedWire(otherwise=note), telemetry=telemetry).call(STOCK)
    assert telemetry.is_sampled_out is False  # outside any trace nobody has decided yet
    assert sent == [ours]
    assert int(ours["traceparent"][-2:], 16) & 1 == 0
    assert measured(telemetry, ATTEMPTS + "_count", labels("ok")) == 1


@in_virtual_time
async def test_no_id_of_a_path_stands_in_a_span() -> None:
    telemetry, spans = recording()
    await catalog(ScriptedWire(answer()), telemetry=telemetry).call(
        replace(STOCK, path="/stock/secret-7", endpoint="GET /stock/{sku}")
    )
    (span,) = spans.get_finished_spans()
    assert (span.attributes or {})["url.template"] == "/stock/{sku}"
    assert "secret-7" not in span.to_json()
