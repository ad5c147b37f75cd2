"""Documents that clients have kept, shared by gateways: what one was sent the others serve, whatever becomes of the store."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import orjson
import pytest

from gateway.clock import Seconds
from gateway.edge import KnownDocuments, SharedDocuments
from gateway.edge.shared_documents import MAX_SHARED
from gateway.errors import PersistedQueryNotFound
from gateway.shared import SharedStore
from gateway.telemetry import Telemetry
from gateway.testing import Answer, GatewayUnderTest, VirtualClock, in_virtual_time
from gateway.testing.websocket import connected
from tests.unit.graph.shop import shop
from tests.unit.shared.scripted import ScriptedStore

TEXT = "{ hello }"
DIGEST = sha256(TEXT.encode()).hexdigest()
KEY = f"sagaql:apq:{DIGEST}"
HASH = {"persistedQuery": {"version": 1, "sha256Hash": DIGEST}}
DAY = 86_400.0
SETTLED = 0.01
"""Seconds after which a store that is well has written."""


def sharing(store: ScriptedStore) -> GatewayUnderTest:
    return shop(store=store, operation={"persisted": "1KiB"})


async def sent(gateway: GatewayUnderTest, *, text: str | None = None, extensions: Any = HASH) -> Answer:
    body: dict[str, Any] = {"extensions": extensions} if text is None else {"extensions": extensions, "query": text}
    headers = {"content-type": "application/json", "accept": "application/json"}
    return await gateway.request("POST", "/graphql", body=orjson.dumps(body), headers=headers)


def is_served(answer: Answer) -> bool:
    return bool(answer.json.get("data") == {"hello": "hello you"})


def is_unknown(answer: Answer) -> bool:
    return answer.status == 200 and answer.codes == ["PERSISTED_QUERY_NOT_FOUND"]


def looked_up(gateway: GatewayUnderTest) -> dict[str, float]:
    (family,) = gateway.parts.telemetry.metrics.shared_documents.collect()
    return {each.labels["result"]: each.value for each in family.samples if each.name.endswith("_total")}


@in_virtual_time
async def test_what_one_gateway_was_sent_another_serves() -> None:
    store = ScriptedStore()
    async with sharing(store) as one, sharing(store) as other:
        assert is_unknown(await sent(one))
        assert is_served(await sent(one, text=TEXT))
        await asyncio.sleep(SETTLED)
        assert is_served(await sent(other))
        assert (looked_up(one), looked_up(other)) == ({"miss": 1.0}, {"hit": 1.0})


@in_virtual_time
async def test_by_get_too() -> None:
    store = ScriptedStore()
    store.values[KEY] = TEXT.encode(), DAY
    async with sharing(store) as gateway:
        answer = await gateway.request("GET", "/graphql", query={"extensions": orjson.dumps(HASH).decode()})
        assert is_served(answer)


@in_virtual_time
async def test_over_a_websocket_too() -> None:
    store = ScriptedStore()
    store.values[KEY] = TEXT.encode(), DAY
    unknown = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    async with sharing(store) as gateway, connected(gateway.app) as socket:
        await socket.introduce()
        await socket.send(id="1", type="subscribe", payload={"extensions": HASH})
        assert (await socket.receive())["payload"] == {"data": {"hello": "hello you"}}
        assert (await socket.receive())["type"] == "complete"
        await socket.send(id="2", type="subscribe", payload={"extensions": unknown})
        (error,) = (await socket.receive())["payload"]
        assert error["message"] == "PersistedQueryNotFound"


@in_virtual_time
async def test_the_store_is_asked_only_for_a_hash_that_is_not_known_and_told_only_what_is_new() -> None:
    store = ScriptedStore()
    async with sharing(store) as gateway:
        await asyncio.sleep(SETTLED)
        for _ in range(2):
            await sent(gateway, text=TEXT)
            await sent(gateway)
            await gateway.execute(TEXT)
        await asyncio.sleep(SETTLED)
        assert store.asked == ["ping", "set"]


@in_virtual_time
async def test_a_text_stays_for_as_long_as_some_gateway_asks_for_it() -> None:
    store = ScriptedStore()
    async with sharing(store) as first:
        await sent(first, text=TEXT)
    for _ in range(3):
        await asyncio.sleep(0.9 * DAY)
        async with sharing(store) as restarted:
            assert is_served(await sent(restarted))
    await asyncio.sleep(1.1 * DAY)
    async with sharing(store) as last:
        assert is_unknown(await sent(last))


@pytest.mark.parametrize("poison", [b"{ whoami }", b"\xff\xfe", b"{ hello }" * 100_000, b"\x00"], ids=len)
@in_virtual_time
async def test_a_text_that_is_not_of_its_hash_is_neither_served_nor_kept_and_deleted(poison: bytes) -> None:
    store = ScriptedStore()
    store.values[KEY] = poison, 2 * DAY
    async with sharing(store) as gateway:
        assert is_unknown(await sent(gateway))
        await asyncio.sleep(SETTLED)
        assert KEY not in store.values
        assert is_unknown(await sent(gateway)), "it was not kept either"
        assert looked_up(gateway) == {"refused": 1.0, "miss": 1.0}
        assert is_served(await sent(gateway, text=TEXT))


@in_virtual_time
async def test_bytes_that_are_no_text_are_refused_even_under_their_own_hash() -> None:
    garbage = b"\xff\xfe"
    digest = sha256(garbage).hexdigest()
    store = ScriptedStore()
    store.values[f"sagaql:apq:{digest}"] = garbage, DAY
    async with sharing(store) as gateway:
        assert is_unknown(await sent(gateway, extensions={"persistedQuery": {"version": 1, "sha256Hash": digest}}))
        assert looked_up(gateway) == {"refused": 1.0}


@pytest.mark.parametrize(("trouble", "takes"), [(ConnectionError(), 0.0), (ValueError(), 0.0), (None, 3_600.0)])
@in_virtual_time
async def test_a_store_that_is_dead_or_slow_fails_no_request_and_soon_delays_none(
    trouble: Exception | None, takes: float
) -> None:
    store = ScriptedStore()
    store.trouble, store.takes = trouble, Seconds(takes)
    async with sharing(store) as gateway:
        clock = asyncio.get_running_loop()
        began = clock.time()
        for _ in range(100):
            assert is_unknown(await sent(gateway))
        assert clock.time() - began <= 5 * 0.05 + 0.001, "five waited, and then nobody"
        assert is_served(await sent(gateway, text=TEXT))
        assert is_served(await sent(gateway)), "by its own memory"
        assert looked_up(gateway) == {"failed": 100.0}
        ready = await gateway.request("GET", "/readyz")
        assert (ready.status, ready.json["ready"], ready.json["shared"]) == (200, True, "left alone")


@in_virtual_time
async def test_a_gateway_begins_and_ends_with_a_store_that_is_dead() -> None:
    store = ScriptedStore()
    store.trouble = ConnectionRefusedError()
    async with sharing(store) as gateway:
        assert (await gateway.execute(TEXT)).data == {"hello": "hello you"}
    assert store.is_closed


@in_virtual_time
async def test_a_gateway_without_a_store_does_not_speak_of_one() -> None:
    async with shop(operation={"persisted": "1KiB"}) as gateway:
        assert "shared" not in (await gateway.request("GET", "/readyz")).json


@in_virtual_time
async def test_where_clients_may_have_nothing_kept_the_store_is_not_asked() -> None:
    store = ScriptedStore()
    store.values[KEY] = TEXT.encode(), DAY
    async with shop(store=store) as gateway:
        assert (await sent(gateway)).codes == ["PERSISTED_QUERY_NOT_SUPPORTED"]
        assert (await sent(gateway, text=TEXT)).codes == ["PERSISTED_QUERY_NOT_SUPPORTED"]
        await asyncio.sleep(SETTLED)
        assert store.asked == ["ping"]


def documents(store: ScriptedStore, *, persisted: int = 1 << 20, **trusted: Any) -> KnownDocuments:
    telemetry = Telemetry()
    guarded = SharedStore(
        store, timeout=Seconds(0.05), prefix="sagaql:", telemetry=telemetry, clock=VirtualClock(), jitter=lambda: 0.0
    )
    shared = SharedDocuments(guarded, keep=Seconds(DAY), telemetry=telemetry)
    return KnownDocuments(persisted=persisted, shared=shared, **trusted)


@in_virtual_time
async def test_a_long_text_is_kept_here_and_not_in_the_store() -> None:
    store = ScriptedStore()
    known = documents(store)
    for text in ("x" * MAX_SHARED, "x" * (MAX_SHARED + 1)):
        said = {"persistedQuery": {"version": 1, "sha256Hash": sha256(text.encode()).hexdigest()}}
        assert known.text({"query": text}, said) == known.text({}, said) == text
    await asyncio.sleep(SETTLED)
    assert [len(value) for value, _ in store.values.values()] == [MAX_SHARED]
    assert await documents(store).learn(
        {"persistedQuery": {"version": 1, "sha256Hash": sha256(b"x" * MAX_SHARED).hexdigest()}}
    )


@in_virtual_time
async def test_where_only_trusted_documents_are_served_a_text_of_the_store_makes_no_other_trusted() -> None:
    store = ScriptedStore()
    store.values[KEY] = TEXT.encode(), DAY
    known = documents(store, trusted={"other": "{ whoami }"}, only_trusted=True)
    await known.learn(HASH)
    with pytest.raises(PersistedQueryNotFound):
        known.text({}, HASH)


@in_virtual_time
async def test_half_a_character_is_a_text_too() -> None:
    store, text = ScriptedStore(), '{ a(b: "\ud800") }'
    said = {"persistedQuery": {"version": 1, "sha256Hash": sha256(text.encode("utf-8", "surrogatepass")).hexdigest()}}
    documents(store).text({"query": text}, said)
    await asyncio.sleep(SETTLED)
    other = documents(store)
    assert await other.learn(said)
    assert other.text({}, said) == text
