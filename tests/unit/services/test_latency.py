"""Quantiles of recent attempts, and the timeout that is learnt from them."""

import asyncio
from collections.abc import Iterable
from itertools import accumulate

import pytest
from msgspec.structs import replace

from gateway.clock import Instant, Seconds
from gateway.errors import ServiceTimeout
from gateway.services import latency
from gateway.services.latency import ENOUGH, MAX_ENDPOINTS, Latencies
from gateway.services.request import ServiceRequest
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time
from gateway.testing.wire import Behaviour

from .calling import ORDER, STOCK, catalog, due, elapsed, unreachable

READ = "GET /stock"


def told(latencies: Latencies, *seconds: float, at: float = 0.0, endpoint: str = READ) -> Latencies:
    for each in seconds:
        latencies.record(endpoint, Seconds(each), now=Instant(at))
    return latencies


def quantile(latencies: Latencies, endpoint: str, q: float, *, at: float = 0.0) -> Seconds | None:
    return latencies.quantile(endpoint, q, now=Instant(at))


def test_too_few_attempts_say_nothing_and_fifty_are_enough() -> None:
    assert quantile(told(Latencies(), *[0.01] * ENOUGH), READ, 0.99) is not None
    latencies = told(Latencies(), *[0.01] * (ENOUGH - 1))
    assert quantile(latencies, READ, 0.99) is None
    told(latencies, 0.01)
    told(latencies, *[0.01] * 16)
    assert quantile(latencies, READ, 0.99) == pytest.approx(0.01, rel=0.1)


def test_a_quantile_errs_by_a_tenth_at_most_and_upwards() -> None:
    latencies = told(Latencies(), *(number / 1000 for number in range(1, 1001)))
    for q in (0.5, 0.95, 0.99):
        found = quantile(latencies, READ, q)
        assert found is not None
        assert q <= found <= 1.11 * q


def test_endpoints_do_not_mix_and_too_many_share_one() -> None:
    latencies = told(Latencies(), *[0.01] * 64)
    told(latencies, *[1.0] * 64, endpoint="GET /slow")
    assert quantile(latencies, READ, 0.5) == pytest.approx(0.01, rel=0.1)
    assert quantile(latencies, "GET /slow", 0.5) == pytest.approx(1.0, rel=0.1)
    for number in range(2 * MAX_ENDPOINTS):
        told(latencies, 0.1, endpoint=f"GET /{number}")
    assert repr(latencies) == f"<Latencies of {MAX_ENDPOINTS} endpoints>"
    assert quantile(latencies, "GET /never-seen", 0.5) == pytest.approx(0.1, rel=0.1)


def test_what_is_old_is_forgotten() -> None:
    latencies = told(Latencies(), *[1.0] * 64)
    told(latencies, *[0.01] * 64, at=31)
    assert quantile(latencies, READ, 0.99) == pytest.approx(1.0, rel=0.1)
    told(latencies, *[0.01] * 64, at=62)
    assert quantile(latencies, READ, 0.99) == pytest.approx(0.01, rel=0.1)
    told(latencies, 0.01, at=500)
    assert quantile(latencies, READ, 0.99) is None


def test_what_is_old_is_forgotten_though_nothing_came_since() -> None:
    latencies = told(Latencies(), *[0.01] * 64)
    assert quantile(latencies, READ, 0.99, at=31) == pytest.approx(0.01, rel=0.1)
    assert quantile(latencies, READ, 0.99, at=62) is None


def test_a_quantile_of_many_is_computed_anew_after_a_sixty_fourth_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = list[int]()

    def accumulate_counted(counts: Iterable[int]) -> Iterable[int]:
        computed.append(1)
        return accumulate(counts)

    latencies = told(Latencies(), *[0.01] * 6400)
    monkeypatch.setattr(latency, "accumulate", accumulate_counted)
    for _ in range(6400):
        told(latencies, 0.01)
        assert quantile(latencies, READ, 0.99) == pytest.approx(0.01, rel=0.1)
    assert 40 <= len(computed) <= 64


def test_what_takes_longer_than_a_minute_counts_as_a_minute() -> None:
    assert quantile(told(Latencies(), *[3600.0] * 64), READ, 0.5) == pytest.approx(60, rel=0.1)


def test_the_window_spans_both_halves() -> None:
    latencies = told(Latencies(), *[0.01] * 60)
    told(latencies, *[1.0] * 4, at=31)
    assert quantile(latencies, READ, 0.9, at=31) == pytest.approx(0.01, rel=0.1)
    assert quantile(latencies, READ, 0.99, at=31) == pytest.approx(1.0, rel=0.1)


@in_virtual_time
async def test_a_read_is_cut_after_three_times_its_p99() -> None:
    client = catalog(ScriptedWire(*[after(0.1, answer())] * 64, hang), attempt_timeout=2.0)
    for _ in range(64):
        await client.call(STOCK)
    began = elapsed()
    with pytest.raises(ServiceTimeout):
        await client.call(STOCK)
    assert elapsed() - began == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("takes", [0.001, 0.8])
@in_virtual_time
async def test_what_is_learnt_stays_between_floor_and_longest(takes: float) -> None:
    client = catalog(ScriptedWire(*[after(takes, answer())] * 64, hang), attempt_timeout=2.0)
    for _ in range(64):
        await client.call(STOCK)
    began = elapsed()
    with pytest.raises(ServiceTimeout):
        await client.call(STOCK)
    assert elapsed() - began == pytest.approx(0.25 if takes < 0.1 else 2.0)


@in_virtual_time
async def test_a_read_that_is_a_post_is_cut_like_one() -> None:
    read = replace(ORDER, is_read=True)
    client = catalog(ScriptedWire(*[after(0.1, answer())] * 64, hang), attempt_timeout=2.0)
    for _ in range(64):
        await client.call(read)
    began = elapsed()
    with pytest.raises(ServiceTimeout):
        await client.call(read)
    assert elapsed() - began == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize("key", [None, "k-1"])
@in_virtual_time
async def test_a_write_keeps_the_whole_time_with_a_key_or_without(key: str | None) -> None:
    order = replace(ORDER, idempotency_key=key)
    client = catalog(ScriptedWire(*[answer()] * 64, hang), attempt_timeout=2.0)
    for _ in range(64):
        await client.call(order)
    began = elapsed()
    with pytest.raises(ServiceTimeout):
        await client.call(order)
    assert elapsed() - began == pytest.approx(2.0)


@in_virtual_time
async def test_a_service_that_becomes_slow_is_learnt_within_some_dozens_of_calls_and_one_that_recovers_too() -> None:
    takes = 0.005

    def behaviour(_: ServiceRequest) -> Behaviour | object:
        return after(takes, answer())(STOCK)

    client = catalog(ScriptedWire(otherwise=behaviour), attempt_timeout=2.0)  # type: ignore[arg-type]
    for _ in range(2000):
        await client.call(STOCK)
    takes, failed = 0.6, 0
    for _ in range(100):
        try:
            await client.call(STOCK)
        except ServiceTimeout:
            failed += 1
    assert 0 < failed <= 60
    await client.call(STOCK)

    takes = 0.005
    for _ in range(150):
        await client.call(STOCK)
        await asyncio.sleep(0.6)
    takes, began = 60.0, elapsed()
    with pytest.raises(ServiceTimeout):
        await client.call(STOCK)
    assert elapsed() - began == pytest.approx(0.25)  # quick again for two halves: down to the floor


@pytest.mark.parametrize("ends", ["refused", "cancelled", "cut by the deadline"])
@in_virtual_time
async def test_what_was_not_answered_teaches_nothing(ends: str) -> None:
    client = catalog(ScriptedWire(*[unreachable if ends == "refused" else hang] * 64, hang), attempt_timeout=2.0)
    for _ in range(64):
        call = asyncio.ensure_future(client.call(due(elapsed() + 0.01) if ends.startswith("cut") else STOCK))
        await asyncio.sleep(0.005)
        if ends == "cancelled":
            call.cancel()
        await asyncio.wait({call})
        assert call.cancelled() or call.exception() is not None
    began = elapsed()
    with pytest.raises(ServiceTimeout):
        await client.call(STOCK)
    assert elapsed() - began == pytest.approx(2.0)
