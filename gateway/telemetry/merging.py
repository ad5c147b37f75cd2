"""The metrics of several processes as if they were one: what `/metrics` answers where there are workers.

Invariants: whatever was counted in any of them is in the sum; a process that did not answer is told in `sagaql_process_up`, and
makes no error of the others. Gauges are merged as `metrics.GAUGES` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from .metrics import GAUGES

Labels = tuple[tuple[str, str], ...]

_CREATED = "_created"
_WELL = ("state", "well")


def merged(expositions: Mapping[str, str | None]) -> bytes:
    """One exposition of many, by the name of their process; None for one that did not answer."""
    families: dict[str, _Family] = {}
    for text in expositions.values():
        for metric in text_string_to_metric_families(text or ""):
            families.setdefault(metric.name, _Family(metric)).add(metric)
    return generate_latest(_Collected([*(each.metric() for each in families.values()), _up(expositions)]))


class _Collected:
    """What `generate_latest` asks of a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


class _Family:
    """The samples of one metric, added up as they come."""

    def __init__(self, metric: Metric) -> None:
        self._name, self._documentation, self._type = metric.name, metric.documentation, metric.type
        self._values: dict[tuple[str, Labels], float] = {}

    def add(self, metric: Metric) -> None:
        for sample in metric.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            known = self._values.get(key)
            self._values[key] = sample.value if known is None else self._together(key, known, sample.value)

    def metric(self) -> Metric:
        metric = Metric(self._name, self._documentation, self._type)
        for (name, labels), value in self._values.items():
            metric.add_sample(name, dict(labels), value)
        return metric

    def _together(self, key: tuple[str, Labels], one: float, other: float) -> float:
        name, labels = key
        if self._name.endswith(_CREATED):
            return min(one, other)
        if self._type != "gauge":
            return one + other
        match GAUGES.get(name, "sum"):
            case "sum":
                return one + other
            case "worst" if _WELL in labels:
                return min(one, other)
            case _:
                return max(one, other)


def _up(expositions: Mapping[str, str | None]) -> Any:
    up = GaugeMetricFamily(
        "sagaql_process_up", "1 where a process of this gateway told its metrics.", labels=["process"]
    )
    for process, text in sorted(expositions.items()):
        up.add_metric([process], float(text is not None))
    return up
