"""Sagas that hold secrets: they survive a crash, and do not survive the saga."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from gateway.clock import Clock, LoopClock, Seconds
from gateway.sagas import (
    Completed,
    Done,
    EmbeddedHost,
    Failed,
    IdempotencyConflict,
    Journal,
    KeyRing,
    Refused,
    ResolveStep,
    RetryStep,
    Saga,
    SagaState,
    Secret,
    SecretGone,
    Signal,
    SqliteJournal,
    StepCtx,
    Taken,
    Ticket,
    Unknown,
    new_secret_key,
    signal,
    step,
)
from gateway.sagas.host import SagaStartError
from gateway.testing import MemoryJournal, VirtualClock, in_virtual_time

from .world import FAST, FAST_UNTIL_DONE, OWNER, World, Write, quiet

CANARY, SECOND, THIRD = "canary-in-the-input", "canary-in-a-result", "canary-in-a-signal"
KEYS = KeyRing(new_secret_key())


class Payment(msgspec.Struct):
    token: Secret[str]


class Login(msgspec.Struct):
    password: Secret[str]


class Code(msgspec.Struct):
    digits: Secret[str]
    sent_at: int = 0


class Shop(World):
    """Remembers what was revealed to it."""

    def __init__(self, fault: str = "ok") -> None:
        super().__init__(lambda path, nth: fault if path == "/use" else "ok")
        self.revealed: list[object] = []

    def note(self, *values: str) -> None:
        self.revealed.append(values)


SHOP = Shop()


class Pay(Saga[Payment, str], version=1, deadline="60s"):
    @step(retry=FAST, overtaken="tombstone")
    async def login(self, ctx: StepCtx, payment: Payment) -> Login:
        SHOP.note("login", payment.token.reveal())
        return Login(Secret(SECOND))

    @login.undo
    async def logout(self, ctx: StepCtx, payment: Payment, login: Done[Login] | Unknown) -> None:
        SHOP.note("logout", payment.token.reveal(), login.value.password.reveal() if isinstance(login, Done) else "?")

    code = signal(Code, within="30s", after=["login"])

    @step(retry=FAST, pivot=True)
    async def receipt(self, ctx: StepCtx, payment: Payment, login: Login, code: Code) -> str:
        SHOP.note("receipt", payment.token.reveal(), login.password.reveal(), code.digits.reveal())
        await ctx.send(Write("/use"), {})
        return "paid"

    @step(retry=FAST_UNTIL_DONE, after=["receipt"])
    async def notice(self, ctx: StepCtx) -> str:
        await ctx.send(Write("/notice"), {})
        return "told"

    def result(self, payment: Payment, receipt: str) -> str:
        try:
            return payment.token.reveal()
        except SecretGone:
            return receipt


def host_with(journal: Journal, shop: Shop, *, keys: KeyRing | None = KEYS) -> EmbeddedHost:
    global SHOP  # the saga is a class, and its world is the test's
    SHOP = shop
    clock: Clock = VirtualClock() if isinstance(journal, MemoryJournal) else LoopClock()
    return EmbeddedHost([Pay], journal, sender=shop, reader=shop, telemetry=quiet()[0], clock=clock, secret_keys=keys)


async def begin(host: EmbeddedHost) -> Ticket:
    ticket = await host.begin(Pay, Payment(Secret(CANARY)), owner=OWNER, key="k", input_hash="h", trace={})
    assert not isinstance(ticket, IdempotencyConflict)
    return ticket


async def send_code(host: EmbeddedHost, ticket: Ticket) -> object:
    payload = msgspec.Raw(msgspec.json.encode({"digits": THIRD, "more": "dropped"}))
    return await host.ask(ticket.saga_id, Signal("code", "bank", payload))


@in_virtual_time
async def test_steps_undos_and_signals_have_secrets_and_the_journal_never_has_one() -> None:
    journal, shop = MemoryJournal(), Shop()
    host = host_with(journal, shop)
    await host.start()
    ticket = await begin(host)
    assert await send_code(host, ticket) == Taken()
    view = await host.wait(ticket.saga_id, timeout=Seconds(10))
    assert view.outcome == Completed()
    assert shop.revealed == [("login", CANARY), ("receipt", CANARY, SECOND, THIRD)]
    stored = await journal.find(ticket.saga_id)
    assert stored is not None
    assert "canary" not in repr(stored)
    assert b"dropped" not in msgspec.json.encode([str(event) for event in stored.events])
    await host.stop(Seconds(1))


@in_virtual_time
async def test_an_undo_is_told_its_secrets_too() -> None:
    shop = Shop("refuse")
    host = host_with(MemoryJournal(), shop)
    await host.start()
    ticket = await begin(host)
    await send_code(host, ticket)
    view = await host.wait(ticket.saga_id, timeout=Seconds(10))
    assert view.outcome == Failed("SERVICE_REFUSED", ("login",))
    assert shop.revealed[-1] == ("logout", CANARY, SECOND)
    await host.stop(Seconds(1))


@in_virtual_time
async def test_secrets_survive_a_restart_and_a_rotation_of_the_key() -> None:
    journal, shop, new = MemoryJournal(), Shop(), new_secret_key()
    old = new_secret_key()
    first = host_with(journal, shop, keys=KeyRing(old))
    await first.start()
    ticket = await begin(first)
    await first.stop(Seconds(1))
    second = host_with(journal, shop, keys=KeyRing(new, old=[old]))
    await second.start()
    await send_code(second, ticket)
    assert (await second.wait(ticket.saga_id, timeout=Seconds(10))).outcome == Completed()
    assert shop.revealed[-1] == ("receipt", CANARY, SECOND, THIRD)
    await second.stop(Seconds(1))


@in_virtual_time
async def test_when_the_saga_has_ended_its_key_is_destroyed_and_its_result_reads_no_secret() -> None:
    journal = MemoryJournal()
    host = host_with(journal, Shop())
    await host.start()
    ticket = await begin(host)
    assert (stored := await journal.find(ticket.saga_id)) is not None
    assert stored.record.secret_key is not None
    await send_code(host, ticket)
    view = await host.wait(ticket.saga_id, timeout=Seconds(10))
    assert view.result() == "paid"
    assert (stored := await journal.find(ticket.saga_id)) is not None
    assert stored.record.secret_key is None
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_saga_that_waits_for_a_person_keeps_its_key_until_it_has_ended() -> None:
    journal, shop = MemoryJournal(), Shop("lost before")
    host = host_with(journal, shop)
    await host.start()
    ticket = await begin(host)
    await send_code(host, ticket)
    assert (await host.wait(ticket.saga_id, timeout=Seconds(9_000))).status is SagaState.NEEDS_ATTENTION
    assert (stored := await journal.find(ticket.saga_id)) is not None
    assert stored.record.secret_key is not None
    shop.fault = lambda path, nth: "ok"
    assert await host.ask(ticket.saga_id, RetryStep("receipt", "ann", "it is up again")) == Taken()
    assert (await host.wait(ticket.saga_id, timeout=Seconds(10))).outcome == Completed()
    assert shop.revealed[-1] == ("receipt", CANARY, SECOND, THIRD)
    await host.stop(Seconds(1))


@in_virtual_time
async def test_without_a_key_a_saga_with_secrets_is_not_served_and_it_says_how_to_get_one() -> None:
    with pytest.raises(SagaStartError, match=r"Pay v1 holds secrets.*new-key secret.*secret_key ="):
        await host_with(MemoryJournal(), Shop(), keys=None).start()


@in_virtual_time
async def test_a_host_that_lacks_the_key_of_an_open_saga_does_not_start() -> None:
    journal = MemoryJournal()
    first = host_with(journal, Shop())
    await first.start()
    await begin(first)
    await first.stop(Seconds(1))
    with pytest.raises(SagaStartError, match=r"1 open sagas .*old_secret_keys"):
        await host_with(journal, Shop(), keys=KeyRing(new_secret_key())).start()


@pytest.mark.parametrize(
    ("payload", "told"),
    [(b"{}", "missing required field `digits`"), (b'{"digits": 5}', "Expected `str`"), (b"[]", "Code"), (b"{", "none")],
)
def test_a_signal_that_does_not_fit_is_refused_and_the_saga_waits_on(payload: bytes, told: str) -> None:
    @in_virtual_time
    async def story() -> None:
        host = host_with(MemoryJournal(), Shop())
        await host.start()
        ticket = await begin(host)
        answer = await host.ask(ticket.saga_id, Signal("code", "bank", msgspec.Raw(payload)))
        assert isinstance(answer, Refused)
        assert told in answer.why
        assert await send_code(host, ticket) == Taken()
        assert await send_code(host, ticket) == Taken(is_repeated=True)
        await host.stop(Seconds(1))

    story()


@in_virtual_time
async def test_what_an_operator_says_that_a_step_yielded_is_sealed_as_well() -> None:
    journal, shop = MemoryJournal(), Shop()
    host = host_with(journal, shop)
    await host.start()
    ticket = await begin(host)
    for given, taken in ((b'{"digits": null}', False), (b'{"digits": "canary-of-ann"}', True)):
        request = ResolveStep("code", "ann", "by phone", "done", msgspec.Raw(given))
        assert (await host.ask(ticket.saga_id, request) == Taken()) is taken
    assert (await host.wait(ticket.saga_id, timeout=Seconds(10))).outcome == Completed()
    assert shop.revealed[-1] == ("receipt", CANARY, SECOND, "canary-of-ann")
    assert b"canary" not in b"".join(journal._events[ticket.saga_id])
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_retry_under_another_key_is_known_while_the_keys_overlap() -> None:
    host = host_with(MemoryJournal(), Shop())
    await host.start()

    async def again(input_hash: str) -> Ticket | IdempotencyConflict:
        return await host.begin(Pay, Payment(Secret(CANARY)), owner=OWNER, key="k", input_hash=input_hash, trace={})

    assert isinstance(first := await again("b a"), Ticket)
    assert await again("c b") == replace(first, created=False)
    assert isinstance(await again("c d"), IdempotencyConflict)
    await host.stop(Seconds(1))


# -- in the file -------------------------------------------------------------------------------------------------------


@dataclass
class File:
    path: Path

    def read(self) -> bytes:
        return b"".join(each.read_bytes() for each in sorted(self.path.parent.glob(f"{self.path.name}*")))

    def keys(self) -> list[bytes]:
        with sqlite3.connect(self.path) as connection:
            found = [wrapped for (wrapped,) in connection.execute("SELECT wrapped FROM saga_keys")]
        connection.close()
        return found


async def test_the_file_has_no_secret_while_the_saga_runs_and_no_key_after_it_has_ended(tmp_path: Path) -> None:
    file, shop = File(tmp_path / "journal.sqlite3"), Shop()
    first = host_with(SqliteJournal(file.path, telemetry=quiet()[0]), shop)
    await first.start()
    ticket = await begin(first)
    await first.stop(Seconds(1))
    assert b"sealed:1:" in file.read()
    assert b"canary" not in file.read()
    (wrapped,) = file.keys()
    assert wrapped in file.read()
    second = host_with(SqliteJournal(file.path, telemetry=quiet()[0]), shop)
    await second.start()
    await send_code(second, ticket)
    assert (await second.wait(ticket.saga_id, timeout=Seconds(10))).outcome == Completed()
    assert shop.revealed[-1] == ("receipt", CANARY, SECOND, THIRD)
    assert b"canary" not in file.read(), "the write-ahead log included"
    await second.stop(Seconds(1))
    assert file.keys() == []
    assert b"canary" not in file.read()
    assert wrapped not in file.read(), "what is deleted is overwritten"
