"""One trace, metrics, logs and health of a running gateway."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.ordering import place

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


def traces_of(demo: Demo, service: str) -> set[str]:
    return {str(entry["traceparent"]).split("-")[1] for entry in demo.service(service).traces() if entry["traceparent"]}


def test_a_query_is_one_trace_through_every_service_it_calls(demo: Demo) -> None:
    demo.graphql(
        "{ products(first: 2) { edges { node { stock { quantity } reviews { author { name } } } } } }", headers=HEADERS
    )

    for service in ("catalog", "inventory", "reviews", "customers"):
        assert TRACE in traces_of(demo, service), service


def test_a_saga_and_its_steps_belong_to_the_trace_of_the_request_that_began_it(demo: Demo) -> None:
    place(demo, headers=HEADERS)

    for service in ("inventory", "payments", "orders", "shipping"):
        assert TRACE in traces_of(demo, service), service


def test_metrics_tell_of_operations_calls_and_sagas(demo: Demo) -> None:
    place(demo)

    text = httpx.get(f"{demo.url}/metrics").text

    assert re.search(r'sagaql_operation_duration_seconds_count\{outcome="ok",type="mutation"\} [1-9]', text)
    assert re.search(r'sagaql_saga_duration_seconds_count\{saga="PlaceOrder",state="COMPLETED"\} [1-9]', text)
    assert re.search(
        r'sagaql_service_attempt_duration_seconds_count\{endpoint="POST /captures",outcome="ok",service="payments"\}',
        text,
    )


def test_the_gateway_is_alive_and_ready_and_says_which_services_it_does_without(demo: Demo) -> None:
    assert httpx.get(f"{demo.url}/livez").status_code == 200
    ready = httpx.get(f"{demo.url}/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["services"]) == {
        "catalog",
        "customers",
        "inventory",
        "orders",
        "payments",
        "reviews",
        "shipping",
    }


def test_logs_are_json_with_the_trace_and_without_secrets(demo: Demo) -> None:
    demo.service("reviews").fault({"garbage": True})
    demo.graphql("{ products(first: 1) { edges { node { reviews { rating } } } } }", headers=HEADERS)

    lines = [json.loads(line) for line in demo.log().splitlines() if line]

    assert any(line.get("traceId") == TRACE and line["event"] == "service contract broken" for line in lines)
    assert "tok_ok" not in demo.log()
