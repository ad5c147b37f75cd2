"""What the gateway says of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .concern import Concern


class TelemetrySettings(Concern):
    """What the gateway says of itself. Metrics and JSON logs are always there; who reads the former, `[admin]` says."""

    service_name: Annotated[str, Field(min_length=1)] = "sagaql"
    """`service.name` of spans."""
    exporter: Literal["none", "otlp"] = "none"
    """Where spans go. "otlp": over HTTP to where the standard OTEL_EXPORTER_OTLP_* variables say."""
    sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of traces that are recorded, where the caller has not decided."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least grave lines that are written to standard error."""
