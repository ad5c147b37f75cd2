"""Hundreds of scenarios over the real stack; `make soak` runs thousands. A failure names its seed."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.world import run

CHUNKS, SEEDS = 8, 25

_seen: Counter[str] = Counter()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_nothing_is_leaked_repeated_or_shared_that_must_not_be(chunk: int) -> None:
    for seed in range(chunk * SEEDS, (chunk + 1) * SEEDS):
        _seen.update(run(seed).counts)


def test_the_scenarios_have_exercised_what_they_are_for() -> None:
    if not _seen:
        pytest.skip("only with the scenarios")
    least = {
        "answered": 10_000,
        "cancelled": 1_000,
        "reconfigured": 50,
        "paused": 50,
        "SERVICE_CONTRACT_BROKEN": 50,
        "extra": 500,
        "ServiceBreakerOpen": 500,
        "ServiceBulkheadFull": 200,
        "SERVICE_TIMEOUT": 200,
        "DEADLINE_EXCEEDED": 1_000,
    }
    assert {name: count for name, count in least.items() if _seen[name] < count} == {}, _seen
