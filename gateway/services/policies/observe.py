"""Observe: one span and one measurement per attempt.

Invariant: where the operation is not sampled no span is made: it would only hand the operation's own context on, which the
wire sends anyway. Labels come from declarations (service, endpoint, code), never from a client. It stands inside the
bulkhead, so an attempt's duration is the service's and holds no waiting of ours.
Source: OpenTelemetry semantic conventions for HTTP clients.
"""

from __future__ import annotations

from opentelemetry.trace import Span

from ...clock import Clock
from ...errors import GatewayError, ServiceUnavailable
from ...telemetry import Children, SpanKind, Telemetry
from ...telemetry.observe import mark_failed
from ..outcome import is_our_lateness
from ..request import Handler, Policy, ServiceRequest, ServiceResponse


def observe(service: str, telemetry: Telemetry, *, clock: Clock) -> Policy:
    """Tell `telemetry` about every attempt; the span is the parent that the service sees."""
    measured = Children(telemetry.metrics.attempts, service)

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            began, outcome = clock.now(), "cancelled"
            try:
                if telemetry.is_sampled_out:
                    response = await attempt(request)
                else:
                    response = await _in_span(attempt, request, telemetry=telemetry)
                outcome = "ok" if response.status < 400 else "refused"
            except Exception as error:
                outcome = error.code if isinstance(error, GatewayError) else GatewayError.code
                if is_our_lateness(error):
                    outcome = "late"
                raise
            finally:
                measured[request.endpoint, outcome].observe(clock.now() - began)
            return response

        return handle

    return policy


async def _in_span(attempt: Handler, request: ServiceRequest, *, telemetry: Telemetry) -> ServiceResponse:
    with telemetry.span(request.endpoint, SpanKind.CLIENT, attributes=_attributes(request)) as span:
        try:
            response = await attempt(request)
        except GatewayError as error:
            failure = error  # raised below, outside the span: inside, its class name would replace the type set here
            _note_failure(span, error)
        else:
            _note_status(span, response.status)
            return response
    raise failure


def _attributes(request: ServiceRequest) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "server.address": request.service,
        "url.template": request.endpoint.partition(" ")[2] or request.endpoint,
    }
    if len(request.tried) > 1:
        attributes["http.request.resend_count"] = len(request.tried) - 1
    return attributes


def _note_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= 400:
        mark_failed(span, str(status))


def _note_failure(span: Span, error: GatewayError) -> None:
    if isinstance(error, ServiceUnavailable) and error.http_status is not None:
        _note_status(span, error.http_status)
    else:
        mark_failed(span, error.code)
