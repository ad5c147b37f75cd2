"""A worker's side: the host of its sagas is another process on this machine.

Invariants: "begun" is said only after the saga process has said that the journal has it. What may have reached the journal is
sent again under the same id after a reconnect, so it is one saga. A wait outlives the saga process: it goes on after the reconnect,
and where there is none in time it tells the last that is known, never an error about a saga that was begun.
State: one connection, its questions under way (at most MAX_CALLS), what was begun and is not waited for yet (at most MAX_BEGUN).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from typing import Any, Literal, TypeVar

import msgspec
from cachetools import LRUCache

from ..clock import NEVER, Clock, Instant, Seconds
from ..errors import (
    Draining,
    GatewayError,
    InternalError,
    Overloaded,
    PayloadTooLarge,
    SagaNotFound,
    SagasUnavailable,
)
from ..framing import Frames, FrameTooLong
from ..telemetry import Telemetry
from . import messages
from .codec import OPENLY, Codec
from .definition import Definition, Saga, definition_of
from .embedded import new_saga_id
from .events import decode_event
from .host import IdempotencyConflict, SagaHistory, SagaView, Ticket
from .journal import SagaQuery, SagaRecord
from .known import Owner
from .meeting import is_own
from .messages import (
    MAX_CALLS,
    Answered,
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
    Standing,
    ToProcess,
    Unwelcome,
    Wait,
    Welcome,
)
from .operating import Answer, Refused, Request, Signal, Taken
from .running import Observer
from .views import retired_view, view_of

R = TypeVar("R")

MAX_BEGUN = 4096
GREETED_WITHIN = Seconds(5.0)
LINKED_WITHIN = Seconds(5.0)
"""How long a start waits for the saga process: queries can be answered without it."""
READ_WITHIN = Seconds(2.0)
"""How long a question that begins nothing waits for a saga process that is being restarted."""
RESENT_WITHIN = Seconds(30.0)
"""How long a begin of unknown fate is sent again: longer than any usual deadline, which then ends it."""
ANSWER_GRACE = Seconds(0.05)
"""How much longer than its timeout a wait gives the process to say how it stands: half of what a mutation keeps back."""
REATTACH = Seconds(0.02)
"""Between two waits where the process answered before the time, because it is leaving."""
_RECONNECT = (0.02, 1.0)
"""Seconds before the first and, at most, the later attempts to connect; jittered."""
_ERRORS: dict[str, type[GatewayError]] = {
    each.code: each for each in (Draining, Overloaded, SagaNotFound, SagasUnavailable, InternalError)
}

Condition = Literal["ok", "journal failed", "unreachable", "other code"]


class LinkLost(Exception):
    """The connection ended before the answer came: nobody here can tell what became of the question."""


class _Link:
    """One connection to the saga process, from its handshake to its end."""

    def __init__(self, *, on_news: Callable[[_Link, messages.ToWorker], None]) -> None:
        self.frames = Frames(on_frame=self._received, on_lost=self._lost)
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_news = on_news
        self._asked: dict[int, asyncio.Future[Reply]] = {}
        self._last = 0

    def __repr__(self) -> str:
        return f"<Link {len(self._asked)}/{MAX_CALLS} questions>"

    def tell(self, message: ToProcess) -> None:
        self.frames.send(messages.encode(message))

    async def ask(self, question: Question) -> Reply:
        """Raises: the process's own GatewayError; LinkLost; Overloaded, when too much is under way."""
        if len(self._asked) >= MAX_CALLS:
            raise Overloaded(f"{MAX_CALLS} questions about sagas are under way; nothing was begun.")
        await self.frames.room()
        if self.lost.done():
            raise LinkLost
        self._last = number = self._last + 1
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self.tell(Call(number, question))
            return await answer
        except asyncio.CancelledError:
            if isinstance(question, Wait | Read):
                self.tell(Forget(number))
            raise
        finally:
            self._asked.pop(number, None)

    def _received(self, payload: bytes) -> None:
        message = messages.to_worker(payload)
        match message:
            case Answered(number, reply):
                if (asked := self._asked.get(number)) is not None and not asked.done():
                    asked.set_result(reply)
            case Failed(number, code, text):
                if (asked := self._asked.get(number)) is not None and not asked.done():
                    asked.set_exception(_ERRORS.get(code, InternalError)(text))
            case _:
                self._on_news(self, message)

    def _lost(self) -> None:
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(LinkLost())
        if not self.lost.done():
            self.lost.set_result(None)


class RemoteHost:
    """See `Host`."""

    def __init__(
        self,
        sagas: Iterable[type[Saga[Any, Any]]],
        place: Path,
        *,
        telemetry: Telemetry,
        clock: Clock,
        observer: Observer | None = None,
        codec: Codec | None = None,
        name: str = "worker",
        new_id: Callable[[], str] = new_saga_id,
    ) -> None:
        """`place`: the saga process's socket. `observer`: told of what steps invalidate, wherever they were begun."""
        self._definitions = {(each.name, each.version): each for each in map(definition_of, sagas)}
        self._place = place
        self._log = telemetry.log
        self._clock = clock
        self._observer = observer
        self._codec = codec or Codec()
        self._name = name
        self._new_id = new_id
        self._random = SystemRandom()
        self._link: _Link | None = None
        self._is_journal_healthy = False
        self._turned_away: str | None = None
        self._news = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._begun: LRUCache[str, SagaView] = LRUCache(MAX_BEGUN)

    def __repr__(self) -> str:
        return f"<RemoteHost {self.condition}, {self._link!r}>"

    @property
    def is_healthy(self) -> bool:
        return self.condition == "ok"

    @property
    def condition(self) -> Condition:
        """How the sagas of this machine are, as far as this worker knows."""
        if self._link is None:
            return "unreachable" if self._turned_away is None else "other code"
        return "ok" if self._is_journal_healthy else "journal failed"

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Waits for the saga process for LINKED_WITHIN, then goes on without it: queries need no saga."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep_linked())
        with suppress(TimeoutError):
            async with asyncio.timeout(LINKED_WITHIN):
                while self._link is None and self._turned_away is None:
                    await self._next_news()

    async def stop(self, drain: Seconds) -> None:
        """The sagas go on where they are; so there is nothing to drain."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep_linked(self) -> None:
        """Connect, stay until the connection is lost, and connect again."""
        wait, longest = _RECONNECT
        while True:
            link = await self._linked()
            if link is None:
                await asyncio.sleep(self._random.uniform(wait / 2, wait))
                wait = min(2 * wait, longest)
                continue
            wait, _ = _RECONNECT
            try:
                await link.lost
            finally:
                self._link = None
                await link.frames.close()
            self._log.warning("saga process lost", why=link.frames.broken)

    async def _linked(self) -> _Link | None:
        """One attempt: a connection that the process has welcomed, in place of the one before."""
        link = _Link(on_news=self._heard)
        try:
            async with asyncio.timeout(GREETED_WITHIN):
                if not is_own(self._place.parent):  # somebody else's folder: whoever listens there is not ours
                    return None
                await asyncio.get_running_loop().create_unix_connection(lambda: link.frames, str(self._place))
                sagas = messages.digests(self._definitions.values())
                link.tell(Hello(messages.PROTOCOL, self._name, sagas))
                await asyncio.wait((link.greeted, link.lost), return_when=asyncio.FIRST_COMPLETED)
        except (OSError, TimeoutError):
            pass  # nobody is there yet
        finally:
            if self._link is not link:
                link.frames.abort()
        return self._link

    def _greeted(self, link: _Link, greeting: Welcome | Unwelcome) -> None:
        if isinstance(greeting, Unwelcome):
            if self._turned_away is None:
                self._log.error("turned away by the saga process", why=greeting.why)
            self._turned_away = greeting.why
        else:
            self._link, self._is_journal_healthy, self._turned_away = link, greeting.is_healthy, None
            self._distrust_everything()
            self._log.info("saga process found")
        link.greeted.set_result(None)
        self._tell_news()

    # -- news ----------------------------------------------------------------------------------------------------------

    def _heard(self, link: _Link, message: messages.ToWorker) -> None:
        match message:
            case Welcome() | Unwelcome() if not link.greeted.done():
                self._greeted(link, message)
            case Invalidated():
                definition = self._definitions.get((message.saga, message.version))
                if definition is not None and message.step in definition.bindings:
                    self._invalidate(definition, message.step, owner=message.owner)
                link.tell(Heard(message.number))
            case Health(is_healthy):
                self._is_journal_healthy = is_healthy
            case _:
                pass  # a second greeting says nothing new

    def _distrust_everything(self) -> None:
        """What was written while nobody told us is not known: so nothing that a saga may write is fresh any more."""
        for definition in self._definitions.values():
            for step in definition.bindings:
                self._invalidate(definition, step, owner=Owner("", ""))

    def _invalidate(self, definition: Definition, step: str, *, owner: Owner) -> None:
        what = definition.bindings[step].invalidates
        if not what or self._observer is None:
            return
        try:
            self._observer.invalidated(what, owner=owner)
        except Exception:  # an observer is a listener: its bug must not cost the connection
            self._log.exception("saga observer failed", saga=definition.name)

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _next_news(self) -> None:
        await self._news.wait()

    # -- questions -----------------------------------------------------------------------------------------------------

    async def _reply(self, question: Callable[[], Question]) -> Reply:
        """The answer, asked for anew on each connection until there is one. Whoever calls sets a bound."""
        while True:
            while (link := self._link) is None:
                await self._next_news()
            try:
                return await link.ask(question())
            except LinkLost:
                await asyncio.sleep(0)  # the keeper of the link notices it too

    async def _read(self, question: Callable[[], Question], *, within: Seconds = READ_WITHIN) -> Reply:
        """Of what begins nothing. Raises: SagasUnavailable."""
        if self._link is None and self._turned_away is not None:
            raise SagasUnavailable(f"This worker's sagas are not those of the saga process: {self._turned_away}.")
        try:
            async with asyncio.timeout(within):
                return await self._reply(question)
        except TimeoutError:
            raise SagasUnavailable("The saga process cannot be reached; ask again.") from None

    # -- begin ---------------------------------------------------------------------------------------------------------

    async def begin(
        self,
        saga: type[Saga[Any, Any]],
        input_value: object,
        *,
        owner: Owner,
        key: str | None,
        input_hash: str,
        trace: Mapping[str, str],
        saga_id: str | None = None,
    ) -> Ticket | IdempotencyConflict:
        definition = definition_of(saga)
        if self._definitions.get((definition.name, definition.version)) is not definition:
            raise LookupError(f"{definition.name} v{definition.version} is not registered with this host")
        self._check_may_begin()
        begin = Begin(
            saga_id or self._new_id(),
            definition.name,
            definition.version,
            msgspec.Raw(self._codec.encode(input_value, place=OPENLY)),
            owner,
            key,
            input_hash,
            dict(trace),
        )
        reply = await self._begun_or_not(begin)
        if isinstance(reply, Conflict):
            return IdempotencyConflict(reply.saga_id)
        begun = _expect(reply, Begun)
        self._begun[begun.saga_id] = self._as_begun(definition, begun, owner=owner)
        return Ticket(begun.saga_id, begun.created)

    def _check_may_begin(self) -> None:
        """Nothing is sent where nobody listens: then it is certain that nothing was begun."""
        if self._turned_away is not None:
            raise SagasUnavailable(
                f"This worker's sagas are not those of the saga process: {self._turned_away}. Nothing was begun."
            )
        if self._link is None:
            raise SagasUnavailable("The saga process cannot be reached; nothing was begun.")

    async def _begun_or_not(self, begin: Begin) -> Reply:
        """A refusal is believed of what was sent once: of what was sent before, an earlier process may have begun it."""
        sent: list[str] = []

        def send() -> Begin:
            sent.append(begin.saga_id)
            return begin

        try:
            async with asyncio.timeout(RESENT_WITHIN):
                return await self._reply(send)
        except (Draining, SagasUnavailable) as error:
            if len(sent) == 1:
                raise
            raise _unknown_fate(begin.saga_id) from error
        except TimeoutError:
            raise _unknown_fate(begin.saga_id) from None
        except FrameTooLong as error:
            raise PayloadTooLarge(f"the saga's input is too long: {error}") from error

    def _as_begun(self, definition: Definition, begun: Begun, *, owner: Owner) -> SagaView:
        """What is known before anybody has looked: for a wait that the saga process does not live to answer."""
        return SagaView(
            id=begun.saga_id,
            saga=definition.name,
            version=definition.version,
            owner=owner,
            status=begun.state,
            outcome=None,
            steps=(),
            created_at=self._clock.wall(),
            ended_at=None,
        )

    # -- following -----------------------------------------------------------------------------------------------------

    async def wait(self, saga_id: str, *, timeout: Seconds) -> SagaView:  # noqa: ASYNC109  (a bound, not a failure)
        ends, known = Instant(self._clock.now() + timeout), self._begun.pop(saga_id, None)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout + ANSWER_GRACE):
                while True:
                    reply = await self._reply(lambda: Wait(saga_id, self._left(ends)))
                    known = self._view(_expect(reply, Standing))
                    if known.is_settled or self._left(ends) <= 0:
                        break
                    await asyncio.sleep(REATTACH)
        if known is None:
            raise SagasUnavailable("The saga process cannot be reached; the saga goes on, and may be asked for again.")
        return known

    def _left(self, ends: Instant) -> Seconds:
        return Seconds(max(0.0, ends - self._clock.now()))

    async def view(self, saga_id: str) -> SagaView | None:
        reply = await self._read(lambda: Look(saga_id))
        return None if isinstance(reply, Nothing) else self._view(_expect(reply, Standing))

    async def history(self, saga_id: str, *, after: int = 0, timeout: Seconds = NEVER) -> SagaHistory | None:  # noqa: ASYNC109  (a bound)
        ends = Instant(self._clock.now() + timeout)
        within = Seconds(timeout + READ_WITHIN)
        reply = await self._read(lambda: Read(saga_id, after, self._left(ends)), within=within)
        if isinstance(reply, Nothing):
            return None
        found = _expect(reply, Events)
        events = tuple(decode_event(bytes(each)) for each in found.events)
        return SagaHistory(first=found.first, events=events, state=found.state, owner=found.owner)

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        return _expect(await self._read(lambda: Search(query)), Records).records

    async def ask(self, saga_id: str, request: Request) -> Answer | None:
        """A signal is sent again after a reconnect, since there is no second; what an operator wants is not."""
        self._check_may_begin()
        question = messages.ask(saga_id, request)
        reply = await (self._read(lambda: question) if isinstance(request, Signal) else self._asked_once(question))
        if isinstance(reply, Nothing):
            return None
        decided = _expect(reply, Decided)
        return Taken(decided.is_repeated) if decided.refused is None else Refused(decided.refused)

    async def _asked_once(self, question: Question) -> Reply:
        link = self._link
        try:
            if link is not None:
                return await link.ask(question)
        except LinkLost:
            pass
        raise SagasUnavailable(
            "The saga process was lost before it answered: look at the saga's history, and ask again where it is not there."
        )

    def _view(self, standing: Standing) -> SagaView:
        record, progress = standing.record, messages.progress_of(standing)
        definition = self._definitions.get((record.saga, record.version))
        if progress is None or definition is None or definition.plan.digest != record.digest:
            return retired_view(record if progress is None else replace(record, state=progress.state))
        return view_of(definition, record, progress, codec=self._codec)


def _unknown_fate(saga_id: str) -> SagasUnavailable:
    return SagasUnavailable(
        f"The saga process was lost before it answered, and nobody can tell whether saga {saga_id} was begun: "
        "send the same request with the same key again."
    )


def _expect(reply: Reply, kind: type[R]) -> R:
    if not isinstance(reply, kind):
        raise InternalError(f"the saga process answered {type(reply).__name__} where {kind.__name__} was due")
    return reply
