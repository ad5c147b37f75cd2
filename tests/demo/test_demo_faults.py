from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from demo.kit.faults import Behaviour, Fault, behaviour
from tests.demo.front import Front, OpenService, until

RESERVE = {"lines": [{"sku": "SKU-0001", "quantity": 1}]}


@pytest.fixture
def inventory_url(start_service: Callable[..., tuple[Any, str]]) -> str:
    _, url = start_service("inventory")
    return url


def _over_sockets(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=0.3)


@pytest.mark.parametrize(
    ("fault", "draw", "met"),
    [
        (Fault(), 0.0, Behaviour.WORK),
        (Fault(latency=1.0), 0.0, Behaviour.WORK),
        (Fault(error_rate=0.3), 0.29, Behaviour.FAIL),
        (Fault(error_rate=0.3), 0.3, Behaviour.WORK),
        (Fault(error_rate=0.0, status=500), 0.0, Behaviour.WORK),
        (Fault(status=500), 0.999, Behaviour.FAIL),
        (Fault(error_rate=0.3, hang=True), 0.5, Behaviour.HANG),
        (Fault(garbage=True), 0.5, Behaviour.BABBLE),
        (Fault(apply_late=0.0), 0.5, Behaviour.APPLY_LATE),
        (Fault(apply_then_drop=True), 0.5, Behaviour.APPLY_THEN_DROP),
        (Fault(trickle=True), 0.5, Behaviour.TRICKLE),
    ],
)
def test_a_fault_and_a_draw_decide_what_a_request_meets(fault: Fault, draw: float, met: Behaviour) -> None:
    assert behaviour(fault, draw=draw) is met


async def test_the_switch_shows_what_is_set_and_nothing_after_it_was_cleared(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    assert await inventory.get("/__fault") == {}
    await inventory.break_with(errorRate=0.5, status=502, path="/stock", times=3)
    assert await inventory.get("/__fault") == {"errorRate": 0.5, "status": 502, "path": "/stock", "times": 3}
    assert (await inventory.client.delete("/__fault")).status_code == 200
    assert await inventory.get("/__fault") == {}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({"latancy": 1}, "latancy"),
        ({"latency": "1"}, "latency"),
        ({"latency": True}, "latency"),
        ({"latency": -1}, "latency"),
        ({"errorRate": 1.5}, "errorRate"),
        ({"status": 200}, "status"),
        ({"hang": 1}, "hang"),
        ({"times": 0}, "times"),
        ({"path": "/stok"}, "/stok"),
        ([], "array"),
    ],
)
async def test_a_fault_that_makes_no_sense_is_named(fault: Any, named: str, open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    response = await inventory.client.put("/__fault", json=fault)
    assert response.status_code == 400
    assert named in response.json()["message"]
    assert await inventory.get("/__fault") == {}


async def test_latency_delays_one_request_and_not_the_others(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.break_with(latency=0.05, path="/stock")
    began = time.monotonic()
    slow = asyncio.create_task(inventory.get("/stock?skus=SKU-0001"))
    assert (await inventory.post("/reservations", RESERVE)).status_code == 201
    assert not slow.done()
    assert len(await slow) == 1
    assert time.monotonic() - began >= 0.05


async def test_a_status_alone_fails_every_request_without_effect(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.break_with(status=500)
    response = await inventory.post("/reservations", RESERVE, key="k-1")
    assert (response.status_code, response.json()["code"]) == (500, "FAULT")
    assert await inventory.effects() == []
    assert (await inventory.get("/health"))["status"] == "ok"
    await inventory.client.delete("/__fault")
    assert (await inventory.post("/reservations", RESERVE, key="k-1")).status_code == 201


async def test_an_error_rate_fails_its_share_the_same_way_each_time_it_is_set(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    runs: list[list[int]] = []
    for _ in range(2):
        await inventory.break_with(errorRate=0.3)
        asked = [await inventory.client.get("/stock?skus=SKU-0001") for _ in range(100)]
        runs.append([response.status_code for response in asked])
    assert runs[0] == runs[1]
    assert 20 <= runs[0].count(503) <= 40
    assert set(runs[0]) == {200, 503}


async def test_a_fault_with_a_path_and_times_breaks_only_so_many_requests_there(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.break_with(status=503, path="/reservations", times=2)
    assert len(await inventory.get("/stock?skus=SKU-0001")) == 1
    statuses = [(await inventory.post("/reservations", RESERVE)).status_code for _ in range(3)]
    assert statuses == [503, 503, 201]


async def test_garbage_claims_to_be_json_and_is_not(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.break_with(garbage=True)
    response = await inventory.client.get("/stock?skus=SKU-0001")
    assert response.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        response.json()


async def test_a_broken_request_is_counted(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.break_with(status=503)
    await inventory.client.get("/stock?skus=SKU-0001")
    assert await inventory.get("/__calls") == {"total": 1, "byEndpoint": {"GET /stock": 1}}


async def test_a_late_effect_is_kept_out_by_the_undo_that_overtook_it(open_service: OpenService) -> None:
    inventory = await open_service("inventory")
    await inventory.break_with(applyLate=0.03, times=1)
    with pytest.raises(ConnectionAbortedError):
        await inventory.post("/reservations", RESERVE, key="late")
    undone = await inventory.post("/reservations/release", {"forwardKey": "late"})
    assert undone.json() == {"released": False}
    await asyncio.sleep(0.05)
    assert await inventory.effects() == []
    assert (await inventory.post("/reservations", RESERVE, key="late")).status_code == 410


@pytest.mark.e2e
async def test_over_real_sockets_a_dropped_answer_leaves_its_effect_and_no_byte(inventory_url: str) -> None:
    async with _over_sockets(inventory_url) as client:
        inventory = Front(client)
        await inventory.break_with(applyThenDrop=True, times=1)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await inventory.post("/reservations", RESERVE, key="dropped")
        assert await inventory.effects() == ["reserve"]
        again = await inventory.post("/reservations", RESERVE, key="dropped")
        assert (again.status_code, again.headers["idempotent-replay"]) == (201, "true")
        assert await inventory.effects() == ["reserve"]


@pytest.mark.e2e
async def test_over_real_sockets_a_late_effect_comes_after_the_cut(inventory_url: str) -> None:
    async with _over_sockets(inventory_url) as client:
        inventory = Front(client)
        await inventory.break_with(applyLate=0.1, times=1)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await inventory.post("/reservations", RESERVE, key="late")
        assert await inventory.effects() == []
        await until(inventory.has_effects)
        assert (await inventory.post("/reservations", RESERVE, key="late")).headers["idempotent-replay"] == "true"


@pytest.mark.e2e
async def test_over_real_sockets_a_hanging_request_is_silent_and_blocks_nobody(inventory_url: str) -> None:
    async with _over_sockets(inventory_url) as client:
        inventory = Front(client)
        await inventory.break_with(hang=True, path="/stock")
        hanging = asyncio.create_task(client.get("/stock?skus=SKU-0001"))
        assert (await inventory.post("/reservations", RESERVE)).status_code == 201
        with pytest.raises(httpx.ReadTimeout):
            await hanging


@pytest.mark.e2e
async def test_over_real_sockets_a_trickle_outlasts_timeouts_that_each_byte_resets(inventory_url: str) -> None:
    async with _over_sockets(inventory_url) as client:
        await Front(client).break_with(trickle=True)
        async with client.stream("GET", "/stock?skus=SKU-0001", timeout=0.5) as answer:
            received = answer.aiter_raw()
            pieces = [await anext(received) for _ in range(3)]
            assert answer.status_code == 200
            assert int(answer.headers["content-length"]) * 0.2 / len(pieces[0]) >= 60
        assert b"".join(pieces) == b'[{"sku":"SKU'
        assert (await client.get("/health")).status_code == 200


@pytest.mark.e2e
async def test_over_real_sockets_slow_work_is_done_although_the_caller_has_left(inventory_url: str) -> None:
    async with _over_sockets(inventory_url) as client:
        inventory = Front(client)
        await inventory.break_with(latency=0.1, times=1)
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/reservations", json=RESERVE, headers={"Idempotency-Key": "slow"}, timeout=0.02)
        await until(inventory.has_effects)
