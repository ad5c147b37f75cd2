"""Rates in a real store: shared by processes, counted as in memory, gone in their time, and what happens when it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr

from gateway.admission import MemoryRates, RateLimit, SharedRates
from gateway.clock import LoopClock, Seconds
from gateway.shared import SharedStore, address_of, connect
from gateway.telemetry import Telemetry
from gateway.testing import Answer, GatewayUnderTest
from tests.redis_server import RedisServer, needs_redis, redis_server
from tests.unit.admission.held import HeldClock
from tests.unit.graph.shop import shop

PATIENT = Seconds(2.0)
"""A machine that others use too."""

SLOW = RateLimit(name="default", rate=0.01, burst=100)
"""A point in 100 s: a test's own time does not count."""


@asynccontextmanager
async def process(server: RedisServer) -> AsyncIterator[tuple[SharedRates, SharedStore]]:
    """What a worker has of a store."""
    clock, telemetry = LoopClock(), Telemetry()
    client = connect(address_of(f"redis://127.0.0.1:{server.port}"))
    store = SharedStore(client, timeout=PATIENT, prefix="t:", telemetry=telemetry, clock=clock, jitter=lambda: 0.0)
    try:
        yield SharedRates(store, when_unreachable="closed", among=1, clock=clock, telemetry=telemetry), store
    finally:
        await store.close()


async def redis(server: RedisServer, *command: str) -> str:
    """What `redis-cli` would say, by the protocol itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each.encode()) for each in command)
    )
    said = await reader.readuntil(b"\r\n")
    if said[:1] == b"*":
        said = b"".join([await reader.readuntil(b"\r\n") for _ in range(2 * int(said[1:]))][1::2])
    writer.close()
    await writer.wait_closed()
    return said.decode().strip()


@needs_redis
async def test_a_store_counts_as_memory_does(tmp_path: Path) -> None:
    random, memory = Random(7), MemoryRates(HeldClock())
    with redis_server(tmp_path) as server:
        async with process(server) as (shared, _):
            for _ in range(300):
                client, points = random.choice("abc"), random.randint(1, 60)
                if random.random() < 0.4:
                    back = random.randint(-80, 40)
                    shared.settle(client, SLOW, points=back)
                    memory.settle(client, SLOW, points=back)
                told, expected = (
                    await shared.take(client, SLOW, points=points),
                    memory.taken(client, SLOW, points=points),
                )
                assert told.is_allowed is expected.is_allowed
                assert told.ahead == pytest.approx(expected.ahead, abs=50)
                assert told.wait == pytest.approx(expected.wait, abs=50)
                if random.random() < 0.2:
                    memory = MemoryRates(HeldClock())
                    await redis(server, "FLUSHALL")
                    await redis(server, "SCRIPT", "FLUSH")  # as a restart does; a script is sent again then
                    for each in "abc":
                        await shared.take(each, SLOW, points=1)
                        memory.taken(each, SLOW, points=1)


@needs_redis
async def test_processes_together_serve_no_more_than_one_and_no_less(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with process(server) as (one, _), process(server) as (other, _):
            verdicts = await asyncio.gather(
                *(rates.take("a", SLOW, points=1) for _ in range(100) for rates in (one, other))
            )
            assert [each.is_allowed for each in verdicts].count(True) == SLOW.burst
            assert (await other.take("b", SLOW, points=1)).is_allowed


@needs_redis
async def test_the_rate_brings_back_what_was_taken(tmp_path: Path) -> None:
    quick = RateLimit(name="default", rate=100, burst=20)
    with redis_server(tmp_path) as server:
        async with process(server) as (rates, _):
            began = asyncio.get_running_loop().time()
            allowed = 0
            while allowed < 60:
                verdict = await rates.take("a", quick, points=1)
                allowed += verdict.is_allowed
                await asyncio.sleep(verdict.wait)
            lasted = asyncio.get_running_loop().time() - began
    assert lasted >= (60 - quick.burst - 1) / quick.rate


@needs_redis
async def test_a_key_says_nobody_s_name_and_goes_when_a_burst_is_there_again(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with process(server) as (rates, _):
            await rates.take(("acme", "carl@example.com"), SLOW, points=3)
            key = await redis(server, "KEYS", "*")
            assert key.startswith("t:rate:")
            assert not [each for each in ("carl", "acme", "example") if each in key]
            left = int((await redis(server, "PTTL", key)).removeprefix(":"))
            assert 200_000 < left <= 300_000
            rates.settle(("acme", "carl@example.com"), SLOW, points=-3)
            await rates.take(("acme", "carl@example.com"), SLOW, points=101)
            assert await redis(server, "EXISTS", key) == ":0"


@needs_redis
async def test_a_clock_that_was_set_back_and_a_value_of_somebody_else_lock_nobody_out(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with process(server) as (rates, _):
            await rates.take("a", SLOW, points=1)
            key = await redis(server, "KEYS", "*")
            await redis(server, "SET", key, "99999999999")
            assert (await rates.take("a", SLOW, points=1)).wait <= SLOW.window * 1.01
            await redis(server, "SET", key, "not a number")
            assert (await rates.take("a", SLOW, points=100)).is_allowed


# -- gateways ----------------------------------------------------------------------------------------------------------


def gateway_at(port: int, **limits: object) -> GatewayUnderTest:
    store = {"url": SecretStr(f"redis://127.0.0.1:{port}"), "timeout": PATIENT}
    return shop(shared=store, limits={"rate": 0.01, "burst": 4, "shared": True, **limits})


async def hello(gateway: GatewayUnderTest) -> Answer:
    return await gateway.execute("{ hello }")


@needs_redis
async def test_gateways_share_what_a_client_may_take(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with gateway_at(server.port) as one, gateway_at(server.port) as other:
            answers = [await hello(each) for each in (one, other, one, other, one, other)]
    assert [each.status for each in answers] == [200] * 4 + [429] * 2
    assert [each.headers["ratelimit"].partition(";t")[0] for each in answers[:4]] == [
        f'"default";r={left}' for left in (3, 2, 1, 0)
    ]


@needs_redis
async def test_a_store_that_is_killed_opens_or_closes_the_door_as_declared_and_comes_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        port = server.port
        async with gateway_at(port) as opened, gateway_at(port, when_unreachable="closed") as closed:
            assert [(await hello(each)).status for each in (opened, closed)] == [200, 200]
            server.kill()
            by_memory = [(await hello(opened)).status for _ in range(6)]
            refused = [await hello(closed) for _ in range(6)]
            with redis_server(tmp_path, port=port):
                await asyncio.sleep(1.1)  # as long as it is left alone
                back = [await hello(each) for each in (opened, closed)]
            metrics = (await closed.request("GET", "/metrics")).body
    assert by_memory == [200] * 4 + [429] * 2, "by its own memory"
    assert {(each.status, *each.codes) for each in refused} == {(503, "RATE_LIMIT_UNAVAILABLE")}
    assert refused[0].headers["retry-after"] == "1"
    assert [each.status for each in back] == [200, 200]
    assert back[1].headers["ratelimit"].startswith('"default";r=2')
    assert b'sagaql_client_limits_total{class="default",outcome="unreachable_closed"} 6.0' in metrics
