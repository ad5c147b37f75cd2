"""A service as a process: what survives SIGKILL, how it leaves on SIGTERM, and that it cannot be orphaned."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Callable

import httpx
import pytest

from tests.demo.front import Front, until

pytestmark = pytest.mark.e2e

StartService = Callable[..., tuple[subprocess.Popen[bytes], str]]
CHARGE = {"token": "tok_ok", "amountMinor": 500, "currencyCode": "EUR", "reference": "o-1"}


async def test_an_answered_effect_survives_sigkill(start_service: StartService) -> None:
    process, url = start_service("payments")
    async with httpx.AsyncClient(base_url=url) as client:
        made = await Front(client).post("/authorizations", CHARGE, key="k-1")
        process.kill()
        process.wait(5)
    _, url = start_service("payments")
    async with httpx.AsyncClient(base_url=url) as client:
        payments = Front(client)
        assert await payments.effects() == ["authorize"]
        assert await payments.get(f"/payments?ids={made.json()['paymentId']}") == [made.json()]
        again = await payments.post("/authorizations", CHARGE, key="k-1")
        assert (again.content, again.headers["idempotent-replay"]) == (made.content, "true")


async def test_sigterm_lets_the_running_request_finish_and_exits_cleanly(start_service: StartService) -> None:
    process, url = start_service("payments")
    async with httpx.AsyncClient(base_url=url) as client:
        payments = Front(client)
        await payments.break_with(latency=0.3)
        running = asyncio.create_task(payments.post("/authorizations", CHARGE))
        await until(payments.was_called)
        process.send_signal(signal.SIGTERM)
        assert (await running).status_code == 201
    assert await asyncio.to_thread(process.wait, 5) == 0


async def test_sigterm_does_not_wait_for_ever_for_a_hanging_request(start_service: StartService) -> None:
    process, url = start_service("catalog")
    async with httpx.AsyncClient(base_url=url) as client:
        catalog = Front(client)
        await catalog.break_with(hang=True)
        hanging = asyncio.create_task(client.get("/products"))
        await until(catalog.was_called)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 5) == 0
        with pytest.raises(httpx.RemoteProtocolError):
            await hanging


async def test_with_a_lifeline_the_service_ends_when_its_input_does(start_service: StartService) -> None:
    process, _ = start_service("reviews", "--lifeline")
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.to_thread(process.wait, 5) == 0


async def test_without_a_lifeline_the_end_of_input_means_nothing(start_service: StartService) -> None:
    process, url = start_service("reviews")
    assert process.stdin is not None
    process.stdin.close()
    async with httpx.AsyncClient(base_url=url) as client:
        await asyncio.sleep(0.05)
        assert (await client.get("/health")).json() == {"status": "ok", "service": "reviews"}
