"""The breaker: when it opens, whom it lets through, and what it does not count."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from msgspec.structs import replace

from gateway.clock import Instant, Seconds
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    ServiceBreakerOpen,
    ServiceBulkheadFull,
    ServiceContractBroken,
    ServiceTimeout,
    ServiceUnavailable,
)
from gateway.services.outcome import DeadlineCut, Outcome, outcome_of
from gateway.services.policies import Breaker, BreakerSettings, BreakerState
from gateway.services.policies.breaker import MAX_ENDPOINTS, Breakers, Permit
from gateway.testing import ScriptedWire, answer, hang, in_virtual_time

from .calling import STOCK, broken_off, catalog, due, measured, quiet

SUCCESS, FAILURE, IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


def breaker(jitter: float = 0.0) -> Breaker:
    return Breaker(BreakerSettings(), lambda: jitter)


def attempt(state: Breaker, outcome: Outcome, at: float = 0.0) -> None:
    permit = state.ask(Instant(at))
    assert permit is not None
    state.tell(permit, outcome, now=Instant(at))


def opened(jitter: float = 0.0, at: float = 0.0) -> Breaker:
    state = breaker(jitter)
    for _ in range(10):
        attempt(state, FAILURE, at)
    assert state.is_open
    return state


def probe(state: Breaker, at: float) -> Permit:
    permit = state.ask(Instant(at))
    assert permit is not None
    assert state.state is BreakerState.HALF_OPEN
    return permit


def test_ten_failures_in_a_row_open_it() -> None:
    state = breaker()
    for _ in range(9):
        attempt(state, FAILURE)
    assert repr(state) == "<Breaker closed, 9 failed in a row>"
    attempt(state, FAILURE)
    assert repr(state) == "<Breaker open, opening 1>"


def test_a_success_breaks_the_row() -> None:
    state = breaker()
    for _ in range(9):
        attempt(state, FAILURE)
    attempt(state, SUCCESS)
    for _ in range(9):
        attempt(state, FAILURE)
    assert state.state is BreakerState.CLOSED


def test_half_of_twenty_calls_in_the_window_open_it() -> None:
    state = breaker()
    for _ in range(9):
        attempt(state, SUCCESS)
        attempt(state, FAILURE)
    attempt(state, SUCCESS)
    assert state.state is BreakerState.CLOSED  # 19 calls say nothing
    attempt(state, FAILURE)
    assert state.is_open


def test_less_than_half_never_opens_it() -> None:
    state = breaker()
    for number in range(900):
        attempt(state, FAILURE if number % 3 == 0 else SUCCESS, at=number / 100)
    assert state.state is BreakerState.CLOSED


def test_what_left_the_window_is_not_counted() -> None:
    state = breaker()
    for _ in range(9):
        attempt(state, SUCCESS, at=0.5)
        attempt(state, FAILURE, at=0.5)
    for _ in range(2):
        attempt(state, FAILURE, at=10.6)
    assert state.state is BreakerState.CLOSED


def test_the_window_survives_a_long_silence() -> None:
    state = breaker()
    attempt(state, FAILURE, at=3.0)
    for _ in range(9):
        attempt(state, SUCCESS, at=1e6)
        attempt(state, FAILURE, at=1e6)
    assert state.state is BreakerState.CLOSED
    attempt(state, FAILURE, at=1e6)
    attempt(state, FAILURE, at=1e6)
    assert state.is_open


def test_ignored_outcomes_neither_open_nor_break_a_row() -> None:
    state = breaker()
    for _ in range(9):
        attempt(state, FAILURE)
    for _ in range(50):
        attempt(state, IGNORED)
    assert state.state is BreakerState.CLOSED
    attempt(state, FAILURE)
    assert state.is_open


def test_while_open_nothing_is_permitted_and_it_says_how_long() -> None:
    state = opened()
    assert state.ask(Instant(0.99)) is None
    assert state.retry_in(Instant(0.4)) == pytest.approx(0.6)


def test_each_failed_probe_doubles_the_opening_up_to_the_cap() -> None:
    state, now = opened(), 0.0
    for length in (1, 2, 4, 8, 10, 10):
        assert state.ask(Instant(now + length - 0.01)) is None
        now += length
        state.tell(probe(state, now), FAILURE, now=Instant(now))
        assert state.is_open


def test_jitter_only_shortens_an_opening() -> None:
    state = opened(jitter=0.999)
    assert state.ask(Instant(0.74)) is None
    assert state.ask(Instant(0.76)) is not None


def test_half_open_bounds_its_probes() -> None:
    state = opened()
    for _ in range(3):
        probe(state, 1.0)
    assert state.ask(Instant(1.0)) is None
    assert repr(state) == "<Breaker half-open, 3/3 probing, 0 succeeded>"


@pytest.mark.parametrize("ramp", [0, 64])
def test_three_successful_probes_close_it_and_the_opening_after_the_ramp_is_short_again(ramp: int) -> None:
    state = Breaker(BreakerSettings(ramp=ramp), lambda: 0.0)
    for _ in range(10):
        attempt(state, FAILURE)
    state.tell(probe(state, 1.0), FAILURE, now=Instant(1.0))
    for _ in range(3):
        state.tell(probe(state, 3.0), SUCCESS, now=Instant(3.0))
    assert state.state is BreakerState.CLOSED
    for _ in range(62 if ramp else 0):
        assert state.is_ramping
        attempt(state, SUCCESS, at=3.0)
    assert not state.is_ramping
    for _ in range(10):
        attempt(state, FAILURE, at=3.0)
    assert state.retry_in(Instant(3.0)) == 1.0


def ramping() -> Breaker:
    state = opened()
    state.tell(probe(state, 1.0), FAILURE, now=Instant(1.0))
    for _ in range(3):
        state.tell(probe(state, 3.0), SUCCESS, now=Instant(3.0))
    return state


def test_after_the_probes_one_more_is_let_in_for_each_success() -> None:
    state = ramping()
    held = [state.ask(Instant(3.0)) for _ in range(4)]
    assert [permit is not None for permit in held] == [True, True, True, False]
    assert repr(state) == "<Breaker closed, 0 failed in a row, 3/3 while it ramps up>"
    for permit in held[:3]:
        assert permit is not None
        state.tell(permit, SUCCESS, now=Instant(3.0))
    assert sum(state.ask(Instant(3.0)) is not None for _ in range(20)) == 6


def test_while_it_ramps_up_a_cancelled_attempt_gives_its_place_back_and_a_failed_one_earns_none() -> None:
    state = ramping()
    for outcome in (IGNORED, FAILURE, IGNORED):
        attempt(state, outcome, at=3.0)
    assert sum(state.ask(Instant(3.0)) is not None for _ in range(20)) == 3


def test_while_it_ramps_up_as_many_failures_as_probes_open_it_for_longer_than_before() -> None:
    state = ramping()
    for _ in range(3):
        assert not state.is_open
        attempt(state, FAILURE, at=3.0)
    assert state.retry_in(Instant(3.0)) == 4.0


def test_what_was_let_in_while_it_ramped_up_does_not_count_once_it_is_over() -> None:
    state = ramping()
    late = state.ask(Instant(3.0))
    for _ in range(62):
        attempt(state, SUCCESS, at=3.0)
    assert not state.is_ramping
    assert late is not None
    state.tell(late, FAILURE, now=Instant(4.0))
    assert repr(state) == "<Breaker closed, 0 failed in a row>"


def test_a_cancelled_probe_gives_its_permit_back() -> None:
    state = opened()
    probes = [probe(state, 1.0) for _ in range(3)]
    state.tell(probes[0], IGNORED, now=Instant(1.1))
    assert state.ask(Instant(1.1)) is not None
    assert state.ask(Instant(1.1)) is None


def test_a_late_outcome_of_an_earlier_state_changes_nothing() -> None:
    state = breaker()
    late = state.ask(Instant(0))
    assert late is not None
    for _ in range(10):
        attempt(state, FAILURE)
    probe(state, 1.0)
    state.tell(late, FAILURE, now=Instant(1.1))
    assert state.state is BreakerState.HALF_OPEN


class BreakerMachine(RuleBasedStateMachine):
    """Any history of permits, outcomes, cancellations and waiting, beside a model of what must hold."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.throws = 0.0
        self.breaker = Breaker(
            BreakerSettings(consecutive=3, volume=6, probes=2, successes=2, window=Seconds(4.0), ramp=0),
            lambda: self.throws,
        )
        self.opened_at = 0.0
        self.row = 0
        self.counted = 0
        self.probing = 0
        self.good_probes = 0
        self.era = 0  # grows with every change of state
        self.was = BreakerState.CLOSED

    def observe(self) -> None:
        """Reset the model's counts when the state changed."""
        if self.breaker.state is self.was:
            return
        self.was = self.breaker.state
        self.era += 1
        self.row = self.counted = self.probing = self.good_probes = 0
        if self.was is BreakerState.OPEN:
            self.opened_at = self.now

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(throws=st.sampled_from([0.0, 0.5, 0.99]))
    def throw(self, throws: float) -> None:
        self.throws = throws

    @rule(target=held)
    def ask(self) -> tuple[Permit | None, int]:
        permit = self.breaker.ask(Instant(self.now))
        open_for = self.now - self.opened_at
        match self.was:
            case BreakerState.CLOSED:
                assert permit is not None
            case BreakerState.HALF_OPEN:
                assert (permit is not None) == (self.probing < 2)
            case BreakerState.OPEN:
                assert permit is None or open_for >= 0.75
                assert permit is not None or open_for < 10.0
        self.observe()
        self.probing += permit is not None and self.was is BreakerState.HALF_OPEN
        return permit, self.era

    @rule(attempt=consumes(held), outcome=st.sampled_from([SUCCESS, FAILURE, FAILURE, IGNORED]))
    def tell(self, attempt: tuple[Permit | None, int], outcome: Outcome) -> None:
        permit, era = attempt
        if permit is None:
            return
        before = self.was
        self.breaker.tell(permit, outcome, now=Instant(self.now))
        if era != self.era:
            assert self.breaker.state is before  # late: no effect
            return
        self.row = self.row + 1 if outcome is FAILURE else 0 if outcome is SUCCESS else self.row
        self.counted += outcome is not IGNORED
        if before is BreakerState.HALF_OPEN:
            self.probing -= 1
            self.good_probes += outcome is SUCCESS
            expected = (
                BreakerState.OPEN
                if outcome is FAILURE
                else BreakerState.CLOSED
                if self.good_probes == 2
                else BreakerState.HALF_OPEN
            )
            assert self.breaker.state is expected
        else:
            assert self.breaker.is_open or self.row < 3
            assert not self.breaker.is_open or self.row == 3 or (outcome is FAILURE and self.counted >= 6)
        self.observe()

    @invariant()
    def probes_are_bounded(self) -> None:
        assert 0 <= self.probing <= 2

    @invariant()
    def an_opening_is_bounded(self) -> None:
        assert self.breaker.retry_in(Instant(self.now)) <= 10.0


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


# -- as a policy -------------------------------------------------------------------------------------------------------

QUICK = BreakerSettings(consecutive=2, probes=1, successes=1)


@in_virtual_time
async def test_per_endpoint_one_that_fails_does_not_take_the_others_along() -> None:
    wire = ScriptedWire(broken_off, broken_off, otherwise=answer())
    client = catalog(wire, breaker=BreakerSettings(consecutive=2, per="endpoint"))
    prices = replace(STOCK, path="/prices", endpoint="GET /prices")
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await client.call(STOCK)
    with pytest.raises(ServiceBreakerOpen):
        await client.call(STOCK)
    assert (await client.call(prices)).status == 200
    assert client.is_breaker_open


def test_endpoints_beyond_the_bound_share_a_breaker() -> None:
    breakers = Breakers(BreakerSettings(per="endpoint"), lambda: 0.0)
    first = {id(breakers.of(str(number))) for number in range(MAX_ENDPOINTS)}
    assert len(first) == MAX_ENDPOINTS
    assert breakers.of("one more") is breakers.of("another")


def test_other_settings_hold_for_a_breaker_that_is_open() -> None:
    breakers = Breakers(BreakerSettings(), lambda: 0.0)
    for _ in range(10):
        attempt(breakers.of("x"), FAILURE)
    breakers.configure(BreakerSettings(probes=1))
    assert breakers.is_open
    assert breakers.of("x").ask(Instant(1.0)) is not None
    assert breakers.of("x").ask(Instant(1.0)) is None


@pytest.mark.parametrize(("is_personal", "is_open"), [(True, False), (False, True)])
@in_virtual_time
async def test_one_caller_s_own_quota_does_not_open_it_for_the_others(is_personal: bool, is_open: bool) -> None:
    client = catalog(ScriptedWire(otherwise=answer(status=429)), breaker=BreakerSettings(consecutive=5))
    for _ in range(5):
        with pytest.raises(ServiceUnavailable):
            await client.call(replace(STOCK, is_personal=is_personal))
    assert client.is_breaker_open is is_open


@in_virtual_time
async def test_an_open_breaker_sends_nothing_and_says_that_nothing_was_applied() -> None:
    wire, telemetry = ScriptedWire(otherwise=broken_off), quiet()
    client = catalog(wire, breaker=QUICK, telemetry=telemetry)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await client.call(STOCK)
    with pytest.raises(
        ServiceBreakerOpen, match=r"catalog failed too often and is left alone for another 0\.9 s"
    ) as caught:
        await client.call(STOCK)
    assert caught.value.applied is False
    assert len(wire.sent) == 2
    assert client.is_breaker_open
    assert measured(telemetry, "sagaql_service_breaker_open", {"service": "catalog"}) == 1


@in_virtual_time
async def test_it_recovers_with_the_service() -> None:
    wire, telemetry = ScriptedWire(broken_off, broken_off, otherwise=answer()), quiet()
    client = catalog(wire, breaker=QUICK, telemetry=telemetry)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await client.call(STOCK)
    await asyncio.sleep(1)
    assert (await client.call(STOCK)).status == 200
    assert not client.is_breaker_open
    assert measured(telemetry, "sagaql_service_breaker_open", {"service": "catalog"}) == 0


@in_virtual_time
async def test_a_probe_whose_client_went_away_does_not_block_the_next() -> None:
    wire = ScriptedWire(broken_off, broken_off, hang, answer())
    client = catalog(wire, breaker=QUICK)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await client.call(STOCK)
    await asyncio.sleep(1)
    probing = asyncio.create_task(client.call(STOCK))
    await asyncio.sleep(0.1)
    with pytest.raises(ServiceBreakerOpen, match="until its probes are back"):
        await client.call(STOCK)
    probing.cancel()
    await asyncio.wait([probing])
    assert (await client.call(STOCK)).status == 200


@in_virtual_time
async def test_a_4xx_is_an_answer_and_counts_as_success() -> None:
    client = catalog(ScriptedWire(otherwise=answer(status=404)), breaker=QUICK)
    for _ in range(5):
        assert (await client.call(STOCK)).status == 404
    assert not client.is_breaker_open


@in_virtual_time
async def test_clients_with_tiny_deadlines_cannot_open_it_for_everybody() -> None:
    client = catalog(ScriptedWire(otherwise=hang), breaker=QUICK)
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            await client.call(due(asyncio.get_running_loop().time() + 0.01))
    assert not client.is_breaker_open


@in_virtual_time
async def test_a_service_that_hangs_past_fair_deadlines_opens_it() -> None:
    client = catalog(ScriptedWire(otherwise=hang), breaker=QUICK)
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await client.call(due(asyncio.get_running_loop().time() + 0.5))
    assert client.is_breaker_open


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ServiceUnavailable("", service="s"), FAILURE),
        (ServiceTimeout("", service="s"), FAILURE),
        (DeadlineCut("", service="s", waited=Seconds(0.1)), FAILURE),
        (DeadlineCut("", service="s", waited=Seconds(0.09)), IGNORED),
        (DeadlineExceeded(""), IGNORED),
        (ServiceContractBroken("", service="s"), SUCCESS),
        (ServiceBreakerOpen("", service="s"), IGNORED),
        (ServiceBulkheadFull("", service="s"), IGNORED),
        (asyncio.CancelledError(), IGNORED),
        (GatewayError("a bug of ours"), IGNORED),
        (ValueError("a bug of ours"), IGNORED),
    ],
)
def test_what_an_error_says_of_the_service(error: BaseException, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


@pytest.mark.parametrize(
    ("field", "value"),
    [("consecutive", 0), ("volume", 0), ("probes", 0), ("successes", 0), ("ratio", 0.0), ("ratio", 1.1), ("spread", 1.0),
     ("window", 0.0), ("open_for", 11.0)],
)  # fmt: skip
def test_impossible_settings_fail_when_built(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        BreakerSettings(**{field: value})  # type: ignore[arg-type]


def test_another_window_holds_from_now_on() -> None:
    state = Breaker(BreakerSettings(window=Seconds(10.0)), lambda: 0.0)
    state.configure(BreakerSettings(window=Seconds(1.0)))
    for number in range(40):  # half of them fail, but only five in a window
        attempt(state, FAILURE if number % 2 else SUCCESS, at=number / 5)
    assert state.state is BreakerState.CLOSED


def test_a_service_that_was_left_alone_is_no_longer_when_its_endpoints_decide() -> None:
    """Nobody asks the breaker of the whole any more, so nobody could find out that it may close."""
    state = Breakers(BreakerSettings(), lambda: 0.0)
    for _ in range(10):
        attempt(state.of("GET /stock"), FAILURE)
    seen = [state.is_open]
    for settings_ in (BreakerSettings(per="endpoint"), BreakerSettings()):
        state.configure(settings_)
        seen.append(state.is_open)
    assert seen == [True, False, False]


def test_what_failed_before_it_was_open_is_not_held_against_it_afterwards() -> None:
    state = Breaker(BreakerSettings(consecutive=1000, volume=4, ramp=0), lambda: 0.0)
    for _ in range(4):
        attempt(state, FAILURE)
    for _ in range(3):
        attempt(state, SUCCESS, at=1.0)  # probes, well within the window
    attempt(state, FAILURE, at=1.1)
    assert state.state is BreakerState.CLOSED


@in_virtual_time
async def test_each_attempt_is_told_once() -> None:
    """Two probes that succeed are not enough where three are asked for."""
    wire = ScriptedWire(broken_off, otherwise=answer())
    client = catalog(wire, breaker=BreakerSettings(consecutive=1, ramp=0))
    with pytest.raises(ServiceUnavailable):
        await client.call(STOCK)
    await asyncio.sleep(1.0)
    seen = list[BreakerState]()
    for _ in range(3):
        await client.call(STOCK)
        seen.append(client.breaker_state)
    assert seen == [BreakerState.HALF_OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
