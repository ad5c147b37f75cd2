"""What a host promises, one sentence each; every host keeps all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from gateway.clock import Seconds
from gateway.errors import Draining, Overloaded, SagaNotFound, SagasUnavailable
from gateway.sagas import (
    Cancel,
    Completed,
    Failed,
    Host,
    IdempotencyConflict,
    NeedsAttention,
    Owner,
    Refused,
    Rejected,
    ResolveStep,
    RetryStep,
    Saga,
    SagaQuery,
    SagaStartError,
    SagaState,
    SagaView,
    Signal,
    StepCtx,
    StepState,
    Taken,
    Ticket,
    step,
)
from gateway.sagas.events import kind_of
from gateway.testing import VirtualClock, in_virtual_time
from tests.numbers import assert_told
from tests.unit.sagas.world import OWNER, Chain, Order, PlaceOrder, Receipt, World, Write, always_ok

from .hosts import HOMES, Home
from .stories import Asking, Booking, Careful, Failing

ALL: Sequence[type[Saga[Any, Any]]] = (PlaceOrder, Chain, Booking, Careful, Failing)
BOB = Owner("shop", "bob")
PAID = msgspec.Raw(b"5")
COURIER = msgspec.Raw(b'"swift"')


class Lives:
    """One home, lived in by one host after another."""

    def __init__(self, home: Home, world: World | None = None, *, sagas: Sequence[type[Saga[Any, Any]]] = ALL) -> None:
        self.home = home
        self.world = world or Asking()
        self.sagas = sagas
        self.clock = VirtualClock()
        self.host: Host

    async def start(self, **changed: Any) -> Host:
        self.host = self.home.host(self.world, **{"sagas": self.sagas, "clock": self.clock, **changed})
        await self.host.start()
        return self.host

    async def restart(self, **changed: Any) -> Host:
        await self.host.stop(Seconds(0.0))
        return await self.start(**changed)

    async def begin(
        self,
        saga: type[Saga[Any, Any]] = PlaceOrder,
        *,
        key: str | None = "k",
        input_hash: str = "h",
        owner: Owner = OWNER,
    ) -> Ticket:
        ticket = await self.host.begin(saga, Order(), owner=owner, key=key, input_hash=input_hash, trace={})
        assert isinstance(ticket, Ticket)
        return ticket

    async def settle(self, ticket: Ticket, *, within: float = 100.0) -> SagaView:
        view = await self.host.wait(ticket.saga_id, timeout=Seconds(within))
        assert view.is_settled, view
        return view

    async def events(self, ticket: Ticket) -> list[str]:
        history = await self.host.history(ticket.saga_id)
        assert history is not None
        return [kind_of(event) for event in history.events]

    async def stop(self) -> None:
        await self.host.stop(Seconds(5.0))


def states(view: SagaView) -> dict[str, StepState]:
    return {step.name: step.status for step in view.steps}


def failing(path: str, fault: str) -> Callable[[str, int], str]:
    return lambda called, nth: fault if called == path else "ok"


# -- to the end --------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_saga_is_run_to_its_end_and_yields_its_result(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    ticket = await lives.begin()
    view = await lives.settle(ticket)
    assert ticket.created
    assert view.outcome == Completed()
    assert view.result() == Receipt(f"{ticket.saga_id}:shipment")
    assert lives.world.balance() == {"authorization": 1, "capture": 1, "reservation": 1, "shipment": 1}
    await lives.stop()


@in_virtual_time
async def test_a_rejection_is_told_and_what_was_done_is_undone(home: Home) -> None:
    lives = Lives(home, World(failing("/capture", "reject")))
    await lives.start()
    view = await lives.settle(await lives.begin())
    assert view.outcome == Rejected("SOLD_OUT", "It is sold out.")
    assert lives.world.balance() == {}
    await lives.stop()


@in_virtual_time
async def test_a_step_and_its_undo_carry_their_keys_on_every_attempt(home: Home) -> None:
    lives = Lives(home, World(lambda path, nth: "lost after" if path == "/three" or nth == 1 else "ok"))
    await lives.start()
    ticket = await lives.begin(Chain)
    assert (await lives.settle(ticket)).status is SagaState.COMPENSATED
    steps = {f"{ticket.saga_id}:{name}" for name in ("one", "two", "three")}
    assert set(lives.world.keys) == steps | {f"{key}:undo" for key in steps}
    assert lives.world.balance() == {}
    await lives.stop()


@in_virtual_time
async def test_a_pivot_that_may_be_done_is_asked_again_until_it_is_known(home: Home) -> None:
    lives = Lives(home, World(lambda path, nth: "lost after" if path == "/capture" and nth < 10 else "ok"))
    await lives.start()
    view = await lives.settle(await lives.begin())
    assert view.outcome == Completed()
    assert {step.name: step.attempts for step in view.steps}["capture"] == 10
    await lives.stop()


# -- begin -------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_same_key_and_input_find_the_same_saga_and_another_input_a_conflict(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    first = await lives.begin()
    assert await lives.begin() == Ticket(first.saga_id, created=False)
    other = await lives.host.begin(PlaceOrder, Order("b"), owner=OWNER, key="k", input_hash="other", trace={})
    assert other == IdempotencyConflict(first.saga_id)
    assert (await lives.begin(owner=BOB)).created
    assert (await lives.begin(Chain)).created
    await lives.restart()
    assert await lives.begin() == Ticket(first.saga_id, created=False)
    await lives.stop()


@in_virtual_time
async def test_two_begins_of_one_key_at_the_same_time_are_one_saga(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    tickets = await asyncio.gather(*(lives.begin() for _ in range(5)))
    assert len({ticket.saga_id for ticket in tickets}) == 1
    assert sum(ticket.created for ticket in tickets) == 1
    await lives.settle(tickets[0])
    assert max(lives.world.effects.values()) == 1
    await lives.stop()


@in_virtual_time
async def test_without_a_key_every_begin_is_a_new_saga(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    assert (await lives.begin(key=None)).saga_id != (await lives.begin(key=None)).saga_id
    await lives.stop()


@in_virtual_time
async def test_a_client_that_goes_away_does_not_take_its_saga_with_it(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    client = asyncio.create_task(lives.begin())
    await asyncio.sleep(0)
    client.cancel()
    with suppress(asyncio.CancelledError):
        await client
    await asyncio.sleep(5)
    assert (await lives.settle(await lives.begin())).outcome == Completed()
    assert max(lives.world.effects.values()) == 1
    await lives.stop()


@in_virtual_time
async def test_one_saga_too_many_is_overloaded_and_an_honest_retry_still_finds_its_own(home: Home) -> None:
    lives = Lives(home, World(lambda path, nth: "hang"))
    await lives.start(max_open=2)
    first = await lives.begin(key="k1")
    answers = await asyncio.gather(lives.begin(key="k2"), lives.begin(key="k3"), return_exceptions=True)
    assert [isinstance(answer, Overloaded) for answer in answers] == [False, True]
    assert (await lives.begin(key="k1")).saga_id == first.saga_id
    await lives.host.stop(Seconds(0))


# -- following ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_wait_is_bounded_and_then_tells_how_far_it_is(home: Home) -> None:
    lives = Lives(home, World(failing("/two", "hang")))
    await lives.start()
    ticket = await lives.begin(Chain)
    began = lives.clock.now()
    view = await lives.host.wait(ticket.saga_id, timeout=Seconds(2.0))
    assert lives.clock.now() - began == pytest.approx(2.0)
    assert view.status is SagaState.RUNNING
    assert states(view) == {"one": StepState.DONE, "two": StepState.RUNNING, "three": StepState.PENDING}
    await lives.host.stop(Seconds(0))


@in_virtual_time
async def test_what_nobody_began_is_not_found(home: Home) -> None:
    lives = Lives(home)
    host = await lives.start()
    assert await host.view("nope") is None
    assert await host.history("nope") is None
    assert await host.ask("nope", Cancel("x")) is None
    with pytest.raises(SagaNotFound):
        await host.wait("nope", timeout=Seconds(1))
    await lives.stop()


@in_virtual_time
async def test_a_settled_saga_looks_the_same_after_a_restart(home: Home) -> None:
    lives = Lives(home, World(failing("/three", "reject")))
    await lives.start()
    ticket = await lives.begin(Chain)
    view, events = await lives.settle(ticket), await lives.events(ticket)
    await lives.restart()
    assert await lives.host.view(ticket.saga_id) == view
    assert await lives.events(ticket) == events
    await lives.stop()


@in_virtual_time
async def test_a_history_is_the_events_in_order_and_goes_on_after_any_of_them(home: Home) -> None:
    lives = Lives(home)
    host = await lives.start()
    ticket = await lives.begin(Chain)
    await lives.settle(ticket)
    assert await lives.events(ticket) == ["SagaStarted", *["StepIntended", "StepDone"] * 3, "SagaEnded"]
    rest = await host.history(ticket.saga_id, after=6)
    assert rest is not None
    assert (rest.first, rest.last, rest.owner, rest.state) == (7, 8, OWNER, SagaState.COMPLETED)
    assert [kind_of(event) for event in rest.events] == ["StepDone", "SagaEnded"]
    await lives.stop()


@in_virtual_time
async def test_a_history_is_followed_as_it_happens(home: Home) -> None:
    async def slowly(name: str) -> None:
        await asyncio.sleep(1)

    lives = Lives(home, World(around=slowly))
    host = await lives.start()
    ticket = await lives.begin(Chain)
    seen: list[str] = []
    while "SagaEnded" not in seen:
        part = await host.history(ticket.saga_id, after=len(seen), timeout=Seconds(30))
        assert part is not None
        assert part.events, "waited for nothing"
        seen += [kind_of(event) for event in part.events]
    assert seen == await lives.events(ticket)
    nothing_more = await host.history(ticket.saga_id, after=len(seen), timeout=Seconds(3))
    assert nothing_more is not None
    assert nothing_more.events == ()
    await lives.stop()


@in_virtual_time
async def test_sagas_are_searched_by_state_name_and_owner_the_newest_first(home: Home) -> None:
    lives = Lives(home, World(failing("/three", "reject")))
    host = await lives.start()
    tickets = []
    for saga, owner in ((PlaceOrder, OWNER), (Chain, OWNER), (PlaceOrder, BOB)):
        tickets.append(await lives.begin(saga, owner=owner))
        await lives.settle(tickets[-1])
        await asyncio.sleep(1)

    async def found(query: SagaQuery) -> list[int]:
        ids = [ticket.saga_id for ticket in tickets]
        return [ids.index(record.id) for record in await host.search(query)]

    assert await found(SagaQuery()) == [2, 1, 0]
    assert await found(SagaQuery(limit=2)) == [2, 1]
    assert await found(SagaQuery(states=frozenset({SagaState.COMPENSATED}))) == [1]
    assert await found(SagaQuery(saga="PlaceOrder")) == [2, 0]
    assert await found(SagaQuery(owner=OWNER)) == [1, 0]
    (oldest_but_one,) = [record for record in await host.search(SagaQuery()) if record.id == tickets[1].saga_id]
    assert await found(SagaQuery(before=(oldest_but_one.created_at, oldest_but_one.id))) == [0]
    await lives.stop()


# -- people and signals ------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_cancelled_saga_is_undone_and_then_hears_nobody(home: Home) -> None:
    lives = Lives(home)
    host = await lives.start()
    ticket = await lives.begin(Booking)
    await asyncio.sleep(1)
    assert await host.ask(ticket.saga_id, Cancel("changed my mind")) == Taken()
    assert (await lives.settle(ticket)).outcome == Failed("CANCELLED", ("reservation",))
    assert await host.ask(ticket.saga_id, Cancel("again")) == Refused("the saga is COMPENSATED and has ended")
    assert lives.world.balance() == {}
    await lives.stop()


@in_virtual_time
async def test_a_signal_is_taken_once_early_or_in_time_and_again_after_a_restart(home: Home) -> None:
    lives = Lives(home)
    host = await lives.start()
    ticket = await lives.begin(Booking)
    assert await host.ask(ticket.saga_id, Signal("courier", "fleet", COURIER)) == Taken()
    await asyncio.sleep(1)
    assert await host.ask(ticket.saga_id, Signal("payment", "bank", PAID)) == Taken()
    assert await host.ask(ticket.saga_id, Signal("payment", "bank", PAID)) == Taken(is_repeated=True)
    host = await lives.restart()
    assert await host.ask(ticket.saga_id, Signal("payment", "bank", PAID)) == Taken(is_repeated=True)
    assert (await lives.settle(ticket)).outcome == Completed()
    assert await host.ask(ticket.saga_id, Signal("payment", "bank", PAID)) == Taken(is_repeated=True)
    refused = await host.ask(ticket.saga_id, Signal("pause", "x", PAID))
    assert refused == Refused("Booking has no signal 'pause' (it has: payment, courier)")
    await lives.stop()


@in_virtual_time
async def test_a_signal_that_does_not_come_in_time_is_the_declared_no(home: Home) -> None:
    lives = Lives(home)
    host = await lives.start()
    ticket = await lives.begin(Booking)
    assert (await lives.settle(ticket)).outcome == Rejected("NOT_PAID", "Nobody paid.")
    assert 20 <= lives.clock.now() < 21
    assert isinstance(await host.ask(ticket.saga_id, Signal("payment", "bank", PAID)), Refused)
    assert lives.world.balance() == {}
    await lives.stop()


@in_virtual_time
async def test_an_operator_leads_a_saga_out_of_its_need_for_attention_also_after_a_restart(home: Home) -> None:
    lives = Lives(home, World(failing("/mail", "refuse")))
    await lives.start()
    ticket = await lives.begin(Failing)
    view = await lives.settle(ticket)
    assert view.outcome == NeedsAttention("SERVICE_REFUSED")
    host = await lives.restart()
    assert await host.view(ticket.saga_id) == view
    assert await host.ask(ticket.saga_id, Cancel("enough")) == Refused(
        "it waits for a person: retry, skip or resolve the step that is in the way"
    )
    assert await host.ask(ticket.saga_id, RetryStep("mail", "op", "again")) == Taken()
    await asyncio.sleep(1)
    assert (await lives.settle(ticket)).outcome == NeedsAttention("SERVICE_REFUSED")
    lives.world.fault = always_ok
    assert await host.ask(ticket.saga_id, RetryStep("mail", "op", "mended")) == Taken()
    await asyncio.sleep(1)
    assert (await lives.settle(ticket)).outcome == Completed()
    assert lives.world.balance() == {"mail": 1, "payment": 1}
    await lives.stop()


@in_virtual_time
async def test_what_an_operator_resolved_is_the_steps_result(home: Home) -> None:
    lives = Lives(home, World(failing("/mail", "refuse")))
    host = await lives.start()
    ticket = await lives.begin(Failing)
    await lives.settle(ticket)
    result = msgspec.Raw(b'{"key": "by hand"}')
    assert await host.ask(ticket.saga_id, ResolveStep("mail", "op", "sent by hand", "done", result)) == Taken()
    await asyncio.sleep(1)
    assert (await lives.settle(ticket)).result() == 1
    assert (await lives.events(ticket))[-2:] == ["OperatorResolved", "SagaEnded"]
    await lives.stop()


@in_virtual_time
async def test_nothing_is_done_to_a_step_that_has_an_attempt_under_way(home: Home) -> None:
    lives = Lives(home, World(failing("/one", "hang")))
    host = await lives.start()
    ticket = await lives.begin(Chain)
    await asyncio.sleep(1)
    refused = await host.ask(ticket.saga_id, RetryStep("one", "op", "hurry"))
    assert refused == Refused("an attempt at one is under way: ask again when it has ended")
    await host.stop(Seconds(0))


# -- finding out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
def test_what_may_have_happened_is_found_out_before_it_is_undone(home: Home, fault: str) -> None:
    @in_virtual_time
    async def story() -> None:
        first = lambda path, nth: fault if path in ("/seat", "/meal") and nth <= 3 else "ok"  # noqa: E731
        lives = Lives(home, Asking(first))
        await lives.start()
        view = await lives.settle(await lives.begin(Careful))
        assert view.status is SagaState.COMPENSATED
        was_done = StepState.UNDONE if fault == "lost after" else StepState.FAILED
        assert states(view)["seat"] is was_done
        assert states(view)["meal"] is StepState.UNDONE  # sent again, it was done at the latest then
        assert lives.world.balance() == {}
        assert lives.clock.now() >= 2.0, "a lookup was asked before it could tell"
        await lives.stop()

    story()


@in_virtual_time
async def test_a_no_to_the_same_request_sent_again_is_the_answer_that_it_was_not_done(home: Home) -> None:
    faults = {"/meal": iter(["lost before"] * 3)}
    lives = Lives(home, Asking(lambda path, nth: next(faults[path], "reject") if path in faults else "ok"))
    await lives.start()
    view = await lives.settle(await lives.begin(Careful))
    assert (states(view)["meal"], states(view)["seat"]) == (StepState.FAILED, StepState.UNDONE)
    assert lives.world.balance() == {}
    await lives.stop()


# -- dying, stopping, starting -----------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_host_that_stops_lets_attempts_end_and_the_next_goes_on_there(home: Home) -> None:
    async def slowly(name: str) -> None:
        await asyncio.sleep(1)

    lives = Lives(home, World(around=slowly))
    host = await lives.start()
    ticket = await lives.begin(Chain)
    await asyncio.sleep(0.5)
    stopping = asyncio.create_task(host.stop(Seconds(10)))
    await asyncio.sleep(0.1)
    assert not host.is_healthy
    with pytest.raises(Draining):
        await lives.begin(key="other")
    await stopping
    assert lives.world.calls == ["/one"]
    await lives.start()
    assert (await lives.settle(ticket)).outcome == Completed()
    assert lives.world.calls == ["/one", "/two", "/three"]
    await lives.stop()


@in_virtual_time
async def test_an_attempt_that_was_cut_is_unknown_and_is_made_again_under_its_key(home: Home) -> None:
    lives = Lives(home, World(lambda path, nth: "hang" if nth == 1 else "ok"))
    await lives.start()
    ticket = await lives.begin(Chain)
    await asyncio.sleep(0.1)
    lives.world.fault = always_ok
    await lives.restart()
    view = await lives.settle(ticket)
    assert view.outcome == Completed()
    assert view.steps[0].attempts == 2
    assert "AttemptInterrupted" in await lives.events(ticket)
    await lives.stop()


@in_virtual_time
async def test_what_was_cut_is_not_certainly_undone_when_it_is_certainly_refused_afterwards(home: Home) -> None:
    """The first life's call may have taken effect: a "no" to a second one that was never asked for tells nothing of it."""
    faults = iter(["lost after"])
    lives = Lives(home, World(lambda path, nth: next(faults, "refuse") if path == "/one" else "ok"))
    cut = asyncio.Event()

    async def die_after(name: str) -> None:
        if name == "after /one":
            cut.set()
            await asyncio.Event().wait()

    lives.world.around = die_after
    await lives.start()
    ticket = await lives.begin(Chain)
    await cut.wait()
    lives.world.around = None
    await lives.restart()
    assert states(await lives.settle(ticket))["one"] is StepState.UNDONE
    assert lives.world.balance() == {}
    await lives.stop()


def one_step(version: int, *, pivot: bool = False) -> type[Saga[Order, int]]:
    class Changing(Saga[Order, int], version=version):
        @step(pivot=pivot, undo=None)
        async def one(self, ctx: StepCtx, order: Order) -> Receipt:
            return await ctx.send(Write(f"/v{version}"), {})

        def result(self, one: Receipt) -> int:
            return version

    return Changing


@in_virtual_time
async def test_an_open_saga_of_an_unknown_or_changed_version_keeps_the_host_from_starting(home: Home) -> None:
    old = one_step(1)
    lives = Lives(home, World(lambda path, nth: "hang"), sagas=[old])
    await lives.start()
    ticket = await lives.begin(old)
    await lives.host.stop(Seconds(0))
    for wrong in (one_step(2), one_step(1, pivot=True)):
        with pytest.raises(SagaStartError, match=r"Changing v1 \(1 open\)"):
            await lives.start(sagas=[wrong])
    lives.world.fault = always_ok
    await lives.start(sagas=[old, one_step(2)])
    assert (await lives.settle(ticket)).result() == 1
    await lives.restart(sagas=[one_step(2)])
    view = await lives.host.view(ticket.saga_id)
    assert view is not None
    assert (view.status, view.steps) == (SagaState.COMPLETED, ())
    await lives.stop()


# -- the store fails ---------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_with_a_full_journal_nothing_is_begun_or_sent_and_with_room_all_goes_on(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    ticket = await lives.begin(Booking)
    await asyncio.sleep(1)
    home.fail_at = home.writes + 1
    calls = list(lives.world.calls)
    with pytest.raises(SagasUnavailable):
        await lives.begin(key="other")
    assert not lives.host.is_healthy
    with pytest.raises(SagasUnavailable):
        await lives.host.ask(ticket.saga_id, Signal("payment", "bank", PAID))
    await asyncio.sleep(10)
    assert lives.world.calls == calls
    view = await lives.host.view(ticket.saga_id)
    assert view is not None
    home.fail_at = None
    await lives.restart()
    assert await lives.host.ask(ticket.saga_id, Signal("payment", "bank", PAID)) == Taken()
    assert await lives.host.ask(ticket.saga_id, Signal("courier", "fleet", COURIER)) == Taken()
    assert (await lives.settle(ticket)).outcome == Completed()
    assert (await lives.begin(key="other")).created
    await lives.stop()


@in_virtual_time
async def test_whoever_asks_as_the_journal_fails_does_not_hear_that_it_was_taken(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    ticket = await lives.begin(Booking)
    await asyncio.sleep(1)
    home.fail_at = home.writes + 1
    with pytest.raises(SagasUnavailable):
        await lives.host.ask(ticket.saga_id, Signal("payment", "bank", PAID))
    home.fail_at = None
    await lives.restart()
    assert "SignalReceived" not in await lives.events(ticket)
    await lives.stop()


@in_virtual_time
async def test_an_effect_never_goes_before_its_intention_is_durable(home: Home) -> None:
    """Fail the journal at every write in turn: what was called is what the history intends."""
    for fail_after in range(1, 9):
        world = World()
        lives = Lives(home, world)
        await lives.start()
        home.fail_at = home.writes + fail_after
        began: Ticket | None = None
        with suppress(SagasUnavailable):
            began = await lives.begin(Chain, key=f"k{fail_after}")
        await asyncio.sleep(1)
        home.fail_at = None
        calls = len(world.calls)
        await lives.host.stop(Seconds(0))
        await lives.start()
        if began is not None:
            events = await lives.events(await lives.begin(Chain, key=f"k{fail_after}"))
            assert events.count("StepIntended") >= calls
        else:
            assert calls == 0
        await lives.stop()


# -- the hour ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-3_600.0, -1.0, 1.0, 3_600.0])
def test_a_clock_that_jumps_across_a_restart_loses_and_doubles_nothing(home: Home, jump: float) -> None:
    @in_virtual_time
    async def story() -> None:
        lives = Lives(home, World(lambda path, nth: "lost after" if path == "/two" and nth == 1 else "ok"))
        await lives.start()
        ticket = await lives.begin(Chain)
        await asyncio.sleep(0)
        await lives.host.stop(Seconds(0))
        lives.clock.jump(jump)
        await lives.start()
        view = await lives.settle(ticket, within=10_000)
        late = jump > 60
        assert view.status is (SagaState.COMPENSATED if late else SagaState.COMPLETED), view
        assert lives.world.balance() == ({} if late else {"one": 1, "two": 1, "three": 1})
        assert max(lives.world.effects.values(), default=0) <= 1
        await lives.stop()

    story()


@in_virtual_time
async def test_a_jump_forwards_lets_a_timer_fire_within_half_a_minute_and_a_jump_back_keeps_it_waiting(
    home: Home,
) -> None:
    lives = Lives(home)
    host = await lives.start()
    tickets = [await lives.begin(Booking, key="k1"), await lives.begin(Booking, key="k2")]
    for ticket in tickets:
        await host.ask(ticket.saga_id, Signal("payment", "bank", PAID))
    await asyncio.sleep(1)
    lives.clock.jump(-600)
    await asyncio.sleep(30)
    for ticket in tickets:
        view = await host.view(ticket.saga_id)
        assert view is not None
        assert states(view)["pause"] is StepState.WAITING
    lives.clock.jump(600)
    await asyncio.sleep(30)
    for ticket in tickets:
        view = await host.view(ticket.saga_id)
        assert view is not None
        assert states(view)["pause"] is StepState.DONE
        assert view.status is SagaState.FORWARD_ONLY
    await host.stop(Seconds(0))


@in_virtual_time
async def test_a_jump_past_the_deadline_turns_the_saga_back_within_half_a_minute(home: Home) -> None:
    lives = Lives(home)
    host = await lives.start()
    ticket = await lives.begin(Booking)
    await asyncio.sleep(1)
    lives.clock.jump(100)
    assert (await lives.settle(ticket, within=31)).status is SagaState.COMPENSATED
    assert lives.world.balance() == {}
    await host.stop(Seconds(0))


@in_virtual_time
async def test_back_off_and_timers_go_on_across_restarts_from_where_they_were(home: Home) -> None:
    lives = Lives(home)
    await lives.start()
    ticket = await lives.begin(Booking)
    await lives.host.ask(ticket.saga_id, Signal("payment", "bank", PAID))
    await lives.host.ask(ticket.saga_id, Signal("courier", "fleet", COURIER))
    for _ in range(4):
        await asyncio.sleep(1)
        await lives.restart()
    assert (await lives.settle(ticket)).outcome == Completed()
    assert 5.0 <= lives.clock.now() < 5.5
    await lives.stop()


# -- the suite ---------------------------------------------------------------------------------------------------------


def test_the_suite_is_as_long_as_the_page_says() -> None:
    promises = [name for name in globals() if name.startswith("test_")]
    assert_told("Promises of a host, each tested", len(promises) - 1)
    assert_told("Hosts that keep them", len(HOMES))
