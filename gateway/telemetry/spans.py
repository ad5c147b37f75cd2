"""OpenTelemetry tracing: the provider of an application and the trace id that an error shows.

Names follow the semantic conventions: an operation's span is named by its type, a call's by method and endpoint.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind

__all__ = ["CallersDecide", "Span", "SpanKind", "current_trace_id", "tracer_provider", "unrecorded_root"]


def tracer_provider(*, service_name: str, sample_ratio: float, exporter: SpanExporter | None) -> TracerProvider:
    """A provider of its own, never installed globally. Without an exporter spans only carry ids onwards.

    Whatever is decided here, a caller's own decision to sample wins and is sent on: it is their trace.
    """
    sampler = CallersDecide() if exporter is None else ParentBased(TraceIdRatioBased(sample_ratio))
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service_name}), sampler=sampler, shutdown_on_exit=False
    )
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


class CallersDecide(ParentBased):
    """Records no trace that begins here."""

    def __init__(self) -> None:
        super().__init__(ALWAYS_OFF)


@contextmanager
def unrecorded_root(ids: IdGenerator) -> Generator[trace.Span]:
    """What a tracer that samples no root makes of one, without asking its sampler: ids that are sent on, and nothing else."""
    flags = trace.TraceFlags(trace.TraceFlags.RANDOM_TRACE_ID if ids.is_trace_id_random() else trace.TraceFlags.DEFAULT)
    own = trace.SpanContext(ids.generate_trace_id(), ids.generate_span_id(), is_remote=False, trace_flags=flags)
    span = trace.NonRecordingSpan(own)
    token = context.attach(trace.set_span_in_context(span))
    try:
        yield span
    finally:
        context.detach(token)


def current_trace_id() -> str | None:
    """Thirty-two hex digits of the trace under way, or None outside one."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
