"""A game day end to end: one operation meets its faults, everybody else, and every saga, does not."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import msgspec
import pytest

from gateway.clock import Epoch
from gateway.edge.game_day import HEADER, signed
from gateway.graph import build_graph
from gateway.settings import Settings
from gateway.telemetry import Telemetry, json_log
from gateway.testing import GatewayUnderTest, MemoryJournal, ScriptedWire, VirtualClock, after, answer, in_virtual_time
from tests.integration.test_mutations import COOK, SOUP, Mutation, Query
from tests.unit.graph.shop import catalog_answers, graph, inventory_answers, settings, shop, working_wires

KEY = "of-the-game-day-in-march-and-no-other"
QUERY = '{ products(keys: ["a"]) { sku stock { quantity } } }'
OPERATION = {"game_day_key": KEY}
DEAD = '{"inventory": {"error": 1.0}}'


def faults(plan: str, *, key: str = KEY, tenant: str | None = None) -> dict[str, str]:
    return {HEADER: signed(plan, key=key, until=Epoch(VirtualClock()._epoch + 600), tenant=tenant)}


def gateway(wires: Any = None, *, operation: Any = None, log: StringIO | None = None) -> GatewayUnderTest:
    return GatewayUnderTest(
        settings(operation=OPERATION if operation is None else operation),
        graph,
        wires={**working_wires(), **(wires or {})},
        telemetry=Telemetry(log=json_log(log or StringIO())),
        clock=VirtualClock(),
    )


@in_virtual_time
async def test_an_operation_with_faults_meets_them_and_says_so_to_its_client_and_in_its_log_line() -> None:
    log = StringIO()
    async with gateway(log=log) as running:
        with_faults = await running.execute(QUERY, headers=faults(DEAD))
        without = await running.execute(QUERY)

    assert with_faults.data["products"][0]["stock"] is None
    assert with_faults.json["extensions"]["faults"] is True
    assert [each["service"] for each in with_faults.degraded] == ["inventory"]
    assert without.data["products"][0]["stock"] == {"quantity": 1}
    assert "extensions" not in without.json
    lines = [line for line in map(msgspec.json.decode, log.getvalue().splitlines()) if line["event"] == "operation"]
    assert [line.get("faults") for line in lines] == [DEAD, None]


@in_virtual_time
async def test_what_is_read_with_faults_is_shared_with_nobody_who_reads_at_the_same_time() -> None:
    wires = {name: ScriptedWire(otherwise=after(0.1, answers)) for name, answers in ANSWERS.items()}
    async with gateway(wires) as running:
        found = await asyncio.gather(
            running.execute(QUERY), running.execute(QUERY), running.execute(QUERY, headers=faults(DEAD))
        )

    assert [each.data["products"][0]["stock"] for each in found] == [{"quantity": 1}, {"quantity": 1}, None]
    assert len(wires["catalog"].sent) == 2  # the first two share theirs, which is not the third's


ANSWERS = {"catalog": catalog_answers, "inventory": inventory_answers}


@in_virtual_time
async def test_what_is_read_with_faults_stays_in_no_cache() -> None:
    """`stock` is served stale for a quarter of an hour: had the faulty answer been kept, it would be there."""
    slow = '{"inventory": {"slow": 1.0, "latency": 0.01}}'
    dead = ScriptedWire(inventory_answers, otherwise=lambda _: ConnectionError())
    async with gateway({"inventory": dead}) as running:
        fine = await running.execute(QUERY, headers=faults(slow))
        later = await running.execute(QUERY, headers=faults(DEAD))

    assert fine.data["products"][0]["stock"] == {"quantity": 1}
    assert [each["to"] for each in later.degraded] == ["NULL"]


@in_virtual_time
async def test_no_fault_outlasts_the_operation_s_deadline() -> None:
    slow = '{"catalog": {"slow": 1.0, "latency": 3600}}'
    async with gateway() as running:
        began = asyncio.get_running_loop().time()
        found = await running.execute(QUERY, headers={**faults(slow), "x-request-timeout-ms": "500"})
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.5, abs=0.05)
    assert found.codes == ["DEADLINE_EXCEEDED"]


@pytest.mark.parametrize(
    ("operation", "headers", "status", "code"),
    [
        ({}, faults(DEAD), 403, "FORBIDDEN"),
        (OPERATION, faults(DEAD, key="x" * 32), 400, "BAD_REQUEST"),
        (OPERATION, faults(DEAD, tenant="acme"), 400, "BAD_REQUEST"),
        (OPERATION, faults('{"stock": {"error": 1}}'), 400, "BAD_REQUEST"),
        (OPERATION, {HEADER: "on"}, 400, "BAD_REQUEST"),
    ],
    ids=["no key", "forged", "another tenant", "unknown service", "malformed"],
)
@in_virtual_time
async def test_a_header_that_is_not_obeyed_is_refused_before_anything_is_asked(
    operation: Any, headers: dict[str, str], status: int, code: str
) -> None:
    wire = ScriptedWire()
    async with gateway({"catalog": wire}, operation=operation) as running:
        found = await running.execute(QUERY, headers=headers)

    assert (found.status, found.codes, wire.sent) == (status, [code], [])


@in_virtual_time
async def test_the_header_itself_goes_to_no_service() -> None:
    async with shop(operation=OPERATION) as running:
        assert not running.parts.services.forwards(HEADER.lower())


@in_virtual_time
async def test_a_saga_is_never_harmed_by_a_header() -> None:
    wire = ScriptedWire(answer({"ticket": "1"}), otherwise=SOUP)
    async with kitchen_on(wire) as running:
        cooked = await running.execute(COOK, {"key": "k"}, headers=faults(KITCHEN_DEAD))
        read = await running.execute(DISH, headers=faults(KITCHEN_DEAD))

    assert cooked.data["cookDish"] == {"__typename": "CookDishCompleted", "status": "COMPLETED"}
    assert [request.faults for request in wire.requests] == [None]
    assert read.codes == ["SERVICE_UNAVAILABLE"]


@in_virtual_time
async def test_an_answer_that_is_still_fresh_does_not_hide_a_fault() -> None:
    async with kitchen_on(ScriptedWire(otherwise=SOUP)) as running:
        for _ in range(2):
            assert (await running.execute(DISH)).errors == []
        assert (await running.execute(DISH, headers=faults(KITCHEN_DEAD))).codes == ["SERVICE_UNAVAILABLE"]


DISH = '{ dish(name: "soup") { name } }'
KITCHEN_DEAD = '{"kitchen": {"error": 1.0}}'


def kitchen_on(wire: ScriptedWire) -> GatewayUnderTest:
    """The gateway of the mutations' tests, on a game day."""
    kitchen = Settings.model_validate(
        {
            "graph": {"sdl": ""},
            "operation": OPERATION,
            "services": {"kitchen": {"url": "http://kitchen.test", "retry": {"attempts": 1}}},
        }
    )
    return GatewayUnderTest(
        kitchen, build_graph(Query, Mutation), wires={"kitchen": wire}, clock=VirtualClock(), journal=MemoryJournal()
    )
