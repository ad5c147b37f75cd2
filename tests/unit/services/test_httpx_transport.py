"""httpx over the stack: what an author holds in the hand behaves as httpx does."""

import asyncio

import httpx
import pytest

from gateway.errors import ServiceContractBroken
from gateway.services import Retry
from gateway.services.policies import BreakerSettings, BulkheadSettings
from gateway.testing import ScriptedWire, answer, hang, in_virtual_time

from .calling import broken_off, catalog, elapsed, unreachable


@in_virtual_time
async def test_a_request_arrives_whole_and_under_its_declared_endpoint() -> None:
    wire = ScriptedWire(answer({"id": 1}, headers={"etag": "x"}))
    response = await catalog(wire).http.post(
        "/orders/a%2Fb?tag=x&tag=y z",
        json={"n": 1},
        headers={"Idempotency-Key": "k", "X-Tenant": "t"},
        extensions={"endpoint": "POST /orders/{id}"},
    )
    assert (response.status_code, response.json(), response.headers["etag"]) == (200, {"id": 1}, "x")
    (request,) = wire.requests
    assert (request.method, request.path, request.endpoint) == ("POST", "/orders/a%2Fb", "POST /orders/{id}")
    assert request.query == (("tag", "x"), ("tag", "y z"))
    assert (request.body, request.idempotency_key) == (b'{"n":1}', "k")
    assert dict(request.headers)["x-tenant"] == "t"
    assert not {"host", "content-length", "idempotency-key"} & set(dict(request.headers))


@in_virtual_time
async def test_a_path_is_no_metric_label_unless_declared() -> None:
    wire = ScriptedWire(answer())
    await catalog(wire).http.get("/customers/42")
    assert wire.requests[0].endpoint == "GET *"


@pytest.mark.parametrize("status", [429, 500, 503])
@in_virtual_time
async def test_a_not_now_is_a_response_once_the_attempts_are_spent(status: int) -> None:
    wire = ScriptedWire(otherwise=answer({"why": "busy"}, status=status))
    response = await catalog(wire, retry=Retry(attempts=2)).http.get("/stock")
    assert (response.status_code, response.json(), len(wire.sent)) == (status, {"why": "busy"}, 2)


@in_virtual_time
async def test_its_read_timeout_is_the_deadline_of_the_whole_call() -> None:
    with pytest.raises(httpx.ReadTimeout):
        await catalog(ScriptedWire(hang), attempt_timeout=9).http.get("/stock", timeout=0.7)
    assert elapsed() == pytest.approx(0.7)


@in_virtual_time
async def test_without_a_timeout_there_is_still_a_deadline() -> None:
    with pytest.raises(httpx.ReadTimeout):
        await catalog(ScriptedWire(hang), attempt_timeout=99).http.get("/stock", timeout=None)
    assert elapsed() == 10.0


@in_virtual_time
async def test_a_service_that_cannot_be_reached_is_a_connect_error() -> None:
    with pytest.raises(httpx.ConnectError, match="catalog refused the connection"):
        await catalog(ScriptedWire(unreachable)).http.get("/stock")


@in_virtual_time
async def test_a_broken_connection_is_a_read_error() -> None:
    with pytest.raises(httpx.ReadError):
        await catalog(ScriptedWire(broken_off)).http.get("/stock")


@in_virtual_time
async def test_an_unusable_answer_is_a_protocol_error() -> None:
    broken = ServiceContractBroken("catalog answered with more than 8 bytes", service="catalog")
    with pytest.raises(httpx.RemoteProtocolError):
        await catalog(ScriptedWire(broken)).http.get("/stock")


@in_virtual_time
async def test_an_open_breaker_is_a_connect_error() -> None:
    client = catalog(ScriptedWire(broken_off), breaker=BreakerSettings(consecutive=1))
    for expected in (httpx.ReadError, httpx.ConnectError):
        with pytest.raises(expected):
            await client.http.get("/stock")


@in_virtual_time
async def test_a_full_bulkhead_is_a_pool_timeout() -> None:
    client = catalog(ScriptedWire(hang), bulkhead=BulkheadSettings(limit=1, queue=0))
    holder = asyncio.create_task(client.http.get("/stock"))
    await asyncio.sleep(0.1)
    with pytest.raises(httpx.PoolTimeout):
        await client.http.get("/stock")
    with pytest.raises(httpx.ReadTimeout):
        await holder


@in_virtual_time
async def test_closing_the_http_client_leaves_the_service_open() -> None:
    wire = ScriptedWire(otherwise=answer())
    async with catalog(wire) as client:
        async with client.http:
            await client.http.get("/stock")
        assert wire.is_started
    assert not wire.is_started


@in_virtual_time
async def test_a_cookie_that_was_set_for_one_caller_is_sent_for_no_other() -> None:
    """One client serves everybody: a session of one would be the session of all."""
    wire = ScriptedWire(answer({}, headers={"set-cookie": "session=ann; Path=/"}), answer({}))
    client = catalog(wire).http
    first = await client.get("/login")
    await client.get("/orders")
    assert first.headers["set-cookie"] == "session=ann; Path=/"  # whoever asked may read it
    assert "cookie" not in dict(wire.requests[1].headers)


@in_virtual_time
async def test_no_proxy_of_the_environment_comes_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    wire = ScriptedWire(answer())
    await catalog(wire).http.get("/stock")
    assert len(wire.sent) == 1
