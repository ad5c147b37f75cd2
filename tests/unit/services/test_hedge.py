"""Hedging: a slow read is asked a second time, at most once, and nothing is left behind."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from random import Random

import pytest
from msgspec.structs import replace

from gateway.clock import Instant, Seconds
from gateway.errors import ServiceUnavailable
from gateway.services import BudgetSettings, BulkheadSettings, HedgeSettings, Policy, ServiceRequest, ServiceResponse
from gateway.services.budget import RetryBudget
from gateway.services.latency import Latencies
from gateway.services.policies import Bulkhead, bulkhead, hedge
from gateway.services.timers import Timers
from gateway.telemetry import Telemetry
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time, run_virtual
from gateway.testing.wire import Answer, Step

from .calling import CLOCK, ORDER, STOCK, broken_off, elapsed, measured, quiet

ON = HedgeSettings(enabled=True, share=1.0)
USUAL = 0.01
Call = Callable[[ServiceRequest], Awaitable[ServiceResponse]]


def hedged(
    *steps: Step,
    settings: HedgeSettings | Callable[[], HedgeSettings] = ON,
    budget: float = 100.0,
    telemetry: Telemetry | None = None,
    wire: ScriptedWire | None = None,
    inner: Policy = lambda attempt: attempt,
) -> tuple[Call, ScriptedWire]:
    """The policy over a wire, with a p95 of about 10 ms known."""
    latencies = Latencies()
    for _ in range(64):
        latencies.record("GET /stock", Seconds(USUAL), now=Instant(0.0))
    wire = wire or ScriptedWire(*steps)
    shared = RetryBudget(BudgetSettings(ratio=0.0, reserve=budget))

    async def send(request: ServiceRequest) -> ServiceResponse:
        return await wire.send(request, timeout=Seconds(60))

    policy = hedge(
        settings if callable(settings) else lambda: settings,
        "catalog",
        latencies=latencies,
        timers=Timers(),
        budget=shared,
        telemetry=telemetry or quiet(),
        clock=CLOCK,
    )
    return policy(inner(send)), wire


def others() -> set[asyncio.Task[object]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


@in_virtual_time
async def test_the_second_attempt_wins_and_the_first_is_cancelled() -> None:
    telemetry = quiet()
    call, wire = hedged(hang, after(0.02, answer("second")), telemetry=telemetry)
    assert (await call(STOCK)).body == b'"second"'
    assert elapsed() == pytest.approx(USUAL + 0.02, rel=0.1)
    assert (wire.in_flight, others()) == (0, set())
    assert measured(telemetry, "sagaql_service_hedges_total", {"service": "catalog", "outcome": "won"}) == 1


@in_virtual_time
async def test_the_first_attempt_wins_and_the_second_is_cancelled() -> None:
    telemetry = quiet()
    call, wire = hedged(after(0.02, answer("first")), hang, telemetry=telemetry)
    assert (await call(STOCK)).body == b'"first"'
    assert len(wire.sent) == 2
    assert (wire.in_flight, others()) == (0, set())
    assert measured(telemetry, "sagaql_service_hedges_total", {"service": "catalog", "outcome": "lost"}) == 1


@pytest.mark.parametrize(
    ("request_", "settings"),
    [
        (replace(ORDER, endpoint=STOCK.endpoint), ON),
        (replace(ORDER, endpoint=STOCK.endpoint, idempotency_key="k"), ON),
        (replace(STOCK, may_hedge=False), ON),
        (replace(STOCK, endpoint="GET /unknown"), ON),
        (STOCK, HedgeSettings(share=1.0)),
        (STOCK, HedgeSettings(enabled=True, share=1.0, least=Seconds(9.0))),
    ],
)
@in_virtual_time
async def test_what_may_not_be_hedged_is_sent_once(request_: ServiceRequest, settings: HedgeSettings) -> None:
    call, wire = hedged(after(5, answer()), settings=settings)
    await call(request_)
    assert len(wire.sent) == 1


@in_virtual_time
async def test_a_quick_answer_and_a_quick_failure_are_not_hedged() -> None:
    call, wire = hedged(answer(), broken_off)
    await call(STOCK)
    with pytest.raises(ServiceUnavailable):
        await call(STOCK)
    await asyncio.sleep(1)
    assert len(wire.sent) == 2


@in_virtual_time
async def test_if_one_fails_the_other_is_waited_for() -> None:
    call, _ = hedged(after(0.02, broken_off), after(0.05, answer("second")))
    assert (await call(STOCK)).body == b'"second"'
    call, _ = hedged(after(0.05, answer("first")), after(0.01, broken_off))
    assert (await call(STOCK)).body == b'"first"'


@in_virtual_time
async def test_if_both_fail_the_first_failure_is_told() -> None:
    call, _ = hedged(
        after(0.02, ServiceUnavailable("first", service="s")), after(0.05, ServiceUnavailable("second", service="s"))
    )
    with pytest.raises(ServiceUnavailable, match="first"):
        await call(STOCK)


@in_virtual_time
async def test_the_shared_budget_and_a_share_of_its_own_limit_hedges() -> None:
    telemetry = quiet()
    call, wire = hedged(after(1, answer()), budget=0.0, telemetry=telemetry)
    await call(STOCK)
    assert len(wire.sent) == 1
    assert measured(telemetry, "sagaql_service_hedges_total", {"service": "catalog", "outcome": "refused"}) == 1

    slow = ScriptedWire(otherwise=after(0.05, answer()))
    call, _ = hedged(wire=slow, settings=HedgeSettings(enabled=True, share=0.05))
    for _ in range(100):
        await call(STOCK)
    assert len(slow.sent) == 105


@in_virtual_time
async def test_another_share_holds_at_once() -> None:
    share = 0.0
    call, wire = hedged(
        wire=ScriptedWire(otherwise=after(0.05, answer())), settings=lambda: HedgeSettings(enabled=True, share=share)
    )
    await call(STOCK)
    share = 1.0
    await call(STOCK)
    assert len(wire.sent) == 3


@in_virtual_time
async def test_a_read_that_is_a_post_is_hedged() -> None:
    call, wire = hedged(hang, answer())
    await call(replace(ORDER, endpoint=STOCK.endpoint, is_read=True))
    assert len(wire.sent) == 2


@in_virtual_time
async def test_a_hedge_that_failed_with_the_first_is_counted_as_lost() -> None:
    telemetry = quiet()
    call, _ = hedged(after(0.02, broken_off), after(0.02, broken_off), telemetry=telemetry)
    with pytest.raises(ServiceUnavailable):
        await call(STOCK)
    assert measured(telemetry, "sagaql_service_hedges_total", {"service": "catalog", "outcome": "lost"}) == 1


@in_virtual_time
async def test_a_second_attempt_runs_in_the_context_of_its_own_call() -> None:
    caller: ContextVar[str] = ContextVar("caller", default="nobody")
    ran_for: list[str] = []

    async def send(_: ServiceRequest) -> ServiceResponse:
        ran_for.append(caller.get())
        await asyncio.sleep(0.05)
        return answer()

    call, _ = hedged(wire=ScriptedWire(otherwise=send))

    async def named(name: str) -> None:
        caller.set(name)
        await call(STOCK)

    await asyncio.gather(named("anna"), named("ben"))  # one timer of the loop rings for both, in anna's context
    assert ran_for == ["anna", "ben", "anna", "ben"]


@in_virtual_time
async def test_a_cancellation_from_outside_ends_both_and_passes() -> None:
    call, wire = hedged(hang, hang)
    task = asyncio.ensure_future(call(STOCK))
    await asyncio.sleep(0.05)
    assert wire.in_flight == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (wire.in_flight, others()) == (0, set())


@in_virtual_time
async def test_a_cancellation_in_the_tick_in_which_the_second_wins_still_counts() -> None:
    won: asyncio.Future[ServiceResponse] = asyncio.get_running_loop().create_future()

    async def second(_: ServiceRequest) -> ServiceResponse:
        return await won

    call, wire = hedged(hang, second)
    task = asyncio.ensure_future(call(STOCK))
    await asyncio.sleep(0.05)
    won.set_result(answer())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (wire.in_flight, others()) == (0, set())


@pytest.mark.parametrize("ticks", range(12))
@in_virtual_time
async def test_a_cancellation_counts_in_whatever_tick_after_the_second_answered_it_comes(ticks: int) -> None:
    won: asyncio.Future[ServiceResponse] = asyncio.get_running_loop().create_future()

    async def second(_: ServiceRequest) -> ServiceResponse:
        return await won

    async def slow_to_leave(_: ServiceRequest) -> ServiceResponse:
        try:
            await asyncio.sleep(60)
        finally:
            for _turn in range(20):
                await asyncio.sleep(0)
        raise AssertionError("unreachable")

    call, wire = hedged(slow_to_leave, second)
    task = asyncio.ensure_future(call(STOCK))
    await asyncio.sleep(0.05)
    won.set_result(answer())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert (wire.in_flight, others()) == (0, set())


@in_virtual_time
async def test_a_loser_that_is_slow_to_leave_is_awaited_through_a_cancellation() -> None:
    left: list[float] = []

    async def slow_to_leave(_: ServiceRequest) -> ServiceResponse:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            try:
                await asyncio.sleep(1)  # cancelled again, it stays for another moment
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
            left.append(elapsed())
            raise
        raise AssertionError("unreachable")

    call, wire = hedged(after(0.02, answer("first")), slow_to_leave)
    task = asyncio.ensure_future(call(STOCK))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert left == pytest.approx([0.6])
    assert (wire.in_flight, others()) == (0, set())


@in_virtual_time
async def test_nobody_is_warned_of_a_loser_that_fails_when_it_is_cancelled() -> None:
    warnings: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: warnings.append(context["message"]))

    async def fails_to_leave(_: ServiceRequest) -> ServiceResponse:
        try:
            await asyncio.sleep(60)
        finally:
            raise ServiceUnavailable("left in anger", service="catalog")

    call, _ = hedged(after(0.02, answer("first")), fails_to_leave)
    assert (await call(STOCK)).body == b'"first"'
    del call
    gc.collect()
    assert warnings == []


@pytest.mark.parametrize("seed", range(100))
def test_no_permit_and_no_task_is_lost_whoever_is_cancelled_when(seed: int) -> None:
    async def run() -> None:
        random = Random(seed)

        async def behave(request: ServiceRequest) -> Answer:
            await asyncio.sleep(random.choice([0.004, 0.01, 0.011, 0.02, 0.03]))
            if random.random() < 0.2:
                return await hang(request)
            return answer() if random.random() < 0.5 else broken_off(request)

        permits, wire = (
            Bulkhead(BulkheadSettings(limit=3, wait=Seconds(0.02)), "catalog"),
            ScriptedWire(otherwise=behave),
        )
        call, _ = hedged(wire=wire, inner=bulkhead(permits, "catalog", telemetry=quiet(), clock=CLOCK))

        async def one() -> None:
            await asyncio.sleep(random.choice([0.0, 0.001, 0.01]))
            async with asyncio.timeout(random.choice([0.015, 0.031, 0.1])):
                await call(STOCK)

        calls = [asyncio.ensure_future(one()) for _ in range(6)]
        for task in random.sample(calls, 3):
            await asyncio.sleep(random.choice([0.0, 0.001, 0.01, 0.011]))
            task.cancel()
        await asyncio.wait(calls)
        assert not any(isinstance(_failure(task), AssertionError) for task in calls)
        assert repr(permits) == "<Bulkhead catalog 0/3 in flight, 0 waiting>"
        assert (wire.in_flight, others()) == (0, set())

    run_virtual(run())


def _failure(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_when_nothing_is_left_and_a_timeout_above_still_works(seed: int) -> None:
    async def run() -> None:
        random = Random(seed)

        def step() -> Step:
            steps: list[Step] = [answer(), broken_off, hang]
            return after(random.choice([0.005, 0.02, 0.02, 0.03]), random.choice(steps))

        call, wire = hedged(step(), step())
        task = asyncio.current_task()
        assert task is not None
        limit = random.choice([0.01, 0.02, USUAL * 1.1 + 0.02, 0.03, 1.0])
        try:
            async with asyncio.timeout(limit):
                await call(STOCK)
        except (TimeoutError, ServiceUnavailable):
            pass
        assert (wire.in_flight, others(), task.cancelling()) == (0, set(), 0)
        await asyncio.sleep(0)  # no cancellation is left over

    run_virtual(run())
