"""Permits of operations: so many and no more, a short wait for the next, and all of them come back."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Admission, Rank
from gateway.clock import Deadline, Instant, LoopClock
from gateway.errors import Draining, Overloaded
from gateway.overload_limits import OverloadLimits
from gateway.telemetry import Telemetry
from gateway.testing import in_virtual_time, run_virtual

USUAL, NO_WAIT = OverloadLimits(), OverloadLimits(queue=0)
NONE = Deadline()


def admission(limit: int, *, limits: OverloadLimits = USUAL, telemetry: Telemetry | None = None) -> Admission:
    return Admission(limit, telemetry=telemetry or Telemetry(), clock=LoopClock(), limits=limits, random=Random(1))


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.metrics.registry.get_sample_value(name, labels)


class Crowd:
    """Operations that hold a permit for a second each."""

    def __init__(self, of: Admission) -> None:
        self.begun = list[str]()
        self.refused = list[str]()
        self._admission = of
        self._tasks = list[asyncio.Task[None]]()

    def add(self, name: str, rank: Rank = Rank.QUERY, *, client: Hashable = "", deadline: Deadline = NONE) -> None:
        self._tasks.append(asyncio.ensure_future(self._run(name, rank, client, deadline)))

    async def _run(self, name: str, rank: Rank, client: Hashable, deadline: Deadline) -> None:
        try:
            async with self._admission.permit(rank, client=client, deadline=deadline):
                self.begun.append(name)
                await asyncio.sleep(0.1)
        except Overloaded:
            self.refused.append(name)

    async def all(self) -> None:
        await asyncio.gather(*self._tasks)


@in_virtual_time
async def test_beyond_the_limit_and_the_queue_the_numbers_are_told() -> None:
    telemetry = Telemetry()
    one = admission(1, limits=NO_WAIT, telemetry=telemetry)
    async with one.permit():
        assert repr(one) == "<Admission 1/1 in flight>"
        assert sample(telemetry, "sagaql_operations_in_flight") == 1
        with pytest.raises(Overloaded, match="1 operations are under way and 0 wait") as refused:
            async with one.permit():
                raise AssertionError("never entered")
    assert 1 <= refused.value.retry_after <= 4
    assert (repr(one), sample(telemetry, "sagaql_operations_in_flight")) == ("<Admission 0/1 in flight>", 0)
    assert sample(telemetry, "sagaql_operations_shed_total", rank="query") == 1


@in_virtual_time
async def test_those_who_are_refused_together_are_not_told_to_come_back_together() -> None:
    one, told = admission(1, limits=NO_WAIT), set[int]()
    async with one.permit():
        for _ in range(30):
            with pytest.raises(Overloaded) as refused:
                async with one.permit():
                    raise AssertionError("never entered")
            told.add(refused.value.retry_after)
    assert told == {1, 2, 3, 4}


@in_virtual_time
async def test_nor_are_those_whose_subscriptions_are_too_many() -> None:
    one, told = admission(1), set[int]()
    one.max_streams = 0
    for _ in range(30):
        with pytest.raises(Overloaded) as refused, one.stream():
            raise AssertionError("never entered")
        told.add(refused.value.retry_after)
    assert told == {1, 2, 3, 4}


@in_virtual_time
async def test_who_waits_has_the_permit_as_soon_as_one_is_free() -> None:
    telemetry = Telemetry()
    one = admission(1, telemetry=telemetry)
    crowd = Crowd(one)
    for name in "abc":
        crowd.add(name, client=name)
    await asyncio.sleep(0.05)
    assert (repr(one), sample(telemetry, "sagaql_operations_waiting")) == ("<Admission 1/1 in flight, 2 waiting>", 2)
    await crowd.all()
    assert (crowd.begun, crowd.refused) == (["a", "b", "c"], [])
    assert sample(telemetry, "sagaql_operation_wait_seconds_sum") == pytest.approx(0.3)


@in_virtual_time
async def test_a_query_waits_a_quarter_second_and_a_mutation_a_second() -> None:
    one = admission(1)
    crowd = Crowd(one)
    async with one.permit():
        for rank in (Rank.BACKGROUND, Rank.QUERY, Rank.MUTATION, Rank.CRITICAL):
            crowd.add(rank.word, rank)
        await asyncio.sleep(0.01)
        assert crowd.refused == ["background"]
        await asyncio.sleep(0.3)
        assert crowd.refused == ["background", "query"]
        await asyncio.sleep(0.8)
        assert crowd.refused == ["background", "query", "mutation"]
    await crowd.all()
    assert (crowd.begun, one.in_flight) == (["critical"], 0)


@in_virtual_time
async def test_nobody_waits_beyond_the_deadline() -> None:
    one = admission(1)
    crowd = Crowd(one)
    async with one.permit():
        crowd.add("hurried", Rank.CRITICAL, deadline=Deadline(Instant(0.05)))
        await asyncio.sleep(0.1)
        assert crowd.refused == ["hurried"]


@in_virtual_time
async def test_the_important_go_first_and_a_newcomer_does_not_overtake_its_equals() -> None:
    one = admission(1)
    crowd = Crowd(one)
    crowd.add("first")
    await asyncio.sleep(0)
    crowd.add("query", client="a")
    crowd.add("mutation", Rank.MUTATION, client="a")
    await asyncio.sleep(0.1)
    crowd.add("late query", client="b")
    await crowd.all()
    assert crowd.begun == ["first", "mutation", "query", "late query"]


@in_virtual_time
async def test_lower_ranks_leave_room_for_higher_ones() -> None:
    twenty = admission(20)
    assert [twenty.limit_of(rank) for rank in Rank] == [10, 18, 19, 20]
    assert [admission(1).limit_of(rank) for rank in Rank] == [1, 1, 1, 1]


@in_virtual_time
async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    one = admission(1)
    async with one.permit():
        waiting = asyncio.ensure_future(_entered(one))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert one.waiting == 0
    assert one.in_flight == 0


@in_virtual_time
async def test_a_permit_that_was_given_to_who_gave_up_in_the_same_tick_goes_on() -> None:
    one = admission(1)
    crowd = Crowd(one)
    async with one.permit():
        waiting = asyncio.ensure_future(_entered(one))
        await asyncio.sleep(0.01)
        crowd.add("next")
        await asyncio.sleep(0.01)
    waiting.cancel()  # the permit is its own already, but it has not run since
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await crowd.all()
    assert (crowd.begun, one.in_flight) == (["next"], 0)


@in_virtual_time
async def test_while_draining_nobody_enters_and_whoever_is_in_goes_out() -> None:
    two = admission(2)
    async with two.permit():
        two.is_draining = True
        with pytest.raises(Draining):
            async with two.permit():
                raise AssertionError("never entered")
        assert repr(two) == "<Admission 1/2 in flight, draining>"
    assert two.in_flight == 0


async def _entered(one: Admission) -> None:
    async with one.permit():
        pass


@given(st.lists(st.sampled_from([None, ValueError, KeyboardInterrupt]), max_size=20))
def test_however_an_operation_ends_its_permit_comes_back(ends: list[type[BaseException] | None]) -> None:
    async def run() -> int:
        one = admission(1)
        for end in ends:
            try:
                async with one.permit():
                    if end is not None:
                        raise end
            except (ValueError, KeyboardInterrupt):
                pass
        return one.in_flight

    assert run_virtual(run()) == 0


@given(
    st.integers(1, 4),
    st.integers(0, 4),
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(Rank), st.sampled_from("ab"), st.integers(0, 40), st.booleans()),
        max_size=25,
    ),
)
def test_permits_are_never_more_than_the_limit_and_none_is_lost(
    limit: int, queue: int, arrivals: list[tuple[int, Rank, str, int, bool]]
) -> None:
    """Arrivals and cancellations at random instants of a virtual second."""

    async def run() -> None:
        one, inside = admission(limit, limits=OverloadLimits(queue=queue)), [0]

        async def operation(at: int, rank: Rank, client: str) -> None:
            await asyncio.sleep(at / 100)
            try:
                async with one.permit(rank, client=client):
                    inside[0] += 1
                    assert inside[0] <= one.in_flight <= limit  # who was given one may not have run since
                    try:
                        await asyncio.sleep(0.07)
                    finally:
                        inside[0] -= 1
            except Overloaded:
                pass

        tasks = [asyncio.ensure_future(operation(at, rank, client)) for at, rank, client, _, _ in arrivals]
        for task, (_, _, _, ends, is_cancelled) in zip(tasks, arrivals, strict=True):
            if is_cancelled:
                asyncio.get_running_loop().call_later(ends / 100, task.cancel)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in outcomes if each is not None and not isinstance(each, asyncio.CancelledError)] == []
        assert (one.in_flight, one.waiting) == (0, 0)

    run_virtual(run())
