"""Workers and the saga process over a real Unix socket, in virtual time: what dies when, and what must hold nevertheless."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.clock import Seconds
from gateway.errors import GatewayError, Overloaded, SagaNotFound, SagasUnavailable
from gateway.framing import MAX_FRAME, Frames, FrameTooLong
from gateway.sagas import (
    Cancel,
    Completed,
    IdempotencyConflict,
    Journal,
    Refused,
    Request,
    ResolveStep,
    RetryStep,
    Saga,
    SagaQuery,
    SagaRecord,
    SagaStartError,
    SagaState,
    Signal,
    SkipStep,
    StepCtx,
    Taken,
    Ticket,
    step,
)
from gateway.sagas import messages as told
from gateway.sagas.events import Event, StepDone
from gateway.sagas.hosting import HEARD_WITHIN
from gateway.sagas.journal import AlreadyThere, Begun
from gateway.sagas.meeting import is_own, listen_at, meeting_place
from gateway.sagas.remote import ANSWER_GRACE, READ_WITHIN, RESENT_WITHIN, RemoteHost
from gateway.testing import VirtualClock, in_virtual_time
from gateway.testing.journal import MemoryJournal

from .served import Heard, SagaProcess, new_place
from .world import OWNER, Chain, Order, PlaceOrder, World, host_of, quiet


class Machine:
    """One journal and the processes of one gateway."""

    def __init__(self, world: World | None = None, journal: Journal | None = None) -> None:
        self.world = world or World()
        self.journal = journal or MemoryJournal()
        self.place = new_place()
        self.telemetry, self.log = quiet()
        self.clock = VirtualClock()
        self.workers: list[RemoteHost] = []
        self.process = self._process()

    def _process(self, sagas: tuple[type[Saga[Any, Any]], ...] = (PlaceOrder, Chain)) -> SagaProcess:
        host = host_of(self.journal, self.world, sagas=sagas, telemetry=self.telemetry, clock=self.clock, max_open=3)
        return SagaProcess(host, self.place, telemetry=self.telemetry)

    async def worker(self, observer: Heard | None = None) -> RemoteHost:
        worker = self.process.worker(
            telemetry=self.telemetry, clock=self.clock, observer=observer, name=f"worker-{len(self.workers) + 1}"
        )
        self.workers.append(worker)
        await worker.start()
        return worker

    async def restart(self, *sagas: type[Saga[Any, Any]]) -> None:
        self.process = self._process(sagas or (PlaceOrder, Chain))
        await self.process.start()

    async def stop(self) -> None:
        for worker in self.workers:
            await worker.stop(Seconds(0))
        await self.process.stop()


async def begin(
    worker: RemoteHost, saga: type[Saga[Any, Any]] = Chain, *, key: str | None = "k", input_hash: str = "h"
) -> Ticket:
    ticket = await worker.begin(saga, Order(), owner=OWNER, key=key, input_hash=input_hash, trace={})
    assert not isinstance(ticket, IdempotencyConflict)
    return ticket


async def refusal(asking: Coroutine[Any, Any, object] | asyncio.Task[Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await asking
    return caught.value


def condition_of(worker: RemoteHost) -> str:
    return worker.condition


# -- beginning ---------------------------------------------------------------------------------------------------------


class DyingJournal(MemoryJournal):
    """Takes a begin, and then its process does not live to tell."""

    def __init__(self) -> None:
        super().__init__()
        self.begins = 0
        self.then: Callable[[], asyncio.Task[None]] | None = None

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        answer = await super().begin(record, events)
        self.begins += 1
        if self.then is not None:
            self.then()
            await asyncio.get_running_loop().create_future()
        return answer


@pytest.mark.parametrize("key", ["k", None])
def test_a_begin_whose_answer_was_lost_is_sent_again_and_is_one_saga(key: str | None) -> None:
    @in_virtual_time
    async def story() -> None:
        journal = DyingJournal()
        machine = Machine(journal=journal)
        await machine.process.start()
        worker = await machine.worker()
        journal.then = lambda: asyncio.create_task(machine.process.dies())
        beginning = asyncio.create_task(begin(worker, key=key))
        await asyncio.sleep(1)
        assert not beginning.done()
        journal.then = None
        await machine.restart()
        ticket = await beginning
        assert ticket.created
        assert journal.begins == 2
        assert len(journal._records) == 1
        assert (await worker.wait(ticket.saga_id, timeout=Seconds(10))).outcome == Completed()
        assert sum(machine.world.effects.values()) == 3
        await machine.stop()

    story()


@in_virtual_time
async def test_without_the_saga_process_a_begin_is_refused_at_once_and_certainly_not_begun() -> None:
    machine = Machine()
    await machine.process.start()
    worker = await machine.worker()
    await machine.process.dies()
    await asyncio.sleep(0.1)
    before = machine.clock.now()
    error = await refusal(begin(worker))
    assert isinstance(error, SagasUnavailable)
    assert "nothing was begun" in error.message
    assert machine.clock.now() == before
    assert condition_of(worker) == "unreachable"
    assert not worker.is_healthy
    await machine.restart()
    await asyncio.sleep(1)
    assert condition_of(worker) == "ok"
    assert (await begin(worker)).created
    await machine.stop()


@in_virtual_time
async def test_a_begin_that_nobody_answers_for_long_is_told_as_what_it_is_of_unknown_fate() -> None:
    journal = DyingJournal()
    machine = Machine(journal=journal)
    await machine.process.start()
    worker = await machine.worker()
    journal.then = lambda: asyncio.create_task(machine.process.dies())
    before = machine.clock.now()
    error = await refusal(begin(worker))
    assert "nobody can tell whether" in error.message
    assert "the same key" in error.message
    assert machine.clock.now() == pytest.approx(before + RESENT_WITHIN)
    await machine.stop()


@in_virtual_time
async def test_a_refusal_of_what_was_sent_before_does_not_claim_that_nothing_was_begun() -> None:
    journal = DyingJournal()
    machine = Machine(journal=journal)
    await machine.process.start()
    worker = await machine.worker()
    journal.then = lambda: asyncio.create_task(machine.process.dies())
    beginning = asyncio.create_task(begin(worker))
    await asyncio.sleep(1)
    journal.then, journal.fail_at = None, 0
    await machine.restart()
    machine.process.host._running.clear()
    machine.journal = journal
    journal._records.clear()
    journal._keys.clear()
    assert "nobody can tell whether" in (await refusal(beginning)).message
    await machine.stop()


@in_virtual_time
async def test_a_client_that_goes_away_takes_neither_its_saga_nor_anything_of_the_process_with_it() -> None:
    machine = Machine()
    await machine.process.start()
    worker = await machine.worker()
    client = asyncio.create_task(begin(worker))
    await asyncio.sleep(0)
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    await asyncio.sleep(1)
    assert sum(machine.world.effects.values()) == 3
    assert (await begin(worker)).created is False
    await machine.stop()


@in_virtual_time
async def test_errors_cross_as_what_they_are() -> None:
    machine = Machine(World(lambda path, nth: "hang"))
    await machine.process.start()
    worker = await machine.worker()
    tickets = [await begin(worker, key=f"k{number}") for number in range(3)]
    assert isinstance(await refusal(begin(worker, key="one more")), Overloaded)
    assert (await begin(worker, key="k1")) == Ticket(tickets[1].saga_id, created=False)
    conflict = await worker.begin(Chain, Order(), owner=OWNER, key="k1", input_hash="other", trace={})
    assert conflict == IdempotencyConflict(tickets[1].saga_id)
    assert isinstance(await refusal(worker.wait("nope", timeout=Seconds(1))), SagaNotFound)
    assert await worker.view("nope") is None
    assert await worker.history("nope") is None
    assert await worker.ask("nope", Cancel("why not")) is None
    await machine.stop()


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaves", [True, False])
def test_a_wait_outlives_the_saga_process(leaves: bool) -> None:
    @in_virtual_time
    async def story() -> None:
        machine = Machine(World(lambda path, nth: "hang" if path == "/two" and nth == 1 else "ok"))
        await machine.process.start()
        worker = await machine.worker()
        ticket = await begin(worker)
        waiting = asyncio.create_task(worker.wait(ticket.saga_id, timeout=Seconds(60)))
        await asyncio.sleep(1)
        await (machine.process.stop(Seconds(0)) if leaves else machine.process.dies())
        await asyncio.sleep(3)
        assert not waiting.done()
        await machine.restart()
        view = await waiting
        assert view.outcome == Completed()
        assert view.result() == 3
        assert machine.clock.now() < 10
        await machine.stop()

    story()


@in_virtual_time
async def test_a_wait_for_a_process_that_does_not_come_back_tells_the_last_that_is_known_and_in_time() -> None:
    machine = Machine(World(lambda path, nth: "hang"))
    await machine.process.start()
    worker = await machine.worker()
    ticket = await begin(worker)
    await machine.process.dies()
    before = machine.clock.now()
    view = await worker.wait(ticket.saga_id, timeout=Seconds(2))
    assert (view.id, view.saga, view.owner, view.status, view.outcome) == (
        ticket.saga_id,
        "Chain",
        OWNER,
        SagaState.RUNNING,
        None,
    )
    assert machine.clock.now() == pytest.approx(before + 2 + ANSWER_GRACE)
    assert "may be asked for again" in (await refusal(worker.wait("another", timeout=Seconds(0)))).message
    before = machine.clock.now()
    assert isinstance(await refusal(worker.view(ticket.saga_id)), SagasUnavailable)
    assert machine.clock.now() == pytest.approx(before + READ_WITHIN)
    await machine.stop()


@in_virtual_time
async def test_a_wait_ends_with_its_timeout_and_one_that_is_cancelled_is_forgotten() -> None:
    machine = Machine(World(lambda path, nth: "hang"))
    await machine.process.start()
    worker = await machine.worker()
    ticket = await begin(worker)
    assert (await worker.wait(ticket.saga_id, timeout=Seconds(1))).status is SagaState.RUNNING
    assert machine.clock.now() == pytest.approx(1, abs=0.01)
    client = asyncio.create_task(worker.wait(ticket.saga_id, timeout=Seconds(100)))
    await asyncio.sleep(0.1)
    (connection,) = machine.process.server._workers
    assert len(connection.calls) == 1
    client.cancel()
    await asyncio.sleep(0.1)
    assert connection.calls == {}
    assert machine.process.host.open_count == 1
    await machine.stop()


# -- following ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_history_search_signals_and_operators_cross_the_socket() -> None:
    machine = Machine(World(lambda path, nth: "lost before" if path == "/three" else "ok"))
    await machine.process.start()
    worker = await machine.worker()
    ticket = await begin(worker)
    view = await worker.wait(ticket.saga_id, timeout=Seconds(100))
    assert view.status is SagaState.COMPENSATED
    assert view == await machine.process.host.view(ticket.saga_id)
    assert await worker.history(ticket.saga_id, after=3) == await machine.process.host.history(ticket.saga_id, after=3)
    query = SagaQuery(states=frozenset({SagaState.COMPENSATED}), owner=OWNER)
    (found,) = await worker.search(query)
    assert [found] == await machine.process.host.search(query)
    assert found.id == ticket.saga_id
    assert await worker.search(SagaQuery(saga="Another")) == []
    assert await worker.ask(ticket.saga_id, Signal("two", "ada", msgspec.Raw(b'{"a":1}'))) == Refused(
        "Chain has no signal 'two' (it has: none)"
    )
    await machine.stop()


@pytest.mark.parametrize(
    "request_",
    [
        Cancel("no need", "ada"),
        RetryStep("two", "ada", "again"),
        SkipStep("two", "ada", "enough"),
        Signal("two", "ada", msgspec.Raw(b'{"a":[1,2]}')),
        ResolveStep("two", "ada", "seen in the books", "not_done"),
        ResolveStep("two", "ada", "seen in the books", "done", msgspec.Raw(b'{"key":"found"}')),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_may_be_asked_of_a_saga_crosses_as_it_is(request_: Request) -> None:
    asked = told.encode(told.Call(1, told.ask("s", request_)))
    call = told.to_process(asked)
    assert isinstance(call, told.Call)
    assert isinstance(call.question, told.Ask)
    assert told.request_of(call.question) == request_


@in_virtual_time
async def test_what_happens_next_is_told_when_it_happens() -> None:
    machine = Machine()

    async def slowly(point: str) -> None:
        if point == "before /two":
            await asyncio.sleep(2)

    machine.world.around = slowly
    await machine.process.start()
    worker = await machine.worker()
    ticket = await begin(worker)
    await asyncio.sleep(1)
    known = await worker.history(ticket.saga_id)
    assert known is not None
    more = await worker.history(ticket.saga_id, after=known.last, timeout=Seconds(30))
    assert more is not None
    assert isinstance(more.events[0], StepDone)
    assert more.events[0].step == "two"
    assert machine.clock.now() == pytest.approx(2, abs=0.1)
    await machine.stop()


@in_virtual_time
async def test_what_an_operator_wants_is_not_asked_twice() -> None:
    machine = Machine(World(lambda path, nth: "hang"))
    await machine.process.start()
    worker = await machine.worker()
    ticket = await begin(worker)
    assert await worker.ask(ticket.saga_id, Cancel("no need")) == Taken()
    asking = asyncio.create_task(worker.ask(ticket.saga_id, Cancel("once more")))
    await asyncio.sleep(0)
    await machine.process.dies()
    assert "history" in (await refusal(asking)).message
    await machine.stop()


# -- caches ------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_every_worker_has_heard_of_a_write_before_anybody_is_told_its_outcome() -> None:
    machine = Machine()
    await machine.process.start()
    ours, theirs = Heard(), Heard()
    worker = await machine.worker(ours)
    await machine.worker(theirs)
    ours.heard.clear()
    theirs.heard.clear()
    ticket = await begin(worker)
    view = await worker.wait(ticket.saga_id, timeout=Seconds(10))
    assert view.is_settled
    assert ours.heard == theirs.heard == [("one", "ada")]
    await machine.stop()


@in_virtual_time
async def test_a_worker_that_does_not_listen_holds_an_answer_up_a_moment_only() -> None:
    machine = Machine()
    await machine.process.start()
    worker = await machine.worker(Heard())
    deaf = await machine.worker(Heard())
    assert deaf._link is not None
    deaf._link._on_news = lambda link, message: None
    ticket = await begin(worker)
    assert (await worker.wait(ticket.saga_id, timeout=Seconds(10))).is_settled
    assert machine.clock.now() == pytest.approx(HEARD_WITHIN, abs=0.1)
    await machine.stop()


@in_virtual_time
async def test_after_a_reconnect_nothing_is_trusted_that_a_saga_may_have_written_meanwhile() -> None:
    machine = Machine()
    await machine.process.start()
    listener = Heard()
    await machine.worker(listener)
    await machine.process.dies()
    listener.heard.clear()
    await machine.restart()
    await asyncio.sleep(1)
    assert {what for what, _ in listener.heard} == {"one", "orders"}
    await machine.stop()


# -- handshake, health, bounds -----------------------------------------------------------------------------------------


class Newer(Saga[Order, int], version=1, name="Chain"):
    """Another shape under the same name and version."""

    @step(undo=None)
    async def only(self, ctx: StepCtx, order: Order) -> int:
        return 1

    def result(self, only: int) -> int:
        return only


@in_virtual_time
async def test_a_worker_of_other_code_is_told_which_and_serves_again_when_the_process_is_of_its_own() -> None:
    machine = Machine()
    await machine.process.start()
    worker = await machine.worker()
    await machine.process.dies()
    await machine.restart(PlaceOrder, Newer)
    await asyncio.sleep(2)
    assert condition_of(worker) == "other code"
    error = await refusal(begin(worker))
    assert "other code of Chain v1: restart the whole gateway" in error.message
    assert "other code of Chain v1" in (await refusal(worker.view("any"))).message
    assert "turned away" in machine.log.getvalue()
    await machine.process.dies()
    await machine.restart()
    await asyncio.sleep(2)
    assert (await begin(worker)).created
    await machine.stop()


@in_virtual_time
async def test_a_worker_starts_without_the_saga_process_and_finds_it_later() -> None:
    machine = Machine()
    worker = await machine.worker()
    assert condition_of(worker) == "unreachable"
    await machine.process.start()
    await asyncio.sleep(2)
    assert condition_of(worker) == "ok"
    await machine.stop()


@in_virtual_time
async def test_a_failed_journal_is_known_to_the_workers() -> None:
    machine = Machine(journal=MemoryJournal(fail_at=1))
    await machine.process.start()
    worker = await machine.worker()
    assert "cannot be written" in (await refusal(begin(worker))).message
    await asyncio.sleep(1)
    assert condition_of(worker) == "journal failed"
    await machine.stop()


@in_virtual_time
async def test_one_question_too_many_is_refused_by_the_worker_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.sagas.remote.MAX_CALLS", 2)
    machine = Machine(World(lambda path, nth: "hang"))
    await machine.process.start()
    worker = await machine.worker()
    ticket = await begin(worker)
    waits = [asyncio.create_task(worker.wait(ticket.saga_id, timeout=Seconds(5))) for _ in range(2)]
    await asyncio.sleep(0.1)
    assert isinstance(await refusal(begin(worker, key="k2")), Overloaded)
    await asyncio.gather(*waits)
    assert (await begin(worker, key="k2")).created
    await machine.stop()


@in_virtual_time
async def test_whoever_talks_nonsense_is_cut_off_and_nobody_else() -> None:
    machine = Machine()
    await machine.process.start()
    worker = await machine.worker()
    for nonsense in (b"\x00\x00\x00\x02{}", (MAX_FRAME + 1).to_bytes(4, "big"), b"\x00\x00\x00\x01"):
        reader, writer = await asyncio.open_unix_connection(machine.place)
        writer.write(nonsense)
        if nonsense[-1] == 1 and len(nonsense) == 4:
            writer.write_eof()  # half a frame
        assert await reader.read() == b""
        writer.close()
    assert (await begin(worker)).created
    assert "could not be understood" in machine.log.getvalue()
    await machine.stop()


def test_a_frame_beyond_the_bound_is_not_sent() -> None:
    frames = Frames(on_frame=lambda payload: None, on_lost=lambda: None)
    with pytest.raises(FrameTooLong):
        frames.send(b"x" * (MAX_FRAME + 1))


# -- the meeting place -------------------------------------------------------------------------------------------------


def test_the_socket_and_its_folder_are_for_this_user_alone(tmp_path: Path) -> None:
    place = meeting_place(tmp_path / "j.sqlite3")
    with listen_at(place):
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    with listen_at(place):  # in place of what a dead process left
        pass


def test_a_folder_that_others_may_enter_is_refused_by_both_sides(tmp_path: Path) -> None:
    place = meeting_place(tmp_path / "j.sqlite3")
    place.parent.mkdir(mode=0o755)
    place.parent.chmod(0o755)
    assert not is_own(place.parent)
    with pytest.raises(SagaStartError, match="open to others"):
        listen_at(place)


def test_a_path_too_long_for_a_socket_is_met_elsewhere_and_both_sides_know_where(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120) / "j.sqlite3"
    place = meeting_place(deep)
    assert place == meeting_place(deep)
    assert place != meeting_place(deep.with_name("other.sqlite3"))
    assert len(str(place)) <= 100
