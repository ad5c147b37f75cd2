"""The table of services: a line an instance, columns that stand under one another."""

from typing import Any

from gateway.control import services_table

CATALOG: dict[str, Any] = {
    "service": "catalog",
    "breaker": "closed",
    "inFlight": 7,
    "limit": 64,
    "waiting": 0,
    "latencySeconds": {"attempts": 1234, "p50": 0.0121, "p95": 0.05, "p99": None},
    "budget": {"extra": 2, "granted": 11.5, "windowSeconds": 10.0, "spent": 40, "refused": 0},
    "instances": [
        {"address": "http://a:1", "region": "primary", "state": "well", "latencySeconds": 0.012, "inFlight": 7},
        {"address": "http://b:1", "region": "fallback", "state": "drained", "latencySeconds": 0.0, "inFlight": 0},
    ],
}


def test_each_instance_has_a_line_and_its_service_is_told_once() -> None:
    head, first, second = services_table([CATALOG]).splitlines()
    assert head.split()[:3] == ["service", "breaker", "in"]
    assert first.split() == (
        "catalog closed 7/64 0 12.1 ms 50 ms - 1234 40 2/11.5 http://a:1 well 12 ms 7".split()  # noqa: SIM905 - as it reads
    )
    assert second.split() == ["http://b:1", "(fallback)", "drained", "-", "0"]
    assert head.index("instance") == first.index("http://a") == second.index("http://b")


def test_of_no_services_there_is_the_head_alone() -> None:
    assert len(services_table([]).splitlines()) == 1
