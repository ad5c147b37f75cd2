"""The adaptive limit: it finds what a service bears, follows it, and stays within its bounds."""

import asyncio
from random import Random

import pytest

from gateway.clock import Instant, Seconds
from gateway.services import AnsweredUnavailable, BulkheadSettings, ServiceRequest, ServiceResponse
from gateway.services.limit import AdaptiveLimit
from gateway.testing import ScriptedWire, answer, in_virtual_time

from .calling import STOCK, catalog


class Service:
    """A limit, and a clock that moves with what it is told."""

    def __init__(self, least: int = 4, most: int = 200) -> None:
        self.learnt = AdaptiveLimit(least=least, most=most)
        self.now = 1.0

    def answers(self, count: int, took: float, *, used: float = 1.0) -> None:
        for _ in range(count):
            self.now += took / max(1, self.learnt.value)
            in_flight = int(self.learnt.value * used)
            self.learnt.answered(Seconds(took), in_flight=in_flight, now=Instant(self.now))


def test_while_nothing_slows_down_it_grows_to_its_most() -> None:
    service = Service()
    service.answers(5_000, 0.05)
    assert service.learnt.value >= 100  # 200, or half of it while it is probed
    assert max(seen_values(service, 3_000, 0.05)) == 200


def seen_values(service: Service, count: int, took: float) -> set[int]:
    seen: set[int] = set()
    for _ in range(count):
        service.answers(1, took)
        seen.add(service.learnt.value)
    return seen


def test_what_is_not_used_does_not_grow() -> None:
    service = Service()
    service.answers(2_000, 0.05, used=0.2)
    assert service.learnt.value <= 20


def test_when_attempts_take_longer_than_without_a_queue_it_falls_and_no_lower_than_its_least() -> None:
    service = Service(least=6)
    service.answers(2_000, 0.05)
    before = service.learnt.value
    service.answers(before * 12, 0.5)
    assert service.learnt.value < before
    for number in range(200):
        service.learnt.dropped(Instant(100.0 + number))
    assert service.learnt.value == 6


def test_one_burst_of_refusals_is_one_sign() -> None:
    learnt = AdaptiveLimit(least=4, most=200)
    for number in range(40):
        learnt.answered(Seconds(1.0), in_flight=1, now=Instant(number / 10))
    before = learnt.value
    for _ in range(50):
        learnt.dropped(Instant(10.0))
    assert learnt.value == int(before * 0.9)


def test_it_holds_half_back_now_and_then_to_see_the_time_without_a_queue() -> None:
    service = Service(most=100)
    service.answers(3_000, 0.05)
    assert {50, 100} <= seen_values(service, 30_000, 0.05)


def test_other_bounds_hold_at_once() -> None:
    learnt = AdaptiveLimit(least=4, most=200)
    learnt.configure(least=30, most=50)
    assert learnt.value == 30
    learnt.configure(least=2, most=10)
    assert learnt.value == 10
    assert repr(learnt) == "<AdaptiveLimit 10 of 2 to 10, usual 0 ms>"


@pytest.mark.parametrize("workers", [10, 40])
@in_virtual_time
async def test_it_settles_near_what_a_service_bears(workers: int) -> None:
    random, free = Random(1), asyncio.Semaphore(workers)

    async def behaviour(_: ServiceRequest) -> ServiceResponse:
        async with free:
            await asyncio.sleep(random.uniform(0.04, 0.06))
        return answer()

    adaptive = BulkheadSettings(limit=200, adaptive=True, wait=Seconds(5.0), queue=1000)
    client = catalog(ScriptedWire(otherwise=behaviour), bulkhead=adaptive, attempt_timeout=5)

    async def caller() -> None:
        for _ in range(80):
            await client.call(STOCK)

    seen: list[int] = []

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.1)
            seen.append(client.in_flight)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(caller() for _ in range(150)))
    watching.cancel()
    settled = sorted(seen[len(seen) // 2 :])
    assert 0.9 * workers <= settled[len(settled) // 2] <= 2 * workers


def test_after_an_outage_it_grows_from_its_least_and_not_from_below() -> None:
    service = Service(least=10)
    for number in range(300):
        service.learnt.dropped(Instant(1.0 + number))
    service.now = 400.0
    assert service.learnt.value == 10
    assert max(seen_values(service, 60, 0.05)) > 15


@pytest.mark.parametrize(("status", "limit"), [(429, 9), (503, 9), (500, 10)])
@in_virtual_time
async def test_only_a_refusal_of_too_much_is_a_sign_of_too_much(status: int, limit: int) -> None:
    """A service whose every tenth answer is a bug of its own would be held at its least."""
    adaptive = BulkheadSettings(limit=10, adaptive=True)
    client = catalog(ScriptedWire(answer(status=status)), bulkhead=adaptive)
    with pytest.raises(AnsweredUnavailable):
        await client.call(STOCK)
    assert client.stack.bulkhead.limit == limit
