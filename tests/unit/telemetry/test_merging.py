"""The metrics of several processes, read back with Prometheus's own parser."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Gauge
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import Metrics
from gateway.telemetry.merging import merged
from gateway.telemetry.metrics import GAUGES


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """By name and labels. Raises: ValueError where a scraper would."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(text: bytes, name: str, **labels: str) -> float:
    return samples(text)[name, frozenset(labels.items())]


def three(fill: Mapping[str, int]) -> tuple[bytes, list[Metrics]]:
    """Three processes, of which each has been given what `fill` says."""
    processes = [Metrics() for _ in fill]
    for metrics, weight in zip(processes, fill.values(), strict=True):
        metrics.errors.labels("OVERLOADED").inc(weight)
        metrics.commits.observe(0.003 * weight)
        metrics.operations_in_flight.set(weight)
        metrics.breaker_open.labels('odd "name"\n').set(weight % 2)
        metrics.instances.labels("catalog", "well").set(3 - weight % 2)
        metrics.instances.labels("catalog", "ejected").set(weight % 2)
    texts = dict(zip(fill, (each.exposition().decode() for each in processes), strict=True))
    return merged(texts), processes


def test_counters_and_histograms_are_added() -> None:
    text, _ = three({"worker-1": 1, "worker-2": 2, "sagas": 4})

    assert value(text, "sagaql_errors_total", code="OVERLOADED") == 7
    assert value(text, "sagaql_journal_commit_duration_seconds_count") == 3
    assert value(text, "sagaql_journal_commit_duration_seconds_sum") == 0.003 * 7
    assert value(text, "sagaql_journal_commit_duration_seconds_bucket", le="0.005") == 1
    assert value(text, "sagaql_journal_commit_duration_seconds_bucket", le="+Inf") == 3


def test_gauges_are_merged_as_they_are_declared() -> None:
    text, _ = three({"worker-1": 1, "worker-2": 2, "sagas": 4})

    assert value(text, "sagaql_operations_in_flight") == 7
    assert value(text, "sagaql_service_breaker_open", service='odd "name"\n') == 1
    assert value(text, "sagaql_service_instances", service="catalog", state="well") == 2
    assert value(text, "sagaql_service_instances", service="catalog", state="ejected") == 1


def test_every_gauge_says_how_it_is_merged_and_nothing_else_does() -> None:
    registry = Metrics().registry
    gauges = {name for name, collector in registry._names_to_collectors.items() if isinstance(collector, Gauge)}

    assert gauges == set(GAUGES)


def test_a_process_that_does_not_answer_is_told_and_costs_the_others_nothing() -> None:
    metrics = Metrics()
    metrics.errors.labels("DRAINING").inc()
    text = merged({"worker-1": metrics.exposition().decode(), "sagas": None})

    assert value(text, "sagaql_errors_total", code="DRAINING") == 1
    assert value(text, "sagaql_process_up", process="worker-1") == 1
    assert value(text, "sagaql_process_up", process="sagas") == 0


def test_the_merged_text_has_every_series_of_its_parts_once() -> None:
    text, processes = three({"worker-1": 1, "worker-2": 2})
    own = set().union(*(samples(each.exposition()) for each in processes))

    assert set(samples(text)) - own == {("sagaql_process_up", frozenset({("process", f"worker-{n}")})) for n in (1, 2)}
    assert own <= set(samples(text))
    families = [family.name for family in text_string_to_metric_families(text.decode())]
    assert len(families) == len(set(families))


def test_a_counter_that_was_created_in_two_processes_was_created_when_the_first_was() -> None:
    text, processes = three({"worker-1": 1, "worker-2": 2})
    created = [value(each.exposition(), "sagaql_errors_created", code="OVERLOADED") for each in processes]

    assert value(text, "sagaql_errors_created", code="OVERLOADED") == min(created)
