"""What the engine says about itself: one trace, logs without secrets, labels that no client can make."""

from __future__ import annotations

from io import StringIO
from typing import Any

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from gateway.telemetry import Telemetry, current_trace_id, json_log, silent_log, tracer_provider
from gateway.testing import ScriptedWire, in_virtual_time
from tests.unit.graph.shop import CUSTOMER, inventory_answers, shop

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
QUERY = 'query Ours { products(keys: ["a"]) { stock { quantity } reviews { stars } } }'


def recording() -> tuple[Telemetry, InMemorySpanExporter]:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Telemetry(provider=provider), spans


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}" if span.context else ""


# -- traces ------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_operation_and_all_its_calls_are_one_trace_that_continues_the_client_s() -> None:
    telemetry, exporter = recording()
    wire = ScriptedWire(otherwise=inventory_answers)
    async with shop(telemetry=telemetry, wires={"inventory": wire}) as gateway:
        found = await gateway.execute(QUERY, headers={"traceparent": PARENT})
    assert found.errors == []
    spans = exporter.get_finished_spans()
    (operation,) = [span for span in spans if span.kind is SpanKind.SERVER]
    calls = [span for span in spans if span.kind is SpanKind.CLIENT]
    assert {trace_of(span) for span in spans} == {TRACE}
    assert operation.parent is not None
    assert f"{operation.parent.span_id:016x}" == "b7ad6b7169203331"
    assert sorted(span.name for span in calls) == ["GET /products", "GET /reviews", "GET /stock"]
    assert {span.parent.span_id for span in calls if span.parent} == {operation.context.span_id}
    assert operation.name == "query"
    assert dict(operation.attributes or {}) == {
        "graphql.operation.type": "query",
        "graphql.operation.name": "Ours",
    }


@in_virtual_time
async def test_without_a_client_s_trace_each_operation_begins_its_own() -> None:
    telemetry, exporter = recording()
    async with shop(telemetry=telemetry) as gateway:
        for _ in range(2):
            await gateway.execute("{ hello }")
    traces = [trace_of(span) for span in exporter.get_finished_spans()]
    assert len(set(traces)) == len(traces) == 2


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01", "é"])
@in_virtual_time
async def test_a_broken_traceparent_breaks_nothing(header: str) -> None:
    telemetry, exporter = recording()
    async with shop(telemetry=telemetry) as gateway:
        assert (await gateway.execute("{ hello }", headers={"traceparent": header})).status == 200
    assert trace_of(exporter.get_finished_spans()[0]) != "0" * 32


def test_a_failure_in_a_span_is_recorded_by_its_type_only() -> None:
    telemetry, exporter = recording()
    with pytest.raises(ValueError, match="s3cret"), telemetry.span("work"):
        raise ValueError("s3cret")
    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert dict(span.attributes or {}) == {"error.type": "ValueError"}
    assert span.events == ()


def test_outside_a_span_there_is_no_trace() -> None:
    assert current_trace_id() is None
    assert Telemetry().trace_headers() == {}


def test_a_provider_belongs_to_its_application_and_names_it() -> None:
    provider = tracer_provider(service_name="shop", sample_ratio=1.0, exporter=None)
    assert provider.resource.attributes["service.name"] == "shop"


# -- logs --------------------------------------------------------------------------------------------------------------


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in log.getvalue().splitlines()]


def test_a_log_line_is_one_json_object_with_the_trace_under_way() -> None:
    telemetry, _ = recording()
    out = StringIO()
    log = json_log(out)
    with telemetry.span("work"):
        log.info("something", count=1, odd=object)
        assert lines(out)[0]["traceId"] == current_trace_id()
    log.info("outside")
    assert lines(out)[0]["event"] == "something"
    assert "traceId" not in lines(out)[1]


def test_tracebacks_show_no_local_variables() -> None:
    out = StringIO()

    def fails() -> None:
        password = "hunter2"
        raise RuntimeError(f"failed after {len(password)} characters")

    try:
        fails()
    except RuntimeError as error:
        json_log(out).error("failed", exc_info=error)
    assert "RuntimeError" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_levels_filter_and_a_silent_log_says_nothing() -> None:
    out = StringIO()
    json_log(out, level="warning").info("quiet")
    silent_log().error("nobody hears this")
    assert out.getvalue() == ""


@in_virtual_time
async def test_a_token_stands_in_no_log_line_no_span_and_no_metric() -> None:
    telemetry, exporter = recording()
    out = StringIO()
    telemetry = Telemetry(provider=telemetry.provider, log=json_log(out, level="debug"))
    async with shop(telemetry=telemetry) as gateway:
        for headers in (CUSTOMER, {"authorization": "Bearer wr0ng"}):
            await gateway.execute("{ boom whoami }", headers=headers)
        metrics = (await gateway.request("GET", "/metrics")).body.decode()
    said = out.getvalue() + metrics + "".join(str(span.to_json()) for span in exporter.get_finished_spans())
    assert "Bearer" not in said
    assert "wr0ng" not in said


# -- metrics -----------------------------------------------------------------------------------------------------------


def labels(registry: CollectorRegistry) -> set[str]:
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    return {value for sample in samples for name, value in sample.labels.items() if name != "le"}


@in_virtual_time
async def test_no_label_is_made_by_a_client() -> None:
    telemetry = Telemetry()
    async with shop(telemetry=telemetry) as gateway:
        before_names = {"evilName", "evilAlias", "evilKey", "evil-token", "evil-code", "/evil", "EVIL"}
        await gateway.execute('query evilName { evilAlias: products(keys: ["evilKey"]) { stock { quantity } } }')
        await gateway.execute("query evilName { nothing }", operation_name="evilName")
        await gateway.execute("{ refused }", headers={"authorization": "Bearer evil-token"})
        await gateway.execute("{ refused }", headers={"idempotency-key": "evilKey"})
        await gateway.request("EVIL", "/graphql")
        await gateway.request("GET", "/evil")
    found = labels(telemetry.metrics.registry)
    assert not found & before_names
    assert not [label for label in found if "evil" in label.lower()]
    assert "OUT_OF_SEASON" not in found


@pytest.mark.parametrize(
    ("text", "kind", "outcome"),
    [
        ("{ hello }", "query", "ok"),
        ("{ hello boom }", "query", "partial"),
        ('{ must(key: "none") { sku } }', "query", "failed"),
        ("mutation { touch }", "mutation", "ok"),
        ("{ nothing }", "unknown", "failed"),
    ],
)
@in_virtual_time
async def test_an_operation_is_counted_under_its_type_and_outcome(text: str, kind: str, outcome: str) -> None:
    telemetry = Telemetry()
    async with shop(telemetry=telemetry) as gateway:
        await gateway.execute(text)
    counted = telemetry.metrics.registry.get_sample_value(
        "sagaql_operation_duration_seconds_count", {"type": kind, "outcome": outcome}
    )
    assert counted == 1


class Writes(StringIO):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


def test_a_line_is_one_write_so_that_processes_who_share_a_file_do_not_mix_theirs() -> None:
    stream = Writes()
    json_log(stream).info("started")

    assert len(stream.pieces) == 1
    assert stream.pieces[0].endswith("}\n")
