"""Lost replies, late effects, SIGKILL: in the end the ledgers agree with what the sagas say."""

from __future__ import annotations

import random
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.ordering import AS_CUSTOMER, PLACE_ORDER, assert_balanced, order_input, place, saga, stock_of

if TYPE_CHECKING:
    from tests.e2e.conftest import Demo

pytestmark = pytest.mark.e2e

WRITES = [
    ("inventory", "/reservations"),
    ("payments", "/authorizations"),
    ("orders", "/orders"),
    ("payments", "/captures"),
    ("shipping", "/shipments"),
    ("orders", "/orders/confirm"),
]


def settled(demo: Demo, saga_id: str) -> str:
    """The saga's status once it has ended."""
    status = ""

    def has_ended() -> bool:
        nonlocal status
        status = saga(demo, saga_id)["data"]["saga"]["status"]
        return status in {"COMPLETED", "COMPENSATED", "NEEDS_ATTENTION"}

    wait_until(has_ended, saying=f"saga {saga_id} ends", within=40)
    return status


@pytest.mark.parametrize(("service", "path"), WRITES, ids=[path for _, path in WRITES])
def test_a_reply_that_is_lost_after_its_effect_doubles_nothing(demo: Demo, service: str, path: str) -> None:
    demo.service(service).fault({"applyThenDrop": True, "path": path, "times": 2})

    outcome = place(demo)

    assert outcome["__typename"] == "PlaceOrderCompleted"
    assert_balanced(demo, {outcome["sagaId"]: outcome["status"]})


@pytest.mark.parametrize(("service", "path"), WRITES[:3], ids=[path for _, path in WRITES[:3]])
def test_an_effect_that_comes_after_its_undo_is_refused(demo: Demo, service: str, path: str) -> None:
    """Every attempt is cut off and would take effect later: by then the undo has left its tombstone."""
    before = stock_of(demo, "SKU-0021")
    demo.service(service).fault({"applyLate": 4.0, "path": path})

    outcome = place(demo, lines=[("SKU-0021", 2)])
    status = settled(demo, outcome["sagaId"])

    assert status == "COMPENSATED"
    time.sleep(4.5)  # the late effects try to happen now
    assert_balanced(demo, {outcome["sagaId"]: status})
    assert stock_of(demo, "SKU-0021") == before


def test_after_the_point_of_no_return_a_dead_service_delays_the_saga_and_the_client_is_told(demo: Demo) -> None:
    demo.service("shipping").fault({"status": 503})
    headers = {"x-request-timeout-ms": "2000"}

    outcome = place(demo, headers=headers)

    assert (outcome["__typename"], outcome["status"]) == ("SagaAccepted", "FORWARD_ONLY")
    demo.service("shipping").heal()
    assert settled(demo, outcome["sagaId"]) == "COMPLETED"
    assert_balanced(demo, {outcome["sagaId"]: "COMPLETED"})


@pytest.mark.parametrize(("service", "path"), WRITES, ids=[path for _, path in WRITES])
def test_a_gateway_killed_in_the_middle_of_a_step_ends_the_saga_after_its_restart(
    demo: Demo, service: str, path: str
) -> None:
    key = str(uuid.uuid4())
    demo.service(service).fault({"latency": 1.0, "path": path, "times": 1})
    with ThreadPoolExecutor(1) as client:
        lost = client.submit(_try_to_place, demo, key)
        wait_until(lambda: f"POST {path}" in demo.service(service).calls()["byEndpoint"], saying=f"{path} is called")
        demo.kill_gateway()
        assert lost.result() is None
    demo.start_gateway()

    outcome = place(demo, key=key)

    status = settled(demo, outcome["sagaId"])
    assert_balanced(demo, {outcome["sagaId"]: status})
    assert status == "COMPLETED"


def test_orders_under_fire_are_all_done_or_undone(demo: Demo) -> None:
    """A dozen orders at a time through flaky services and three kills; every client retries its own key until it has an answer."""
    dice = random.Random(7)
    for service, path in WRITES:
        demo.service(service).fault({"errorRate": 0.15, "status": 503, "path": path})
    keys = [str(uuid.uuid4()) for _ in range(36)]
    began: dict[str, str] = {}
    with ThreadPoolExecutor(12) as clients:
        orders: list[Future[dict[str, Any]]] = [clients.submit(_persist, demo, key) for key in keys]
        for _ in range(3):
            time.sleep(dice.uniform(0.3, 0.8))
            demo.kill_gateway()
            demo.start_gateway()
        for order in orders:
            began[order.result()["sagaId"]] = ""
    for service, _ in WRITES:
        demo.service(service).heal()

    ended = {saga_id: settled(demo, saga_id) for saga_id in began}

    assert len(ended) == len(keys)
    assert_balanced(demo, ended)


def _try_to_place(demo: Demo, key: str) -> dict[str, Any] | None:
    """One try; None when the gateway went away before it answered."""
    with suppress(httpx.TransportError):
        answer = demo.graphql(PLACE_ORDER, {"input": order_input(), "key": key}, headers=AS_CUSTOMER)
        payload: dict[str, Any] | None = (answer.get("data") or {}).get("placeOrder")
        return payload
    return None


def _persist(demo: Demo, key: str) -> dict[str, Any]:
    """What a client SDK does: the same key until there is an answer."""
    for _ in range(200):
        payload = _try_to_place(demo, key)
        if payload is not None:
            return payload
        time.sleep(0.1)
    raise AssertionError("no answer in twenty seconds")
