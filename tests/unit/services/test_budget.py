"""The retry budget: a share of the traffic, whoever asks and whenever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Instant, Seconds
from gateway.errors import ServiceBulkheadFull, ServiceUnavailable
from gateway.services import BudgetSettings, Retry, ServiceRequest
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


def grown(at: float) -> RetryBudget:
    """A budget whose ten first attempts at that instant paid for one extra, which is spent; its window has doubled since."""
    budget = RetryBudget(TENTH)
    assert spent(budget, at, first=10) == 1
    budget.configure(BudgetSettings(ratio=0.1, window=Seconds(20.0), reserve=0.0))
    return budget


def test_a_longer_window_keeps_what_was_counted_and_forgets_it_in_its_own_time() -> None:
    assert spent(grown(1000.0), 1017.0, first=9) == 0  # of nineteen first attempts one is spent
    assert spent(grown(1000.0), 1017.0, first=10) == 1
    late = grown(1000.0)
    assert spent(late, 1021.0, first=9) == 0
    assert repr(late) == "<RetryBudget 0/0.9 extra attempts in 20 s>"


def test_a_shorter_window_keeps_what_is_within_it() -> None:
    budget = RetryBudget(TENTH)
    assert spent(budget, 1000.0, first=100) == 10
    assert spent(budget, 1008.0, first=20) == 2
    budget.configure(BudgetSettings(ratio=0.1, window=Seconds(5.0), reserve=0.0))
    assert repr(budget) == "<RetryBudget 2/2.0 extra attempts in 5 s>"
    assert spent(budget, 1008.5, first=10) == 1


def test_an_instant_before_the_newest_counts_as_the_newest() -> None:
    budget = RetryBudget(TENTH)
    assert spent(budget, 9.0, first=100) == 10
    assert spent(budget, 2.0, first=9) == 0
    assert spent(budget, 18.5) == 0
    assert repr(budget) == "<RetryBudget 10/10.9 extra attempts in 10 s>"


_PAUSES = st.sampled_from([0.0, 0.0, 0.3, 1.0, 2.5, 9.9, 10.0, 35.0])


@given(st.lists(st.tuples(_PAUSES, st.integers(0, 8), st.integers(0, 4)), max_size=60))
def test_the_ring_grants_what_a_list_of_all_that_happened_would_grant(events: list[tuple[float, int, int]]) -> None:
    settings = BudgetSettings(ratio=0.25, window=Seconds(10.0), reserve=0.125)
    budget, now = RetryBudget(settings), 0.0
    first: list[int] = []
    extra: list[int] = []
    for pause, deposits, withdrawals in events:
        now += pause
        tenth = int(now)
        for _ in range(deposits):
            budget.deposit(Instant(now))
        first += [tenth] * deposits
        for _ in range(withdrawals):
            used = sum(1 for at in extra if at > tenth - 10)
            allowed = 0.25 * sum(1 for at in first if at > tenth - 10) + 1.25
            granted = budget.withdraw(Instant(now))
            assert granted == (used + 1 <= allowed)
            extra += [tenth] * granted


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


@pytest.mark.parametrize(
    "knob", [{"ratio": -0.1}, {"ratio": 1.1}, {"window": 0.0}, {"window": float("inf")}, {"reserve": -1.0}]
)
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


@in_virtual_time
async def test_a_call_pays_in_once_however_often_it_is_tried() -> None:
    half = BudgetSettings(ratio=0.5, window=Seconds(10.0), reserve=0.0)
    wire = ScriptedWire(answer(), otherwise=broken_off)
    client = catalog(wire, retry=Retry(attempts=9), budget=half)
    await client.call(STOCK)
    with pytest.raises(ServiceUnavailable):
        await client.call(STOCK)  # two calls have paid for one retry; were retries to pay too, there would be two
    assert len(wire.sent) == 3


@in_virtual_time
async def test_what_is_not_repeated_draws_nothing() -> None:
    def full(_: ServiceRequest) -> ServiceBulkheadFull:
        return ServiceBulkheadFull("", service="catalog", applied=False)

    telemetry, wire = quiet(), ScriptedWire(full, full, full, broken_off, answer())
    client = catalog(wire, retry=Retry(), budget=BudgetSettings(ratio=0.0, reserve=0.1), telemetry=telemetry)
    for _ in range(3):
        with pytest.raises(ServiceBulkheadFull):
            await client.call(STOCK)
    await client.call(STOCK)  # the one extra attempt of the reserve is still there
    assert measured(telemetry, "sagaql_service_retries_refused_total", {"service": "catalog"}) == 0
