"""The guard before a shared store: nobody waits long for it, and what is dead is left alone."""

from __future__ import annotations

import asyncio
import io

import orjson
import pytest

from gateway.clock import Seconds
from gateway.shared import SharedStore, StoreClient, StoreUnavailable
from gateway.shared.store import BREAKER, GIVEN_UP_AFTER, MAX_UNDER_WAY
from gateway.telemetry import Telemetry, json_log
from gateway.testing import VirtualClock, in_virtual_time

from .scripted import ScriptedStore

TIMEOUT = Seconds(0.05)
KEEP = Seconds(60.0)


def guarded(client: StoreClient, telemetry: Telemetry | None = None) -> SharedStore:
    return SharedStore(
        client,
        timeout=TIMEOUT,
        prefix="t:",
        telemetry=telemetry or Telemetry(),
        clock=VirtualClock(),
        jitter=lambda: 0.0,
    )


async def get(store: SharedStore) -> bytes | None:
    return await store.ask("get", lambda client: client.get("key", at_most=10, keep=KEEP))


async def failing(store: SharedStore, times: int = 1) -> float:
    """Seconds that `times` failures took."""
    began = now()
    for _ in range(times):
        with pytest.raises(StoreUnavailable):
            await get(store)
    return now() - began


def states(store: SharedStore) -> tuple[bool, str]:
    """Whether it is left alone, and what its breaker is said to be."""
    return store.is_left_alone, repr(store).partition("<Breaker ")[2].partition(",")[0]


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_what_is_set_is_there_for_as_long_as_it_is_used() -> None:
    store = guarded(ScriptedStore())
    store.later("set", lambda client: client.set("key", b"value", keep=KEEP))
    await asyncio.sleep(0.01)
    for _ in range(3):
        assert await get(store) == b"value"
        await asyncio.sleep(KEEP - 1)
    await asyncio.sleep(2)
    assert await get(store) is None
    await store.close()


@in_virtual_time
async def test_nobody_waits_longer_than_the_timeout_and_the_command_goes_on() -> None:
    client = ScriptedStore()
    client.takes = Seconds(0.2)  # a connection that is far away
    store = guarded(client)
    assert await failing(store) == pytest.approx(TIMEOUT)
    await asyncio.sleep(0.2)
    assert client.answered == 1, "the next one finds it made"
    await store.close()


@in_virtual_time
async def test_a_command_that_hangs_is_given_up() -> None:
    client = ScriptedStore()
    client.takes = Seconds(3_600.0)
    store = guarded(client)
    await failing(store)
    assert repr(store).startswith(f"<SharedStore 1/{MAX_UNDER_WAY} under way")
    await asyncio.sleep(GIVEN_UP_AFTER)
    assert repr(store).startswith(f"<SharedStore 0/{MAX_UNDER_WAY} under way")
    await store.close()


@pytest.mark.parametrize("is_slow", [True, False])
@in_virtual_time
async def test_a_store_that_is_dead_or_slow_is_left_alone_and_then_asked_by_one_at_a_time(is_slow: bool) -> None:
    client = ScriptedStore()
    client.trouble, client.takes = ConnectionError("secret words"), Seconds(0.5 if is_slow else 0.001)
    store = guarded(client)
    await failing(store, BREAKER.consecutive)
    assert states(store) == (True, "open")
    asked = len(client.asked)
    assert await failing(store, 1_000) == 0.0
    assert len(client.asked) == asked

    client.trouble, client.takes = None, Seconds(0.001)
    await asyncio.sleep(BREAKER.open_for)
    answers = await asyncio.gather(*(get(store) for _ in range(10)), return_exceptions=True)
    assert [each for each in answers if not isinstance(each, StoreUnavailable)] == [None], "one probe"
    assert await get(store) is None
    assert states(store) == (False, "closed")
    await store.close()


@in_virtual_time
async def test_an_outage_is_told_once_without_what_the_store_says_and_its_end_too() -> None:
    written = io.StringIO()
    client = ScriptedStore()
    client.trouble = ConnectionError("redis://u:hunter2@store")
    store = guarded(client, Telemetry(log=json_log(written)))
    for _ in range(30):
        await failing(store, 10)
        await asyncio.sleep(1)
    client.trouble = None
    await asyncio.sleep(BREAKER.open_cap)
    await get(store)
    lines = [orjson.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [
        "shared store left alone, each process goes by its own memory",
        "shared store is back",
    ]
    assert lines[0]["reason"] == "ConnectionError"
    assert "hunter2" not in written.getvalue()
    await store.close()


@in_virtual_time
async def test_a_late_answer_of_before_the_outage_does_not_say_that_it_is_over() -> None:
    written = io.StringIO()
    client = ScriptedStore()
    client.takes = Seconds(0.04)
    store = guarded(client, Telemetry(log=json_log(written)))
    late = asyncio.create_task(get(store))
    await asyncio.sleep(0.01)
    client.trouble, client.takes = ConnectionError(), Seconds(0.001)
    await failing(store, BREAKER.consecutive)
    client.trouble = None
    assert await late is None
    assert store.is_left_alone
    assert written.getvalue().count("\n") == 1
    await store.close()


@in_virtual_time
async def test_more_commands_than_the_bound_are_refused_at_once_and_that_is_not_the_stores_failure() -> None:
    client = ScriptedStore()
    client.takes = Seconds(0.04)
    store = guarded(client)
    answers = await asyncio.gather(*(get(store) for _ in range(MAX_UNDER_WAY + 36)), return_exceptions=True)
    assert [isinstance(each, StoreUnavailable) for each in answers].count(True) == 36
    assert len(client.asked) == MAX_UNDER_WAY
    assert not store.is_left_alone
    await store.close()


@in_virtual_time
async def test_who_goes_away_says_nothing_about_the_store_and_gives_the_probe_back() -> None:
    client = ScriptedStore()
    client.trouble = ConnectionError()
    store = guarded(client)
    await failing(store, BREAKER.consecutive)
    await asyncio.sleep(BREAKER.open_for)
    client.trouble, client.takes = None, Seconds(0.03)
    leaving = asyncio.create_task(get(store))
    await asyncio.sleep(0.01)
    leaving.cancel()
    await asyncio.wait({leaving})
    assert await get(store) is None, "it may probe in its place"
    await store.close()


@in_virtual_time
async def test_who_leaves_has_written_what_was_to_be_written_and_nothing_is_begun_afterwards() -> None:
    client = ScriptedStore()
    client.takes = Seconds(0.01)
    store = guarded(client)
    store.later("set", lambda to: to.set("key", b"value", keep=KEEP))
    await store.close()
    assert (client.values["key"][0], client.is_closed) == (b"value", True)
    await failing(store)
    assert client.asked == ["set"]


@in_virtual_time
async def test_who_leaves_a_store_that_hangs_waits_no_longer_than_the_timeout() -> None:
    client = ScriptedStore()
    client.takes = Seconds(3_600.0)
    store = guarded(client)
    store.start()
    asking = asyncio.create_task(failing(store))
    await asyncio.sleep(0.01)
    began = now()
    await store.close()
    assert now() - began <= TIMEOUT
    await asking


@in_virtual_time
async def test_metrics_say_how_commands_ended() -> None:
    client, telemetry = ScriptedStore(), Telemetry()
    store = guarded(client, telemetry)
    await get(store)
    client.trouble = ConnectionError()
    await failing(store)
    client.takes = Seconds(1.0)
    await failing(store)
    told = telemetry.metrics.exposition().decode()
    for outcome in ("ok", "failed", "timeout"):
        assert f'sagaql_shared_store_call_duration_seconds_count{{command="get",outcome="{outcome}"}} 1.0' in told
    assert "sagaql_shared_store_breaker_open 0.0" in told
    await failing(store, BREAKER.consecutive)
    assert "sagaql_shared_store_breaker_open 1.0" in telemetry.metrics.exposition().decode()
    await store.close()
