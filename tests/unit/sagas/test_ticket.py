"""A saga that waits and finds out, run by a host: days pass, the process dies, services lose their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest

from gateway.clock import Seconds
from gateway.errors import ServiceTimeout
from gateway.sagas import (
    CommandLike,
    Completed,
    EmbeddedHost,
    Failed,
    IdempotencyConflict,
    Rejected,
    SagaState,
    Signal,
    StepState,
    Taken,
    Ticket,
)
from gateway.testing import MemoryJournal, VirtualClock, in_virtual_time

from .ticket import SellTicket, TicketInput
from .world import OWNER, quiet

V = TypeVar("V")
DAY = 86_400.0


class Town:
    """Hall and billing: what they did by idempotency key, and when they were asked. They keep no tombstones."""

    def __init__(self, clock: VirtualClock, lose: Callable[[str, int], str] = lambda path, nth: "") -> None:
        self.clock = clock
        self.lose = lose
        self.did: dict[str, str] = {}
        self.calls: list[tuple[float, str]] = []
        self.bodies: dict[str, Any] = {}
        self._began = clock.wall()

    async def send(self, command: CommandLike[V], body: object, *, idempotency_key: str, **_: Any) -> V:
        self.calls.append((round(self.clock.wall() - self._began, 1), command.path))
        self.bodies[command.path] = body
        lost = self.lose(command.path, [path for _, path in self.calls].count(command.path))
        if lost == "request":
            raise ServiceTimeout("no answer", service="town")
        answer = self._act(command.path, body, idempotency_key)
        if lost == "answer":
            raise ServiceTimeout("no answer", service="town")
        return command.into(answer)  # type: ignore[call-arg]

    def _act(self, path: str, body: Any, key: str) -> str:
        if path == "/invoices/find":
            return self.did.get(body["reference"], "")
        if path in ("/seats/free", "/invoices/cancel"):
            self.did = {k: v for k, v in self.did.items() if v not in body.values()}
            return "undone"
        return self.did.setdefault(key, f"{path} of {key}")

    load = load_many = None

    @property
    def paths(self) -> list[str]:
        return [path for _, path in self.calls]

    @property
    def standing(self) -> list[str]:
        """What was done and not undone."""
        return sorted(key.split(":")[1] for key in self.did)


def host_of(town: Town, journal: MemoryJournal) -> EmbeddedHost:
    reader: Any = town
    return EmbeddedHost([SellTicket], journal, sender=town, reader=reader, telemetry=quiet()[0], clock=town.clock)


async def begin(host: EmbeddedHost) -> Ticket:
    ticket = await host.begin(SellTicket, TicketInput(), owner=OWNER, key="k", input_hash="h", trace={})
    assert not isinstance(ticket, IdempotencyConflict)
    return ticket


async def pay(host: EmbeddedHost, ticket: Ticket, amount: int = 90) -> object:
    payload = msgspec.Raw(msgspec.json.encode({"amount": amount}))
    return await host.ask(ticket.saga_id, Signal("payment", "bank", payload))


@in_virtual_time
async def test_a_saga_waits_for_a_signal_and_for_a_time_and_restarts_lose_neither() -> None:
    town, journal = Town(VirtualClock()), MemoryJournal()
    first = host_of(town, journal)
    await first.start()
    ticket = await begin(first)
    view = await first.wait(ticket.saga_id, timeout=Seconds(2 * DAY))
    assert {step.name: step.status for step in view.steps}["payment"] is StepState.WAITING
    assert town.paths == ["/seats/hold", "/invoices"]
    await first.stop(Seconds(1))

    second = host_of(town, journal)
    await second.start()
    assert await pay(second, ticket) == Taken()
    assert (await second.wait(ticket.saga_id, timeout=Seconds(0.5 * DAY))).status is SagaState.FORWARD_ONLY
    assert town.bodies["/tickets"]["paid"] == 90
    await second.stop(Seconds(1))

    third = host_of(town, journal)
    await third.start()
    view = await third.wait(ticket.saga_id, timeout=Seconds(DAY))
    assert view.outcome == Completed()
    assert [when // DAY for when, path in town.calls if path == "/surveys"] == [3.0]
    assert view.result().number.startswith("/tickets of")
    await third.stop(Seconds(1))


@in_virtual_time
async def test_a_transfer_that_does_not_come_in_time_is_the_business_no() -> None:
    town = Town(VirtualClock())
    host = host_of(town, MemoryJournal())
    await host.start()
    ticket = await begin(host)
    view = await host.wait(ticket.saga_id, timeout=Seconds(4 * DAY))
    assert view.outcome == Rejected("NOT_PAID", "The transfer did not come.")
    assert (view.ended_at or 0) - view.created_at == pytest.approx(3 * DAY, abs=60)
    assert town.standing == []
    await host.stop(Seconds(1))


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_seat_of_unknown_fate_is_asked_for_again_under_its_key_and_then_freed(lost: str) -> None:
    @in_virtual_time
    async def story() -> None:
        town = Town(VirtualClock(), lambda path, nth: lost if path == "/seats/hold" and nth <= 3 else "")
        host = host_of(town, MemoryJournal())
        await host.start()
        view = await host.wait((await begin(host)).saga_id, timeout=Seconds(DAY))
        assert view.outcome == Failed("SERVICE_TIMEOUT", ("seat", "invoice"))
        assert town.paths.count("/seats/hold") == 4
        assert town.bodies["/seats/free"]["seatId"].startswith("/seats/hold of"), "the undo is told what was done"
        assert town.standing == []
        await host.stop(Seconds(1))

    story()


@pytest.mark.parametrize(("lost", "undone"), [("request", ("seat",)), ("answer", ("seat", "invoice"))])
def test_an_invoice_of_unknown_fate_is_looked_for_and_cancelled_only_if_it_is_there(
    lost: str, undone: tuple[str, ...]
) -> None:
    @in_virtual_time
    async def story() -> None:
        town = Town(VirtualClock(), lambda path, nth: lost if path == "/invoices" else "")
        host = host_of(town, MemoryJournal())
        await host.start()
        view = await host.wait((await begin(host)).saga_id, timeout=Seconds(DAY))
        assert view.outcome == Failed("SERVICE_TIMEOUT", undone)
        last = max(when for when, path in town.calls if path == "/invoices")
        (asked,) = (when for when, path in town.calls if path == "/invoices/find")
        assert asked - last >= 60, "not before its answer can mean anything"
        assert ("/invoices/cancel" in town.paths) is (lost == "answer")
        assert town.standing == []
        await host.stop(Seconds(1))

    story()
