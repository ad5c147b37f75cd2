"""What one client may have: classes, places that come back however an operation ends, and what it is charged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.admission import (
    WITHOUT_LIMITS,
    ClientClass,
    ClientClasses,
    Clients,
    LimitedClients,
    MemoryRates,
    Named,
    RateLimit,
    Visit,
)
from gateway.errors import (
    BadUserInput,
    GatewayError,
    OperationTooExpensive,
    Overloaded,
    RateLimited,
    TooManyOperations,
    TooManySubscriptions,
)
from gateway.identity import ANONYMOUS, Identity
from gateway.telemetry import Telemetry
from tests.unit.admission.held import HeldClock

CARL = Identity("acme", "carl", frozenset({"buyer"}))


def rate(name: str = "default", *, burst: int = 100) -> RateLimit:
    return RateLimit(name=name, rate=10.0, burst=burst)


class House:
    """Clients with a limit of each kind."""

    def __init__(
        self, *, operations: int | None = 2, subscriptions: int | None = 1, of: RateLimit | None = None
    ) -> None:
        self.clock, self.telemetry = HeldClock(), Telemetry()
        usual = ClientClass(rate=of or rate(), operations=operations, subscriptions=subscriptions)
        self.rates = MemoryRates(self.clock)
        self.clients: Clients = LimitedClients(
            ClientClasses(usual=usual), self.rates, unread=10, telemetry=self.telemetry
        )

    def operation(self, client: str = "a") -> Visit:
        return self.clients.operation(client, ANONYMOUS)

    def left(self, client: str = "a") -> int:
        return self.rates.look(client, rate()).quota(rate()).remaining

    def counted(self, outcome: str) -> float | None:
        labels = {"class": "default", "outcome": outcome}
        return self.telemetry.metrics.registry.get_sample_value("sagaql_client_limits_total", labels)


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Of what waits for nothing, as rates in memory do."""
    with pytest.raises(StopIteration):
        work.send(None)


async def charged(visit: Visit, points: int) -> None:
    with visit:
        await visit.charge(points)


# -- classes -----------------------------------------------------------------------------------------------------------


def test_a_caller_has_the_first_class_that_fits_it() -> None:
    classes = ClientClasses(
        anonymous=ClientClass(name="anonymous", operations=1),
        named=(
            Named(limits=ClientClass(name="carl"), tenant="acme", subject="carl"),
            Named(limits=ClientClass(name="buyers", operations=5), scope="buyer"),
        ),
    )
    found = [
        classes.of(each).name
        for each in (
            ANONYMOUS,
            CARL,
            Identity("other", "carl", frozenset({"buyer"})),
            Identity("acme", "cleo"),
        )
    ]
    assert found == ["anonymous", "carl", "buyers", "default"]
    assert classes.are_limits
    assert not ClientClasses(named=(Named(limits=ClientClass(name="carl"), subject="carl"),)).are_limits


def test_without_a_class_of_their_own_anonymous_callers_are_as_everybody() -> None:
    assert ClientClasses().of(ANONYMOUS).name == "default"


# -- what is charged ---------------------------------------------------------------------------------------------------


def test_an_operation_is_charged_what_it_costs_and_one_at_least() -> None:
    house = House()
    at_once(charged(house.operation(), 30))
    at_once(charged(house.operation(), 0))
    assert (house.left(), house.counted("allowed")) == (69, 2)


def test_beyond_what_is_left_it_is_told_when_to_come_back_and_takes_nothing() -> None:
    house = House()
    at_once(charged(house.operation(), 80))
    with pytest.raises(RateLimited, match="it costs 45") as told:
        at_once(charged(house.operation(), 45))
    assert (told.value.retry_after, told.value.extensions()["retryAfter"]) == (3, 3)
    assert (told.value.quota.remaining, house.left(), house.counted("refused")) == (20, 20, 1)


def test_what_costs_more_than_a_burst_is_never_told_to_come_back() -> None:
    house = House()
    with pytest.raises(OperationTooExpensive, match="101, and 100 is the most") as told:
        at_once(charged(house.operation(), 101))
    assert not told.value.retryable


def test_who_has_nothing_left_is_refused_before_it_is_read() -> None:
    house = House()
    house.clients.ensure_welcome("a", ANONYMOUS)
    at_once(charged(house.operation(), 100))
    with pytest.raises(RateLimited) as told:
        house.clients.ensure_welcome("a", ANONYMOUS)
    assert (told.value.retry_after, house.counted("refused_early")) == (1, 1)
    house.clients.ensure_welcome("b", ANONYMOUS)


def test_what_an_operation_has_cost_in_the_end_is_settled_once() -> None:
    house = House()

    async def settled(*costs: int) -> None:
        visit = house.operation()
        with visit:
            await visit.charge(50)
            for each in costs:
                visit.settle(each)

    at_once(settled(20, 20))
    assert house.left() == 80
    at_once(settled(70))
    assert house.left() == 10


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (BadUserInput("no document"), 90),
        (Overloaded("later"), 100),
        (RuntimeError("a bug of ours"), 100),
        (asyncio.CancelledError(), 100),
    ],
)
def test_what_could_not_be_read_costs_something_and_what_we_have_no_room_for_does_not(
    error: BaseException, left: int
) -> None:
    house = House()
    with pytest.raises(type(error)), house.operation():
        raise error
    assert house.left() == left


def test_an_operation_that_fails_after_it_was_charged_costs_no_more() -> None:
    async def failing(house: House) -> None:
        visit = house.operation()
        with visit:
            await visit.charge(20)
            raise BadUserInput("later")

    house = House()
    with pytest.raises(BadUserInput):
        at_once(failing(house))
    assert house.left() == 80


def test_without_limits_nothing_is_kept() -> None:
    visit = WITHOUT_LIMITS.operation("a", ANONYMOUS)
    at_once(charged(visit, 10**9))
    WITHOUT_LIMITS.ensure_welcome("a", ANONYMOUS)
    assert (visit.quota, visit.is_priced) == (None, False)
    assert visit is WITHOUT_LIMITS.subscription("b", CARL), "there is one for all"


# -- places ------------------------------------------------------------------------------------------------------------


def test_operations_and_subscriptions_at_once_are_counted_apart() -> None:
    house = House(operations=1, subscriptions=1)
    with house.operation(), house.clients.subscription("a", ANONYMOUS):
        with pytest.raises(TooManyOperations, match="1 operations under way"), house.operation():
            pass
        with pytest.raises(TooManySubscriptions) as told, house.clients.subscription("a", ANONYMOUS):
            pass
        with house.operation("b"):
            pass
    assert told.value.extensions()["retryAfter"] == 5
    assert (house.counted("too_many_operations"), house.counted("too_many_subscriptions")) == (1, 1)
    with house.operation():
        pass


ENDS: list[Any] = [None, BadUserInput("no"), Overloaded("no"), RuntimeError("no"), asyncio.CancelledError()]


class Places(RuleBasedStateMachine):
    """Operations of three clients begin and end in any order and in any way."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House(operations=2, of=rate(burst=60))
        self.open: list[tuple[str, Visit]] = []
        self.taken: Counter[str] = Counter()

    @rule(client=st.sampled_from("abc"))
    def begin(self, client: str) -> None:
        visit, held = self.house.operation(client), [each for each, _ in self.open].count(client)
        try:
            visit.__enter__()
        except TooManyOperations:
            assert held == 2
            return
        assert held < 2
        self.open.append((client, visit))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 5), points=st.integers(1, 40))
    def charge(self, which: int, points: int) -> None:
        client, visit = self.open[which % len(self.open)]
        if visit.quota is not None:
            return  # an operation is charged once
        left = self.house.left(client)
        try:
            at_once(visit.charge(points))
        except GatewayError:
            return
        assert self.house.left(client) == left - points

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 5), error=st.sampled_from(ENDS))
    def end(self, which: int, error: BaseException | None) -> None:
        _, visit = self.open.pop(which % len(self.open))
        visit.__exit__(None if error is None else type(error), error, None)

    @rule(seconds=st.floats(0, 5))
    def rest(self, seconds: float) -> None:
        self.house.clock.rest(seconds)

    @invariant()
    def as_many_places_are_held_as_operations_are_open(self) -> None:
        counts = Counter(client for client, _ in self.open)
        assert f"operations <Holdings {len(self.open)} of {len(counts)} clients>" in repr(self.house.clients)


TestPlaces = Places.TestCase
