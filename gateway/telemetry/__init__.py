"""What the engine says about itself: spans, metrics, logs. One `Telemetry` per application; nothing here is global."""

from .logs import Log, json_log, silent_log
from .metrics import Children, Metrics
from .observe import Telemetry
from .spans import Span, SpanKind, current_trace_id, tracer_provider

__all__ = [
    "Children",
    "Log",
    "Metrics",
    "Span",
    "SpanKind",
    "Telemetry",
    "current_trace_id",
    "json_log",
    "silent_log",
    "tracer_provider",
]
