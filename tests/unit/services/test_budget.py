"""The retry budget: a share of the traffic, whoever asks and whenever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Instant, Seconds
from gateway.errors import ServiceUnavailable
from gateway.services import BudgetSettings, Retry
from gateway.services.budget import RetryBudget
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .calling import ORDER, STOCK, broken_off, catalog, measured, quiet

TENTH = BudgetSettings(ratio=0.1, window=Seconds(10.0), reserve=0.0)
NOTHING = BudgetSettings(ratio=0.0, reserve=0.0)


def spent(budget: RetryBudget, at: float, *, first: int = 0) -> int:
    """Extra attempts granted at once, after so many first ones."""
    for _ in range(first):
        budget.deposit(Instant(at))
    granted = 0
    while budget.withdraw(Instant(at)):
        granted += 1
    return granted


def test_a_share_of_the_first_attempts_is_granted() -> None:
    assert spent(RetryBudget(TENTH), 0.0, first=99) == 9


def test_a_reserve_is_granted_whatever_the_traffic() -> None:
    budget = RetryBudget(BudgetSettings(ratio=0.1, window=Seconds(10.0), reserve=0.3))
    assert spent(budget, 5.0) == 3
    assert spent(budget, 5.0, first=20) == 2


def test_what_is_older_than_the_window_is_forgotten_on_both_sides() -> None:
    budget = RetryBudget(TENTH)
    assert spent(budget, 0.5, first=100) == 10
    assert spent(budget, 9.9) == 0
    assert spent(budget, 11.1) == 0  # the traffic is as old as what it paid for
    assert spent(budget, 500.0, first=100) == 10


def test_other_settings_hold_at_once_and_what_was_counted_stays() -> None:
    budget = RetryBudget(TENTH)
    assert spent(budget, 0.0, first=100) == 10
    budget.configure(BudgetSettings(ratio=0.2, window=Seconds(10.0), reserve=0.0))
    assert spent(budget, 0.0) == 10
    assert repr(budget) == "<RetryBudget 20/20.0 extra attempts in 10 s>"


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_no_window_ever_holds_more_than_its_share(events: list[tuple[bool, float]]) -> None:
    budget, now = RetryBudget(TENTH), 0.0
    first: list[float] = []
    extra: list[float] = []
    for is_first, pause in events:
        now += pause
        if is_first:
            first.append(now)
            budget.deposit(Instant(now))
        elif budget.withdraw(Instant(now)):
            extra.append(now)
            # what is counted is whole tenths, so a window reaches back between nine and ten of them
            longest = sum(1 for at in first if now - at <= 10.0)
            shortest = sum(1 for at in extra if now - at < 9.0)
            assert shortest <= 0.1 * longest


@pytest.mark.parametrize("knob", [{"ratio": -0.1}, {"ratio": 1.1}, {"window": 0.0}, {"reserve": -1.0}])
def test_what_cannot_be_a_budget_is_refused(knob: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"budget.ratio is .*{next(iter(knob.values()))}"):
        BudgetSettings(**knob)  # type: ignore[arg-type]


@in_virtual_time
async def test_without_budget_an_error_goes_up_as_it_is_and_is_counted() -> None:
    telemetry, wire = quiet(), ScriptedWire(otherwise=broken_off)
    client = catalog(wire, retry=Retry(), budget=NOTHING, telemetry=telemetry)
    with pytest.raises(ServiceUnavailable, match="closed the connection"):
        await client.call(STOCK)
    assert len(wire.sent) == 1
    assert measured(telemetry, "sagaql_service_retries_refused_total", {"service": "catalog"}) == 1
    assert measured(telemetry, "sagaql_service_retries_total", {"service": "catalog"}) == 0


@in_virtual_time
async def test_every_call_pays_in_writes_too_and_only_a_retry_draws() -> None:
    wire = ScriptedWire(*[answer()] * 10, broken_off, otherwise=answer())
    client = catalog(wire, retry=Retry(), budget=TENTH)
    for _ in range(9):
        await client.call(ORDER)
    await client.call(STOCK)
    await client.call(STOCK)  # the eleventh fails once, and ten calls have paid for one retry
    assert len(wire.sent) == 12
