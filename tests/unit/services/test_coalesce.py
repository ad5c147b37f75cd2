"""Coalescing: one call for identical reads, and never an answer that was made for somebody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.clock import Deadline, Instant
from gateway.errors import DeadlineExceeded, GatewayError, ServiceUnavailable
from gateway.services import Priority, ServiceRequest, ServiceResponse
from gateway.services.policies import Flights, coalesce
from gateway.testing import ScriptedWire, after, answer, hang, in_virtual_time, run_virtual

from .calling import CLOCK, ORDER, STOCK, broken_off, catalog, due, elapsed, measured, quiet

PUBLIC = replace(STOCK, share=("public", 0))


@in_virtual_time
async def test_a_thousand_identical_reads_are_one_call() -> None:
    telemetry, wire = quiet(), ScriptedWire(after(0.05, answer("one")))
    client = catalog(wire, telemetry=telemetry)
    answers = await asyncio.gather(*(client.call(PUBLIC) for _ in range(1000)))
    assert {each.body for each in answers} == {b'"one"'}
    assert len(wire.sent) == 1
    assert measured(telemetry, "sagaql_service_coalesced_total", {"service": "catalog"}) == 999


@pytest.mark.parametrize(
    "other",
    [
        replace(PUBLIC, share=("public", 1)),
        replace(PUBLIC, share=("tenant", "acme")),
        replace(PUBLIC, headers=(("x-tenant", "t"),)),
        replace(PUBLIC, query=(("sku", "a"),)),
        replace(PUBLIC, path="/prices"),
        replace(PUBLIC, method="POST", is_read=True),
        replace(PUBLIC, method="POST", is_read=True, body=b"{}"),
        replace(PUBLIC, priority=Priority.SHEDDABLE),
        replace(PUBLIC, may_hedge=False),
        replace(PUBLIC, may_retry=False),
    ],
)
@in_virtual_time
async def test_what_could_be_answered_otherwise_is_a_call_of_its_own(other: ServiceRequest) -> None:
    wire = ScriptedWire(otherwise=after(0.05, answer()))
    client = catalog(wire)
    await asyncio.gather(client.call(PUBLIC), client.call(other))
    assert len(wire.sent) == 2


@in_virtual_time
async def test_two_batches_in_bodies_of_their_own_are_two_calls() -> None:
    wire = ScriptedWire(otherwise=after(0.05, answer()))
    client, batch = catalog(wire), replace(PUBLIC, method="POST", is_read=True)
    bodies = [b'{"skus":["a"]}', b'{"skus":["b"]}']
    await asyncio.gather(*(client.call(replace(batch, body=body)) for body in bodies))
    assert [request.body for request in wire.requests] == bodies


@pytest.mark.parametrize("request_", [STOCK, replace(ORDER, share=1), replace(PUBLIC, faults="{}")])
@in_virtual_time
async def test_writes_and_what_is_not_to_be_shared_are_never_coalesced(request_: ServiceRequest) -> None:
    wire = ScriptedWire(otherwise=after(0.05, answer()))
    client = catalog(wire)
    await asyncio.gather(client.call(request_), client.call(request_))
    assert len(wire.sent) == 2


@in_virtual_time
async def test_a_failure_is_shared_too_and_the_next_read_is_a_new_call() -> None:
    wire = ScriptedWire(after(0.05, broken_off), answer("later"))
    client = catalog(wire)
    found = await asyncio.gather(*(client.call(PUBLIC) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [ServiceUnavailable] * 3
    assert (await client.call(PUBLIC)).body == b'"later"'


@in_virtual_time
async def test_when_the_first_leaves_the_next_makes_the_call_and_the_others_wait_for_it() -> None:
    wire = ScriptedWire(hang, after(0.05, answer("second")))
    client = catalog(wire)
    first = asyncio.create_task(client.call(PUBLIC))
    others = [asyncio.create_task(client.call(PUBLIC)) for _ in range(5)]
    await asyncio.sleep(0.01)
    first.cancel()
    assert {each.body for each in await asyncio.gather(*others)} == {b'"second"'}
    assert len(wire.sent) == 2


@in_virtual_time
async def test_a_short_deadline_of_the_first_does_not_end_the_others() -> None:
    wire = ScriptedWire(hang, after(0.05, answer("second")))
    client = catalog(wire)
    first = asyncio.create_task(client.call(due(0.2, PUBLIC)))
    other = asyncio.create_task(client.call(due(5.0, PUBLIC)))
    with pytest.raises(DeadlineExceeded):
        await first
    assert (await other).body == b'"second"'


@in_virtual_time
async def test_nobody_waits_past_its_own_deadline() -> None:
    client = catalog(ScriptedWire(after(1.0, answer())))
    first = asyncio.create_task(client.call(due(5.0, PUBLIC)))
    await asyncio.sleep(0)
    with pytest.raises(DeadlineExceeded, match="asked the same"):
        await client.call(due(0.3, PUBLIC))
    assert elapsed() == pytest.approx(0.3)
    assert (await first).status == 200


@in_virtual_time
async def test_one_that_waits_may_leave_without_disturbing_anybody() -> None:
    client = catalog(ScriptedWire(after(1.0, answer())))
    calls = [asyncio.create_task(client.call(PUBLIC)) for _ in range(3)]
    await asyncio.sleep(0.1)
    calls[1].cancel()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in found] == [ServiceResponse, asyncio.CancelledError, ServiceResponse]


def callers() -> st.SearchStrategy[list[tuple[Any, Any, float, float | None, float | None]]]:
    """(share, header, starts at, is cancelled at, has a deadline of)"""
    instants = st.sampled_from([0.0, 0.01, 0.05, 0.2])
    maybe = st.none() | st.sampled_from([0.01, 0.06, 0.1])
    return st.lists(
        st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["x", "y"]), instants, maybe, maybe), max_size=12
    )


@given(callers(), st.lists(st.sampled_from(["ok", "fail"]), min_size=12, max_size=12))
@settings(max_examples=200, deadline=None)
def test_no_caller_ever_gets_an_answer_that_was_made_for_another(plan: list[Any], fates: list[str]) -> None:
    async def run() -> None:
        flights, fate = Flights(), iter([*fates, *["ok"] * 50])

        async def service(request: ServiceRequest) -> ServiceResponse:
            await asyncio.sleep(0.05)
            if next(fate) == "fail":
                raise broken_off(request)
            return answer([request.share, list(request.headers)])

        call = coalesce(flights, "catalog", enabled=lambda: True, telemetry=quiet())(service)

        async def caller(share: str, header: str, starts: float, deadline: float | None) -> None:
            await asyncio.sleep(starts)
            until = Deadline() if deadline is None else Deadline(Instant(CLOCK.now() + deadline))
            request = replace(STOCK, share=share, headers=(("x-h", header),), deadline=until)
            try:
                async with until.scope():
                    found = await call(request)
            except (GatewayError, TimeoutError):
                return
            assert found.body == answer([share, [["x-h", header]]]).body

        async with asyncio.TaskGroup() as tasks:
            for share, header, starts, leaves, deadline in plan:
                task = tasks.create_task(caller(share, header, starts, deadline))
                if leaves is not None:
                    asyncio.get_running_loop().call_later(starts + leaves, task.cancel)
        assert len(flights) == 0
        assert repr(flights) == "<Flights 0 under way, 0 shared>"

    run_virtual(run())
