"""OpenTelemetry tracing: the provider of an application and the trace id that an error shows.

Names follow the semantic conventions: an operation's span is named by its type, a call's by method and endpoint.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind

__all__ = ["SpanKind", "current_trace_id", "tracer_provider"]


def tracer_provider(*, service_name: str, sample_ratio: float, exporter: SpanExporter | None) -> TracerProvider:
    """A provider of its own, never installed globally. Without an exporter spans only carry ids onwards.

    Whatever is decided here, a caller's own decision to sample wins and is sent on: it is their trace.
    """
    root = ALWAYS_OFF if exporter is None else TraceIdRatioBased(sample_ratio)
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service_name}),
        sampler=ParentBased(root),
        shutdown_on_exit=False,
    )
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def current_trace_id() -> str | None:
    """Thirty-two hex digits of the trace under way, or None outside one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
