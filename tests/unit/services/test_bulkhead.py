"""The hard cap and its queue: first come, first served, and never a permit lost."""

import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.clock import Deadline, Instant, Seconds
from gateway.errors import ServiceBulkheadFull
from gateway.services.policies import Bulkhead, BulkheadSettings
from gateway.services.request import Priority
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time, run_virtual

from .calling import CLOCK, STOCK, catalog, elapsed, measured, quiet

NEVER = Deadline()


def bulkhead(limit: int = 1, queue: int | None = None, wait: float = 0.1) -> Bulkhead:
    return Bulkhead(BulkheadSettings(limit=limit, queue=queue, wait=Seconds(wait)), "catalog")


async def hold(permits: Bulkhead, seconds: float, *, deadline: Deadline = NEVER) -> None:
    await permits.acquire(deadline, clock=CLOCK)
    try:
        await asyncio.sleep(seconds)
    finally:
        permits.release()


@in_virtual_time
async def test_its_repr_says_how_full_it_is() -> None:
    permits = bulkhead(limit=2)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(hold(permits, 0.05))
        await asyncio.sleep(0.01)
        assert repr(permits) == "<Bulkhead catalog 2/2 in flight, 1 waiting>"
    assert repr(permits) == "<Bulkhead catalog 0/2 in flight, 0 waiting>"


@in_virtual_time
async def test_a_full_queue_refuses_at_once_and_nothing_was_applied() -> None:
    permits = bulkhead(limit=1)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(hold(permits, 0.01))
        await asyncio.sleep(0)
        with pytest.raises(ServiceBulkheadFull, match="1 calls to catalog are under way and 2 wait") as caught:
            await permits.acquire(NEVER, clock=CLOCK)
        assert elapsed() == 0
    assert caught.value.applied is False


@in_virtual_time
async def test_a_wait_ends_after_its_limit() -> None:
    permits = bulkhead()
    holder = asyncio.create_task(hold(permits, 1))
    await asyncio.sleep(0)
    with pytest.raises(ServiceBulkheadFull, match="in time"):
        await permits.acquire(NEVER, clock=CLOCK)
    assert elapsed() == pytest.approx(0.1)
    await holder
    assert permits.in_flight == permits.waiting == 0


@in_virtual_time
async def test_a_wait_ends_at_the_deadline_if_that_is_sooner() -> None:
    permits = bulkhead()
    holder = asyncio.create_task(hold(permits, 1))
    await asyncio.sleep(0)
    with pytest.raises(ServiceBulkheadFull):
        await permits.acquire(Deadline(Instant(0.03)), clock=CLOCK)
    assert elapsed() == pytest.approx(0.03)
    await holder


@in_virtual_time
async def test_who_came_first_goes_first_and_a_newcomer_cannot_overtake() -> None:
    permits, order = bulkhead(limit=1, queue=10), list[int]()

    async def visit(number: int) -> None:
        await permits.acquire(NEVER, clock=CLOCK)
        order.append(number)
        await asyncio.sleep(0.01)
        permits.release()

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(visit(number))
        await asyncio.sleep(0.01)  # the first has just released
        tasks.create_task(visit(5))
    assert order == [0, 1, 2, 3, 4, 5]


@in_virtual_time
async def test_a_waiter_cancelled_in_the_queue_leaves_it() -> None:
    permits = bulkhead()
    holder = asyncio.create_task(hold(permits, 0.05))
    waiter = asyncio.create_task(hold(permits, 0))
    await asyncio.sleep(0.01)
    waiter.cancel()
    await asyncio.sleep(0)
    assert permits.waiting == 0
    await holder
    assert permits.in_flight == 0


@in_virtual_time
async def test_a_waiter_cancelled_just_after_its_permit_came_passes_it_on() -> None:
    permits = bulkhead()
    await permits.acquire(NEVER, clock=CLOCK)
    first, second = asyncio.create_task(hold(permits, 1)), asyncio.create_task(hold(permits, 0))
    await asyncio.sleep(0)
    permits.release()  # to the first
    first.cancel()  # before it ran
    await second
    assert first.cancelled()
    assert permits.in_flight == 0


@in_virtual_time
async def test_a_waiter_cancelled_just_before_its_permit_came_is_skipped() -> None:
    permits = bulkhead()
    await permits.acquire(NEVER, clock=CLOCK)
    first, second = asyncio.create_task(hold(permits, 1)), asyncio.create_task(hold(permits, 0))
    await asyncio.sleep(0)
    first.cancel()
    permits.release()
    await second
    assert first.cancelled()
    assert permits.in_flight == 0


@in_virtual_time
async def test_a_cancelled_holder_gives_its_permit_back() -> None:
    permits = bulkhead()
    holder = asyncio.create_task(hold(permits, 1))
    await asyncio.sleep(0)
    holder.cancel()
    await hold(permits, 0)
    assert permits.in_flight == 0


@dataclass(frozen=True)
class Visit:
    """Hundredths of a second, so that instants collide often."""

    arrives: int
    stays: int
    cancelled_after: int | None


visits = st.builds(Visit, st.integers(0, 12), st.integers(0, 8), st.one_of(st.none(), st.integers(0, 12)))


@given(st.lists(visits, max_size=25), st.integers(1, 3), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_no_permit_is_lost_or_doubled_whatever_is_cancelled_when(plan: list[Visit], limit: int, queue: int) -> None:
    permits, inside = bulkhead(limit=limit, queue=queue, wait=0.04), [0, 0]

    async def visit(stays: int) -> None:
        await permits.acquire(NEVER, clock=CLOCK)
        inside[0] += 1
        inside[1] = max(inside)
        try:
            await asyncio.sleep(stays / 100)
        finally:
            inside[0] -= 1
            permits.release()

    async def come(one: Visit) -> None:
        await asyncio.sleep(one.arrives / 100)
        task = asyncio.create_task(visit(one.stays))
        if one.cancelled_after is not None:
            asyncio.get_running_loop().call_later(one.cancelled_after / 100, task.cancel)
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None or isinstance(task.exception(), ServiceBulkheadFull)
        assert permits.waiting <= queue

    async def all_of_them() -> None:
        await asyncio.gather(*(come(one) for one in plan))

    run_virtual(all_of_them())
    assert inside[1] <= limit
    assert (permits.in_flight, permits.waiting) == (0, 0)


@pytest.mark.parametrize(("field", "value"), [("limit", 0), ("queue", -1), ("wait", -0.1)])
def test_impossible_settings_fail_when_built(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        BulkheadSettings(**{field: value})  # type: ignore[arg-type]


# -- priorities --------------------------------------------------------------------------------------------------------


class Arrivals:
    """Calls of different importance, who note when they are let in."""

    def __init__(self, permits: Bulkhead) -> None:
        self.permits = permits
        self.let_in: list[str] = []
        self.refused: list[str] = []

    async def call(self, name: str, priority: Priority, seconds: float = 0.01) -> None:
        try:
            await self.permits.acquire(NEVER, clock=CLOCK, priority=priority)
        except ServiceBulkheadFull:
            self.refused.append(name)
            return
        self.let_in.append(name)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.permits.release()


@in_virtual_time
async def test_the_most_important_waiter_is_let_in_first_and_within_a_priority_the_first_that_came() -> None:
    arrivals = Arrivals(bulkhead(limit=1, queue=10))
    async with asyncio.TaskGroup() as tasks:
        for name, priority in [
            ("first", Priority.NORMAL),
            ("n1", Priority.NORMAL),
            ("c1", Priority.CRITICAL),
            ("n2", Priority.NORMAL),
            ("c2", Priority.CRITICAL),
        ]:
            tasks.create_task(arrivals.call(name, priority))
    assert arrivals.let_in == ["first", "c1", "c2", "n1", "n2"]


@in_virtual_time
async def test_a_full_queue_drops_its_least_important_and_of_those_the_last() -> None:
    arrivals = Arrivals(Bulkhead(BulkheadSettings(limit=1, queue=2, wait=Seconds(9.0)), "catalog"))
    async with asyncio.TaskGroup() as tasks:
        for number in range(8):
            tasks.create_task(
                arrivals.call(f"c{number}", Priority.CRITICAL)
            )  # one holds, seven of eight places are taken
        tasks.create_task(arrivals.call("n", Priority.NORMAL))
        await asyncio.sleep(0)
        assert arrivals.refused == ["n"]  # for a normal one the queue was full long before
    arrivals = Arrivals(Bulkhead(BulkheadSettings(limit=1, queue=1, wait=Seconds(9.0)), "catalog"))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(arrivals.call("holds", Priority.NORMAL))
        tasks.create_task(arrivals.call("waits", Priority.NORMAL))
        await asyncio.sleep(0)
        for number in range(4):
            tasks.create_task(arrivals.call(f"c{number}", Priority.CRITICAL))
    assert arrivals.refused == ["waits"]
    assert arrivals.let_in == ["holds", "c0", "c1", "c2", "c3"]


@in_virtual_time
async def test_what_is_sheddable_never_waits_and_leaves_a_tenth_to_the_others() -> None:
    arrivals = Arrivals(bulkhead(limit=10))
    async with asyncio.TaskGroup() as tasks:
        for number in range(10):
            tasks.create_task(arrivals.call(f"s{number}", Priority.SHEDDABLE))
        await asyncio.sleep(0)
        assert arrivals.refused == ["s9"]
        tasks.create_task(arrivals.call("n", Priority.NORMAL))
        await asyncio.sleep(0)
        assert arrivals.let_in[-1] == "n"
    assert Bulkhead(BulkheadSettings(limit=1), "catalog").acquire_now(Priority.SHEDDABLE)


@in_virtual_time
async def test_what_is_critical_waits_longer_and_never_past_its_deadline() -> None:
    permits = Bulkhead(BulkheadSettings(limit=1, wait=Seconds(0.1), critical_wait=Seconds(1.0)), "catalog")
    holder = asyncio.create_task(hold(permits, 5))
    await asyncio.sleep(0)
    with pytest.raises(ServiceBulkheadFull):
        await permits.acquire(NEVER, clock=CLOCK, priority=Priority.CRITICAL)
    assert elapsed() == 1.0
    with pytest.raises(ServiceBulkheadFull):
        await permits.acquire(Deadline(Instant(1.3)), clock=CLOCK, priority=Priority.CRITICAL)
    assert elapsed() == pytest.approx(1.3)
    holder.cancel()


@in_virtual_time
async def test_who_is_refused_is_counted_by_priority() -> None:
    telemetry = quiet()
    client = catalog(ScriptedWire(otherwise=hang), bulkhead=BulkheadSettings(limit=1), telemetry=telemetry)
    holder = asyncio.create_task(client.call(STOCK))
    await asyncio.sleep(0)
    with pytest.raises(ServiceBulkheadFull):
        await client.call(replace(STOCK, priority=Priority.SHEDDABLE))
    labels = {"service": "catalog", "priority": "sheddable"}
    assert measured(telemetry, "sagaql_service_shed_total", labels) == 1
    assert measured(telemetry, "sagaql_service_calls_in_flight", {"service": "catalog"}) == 1
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)
    assert measured(telemetry, "sagaql_service_calls_in_flight", {"service": "catalog"}) == 0


# -- other limits at run time ------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_higher_limit_lets_waiters_in_at_once_and_a_lower_one_drains() -> None:
    permits = bulkhead(limit=1, queue=10, wait=9)
    arrivals = Arrivals(permits)
    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(arrivals.call(str(number), Priority.NORMAL, 1.0))
        await asyncio.sleep(0.5)
        permits.configure(BulkheadSettings(limit=3, queue=10, wait=Seconds(9.0)))
        await asyncio.sleep(0)
        assert (permits.in_flight, permits.waiting) == (3, 2)
        permits.configure(BulkheadSettings(limit=1, queue=10, wait=Seconds(9.0)))
        await asyncio.sleep(0.6)  # one of the three has ended, and nobody took its place
        assert (permits.in_flight, permits.waiting) == (2, 2)
    assert arrivals.let_in == ["0", "1", "2", "3", "4"]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_comes_goes_and_changes_no_permit_is_lost_and_nobody_waits_for_a_free_one(data: st.DataObject) -> None:
    async def run() -> None:
        permits, limits = bulkhead(limit=2, queue=3, wait=0.3), [2]
        arrivals = Arrivals(permits)
        calls: list[asyncio.Task[None]] = []
        for number in range(data.draw(st.integers(1, 30))):
            match data.draw(st.sampled_from(["call", "call", "call", "cancel", "wait", "configure"])):
                case "call":
                    priority = data.draw(st.sampled_from(Priority))
                    seconds = data.draw(st.sampled_from([0.0, 0.05, 0.2, 0.5]))
                    calls.append(asyncio.create_task(arrivals.call(str(number), priority, seconds)))
                case "cancel" if calls:
                    data.draw(st.sampled_from(calls)).cancel()
                case "wait":
                    await asyncio.sleep(data.draw(st.sampled_from([0.0, 0.05, 0.2])))
                case "configure":
                    limits.append(data.draw(st.integers(1, 4)))
                    permits.configure(BulkheadSettings(limit=limits[-1], queue=3, wait=Seconds(0.3)))
                case _:
                    pass
            assert 0 <= permits.in_flight <= max(limits)
            assert permits.waiting == 0 or permits.in_flight >= permits.limit or any(not call.done() for call in calls)
        await asyncio.gather(*calls, return_exceptions=True)
        assert (permits.in_flight, permits.waiting) == (0, 0)

    run_virtual(run())


@in_virtual_time
async def test_a_call_writes_down_how_long_its_attempts_waited_and_whoever_need_not_wait_writes_nothing() -> None:
    wire = ScriptedWire(otherwise=after(0.03, answer()))
    client = catalog(wire, bulkhead=BulkheadSettings(limit=1, wait=Seconds(1.0)))
    first, second = list[Seconds](), list[Seconds]()
    await asyncio.gather(client.call(STOCK, waited=first), client.call(STOCK, waited=second))
    assert first == []
    assert second == [pytest.approx(0.03)]


@in_virtual_time
async def test_a_wait_that_was_for_nothing_is_written_down_too() -> None:
    wire = ScriptedWire(otherwise=after(0.5, answer()))
    client = catalog(wire, bulkhead=BulkheadSettings(limit=1, wait=Seconds(0.1)))
    waited = list[Seconds]()
    holding = asyncio.ensure_future(client.call(STOCK))
    await asyncio.sleep(0)
    with pytest.raises(ServiceBulkheadFull):
        await client.call(STOCK, waited=waited)
    await holding
    assert waited == [pytest.approx(0.1)]
