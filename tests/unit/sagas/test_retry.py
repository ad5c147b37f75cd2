"""Back-off is a pure function, bounded by its policy."""

import pytest

from gateway.sagas import UNTIL_DONE, Retry


def test_the_same_attempt_of_the_same_saga_always_waits_the_same() -> None:
    delays = {Retry().delay(attempt=2, saga_id="s", step="a") for _ in range(5)}
    assert len(delays) == 1


def test_delays_are_spread_between_zero_and_the_doubled_base() -> None:
    delays = [Retry(base="100ms").delay(attempt=3, saga_id=f"s{i}", step="a") for i in range(200)]
    assert all(0 <= delay < 0.4 for delay in delays)
    assert min(delays) < 0.04
    assert max(delays) > 0.36


def test_no_delay_exceeds_the_cap_however_many_attempts_there_were() -> None:
    assert all(UNTIL_DONE.delay(attempt=n, saga_id="s", step="a") < 30 for n in (1, 20, 100, 100_000))


def test_a_policy_is_spent_after_its_attempts_and_one_without_end_never() -> None:
    assert not Retry(attempts=2).is_spent(1)
    assert Retry(attempts=2).is_spent(2)
    assert not UNTIL_DONE.is_spent(10_000)


def test_impossible_policies_fail_when_built() -> None:
    with pytest.raises(ValueError, match="at least one attempt"):
        Retry(attempts=0)
    with pytest.raises(ValueError, match="must not exceed the cap"):
        Retry(base="2s", cap="1s")
