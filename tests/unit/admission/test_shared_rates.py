"""Rates in a shared store, as far as a process sees it: what it asks, what it remembers, and what it does without."""

from __future__ import annotations

import asyncio

import pytest

from gateway.admission import RateLimit, SharedRates, WhenUnreachable
from gateway.admission.shared_rates import AT_ONCE
from gateway.clock import Seconds
from gateway.errors import RateLimitUnavailable
from gateway.shared import SharedStore
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock, in_virtual_time
from tests.unit.shared.scripted import ScriptedStore

LIMIT = RateLimit(name="partner", rate=10.0, burst=100)
CLIENT = ("acme", "carl")


class Process:
    """A worker of four, and its store."""

    def __init__(self, *, when_unreachable: WhenUnreachable = "open") -> None:
        self.client, self.telemetry, clock = ScriptedStore(), Telemetry(), VirtualClock()
        self.store = SharedStore(
            self.client,
            timeout=Seconds(0.05),
            prefix="t:",
            telemetry=self.telemetry,
            clock=clock,
            jitter=lambda: 0.0,
        )
        self.rates = SharedRates(
            self.store, when_unreachable=when_unreachable, among=4, clock=clock, telemetry=self.telemetry
        )

    async def take(self, points: int = 1) -> bool:
        return (await self.rates.take(CLIENT, LIMIT, points=points)).is_allowed

    def counted(self, outcome: str) -> float | None:
        labels = {"class": "partner", "outcome": outcome}
        return self.telemetry.metrics.registry.get_sample_value("sagaql_client_limits_total", labels)


@in_virtual_time
async def test_one_question_an_operation_says_what_it_is_worth_and_not_who_asks() -> None:
    one = Process()
    assert await one.take(25)
    [(key, arguments)] = one.client.ran
    assert arguments == ("2.5", "10.0", "0.0")
    assert key.startswith("t:rate:")
    assert "carl" not in key
    assert "acme" not in key
    await one.store.close()


@in_virtual_time
async def test_what_was_too_much_or_too_little_goes_with_the_next_question() -> None:
    one = Process()
    assert await one.take(25)
    one.rates.settle(CLIENT, LIMIT, points=-20)
    one.rates.settle(CLIENT, LIMIT, points=+5)
    assert len(one.client.ran) == 1, "it costs no question of its own"
    assert await one.take(10)
    assert await one.take(10)
    assert [arguments[2] for _, arguments in one.client.ran] == ["0.0", "-1.5", "0.0"]
    await one.store.close()


@in_virtual_time
async def test_who_is_known_to_have_nothing_left_is_refused_without_a_question() -> None:
    one = Process()
    one.client.returns = (0, b"9.95")
    verdict = await one.rates.take(CLIENT, LIMIT, points=100)
    assert not verdict.is_allowed
    assert verdict.wait == pytest.approx(9.95)
    assert not one.rates.look(CLIENT, LIMIT).is_allowed
    assert one.rates.look(("acme", "cleo"), LIMIT).is_allowed
    await asyncio.sleep(0.1)
    assert one.rates.look(CLIENT, LIMIT).is_allowed, "a point is there again"
    assert len(one.client.ran) == 1
    await one.store.close()


@in_virtual_time
async def test_what_is_owed_since_it_was_asked_is_not_forgotten_with_the_answer() -> None:
    one = Process()
    asking = asyncio.ensure_future(one.take(1))
    await asyncio.sleep(0)
    one.rates.settle(CLIENT, LIMIT, points=150)
    one.client.returns = (1, b"0.1")
    assert await asking
    assert not one.rates.look(CLIENT, LIMIT).is_allowed
    await one.store.close()


@in_virtual_time
async def test_who_leaves_while_the_store_is_asked_owes_what_it_owed() -> None:
    one = Process()
    one.rates.settle(CLIENT, LIMIT, points=30)
    one.client.takes = Seconds(1.0)
    asking = asyncio.ensure_future(one.take(1))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    one.client.takes = Seconds(0.0)
    assert await one.take(1)
    [(_, arguments)] = one.client.ran  # the one that was given up is not counted there
    assert arguments[2] == "3.0"
    await one.store.close()


@in_virtual_time
async def test_open_goes_by_the_process_s_own_memory_at_its_part_of_the_rate() -> None:
    one = Process()
    one.client.trouble = ConnectionError()
    assert await one.take(100)
    await asyncio.sleep(4)
    assert await one.take(10), "a quarter of 10 a second"
    assert not await one.take(1)
    assert one.counted("unreachable_open") == 3
    await one.store.close()


@in_virtual_time
async def test_what_is_owed_is_not_forgotten_because_the_store_cannot_hear_of_it() -> None:
    one = Process()
    one.client.trouble = ConnectionError()
    one.rates.settle(CLIENT, LIMIT, points=60)
    assert await one.take(40)
    assert not await one.take(1)
    await one.store.close()


@in_virtual_time
async def test_closed_refuses_what_cannot_be_counted_and_says_that_it_may_be_tried_again() -> None:
    one = Process(when_unreachable="closed")
    one.client.trouble = ConnectionError()
    with pytest.raises(RateLimitUnavailable) as told:
        await one.take()
    assert (told.value.retryable, told.value.status) == (True, 503)
    assert one.counted("unreachable_closed") == 1
    await one.store.close()


@in_virtual_time
async def test_a_slow_store_holds_nobody_up_for_longer_than_its_timeout() -> None:
    one = Process()
    one.client.takes = Seconds(1.0)
    began = asyncio.get_running_loop().time()
    assert await one.take()
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.05)
    await one.store.close()


@in_virtual_time
async def test_more_than_are_asked_at_once_wait_for_their_turn() -> None:
    one = Process(when_unreachable="closed")
    assert await asyncio.gather(*(one.take() for _ in range(10 * AT_ONCE))) == [True] * 10 * AT_ONCE
    one.client.takes = Seconds(0.04)
    outcomes = await asyncio.gather(*(one.take() for _ in range(3 * AT_ONCE)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, RateLimitUnavailable)]
    assert 0 < len(refused) < len(outcomes), "who has waited as long as for the store itself waits no more"
    assert await one.take(), "every turn was given back"
    await one.store.close()


@in_virtual_time
async def test_whoever_leaves_while_it_waits_gives_its_turn_back() -> None:
    one = Process()
    one.client.takes = Seconds(0.02)
    asking = [asyncio.ensure_future(one.take()) for _ in range(3 * AT_ONCE)]
    await asyncio.sleep(0.001)
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await asyncio.sleep(1)
    one.client.takes = Seconds(0.001)
    assert await asyncio.gather(*(one.take() for _ in range(AT_ONCE))) == [True] * AT_ONCE
    await one.store.close()
