"""Sagas over the control socket: what operators read and do, and what they are told when it cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.clock import Seconds
from gateway.control import Caller, Commands, Refused
from gateway.control.saga_tables import saga_text, sagas_table
from gateway.saga_commands import saga_commands
from gateway.sagas import EmbeddedHost, Retry, Saga, StepCtx, step
from gateway.testing import MemoryJournal, in_virtual_time
from tests.unit.sagas.world import OWNER, Order, Receipt, World, Write, host_of

PAY = Write("/pay")
MAIL = Write("/mail")


class Buy(Saga[Order, str], version=1):
    @step(pivot=True)
    async def payment(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(PAY, {})

    @step(retry=Retry(attempts=1), after=["payment"])
    async def mail(self, ctx: StepCtx, order: Order) -> Receipt:
        return await ctx.send(MAIL, {})

    def result(self, payment: Receipt) -> str:
        return payment.key


def mail_is_refused(path: str, nth: int) -> str:
    return "refuse" if path == "/mail" and nth == 1 else "ok"


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[EmbeddedHost, str, Any]]:
    """A host with a saga that waits for a person, its id, and a way to command."""
    host = host_of(MemoryJournal(), World(mail_is_refused), sagas=[Buy])
    await host.start()
    ticket = await host.begin(Buy, Order(), owner=OWNER, key="k", input_hash="h", trace={})
    await asyncio.sleep(1)
    commands = Commands(saga_commands(host))

    async def command(name: str, **arguments: Any) -> Any:
        return await commands.run(name, arguments, Caller(uid=1000))

    yield host, ticket.saga_id, command
    await host.stop(Seconds(1))


@in_virtual_time
async def test_the_list_has_what_is_not_over_unless_asked_otherwise() -> None:
    async with desk() as (_, saga_id, command):
        (listed,) = (await command("sagas"))["sagas"]
        over = await command("sagas", states=["COMPLETED"])
    assert (listed["id"], listed["status"], listed["subject"]) == (saga_id, "NEEDS_ATTENTION", OWNER.subject)
    assert over["sagas"] == []


@in_virtual_time
async def test_a_saga_is_shown_with_its_steps_and_its_timeline() -> None:
    async with desk() as (_, saga_id, command):
        shown = await command("sagas show", id=saga_id)
    assert [(each["name"], each["status"]) for each in shown["steps"]] == [("payment", "DONE"), ("mail", "FAILED")]
    assert [each["number"] for each in shown["events"]] == list(range(1, len(shown["events"]) + 1))
    text = saga_text(shown)
    assert "NEEDS_ATTENTION, because of SERVICE_REFUSED" in text
    assert "StepDone" in text


@in_virtual_time
async def test_a_retry_stands_in_the_history_with_who_did_it_and_why() -> None:
    async with desk() as (_, saga_id, command):
        await command("sagas retry", id=saga_id, step="mail", reason="mended")
        await asyncio.sleep(1)
        shown = await command("sagas show", id=saga_id)
    retried = next(each for each in shown["events"] if each["kind"] == "OperatorRetried")
    assert (retried["actor"], retried["reason"], shown["status"]) == ("uid 1000", "mended", "COMPLETED")


@in_virtual_time
async def test_a_step_is_resolved_with_its_result() -> None:
    async with desk() as (_, saga_id, command):
        await command("sagas resolve", id=saga_id, step="mail", reason="sent", verdict="done", result={"key": "m"})
        await asyncio.sleep(1)
        assert (await command("sagas show", id=saga_id))["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("sagas retry", {"step": "payment", "reason": "r"}, "payment is DONE: there is nothing to try again"),
        ("sagas retry", {"step": "mial", "reason": "r"}, "Buy has no step 'mial' (it has: payment, mail)"),
        ("sagas retry", {"step": "mail", "reason": " "}, "a reason is needed"),
        ("sagas resolve", {"step": "mail", "reason": "r"}, "say what became of it: done, not_done or undone"),
        ("sagas resolve", {"step": "mail", "reason": "r", "verdict": "gone"}, "the command's arguments do not fit"),
        ("sagas cancel", {"reason": "r"}, "it waits for a person"),
        ("sagas signal", {"signal": "paid"}, "Buy has no signal 'paid'"),
    ],
)
@in_virtual_time
async def test_what_cannot_be_done_is_told_with_the_reason(name: str, arguments: Mapping[str, Any], why: str) -> None:
    async with desk() as (_, saga_id, command):
        with pytest.raises(Refused, match=why.replace("(", r"\(").replace(")", r"\)")):
            await command(name, id=saga_id, **arguments)


@in_virtual_time
async def test_a_saga_that_is_not_there_is_told_as_such() -> None:
    async with desk() as (_, _id, command):
        for name, arguments in [("sagas show", {}), ("sagas cancel", {"reason": "r"})]:
            with pytest.raises(Refused, match="there is no saga nobody"):
                await command(name, id="nobody", **arguments)


def test_an_empty_list_says_so() -> None:
    assert sagas_table([]) == "no sagas"
