"""The reconciler of an application: it judges by the declared rule, counts who disagreed, and tells operators.

Invariant: at most one line a minute and field, however many disagree: it says how many were counted since the last.
State: when each reconciled field was last told of; as many as the graph declares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..clock import Clock, Instant, Seconds
from ..errors import GatewayError, SourcesUndecided
from ..telemetry import Telemetry
from .loader import Loader
from .reconcile import Answer, Reconciliation, Resolved, Undecided

TELL_EVERY = Seconds(60.0)
"""Seconds between two lines about one field."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A value that was decided on, and the failures of the sources that were left out."""

    value: Any
    left_out: tuple[GatewayError, ...] = ()


@dataclass(slots=True)
class Tally:
    """What was counted of one field since operators were last told."""

    told_at: Instant = Instant(float("-inf"))
    count: int = 0

    def add(self, now: Instant) -> int | None:
        """Count one more. Returns how many to tell of now, or None when it was told of less than a minute ago."""
        self.count += 1
        if now - self.told_at < TELL_EVERY:
            return None
        told, self.count, self.told_at = self.count, 0, now
        return told


class Reconciler:
    """Judges for one application."""

    def __init__(self, *, telemetry: Telemetry, clock: Clock) -> None:
        self._metrics = telemetry.metrics
        self._log = telemetry.log
        self._clock = clock
        self._tallies: dict[str, Tally] = {}

    def __repr__(self) -> str:
        return f"<Reconciler {len(self._tallies)} fields disagreed>"

    def judge(
        self,
        said: Sequence[tuple[Loader[Any], Any | GatewayError]],
        rule: Reconciliation,
        *,
        field: str,
        key: str,
    ) -> Reconciled:
        """What to serve of what each source said: its value, or its failure.

        Raises: the first source's failure where all have failed; SourcesUndecided where the rule cannot decide.
        """
        failures = tuple(each for _, each in said if isinstance(each, GatewayError))
        answers = answers_of(said)
        if not answers:
            self._count(field, "failed")
            raise failures[0]
        verdict = rule.decide(answers, of=len(said))
        if isinstance(verdict, Undecided):
            self._count(field, "undecided")
            self._tell(field, key, rule, because=verdict.why)
            raise _undecided(verdict, [loader for loader, _ in said], failures)
        if isinstance(verdict, Resolved):
            self._count(field, "resolved")
            for source in verdict.losers:
                self._metrics.disagreements.labels(field, source).inc()
            self._tell(field, key, rule, losers=sorted(verdict.losers))
        else:
            self._count(field, "agreed")
        return Reconciled(verdict.value, failures)

    def _count(self, field: str, outcome: str) -> None:
        self._metrics.reconciled.labels(field, outcome).inc()

    def _tell(self, field: str, key: str, rule: Reconciliation, **more: Any) -> None:
        """The latest of what was counted stands for all of it. Values are not told: they may be anybody's."""
        counted = self._tallies.setdefault(field, Tally()).add(self._clock.now())
        if counted is not None:
            self._log.warning("sources disagree", field=field, rule=repr(rule), counted=counted, key=key, **more)


def answers_of(said: Sequence[tuple[Loader[Any], Any | GatewayError]]) -> list[Answer]:
    """What those said that did not fail."""
    return [Answer(loader.name, loader.service, value) for loader, value in said if not isinstance(value, GatewayError)]


def _undecided(
    verdict: Undecided, sources: Sequence[Loader[Any]], failures: Sequence[GatewayError]
) -> SourcesUndecided:
    services = tuple(dict.fromkeys(source.service for source in sources))
    failed = f" ({'; '.join(failure.message for failure in failures)})" if failures else ""
    return SourcesUndecided(f"{' and '.join(services)}: {verdict.why}{failed}", services=services)
