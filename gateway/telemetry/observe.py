"""The one value that is handed to every floor so that it can speak of itself.

Invariant: belongs to one application; two applications in one process share neither registry, tracer nor log.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanContext, SpanKind, TraceFlags, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from .logs import Log, silent_log
from .metrics import Metrics
from .spans import CallersDecide, unrecorded_root

_W3C = TraceContextTextMapPropagator()


@dataclass(frozen=True)
class Telemetry:
    """Tracer, metrics and log of one application."""

    provider: TracerProvider = field(default_factory=TracerProvider)
    metrics: Metrics = field(default_factory=Metrics)
    log: Log = field(default_factory=silent_log)
    _last_headers: list[tuple[SpanContext | None, dict[str, str]]] = field(
        default_factory=lambda: [(None, {})], repr=False
    )
    """Of the span whose headers were asked for last: the calls of an operation that is not sampled all send the same."""
    _last_sampled: list[tuple[Span | None, bool]] = field(default_factory=lambda: [(None, False)], repr=False)
    """The span that was under way when it was asked last, and whether its trace is sampled out: asked once by each attempt."""

    @cached_property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer("sagaql")

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        attributes: Mapping[str, AttributeValue] | None = None,
        parent: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Span]:
        """A span around the body; `parent` holds incoming W3C headers (`traceparent`) when the parent is elsewhere.

        A failure inside is recorded by its type only: messages may hold what must not leave the process. Below a trace that is
        not recorded there is none: the body gets the span that is there.
        """
        if parent is None and self.is_sampled_out:
            return nullcontext(trace.get_current_span())
        if not parent and self._records_no_roots and not trace.get_current_span().get_span_context().is_valid:
            return unrecorded_root(self.provider.id_generator)
        return self._started(name, kind, attributes, None if parent is None else _W3C.extract(dict(parent)))

    @contextmanager
    def _started(
        self, name: str, kind: SpanKind, attributes: Mapping[str, AttributeValue] | None, context: Context | None
    ) -> Generator[Span]:
        with self.tracer.start_as_current_span(
            name, context, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                mark_failed(span, type(error).__name__)
                raise

    @cached_property
    def _records_no_roots(self) -> bool:
        return isinstance(self.provider.sampler, CallersDecide)

    @property
    def is_sampled_out(self) -> bool:
        """Whether the trace under way was decided not to be recorded: then no span below it would be either."""
        span = trace.get_current_span()
        known, is_out = self._last_sampled[0]
        if span is not known:
            context = span.get_span_context()
            is_out = context.is_valid and not context.trace_flags & TraceFlags.SAMPLED
            self._last_sampled[0] = span, is_out
        return is_out

    def trace_headers(self) -> dict[str, str]:
        """W3C headers of the current span, to be sent to a service or kept in a journal."""
        context = trace.get_current_span().get_span_context()
        known, headers = self._last_headers[0]
        if context is known:
            return headers
        if not context.is_valid:
            return {}
        headers = _headers_of(context)
        self._last_headers[0] = context, headers
        return headers

    def close(self) -> None:
        """Hand over what the exporters still hold. Blocks up to their timeouts."""
        self.provider.shutdown()


def _headers_of(context: SpanContext) -> dict[str, str]:
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header()
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def mark_failed(span: Span, error_type: str) -> None:
    """Set the span's status to error and name the kind, as the semantic conventions ask (`error.type`)."""
    span.set_status(trace.StatusCode.ERROR)
    span.set_attribute("error.type", error_type)
