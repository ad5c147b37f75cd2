"""The saga process's side: an embedded host, served to the workers of this machine.

Invariants: a question's answer is sent after every worker knows of the writes that it may tell of (at most HEARD_WITHIN later),
so a client reads its own write whichever worker it asks next. A worker that goes away takes nothing with it but its waits.
State: one connection a worker, each with at most MAX_CALLS questions under way; the number of the last write.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ..clock import Seconds
from ..errors import GatewayError, InternalError, Overloaded
from ..framing import MAX_FRAME, Frames, FrameTooLong
from ..telemetry import Telemetry
from . import messages
from .codec import OPENLY, Codec
from .definition import Definition
from .events import encode_event
from .host import Host, IdempotencyConflict, SagaView
from .known import Owner
from .meeting import listen_at
from .messages import (
    MAX_CALLS,
    Answered,
    Ask,
    Begin,
    Begun,
    Call,
    Conflict,
    Decided,
    Events,
    Failed,
    Forget,
    Health,
    Heard,
    Hello,
    Invalidated,
    Look,
    Nothing,
    Question,
    Read,
    Records,
    Reply,
    Search,
    ToWorker,
    Unwelcome,
    Wait,
    Welcome,
)
from .operating import Refused
from .running import Observer
from .states import SagaState

HEARD_WITHIN = Seconds(0.25)
"""How long an answer waits for workers to hear of a write: one that does not answer for so long serves nobody."""
HEALTH_EVERY = Seconds(0.5)


class Worker:
    """One connection. `heard`: the last write that its caches know of."""

    def __init__(self, server: SagaServer) -> None:
        self.frames = Frames(on_frame=self._received, on_lost=self._lost)
        self.name = "a worker"
        self.is_welcome = False
        self.heard = 0
        self.calls: dict[int, asyncio.Task[None]] = {}
        self._server = server

    def __repr__(self) -> str:
        return f"<Worker {self.name}, {len(self.calls)} calls, heard {self.heard}>"

    def tell(self, message: ToWorker) -> None:
        """Raises: FrameTooLong."""
        self.frames.send(messages.encode(message))

    def _received(self, payload: bytes) -> None:
        self._server.received(self, messages.to_process(payload))

    def _lost(self) -> None:
        self._server.lost(self)


class Broadcast:
    """The host's observer: tells all workers which caches no longer hold, and knows when they have heard."""

    def __init__(self, definitions: Iterable[Definition], *, own: Observer | None = None) -> None:
        """`own`: of this process's caches, which are told first."""
        self._declared = [
            (binding.invalidates, definition.name, definition.version, step)
            for definition in definitions
            for step, binding in definition.bindings.items()
            if binding.invalidates
        ]
        self._own = own
        self._workers: set[Worker] = set()
        self._number = 0
        self._listeners: set[asyncio.Future[None]] = set()

    def __repr__(self) -> str:
        return f"<Broadcast {self._number} writes to {len(self._workers)} workers>"

    def invalidated(self, what: Sequence[object], *, owner: Owner) -> None:
        if self._own is not None:
            self._own.invalidated(what, owner=owner)
        # The host hands on the very tuple of the step: both processes know it by the step's name.
        saga, version, step = next((name, v, step) for declared, name, v, step in self._declared if declared is what)
        self._number += 1
        for worker in self._workers:
            worker.tell(Invalidated(self._number, saga, version, step, owner))

    async def heard(self) -> None:
        """Until all workers know of every write so far, or HEARD_WITHIN has passed."""
        number = self._number
        if self._have_heard(number):
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_WITHIN):
                while not self._have_heard(number):
                    await self._next()

    def _have_heard(self, number: int) -> bool:
        return all(worker.heard >= number for worker in self._workers)

    async def _next(self) -> None:
        listener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listeners.add(listener)
        try:
            await listener
        finally:
            self._listeners.discard(listener)

    def add(self, worker: Worker) -> None:
        """A new worker has asked for nothing yet: it trusts no older answer."""
        worker.heard = self._number
        self._workers.add(worker)

    def remove(self, worker: Worker) -> None:
        self._workers.discard(worker)
        self.listen()

    def listen(self) -> None:
        """Somebody has heard, or has gone."""
        for listener in self._listeners:
            if not listener.done():
                listener.set_result(None)


class SagaServer:
    """Serves `host` at a socket between `start` and `stop`."""

    def __init__(
        self,
        host: Host,
        definitions: Iterable[Definition],
        *,
        broadcast: Broadcast,
        telemetry: Telemetry,
        codec: Codec,
    ) -> None:
        self._host = host
        self._definitions = {(each.name, each.version): each for each in definitions}
        self._broadcast = broadcast
        self._log = telemetry.log
        self._codec = codec
        self._workers: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._place: Path | None = None

    def __repr__(self) -> str:
        return f"<SagaServer {len(self._workers)} workers, {len(self._tasks)} calls>"

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self, place: Path) -> None:
        """Raises: SagaStartError. The host has been started: whoever listens here owns the journal."""
        listening: socket.socket = listen_at(place)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._connected, sock=listening)
        self._place = place
        self._spawn(self._tell_health())

    async def stop(self) -> None:
        """After the host has stopped, which answers whoever waits: send those answers, then end the connections."""
        if self._server is not None:
            self._server.close()
        calls = [task for worker in self._workers for task in worker.calls.values()]
        if calls:
            await asyncio.wait(calls, timeout=HEARD_WITHIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.frames.close() for worker in self._workers))
        if self._place is not None:
            self._place.unlink(missing_ok=True)

    def _connected(self) -> Frames:
        worker = Worker(self)
        self._workers.add(worker)
        return worker.frames

    async def _tell_health(self) -> None:
        told = self._host.is_healthy
        while True:
            await asyncio.sleep(HEALTH_EVERY)
            if self._host.is_healthy is not told:
                told = not told
                for worker in self._workers:
                    worker.tell(Health(told))

    # -- conversation --------------------------------------------------------------------------------------------------

    def received(self, worker: Worker, message: messages.ToProcess) -> None:
        match message:
            case Hello():
                self._greet(worker, message)
            case Call(number) if not worker.is_welcome:
                worker.tell(Failed(number, InternalError.code, "a worker says hello before it asks"))
            case Call(number) if len(worker.calls) >= MAX_CALLS:
                worker.tell(Failed(number, Overloaded.code, f"{MAX_CALLS} questions are under way; nothing was begun."))
            case Call(number, question):
                worker.calls[number] = self._spawn(self._answer(worker, number, question))
            case Forget(number):
                if (call := worker.calls.get(number)) is not None:
                    call.cancel()
            case Heard(number):
                worker.heard = number
                self._broadcast.listen()

    def lost(self, worker: Worker) -> None:
        """What it began goes on; what it waited for is of no use to anybody."""
        if worker.frames.broken is not None:
            self._log.error("a worker could not be understood", worker=worker.name, why=worker.frames.broken)
        self._workers.discard(worker)
        self._broadcast.remove(worker)
        for call in worker.calls.values():
            call.cancel()

    def _greet(self, worker: Worker, hello: Hello) -> None:
        worker.name = hello.worker
        why = self._stranger(hello)
        if why is not None:
            self._log.error("worker turned away", worker=hello.worker, why=why)
            worker.tell(Unwelcome(why))
            return
        worker.is_welcome = True
        self._broadcast.add(worker)
        worker.tell(Welcome(self._host.is_healthy))

    def _stranger(self, hello: Hello) -> str | None:
        """Why this worker's sagas are not ours; None when all that it may begin can be run here."""
        if hello.protocol != messages.PROTOCOL:
            return (
                f"it speaks protocol {hello.protocol}, the saga process {messages.PROTOCOL}: restart the whole gateway"
            )
        known = messages.digests(self._definitions.values())
        others = sorted(name for name, digest in hello.sagas.items() if known.get(name) != digest)
        if others:
            return f"the saga process runs other code of {', '.join(others)}: restart the whole gateway"
        return None

    async def _answer(self, worker: Worker, number: int, question: Question) -> None:
        """The border: whatever comes of a question crosses as a value."""
        try:
            reply = await self._reply(question)
            await self._broadcast.heard()
            await worker.frames.room()
            worker.tell(Answered(number, reply))
        except GatewayError as error:
            worker.tell(Failed(number, error.code, error.message))
        except FrameTooLong:
            worker.tell(Failed(number, InternalError.code, f"the answer is longer than {MAX_FRAME} bytes"))
        except Exception:
            self._log.exception("a worker's question failed", worker=worker.name, kind=type(question).__name__)
            worker.tell(Failed(number, InternalError.code, "a bug of ours; the saga process has logged it"))
        finally:
            worker.calls.pop(number, None)

    # -- questions -----------------------------------------------------------------------------------------------------

    async def _reply(self, question: Question) -> Reply:
        match question:
            case Begin():
                return await self._begin(question)
            case Wait(saga_id, timeout):
                return _standing(await self._host.wait(saga_id, timeout=timeout))
            case Look(saga_id):
                return _standing(await self._host.view(saga_id))
            case Read(saga_id, after, timeout):
                return await self._history(saga_id, after=after, timeout=timeout)
            case Search(query):
                return Records(list(await self._host.search(query)))
            case Ask(saga_id):
                return await self._ask(saga_id, question)

    async def _begin(self, begin: Begin) -> Reply:
        definition = self._definitions[begin.saga, begin.version]
        ticket = await self._host.begin(
            definition.saga,
            self._codec.decode(begin.input, definition.input_type, place=OPENLY),
            owner=begin.owner,
            key=begin.key,
            input_hash=begin.input_hash,
            trace=begin.trace,
            saga_id=begin.saga_id,
        )
        if isinstance(ticket, IdempotencyConflict):
            return Conflict(ticket.saga_id)
        state = SagaState.RUNNING
        if not ticket.created and (view := await self._host.view(ticket.saga_id)) is not None:
            state = view.status
        return Begun(ticket.saga_id, ticket.created, state)

    async def _history(self, saga_id: str, *, after: int, timeout: Seconds) -> Reply:  # noqa: ASYNC109  (a bound)
        found = await self._host.history(saga_id, after=after, timeout=timeout)
        if found is None:
            return Nothing()
        events = [msgspec.Raw(encode_event(event)) for event in found.events]
        return Events(found.first, events, found.state, found.owner)

    async def _ask(self, saga_id: str, asked: Ask) -> Reply:
        answer = await self._host.ask(saga_id, messages.request_of(asked))
        match answer:
            case None:
                return Nothing()
            case Refused(why):
                return Decided(why)
            case taken:
                return Decided(None, taken.is_repeated)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that `stop` awaits."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _standing(view: SagaView | None) -> Reply:
    if view is None:
        return Nothing()
    if view.record is None:
        raise LookupError("this host's views do not say what they were computed from, so they cannot cross")
    return messages.standing_of(view.record, view.progress)
