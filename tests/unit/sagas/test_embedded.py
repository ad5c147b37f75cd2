"""The embedded host in virtual time, over the journal in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.clock import Epoch, Seconds
from gateway.errors import Draining, Overloaded, SagaNotFound, SagasUnavailable, ServiceContractBroken
from gateway.sagas import (
    Cancel,
    Completed,
    Done,
    EmbeddedHost,
    Failed,
    IdempotencyConflict,
    NeedsAttention,
    Owner,
    Refused,
    Reject,
    Rejected,
    Saga,
    SagaStartError,
    SagaState,
    StepCtx,
    StepState,
    Taken,
    Ticket,
    Unknown,
    step,
)
from gateway.sagas.events import UndoDone
from gateway.sagas.journal import SagaRecord
from gateway.telemetry import Telemetry
from gateway.testing import VirtualClock, in_virtual_time
from gateway.testing.journal import MemoryJournal

from .world import (
    FAST,
    OWNER,
    Chain,
    Order,
    PlaceOrder,
    Receipt,
    World,
    Write,
    always_ok,
    begin,
    host_of,
    quiet,
    settle,
)

# -- the straight path -------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_saga_is_run_to_its_end_and_its_result_is_computed_from_its_steps() -> None:
    world, journal = World(), MemoryJournal()
    host = host_of(journal, world)
    await host.start()
    ticket = await begin(host)
    view = await settle(host, ticket)
    assert ticket.created
    assert (view.status, view.outcome) == (SagaState.COMPLETED, Completed())
    assert view.result() == Receipt(f"{ticket.saga_id}:shipment")
    assert {step.name: step.status for step in view.steps} == dict.fromkeys(
        ["reservation", "authorization", "capture", "shipment"], StepState.DONE
    )
    assert world.balance() == {"authorization": 1, "capture": 1, "reservation": 1, "shipment": 1}
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_finished_saga_is_read_from_the_journal_and_looks_the_same() -> None:
    host = host_of(MemoryJournal(), World())
    await host.start()
    ticket = await begin(host)
    view = await settle(host, ticket)
    await asyncio.sleep(0)
    assert host.open_count == 0
    again = await host.view(ticket.saga_id)
    assert again is not None
    assert again == view
    assert again.result() == view.result()
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_chain_of_n_steps_costs_n_plus_one_writes() -> None:
    journal = MemoryJournal()
    host = host_of(journal, World())
    await host.start()
    await settle(host, await begin(host, Chain))
    assert journal.writes == 3 + 1
    await host.stop(Seconds(1))


@in_virtual_time
async def test_every_attempt_of_a_step_carries_the_same_key_and_its_undo_another() -> None:
    world = World(lambda path, nth: "reject" if path == "/capture" else "lost after" if nth == 1 else "ok")
    host = host_of(MemoryJournal(), world)
    await host.start()
    saga_id = (await begin(host)).saga_id
    await host.wait(saga_id, timeout=Seconds(10))
    assert set(world.keys) == {
        f"{saga_id}:{name}"
        for name in ("reservation", "reservation:undo", "authorization", "authorization:undo", "capture")
    }
    await host.stop(Seconds(1))


# -- ways back ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_declared_refusal_is_a_rejection_and_everything_is_undone() -> None:
    world = World(lambda path, nth: "reject" if path == "/capture" else "ok")
    host = host_of(MemoryJournal(), world)
    await host.start()
    view = await settle(host, await begin(host))
    assert view.outcome == Rejected("SOLD_OUT", "It is sold out.")
    assert world.balance() == {}
    with pytest.raises(LookupError, match="no result"):
        view.result()
    await host.stop(Seconds(1))


@in_virtual_time
async def test_any_other_refusal_is_a_failure() -> None:
    world = World(lambda path, nth: "refuse" if path == "/three" else "ok")
    host = host_of(MemoryJournal(), world)
    await host.start()
    view = await settle(host, await begin(host, Chain))
    assert view.outcome == Failed("SERVICE_REFUSED", ("one", "two"))
    assert world.calls == ["/one", "/two", "/three", "/undo-two", "/undo-one"]
    await host.stop(Seconds(1))


@in_virtual_time
async def test_an_undo_is_told_what_is_known() -> None:
    told: list[object] = []

    class Telling(Saga[Order, int], version=1):
        @step(retry=FAST, overtaken="tombstone")
        async def known(self, ctx: StepCtx, order: Order) -> Receipt:
            return Receipt("r")

        @known.undo
        async def undo_known(self, known: Done[Receipt] | Unknown) -> None:
            told.append(known)

        @step(retry=FAST, overtaken="tombstone")
        async def unknown(self, ctx: StepCtx, known: Receipt) -> Receipt:
            raise ServiceContractBroken("odd", service="world", applied=True)

        @unknown.undo
        async def undo_unknown(self, unknown: Done[Receipt] | Unknown, known: Receipt) -> None:
            told.extend([unknown, known])

        def result(self, unknown: Receipt) -> int:
            return 1

    host = host_of(MemoryJournal(), World(), sagas=[Telling])
    await host.start()
    view = await settle(host, await begin(host, Telling))
    assert told == [Unknown(), Receipt("r"), Done(Receipt("r"))]
    assert view.outcome == Failed("SERVICE_CONTRACT_BROKEN", ("known", "unknown"))
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_cancelled_saga_is_undone() -> None:
    world = World(lambda path, nth: "lost before" if path == "/two" else "ok")

    class Patient(Saga[Order, int], version=1):
        @step(timeout="1h", undo=None)
        async def never(self, ctx: StepCtx, order: Order) -> Receipt:
            await asyncio.sleep(60)
            return Receipt("r")

        def result(self, never: Receipt) -> int:
            return 1

    host = host_of(MemoryJournal(), world, sagas=[Patient])
    await host.start()
    ticket = await begin(host, Patient)
    assert await host.ask(ticket.saga_id, Cancel("changed my mind")) == Taken()
    assert (await settle(host, ticket, within=100)).outcome == Failed("CANCELLED", ())
    assert await host.ask(ticket.saga_id, Cancel("again")) == Refused("the saga is COMPENSATED and has ended")
    await host.stop(Seconds(1))


@in_virtual_time
async def test_the_sagas_deadline_turns_it_back_once_the_attempt_in_flight_has_ended() -> None:
    class Hurried(Saga[Order, int], version=1, deadline="8s"):
        @step(timeout="5s", overtaken="tombstone")
        async def one(self, ctx: StepCtx, order: Order) -> Receipt:
            return await ctx.send(Write("/one"), {})

        @one.undo
        async def undo_one(self, ctx: StepCtx) -> None:
            await ctx.send(Write("/undo-one"), {"undo": ctx.forward_key})

        def result(self, one: Receipt) -> int:
            return 1

    world, clock = World(lambda path, nth: "hang" if path == "/one" else "ok"), VirtualClock()
    host = host_of(MemoryJournal(), world, sagas=[Hurried], clock=clock)
    await host.start()
    ticket = await begin(host, Hurried)
    assert (await host.wait(ticket.saga_id, timeout=Seconds(7.9))).status is SagaState.RUNNING
    assert (await host.wait(ticket.saga_id, timeout=Seconds(0.2))).status is SagaState.COMPENSATING
    assert world.calls == ["/one", "/one"]
    assert (await settle(host, ticket)).outcome == Failed("DEADLINE_EXCEEDED", ("one",))
    assert 10 <= clock.now() < 11
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_jump_of_the_wall_clock_is_noticed() -> None:
    class Waiting(Saga[Order, int], version=1, deadline="1h"):
        @step(timeout="2h", undo=None)
        async def long(self, ctx: StepCtx, order: Order) -> int:
            await asyncio.sleep(60)
            return 1

        def result(self, long: int) -> int:
            return long

    clock = VirtualClock()
    host = host_of(MemoryJournal(), World(), sagas=[Waiting], clock=clock)
    await host.start()
    ticket = await begin(host, Waiting)
    clock.jump(3_600)
    assert (await settle(host, ticket, within=100)).outcome == Failed("DEADLINE_EXCEEDED", ())
    await host.stop(Seconds(1))


# -- what may go wrong in a step ---------------------------------------------------------------------------------------


class Buggy(Saga[Order, int], version=1):
    @step(retry=FAST, overtaken="tombstone")
    async def bug(self, ctx: StepCtx, order: Order) -> int:
        match order.sku:
            case "value":
                raise ValueError("a secret")
            case "cancel":
                raise asyncio.CancelledError
            case "type":
                return "not a number"  # type: ignore[return-value]
            case "twice":
                await ctx.send(Write("/twice"), {})
                await ctx.send(Write("/twice"), {})
            case _:
                pass
        return 1

    @bug.undo
    async def unbug(self, bug: Done[int] | Unknown) -> None:
        assert bug == Unknown()

    def result(self, bug: int) -> int:
        return bug


@pytest.mark.parametrize("bug", ["value", "cancel", "type", "twice"])
def test_a_bug_in_a_step_is_an_attempt_of_unknown_outcome_and_touches_no_other_saga(bug: str) -> None:
    @in_virtual_time
    async def story() -> None:
        telemetry, _ = quiet()
        host = host_of(MemoryJournal(), World(), sagas=[Buggy, Chain], telemetry=telemetry)
        await host.start()
        broken = await host.begin(Buggy, Order(bug), owner=OWNER, key=None, input_hash="h", trace={})
        assert not isinstance(broken, IdempotencyConflict)
        other = await begin(host, Chain)
        assert (await settle(host, broken)).outcome == Failed("INTERNAL_SERVER_ERROR", ("bug",))
        assert (await settle(host, other)).outcome == Completed()
        await host.stop(Seconds(1))

    story()


@in_virtual_time
async def test_an_exception_of_the_authors_is_logged_with_its_traceback() -> None:
    telemetry, logged = quiet()
    host = host_of(MemoryJournal(), World(), sagas=[Buggy], telemetry=telemetry)
    await host.start()
    ticket = await host.begin(Buggy, Order("value"), owner=OWNER, key=None, input_hash="h", trace={})
    assert not isinstance(ticket, IdempotencyConflict)
    await settle(host, ticket)
    assert logged.getvalue().count("saga step raised") == 3
    assert "ValueError" in logged.getvalue()
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_rejected_undo_is_a_failed_undo() -> None:
    class Stubborn(Saga[Order, int], version=1):
        @step(overtaken="tombstone")
        async def one(self, order: Order) -> int:
            return 1

        @one.undo
        async def undo_one(self, ctx: StepCtx) -> None:
            raise Reject("NEVER", "Never.")

        @step(undo=None)
        async def two(self, one: int) -> int:
            raise Reject("NO", "No.")

        def result(self, two: int) -> int:
            return two

    host = host_of(MemoryJournal(), World(), sagas=[Stubborn])
    await host.start()
    view = await settle(host, await begin(host, Stubborn), within=3_600)
    assert view.outcome == NeedsAttention("NO")
    assert (view.steps[0].status, view.steps[0].undo_attempts) == (StepState.UNDO_STUCK, 50)
    await host.stop(Seconds(1))


# -- beginning ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_same_key_and_input_find_the_same_saga_and_another_input_a_conflict() -> None:
    host = host_of(MemoryJournal(), World())
    await host.start()
    first = await begin(host)
    again = await begin(host)
    assert (again.saga_id, again.created) == (first.saga_id, False)
    conflict = await host.begin(PlaceOrder, Order("b"), owner=OWNER, key="k", input_hash="other", trace={})
    assert conflict == IdempotencyConflict(first.saga_id)
    stranger = await host.begin(PlaceOrder, Order(), owner=Owner("shop", "bob"), key="k", input_hash="h", trace={})
    assert not isinstance(stranger, IdempotencyConflict)
    assert stranger.created
    await host.stop(Seconds(1))


@in_virtual_time
async def test_without_a_key_every_begin_is_a_new_saga() -> None:
    host = host_of(MemoryJournal(), World())
    await host.start()
    assert (await begin(host, key=None)).saga_id != (await begin(host, key=None)).saga_id
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_begin_that_is_sent_again_under_its_id_is_one_saga_with_a_key_or_without() -> None:
    world = World(lambda path, nth: "hang")
    host = host_of(MemoryJournal(), world, max_open=2)
    await host.start()
    for key in ("k", None):
        minted = Ticket(f"minted with {key}", created=True)
        together = [begin_under(host, minted.saga_id, key=key) for _ in range(3)]
        assert await begin_under(host, minted.saga_id, key=key) == minted
        assert await asyncio.gather(*together) == [minted] * 3
    with pytest.raises(Overloaded):
        await begin(host, key="another")
    assert await begin_under(host, "minted with None", key=None) == Ticket("minted with None", created=True)
    assert (await begin_under(host, "minted anew", key="k")) == Ticket("minted with k", created=False)
    await asyncio.sleep(0.01)
    assert sorted(world.calls) == ["/authorize", "/authorize", "/reserve", "/reserve"]
    await host.stop(Seconds(0))


async def begin_under(host: EmbeddedHost, saga_id: str, *, key: str | None) -> object:
    return await host.begin(PlaceOrder, Order(), owner=OWNER, key=key, input_hash="h", trace={}, saga_id=saga_id)


@in_virtual_time
async def test_a_client_that_goes_away_does_not_take_its_saga_with_it() -> None:
    world, journal = World(), MemoryJournal()
    host = host_of(journal, world)
    await host.start()
    client = asyncio.create_task(begin(host))
    await asyncio.sleep(0)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    await asyncio.sleep(1)
    assert world.balance() == {"authorization": 1, "capture": 1, "reservation": 1, "shipment": 1}
    await host.stop(Seconds(1))


@in_virtual_time
async def test_one_saga_too_many_is_overloaded_and_an_honest_retry_still_finds_its_own() -> None:
    host = host_of(MemoryJournal(), World(lambda path, nth: "hang"), max_open=2)
    await host.start()
    first = await begin(host, key="k1")
    answers = await asyncio.gather(begin(host, key="k2"), begin(host, key="k3"), return_exceptions=True)
    assert [isinstance(answer, Overloaded) for answer in answers] == [False, True]
    assert (await begin(host, key="k1")).saga_id == first.saga_id
    await host.stop(Seconds(0))


@in_virtual_time
async def test_a_saga_that_nobody_began_is_not_found() -> None:
    host = host_of(MemoryJournal(), World())
    await host.start()
    assert await host.view("nope") is None
    with pytest.raises(SagaNotFound):
        await host.wait("nope", timeout=Seconds(1))
    await host.stop(Seconds(1))


# -- the journal fails -------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_when_the_journal_fails_nothing_is_begun_and_nothing_more_is_sent() -> None:
    for fail_at in (1, 2, 3):
        world, journal = World(), MemoryJournal(fail_at=fail_at)
        host = host_of(journal, world)
        await host.start()
        if fail_at == 1:
            with pytest.raises(SagasUnavailable):
                await begin(host, Chain)
            assert world.calls == []
        else:
            ticket = await begin(host, Chain)
            await host.wait(ticket.saga_id, timeout=Seconds(10))
            assert world.calls == ["/one", "/two"][: fail_at - 1]
        assert not host.is_healthy
        with pytest.raises(SagasUnavailable):
            await begin(host, Chain, key="other")
        await host.stop(Seconds(1))


class _Mending(MemoryJournal):
    """Fails at the second write; can be written again at once, but takes a second to tell which sagas are open."""

    def __init__(self) -> None:
        super().__init__(fail_at=2)
        self._failure = asyncio.Event()

    async def append(self, *given: Any, **named: Any) -> None:
        try:
            await super().append(*given, **named)
        except SagasUnavailable:
            self._failure.set()
            raise

    async def failed(self) -> None:
        await self._failure.wait()
        self._failure.clear()

    async def mend(self) -> bool:
        self.fail_at = None
        return True

    async def open_sagas(self) -> Sequence[SagaRecord]:
        await asyncio.sleep(1)
        return await super().open_sagas()


@in_virtual_time
async def test_nothing_is_begun_while_a_mended_journal_is_read_again_and_then_every_saga_goes_on() -> None:
    world, journal = World(), _Mending()
    host = host_of(journal, world)
    await host.start()
    ticket = await begin(host, Chain)
    await asyncio.sleep(0.5)
    assert (journal.is_healthy, host.is_healthy) == (True, False), "mended, and not yet read"
    with pytest.raises(SagasUnavailable):  # else the recovery would find it too, and run it a second time
        await begin(host, Chain, key="other")
    await asyncio.sleep(1)
    assert host.is_healthy
    assert isinstance((await host.wait(ticket.saga_id, timeout=Seconds(10))).outcome, Completed)
    assert isinstance((await settle(host, await begin(host, Chain, key="other"))).outcome, Completed)
    await host.stop(Seconds(1))


# -- stopping and starting ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_draining_host_lets_attempts_end_begins_none_and_the_next_host_goes_on_there() -> None:
    world, journal = World(), MemoryJournal()

    async def slowly(name: str) -> None:
        await asyncio.sleep(1)

    world.around = slowly
    host = host_of(journal, world)
    await host.start()
    ticket = await begin(host, Chain)
    await asyncio.sleep(0.5)
    stopping = asyncio.create_task(host.stop(Seconds(10)))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        await begin(host, key="other")
    await stopping
    assert world.calls == ["/one"]
    assert world.balance() == {"one": 1}

    host = host_of(journal, world)
    await host.start()
    assert (await settle(host, ticket)).outcome == Completed()
    assert world.calls == ["/one", "/two", "/three"]
    await host.stop(Seconds(1))


@in_virtual_time
async def test_an_attempt_that_outlasts_the_drain_is_found_as_interrupted_and_sent_again() -> None:
    world, journal = World(lambda path, nth: "hang" if nth == 1 else "ok"), MemoryJournal()
    host = host_of(journal, world)
    await host.start()
    ticket = await begin(host, Chain)
    await asyncio.sleep(0.1)
    await host.stop(Seconds(0.1))
    world.fault = always_ok
    host = host_of(journal, world)
    await host.start()
    view = await settle(host, ticket)
    assert view.outcome == Completed()
    assert view.steps[0].attempts == 2
    await host.stop(Seconds(1))


@in_virtual_time
async def test_back_off_survives_a_restart() -> None:
    class Slow(Saga[Order, int], version=1, deadline="1h"):
        @step(pivot=True)
        async def one(self, ctx: StepCtx, order: Order) -> Receipt:
            return await ctx.send(Write("/one"), {})

        def result(self, one: Receipt) -> int:
            return 1

    def fault(path: str, nth: int) -> str:
        return "lost before" if nth <= 12 else "ok"

    clock, journal = VirtualClock(), MemoryJournal()
    ends: list[float] = []
    for restarts in (0, 20):
        world, journal = World(fault), MemoryJournal()
        host = host_of(journal, world, sagas=[Slow], clock=clock, new_id=lambda: "always-the-same")
        await host.start()
        began = clock.now()
        ticket = await begin(host, Slow)
        for _ in range(restarts):
            await asyncio.sleep(0.5)
            await host.stop(Seconds(1))
            host = host_of(journal, world, sagas=[Slow], clock=clock)
            await host.start()
        assert (await settle(host, ticket, within=1_000)).outcome == Completed()
        ends.append(clock.now() - began)
        await host.stop(Seconds(1))
    assert ends[0] == pytest.approx(ends[1])
    assert ends[0] > 10


@in_virtual_time
async def test_a_saga_that_needs_attention_still_does_after_a_restart() -> None:
    journal = MemoryJournal()
    telemetry, _ = quiet()

    class Doomed(Saga[Order, int], version=1):
        @step(pivot=True)
        async def one(self, order: Order) -> int:
            return 1

        @step
        async def two(self, one: int) -> int:
            raise Reject("NO", "No.")

        def result(self, two: int) -> int:
            return two

    host = host_of(journal, World(), sagas=[Doomed])
    await host.start()
    ticket = await begin(host, Doomed)
    view = await settle(host, ticket)
    await host.stop(Seconds(1))
    host = host_of(journal, World(), sagas=[Doomed], telemetry=telemetry)
    await host.start()
    assert host.open_count == 0
    assert await host.view(ticket.saga_id) == view
    assert view.outcome == NeedsAttention("NO")
    assert telemetry.metrics.registry.get_sample_value("sagaql_sagas_needing_attention", {"saga": "Doomed"}) == 1
    await host.stop(Seconds(1))


@in_virtual_time
async def test_a_broken_history_is_logged_and_keeps_no_other_saga_from_going_on() -> None:
    journal, (telemetry, logged) = MemoryJournal(), quiet()
    host = host_of(journal, World(lambda path, nth: "hang"))
    await host.start()
    broken, sound = await begin(host, Chain, key="k1"), await begin(host, Chain, key="k2")
    await host.stop(Seconds(0))
    await journal.open()
    await journal.append(broken.saga_id, expected_seq=2, events=[UndoDone(at=Epoch(1.0), step="one", attempt=1)])
    host = host_of(journal, World(), telemetry=telemetry)
    await host.start()
    assert (await settle(host, sound)).outcome == Completed()
    assert "saga cannot be recovered" in logged.getvalue()
    assert telemetry.metrics.registry.get_sample_value("sagaql_sagas_needing_attention", {"saga": "Chain"}) == 1
    await host.stop(Seconds(1))


# -- versions ----------------------------------------------------------------------------------------------------------


def versioned(version: int, *, pivot: bool) -> type[Saga[Order, int]]:
    class Changing(Saga[Order, int], version=version):
        @step(pivot=pivot, undo=None)
        async def one(self, ctx: StepCtx, order: Order) -> Receipt:
            return await ctx.send(Write(f"/v{version}"), {})

        def result(self, one: Receipt) -> int:
            return version

    return Changing


@in_virtual_time
async def test_an_open_saga_of_an_unknown_or_changed_version_keeps_the_host_from_starting() -> None:
    journal = MemoryJournal()
    host = host_of(journal, World(lambda path, nth: "hang"), sagas=[versioned(1, pivot=False)])
    await host.start()
    for key in ("k1", "k2"):
        ticket = await host.begin(versioned_of(host), Order(), owner=OWNER, key=key, input_hash="h", trace={})
        assert ticket
    await host.stop(Seconds(0))
    for wrong in (versioned(2, pivot=False), versioned(1, pivot=True)):
        refused = host_of(journal, World(), sagas=[wrong])
        with pytest.raises(SagaStartError, match=r"Changing v1 \(2 open\).*Register these versions"):
            await refused.start()
        assert not refused.is_healthy


def versioned_of(host: object) -> type[Saga[Order, int]]:
    ((_, definition),) = host._definitions.items()  # type: ignore[attr-defined]
    found: type[Saga[Order, int]] = definition.saga
    return found


@in_virtual_time
async def test_an_open_saga_of_an_old_version_ends_beside_the_new_one() -> None:
    journal, old, new = MemoryJournal(), versioned(1, pivot=False), versioned(2, pivot=True)
    host = host_of(journal, World(lambda path, nth: "hang"), sagas=[old])
    await host.start()
    ticket = await begin(host, old)
    await host.stop(Seconds(0))
    world = World()
    host = host_of(journal, world, sagas=[old, new])
    await host.start()
    assert (await settle(host, ticket)).result() == 1
    assert (await settle(host, await begin(host, new, key="k2"))).result() == 2
    await host.stop(Seconds(1))
    retired = host_of(journal, world, sagas=[new])
    await retired.start()
    view = await retired.view(ticket.saga_id)
    assert view is not None
    assert (view.status, view.steps) == (SagaState.COMPLETED, ())
    await retired.stop(Seconds(1))


def test_two_classes_of_one_version_are_refused() -> None:
    with pytest.raises(SagaStartError, match="registered twice"):
        host_of(MemoryJournal(), World(), sagas=[versioned(1, pivot=True), versioned(1, pivot=False)])


# -- what it says of itself --------------------------------------------------------------------------------------------


@dataclass
class Listener:
    heard: list[tuple[object, ...]]
    is_broken: bool = False

    def invalidated(self, what: Sequence[object], *, owner: Owner) -> None:
        self.heard.append((*what, owner.subject))
        if self.is_broken:
            raise RuntimeError("deaf")


@pytest.mark.parametrize("is_broken", [False, True])
def test_the_observer_hears_what_a_step_invalidates_when_done_and_when_undone(is_broken: bool) -> None:
    @in_virtual_time
    async def story() -> None:
        listener = Listener([], is_broken)
        world = World(
            lambda path, nth: {"/three": "reject", "/one": "lost before" if nth == 1 else "ok"}.get(path, "ok")
        )
        host = host_of(MemoryJournal(), world, observer=listener)
        await host.start()
        assert (await settle(host, await begin(host, Chain))).status is SagaState.COMPENSATED
        assert listener.heard == [("one", "ada"), ("one", "ada")]
        await host.stop(Seconds(1))

    story()


@in_virtual_time
async def test_a_saga_continues_the_trace_of_the_request_and_has_a_span_per_attempt() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(provider=provider, log=quiet()[0].log)
    world = World(lambda path, nth: "reject" if path == "/two" else "ok")
    host = host_of(MemoryJournal(), world, telemetry=telemetry)
    await host.start()
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    ticket = await host.begin(Chain, Order(), owner=OWNER, key="k", input_hash="h", trace=trace)
    assert not isinstance(ticket, IdempotencyConflict)
    await settle(host, ticket)
    await host.stop(Seconds(1))
    spans = exporter.get_finished_spans()
    assert sorted(span.name for span in spans) == ["saga Chain", "step one", "step two", "undo one"]
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {"0af7651916cd43dd8448eb211c80319c"}


@in_virtual_time
async def test_sagas_and_attempts_are_counted() -> None:
    telemetry, _ = quiet()
    world = World(lambda path, nth: "reject" if path == "/two" else "ok")
    host = host_of(MemoryJournal(), world, telemetry=telemetry)
    await host.start()
    await settle(host, await begin(host, Chain))
    await host.stop(Seconds(1))
    value = telemetry.metrics.registry.get_sample_value
    assert value("sagaql_saga_duration_seconds_count", {"saga": "Chain", "state": "COMPENSATED"}) == 1
    assert value("sagaql_sagas_open", {"saga": "Chain"}) == 0
    for step_name, kind, outcome in [("one", "do", "done"), ("two", "do", "rejected"), ("one", "undo", "done")]:
        labels = {"saga": "Chain", "step": step_name, "kind": kind, "outcome": outcome}
        assert value("sagaql_saga_attempts_total", labels) == 1


# -- reading -----------------------------------------------------------------------------------------------------------


class Stock:
    name = "world /stock"

    def yields(self) -> int:
        return 7


@in_virtual_time
async def test_a_step_reads_through_the_reader() -> None:
    class Reading(Saga[Order, int], version=1):
        @step(undo=None)
        async def count(self, ctx: StepCtx, order: Order) -> int:
            one = await ctx.load(Stock(), order.sku, warehouse="w")
            return (one or 0) + sum(stock or 0 for stock in await ctx.load_many(Stock(), ["a", "b"]))

        def result(self, count: int) -> int:
            return count

    host = host_of(MemoryJournal(), World(), sagas=[Reading])
    await host.start()
    assert (await settle(host, await begin(host, Reading))).result() == 21
    await host.stop(Seconds(1))


@in_virtual_time
async def test_the_age_of_the_oldest_and_what_open_sagas_do_are_asked_for() -> None:
    def read(name: str, **labels: str) -> float:
        return telemetry.metrics.registry.get_sample_value(name, labels) or 0.0

    telemetry, _ = quiet()
    host = host_of(
        MemoryJournal(), World(lambda path, nth: "hang" if path == "/capture" else "ok"), telemetry=telemetry
    )
    await host.start()
    assert read("sagaql_sagas_oldest_open_age_seconds") == 0
    tickets = [await begin(host, key="old")]
    await asyncio.sleep(2)
    tickets.append(await begin(host, key="new"))
    await asyncio.sleep(1)
    assert read("sagaql_sagas_oldest_open_age_seconds") == pytest.approx(3)
    assert read("sagaql_sagas_open_by_state", state="RUNNING") == 2
    assert read("sagaql_sagas_open_by_state", state="FORWARD_ONLY") == 0
    await host.stop(Seconds(0))
