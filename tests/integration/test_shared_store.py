"""A shared store that is a real server: what two gateways have in common, with a password, over TLS, paused, and killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from pydantic import SecretStr

from gateway.clock import LoopClock, Seconds
from gateway.settings import SettingsInvalid
from gateway.shared import RedisClient, SharedStore, StoreUnavailable, address_of, connect
from gateway.shared.redis_client import MAX_CONNECTIONS
from gateway.telemetry import Telemetry
from gateway.testing import Answer, GatewayUnderTest
from tests.redis_server import RedisServer, needs_redis, redis_server
from tests.unit.graph.shop import shop

TEXT = "{ hello }"
HASH = {"persistedQuery": {"version": 1, "sha256Hash": sha256(TEXT.encode()).hexdigest()}}
KEEP = Seconds(60.0)
PASSWORD = "hunter2/:@"
"""One that has to be escaped in a URL."""
ESCAPED = "hunter2%2F%3A%40"


def gateway_at(url: str, **shared: object) -> GatewayUnderTest:
    store = {"url": SecretStr(url), "timeout": Seconds(2.0), **shared}  # 2 s: a machine that others use too
    return shop(shared=store, operation={"persisted": "1KiB"})


async def sent(gateway: GatewayUnderTest, *, text: str | None = None) -> Answer:
    body = {"extensions": HASH} if text is None else {"extensions": HASH, "query": text}
    headers = {"content-type": "application/json", "accept": "application/json"}
    return await gateway.request("POST", "/graphql", body=orjson.dumps(body), headers=headers)


async def is_shared(one: GatewayUnderTest, other: GatewayUnderTest) -> bool:
    """Whether what the first is sent the other serves. The first one is closed: then all is written."""
    async with other:
        async with one:
            assert (await sent(one)).codes == ["PERSISTED_QUERY_NOT_FOUND"]
            assert (await sent(one, text=TEXT)).data == {"hello": "hello you"}
        return bool((await sent(other)).json.get("data") == {"hello": "hello you"})


@needs_redis
async def test_gateways_share_what_clients_had_kept_and_prefixes_keep_them_apart(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        url = f"redis://127.0.0.1:{server.port}/3"
        assert await is_shared(gateway_at(url), gateway_at(url))
        apart = gateway_at(url, prefix="staging:")
        assert not await is_shared(apart, gateway_at(f"redis://127.0.0.1:{server.port}/4", prefix="staging:"))


@needs_redis
async def test_a_password_is_sent_and_a_wrong_one_costs_no_answer(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", PASSWORD) as server:
        right = f"redis://:{ESCAPED}@127.0.0.1:{server.port}"
        assert await is_shared(gateway_at(right), gateway_at(right))
        for wrong in (f"redis://:wrong@127.0.0.1:{server.port}", f"redis://127.0.0.1:{server.port}"):
            async with gateway_at(wrong) as gateway:
                assert (await sent(gateway)).codes == ["PERSISTED_QUERY_NOT_FOUND"]
                assert (await sent(gateway, text=TEXT)).data == {"hello": "hello you"}


CERTIFICATE = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
    *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
]


@needs_redis
async def test_tls_is_spoken_with_a_certificate_that_is_known_and_no_other(tmp_path: Path) -> None:
    making = await asyncio.create_subprocess_exec(*CERTIFICATE, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert await making.wait() == 0
    certificate = str(tmp_path / "cert.pem")
    tls = ["--tls-cert-file", certificate, "--tls-key-file", str(tmp_path / "key.pem"), "--tls-auth-clients", "no"]
    with redis_server(tmp_path, tls=tls) as server:
        url = f"rediss://127.0.0.1:{server.port}"
        assert await is_shared(gateway_at(url, ca_file=certificate), gateway_at(url, ca_file=certificate))
        async with connected(server, scheme="rediss") as client:
            with pytest.raises(Exception, match="certificate verify failed"):
                await client.ping()


@asynccontextmanager
async def connected(server: RedisServer, scheme: str = "redis") -> AsyncIterator[RedisClient]:
    client = connect(address_of(f"{scheme}://127.0.0.1:{server.port}"))
    try:
        yield client
    finally:
        await client.close()


@needs_redis
async def test_values_are_read_as_far_as_asked_and_go_in_their_time(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with connected(server) as client:
            await client.set("long", b"0123456789", keep=KEEP)
            await client.set("short", b"x", keep=Seconds(0.001))
            await asyncio.sleep(0.05)
            assert await client.get("short", at_most=5, keep=KEEP) is None
            assert await client.get("long", at_most=5, keep=Seconds(0.001)) == b"01234"
            await asyncio.sleep(0.05)
            assert await client.get("long", at_most=5, keep=KEEP) is None, "what `keep` said when it was read"
            await client.set("long", b"x", keep=KEEP)
            await client.delete("long")
            assert await client.get("long", at_most=5, keep=KEEP) is None


@needs_redis
async def test_an_answer_that_nobody_waits_for_any_more_is_not_the_next_one_s(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with connected(server) as client, connected(server) as other:
            for key in ("a", "b"):
                await client.set(key, key.encode(), keep=KEEP)
            store = SharedStore(
                client,
                timeout=Seconds(0.02),
                prefix="",
                telemetry=Telemetry(),
                clock=LoopClock(),
                jitter=lambda: 0.0,
            )
            for _ in range(3):
                paused = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", PAUSE, str(server.port), stdout=subprocess.DEVNULL
                )
                assert await paused.wait() == 0
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02):  # cut between question and answer, as one that is given up
                        await client.get("a", at_most=5, keep=KEEP)
                with pytest.raises(StoreUnavailable):
                    await store.ask("get", lambda to: to.get("a", at_most=5, keep=KEEP))
                assert await other.get("b", at_most=5, keep=KEEP) == b"b", "the pause is over"
                answers = [await client.get("b", at_most=5, keep=KEEP) for _ in range(2 * MAX_CONNECTIONS)]
                assert answers == [b"b"] * len(answers)
            await store.close()


PAUSE = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"CLIENT PAUSE 120 ALL\\r\\n")
assert connection.recv(100) == b"+OK\\r\\n"
"""


@needs_redis
async def test_a_process_has_no_more_connections_than_the_bound(tmp_path: Path) -> None:
    with redis_server(
        tmp_path, "--maxclients", str(MAX_CONNECTIONS + 2)
    ) as server:  # who waited for it may not be gone yet
        async with connected(server) as client:
            assert await asyncio.gather(*(client.ping() for _ in range(50))) == [None] * 50


@needs_redis
async def test_a_store_that_is_killed_and_comes_back_fails_no_request(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        port = server.port
        async with gateway_at(f"redis://127.0.0.1:{port}") as one, gateway_at(f"redis://127.0.0.1:{port}") as other:
            await sent(one, text=TEXT)
            while not (await sent(other)).json.get("data"):
                pass
            server.kill()
            for gateway in (one, other):
                assert (await sent(gateway)).data == {"hello": "hello you"}, "by its own memory"
            async with gateway_at(f"redis://127.0.0.1:{port}") as begun:
                for _ in range(20):
                    assert (await sent(begun)).codes == ["PERSISTED_QUERY_NOT_FOUND"]
                assert (await begun.request("GET", "/readyz")).json["shared"] == "left alone"
                with redis_server(tmp_path, port=port):
                    await asyncio.sleep(1)  # as long as it is left alone
                    assert (await sent(begun)).codes == ["PERSISTED_QUERY_NOT_FOUND"], "the probe"
                    assert (await begun.request("GET", "/readyz")).json["shared"] == "ok"


async def test_without_the_extra_a_store_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)  # as if it were not installed
    with pytest.raises(SettingsInvalid, match=r"shared\.url: .*pip install 'sagaql\[redis\]'"):
        gateway_at("redis://127.0.0.1:1")


async def test_certificates_that_are_none_are_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing", encoding="utf-8")
    with pytest.raises(SettingsInvalid, match=r"shared\.ca_file"):
        gateway_at("rediss://127.0.0.1:1", ca_file=str(tmp_path / "cert.pem"))
