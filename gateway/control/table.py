"""The services of a running gateway as a table: a line for each instance, what is of the whole service on its first one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_HEAD = (
    "service",
    "breaker",
    "in flight",
    "waiting",
    "p50",
    "p95",
    "p99",
    "attempts",
    "retries",
    "budget",
    "instance",
    "state",
    "latency",
    "in flight",
)
_OF_THE_SERVICE = 10
"""Columns that are empty on all but the first line of a service."""


def services_table(services: Sequence[Mapping[str, Any]]) -> str:
    """Columns as wide as what stands in them; a line never breaks, so `grep` and `awk` can read it."""
    rows = [_HEAD, *(row for service in services for row in _rows(service))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _rows(service: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    whole = _whole(service)
    for each in service["instances"]:
        yield (*whole, *_instance(each))
        whole = ("",) * _OF_THE_SERVICE


def _whole(service: Mapping[str, Any]) -> tuple[str, ...]:
    latency, budget = service["latencySeconds"], service["budget"]
    return (
        service["service"],
        service["breaker"],
        f"{service['inFlight']}/{service['limit']}",
        str(service["waiting"]),
        *(_milliseconds(latency[name]) for name in ("p50", "p95", "p99")),
        str(latency["attempts"]),
        str(budget["spent"]),
        f"{budget['extra']}/{budget['granted']:g}",
    )


def _instance(instance: Mapping[str, Any]) -> tuple[str, ...]:
    is_elsewhere = instance["region"] == "fallback"
    return (
        f"{instance['address']}{' (fallback)' if is_elsewhere else ''}",
        instance["state"],
        _milliseconds(instance["latencySeconds"] or None),
        str(instance["inFlight"]),
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"
