"""Answers that come by and by, over HTTP: one operation, one response, one frame an answer. How a frame looks is a `Framing`'s.

Invariants: a frame is written whole or not at all; the next answer is asked for when the network has taken the last one, so nothing
is queued for a slow reader; whatever ends a stream (its client, a drain, credentials that expire, a reader that has stalled) ends
the operation behind it. A stream that waits holds one task and one timer.
State: the streams that are open, so that a drain can end them with a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from enum import Enum
from typing import Any, Protocol

from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from ..clock import Clock, Epoch, LoopClock, Seconds
from ..errors import Draining, Unauthenticated
from ..execution import GraphQLRequest, GraphQLResult
from ..stream_limits import StreamLimits
from ..telemetry import Metrics
from .event_stream import EventStream
from .leaving import ClientGone, Watch, aborting, watching
from .multipart import Parts, Payloads, incremental_dialect, is_for_subscriptions
from .negotiation import EVENT_STREAM, Accepted, Range

FAREWELL_WITHIN = Seconds(2.0)
"""How long the last frame may wait for a network that takes nothing. Then the connection is cut."""


class Ending(Enum):
    """Why a stream ended: the label of the metric."""

    COMPLETED = "completed"
    LEFT = "left"
    STALLED = "stalled"
    EXPIRED = "expired"
    DRAINED = "drained"
    FAILED = "failed"
    SILENT = "silent"
    """A WebSocket's client did not answer a ping."""
    IDLE = "idle"
    """A WebSocket's client asked for nothing."""
    REFUSED = "refused"
    """A WebSocket's client broke the protocol, or may not connect."""


class Streams(Protocol):
    """What a transport of streams needs of the engine."""

    def is_subscription(self, request: GraphQLRequest) -> bool: ...
    def streams(self, request: GraphQLRequest) -> bool: ...
    def stream(self, request: GraphQLRequest, *, begun: Callable[[], None] = ...) -> AsyncGenerator[GraphQLResult]: ...
    def refuse(self, error: Exception) -> GraphQLResult: ...


class Framing(Protocol):
    """How answers become bytes. Each method makes whole frames."""

    @property
    def transport(self) -> str:
        """The label of the metric."""
        ...

    @property
    def media_type(self) -> bytes: ...

    @property
    def opening(self) -> bytes: ...

    @property
    def heartbeat(self) -> bytes:
        """Empty: this dialect has none."""
        ...

    @property
    def end(self) -> bytes:
        """All answers were given."""
        ...

    def answer(self, result: GraphQLResult) -> bytes:
        """Raises: Unwritable."""
        ...

    def broken_off(self, result: GraphQLResult) -> bytes:
        """It ends before its time, and to go on as before is of no use; `result` says why."""
        ...

    def restarting(self, result: GraphQLResult) -> bytes:
        """It ends before its time: connect again."""
        ...


class HttpStreams:
    """Streams of one application over HTTP."""

    def __init__(
        self,
        engine: Streams,
        *,
        metrics: Metrics,
        limits: StreamLimits = StreamLimits(),
        clock: Clock | None = None,
    ) -> None:
        self.engine = engine
        self._metrics = metrics
        self.limits = limits
        self._clock = clock or LoopClock()
        self._open: set[_Stream] = set()
        self._is_leaving = False

    def __len__(self) -> int:
        return len(self._open)

    def takes(self, request: GraphQLRequest, accepted: Accepted) -> bool:
        """Whether the answer is a stream: the client takes one, and there may be several answers, or it takes nothing else."""
        if accepted.stream is None or accepted.whole is None:
            return accepted.stream is not None
        if is_for_subscriptions(accepted.stream):
            return self.engine.is_subscription(request)
        return self.engine.streams(request)

    async def answer(
        self, request: GraphQLRequest, accepted: Accepted, *, scope: Scope, receive: Receive, send: Send
    ) -> GraphQLResult | None:
        """The whole response. Returns: a refusal of which nothing was sent, where the client takes it in one piece.

        Raises: ClientGone.
        """
        is_subscription = self.engine.is_subscription(request)
        framing = self._framing(accepted.stream, is_subscription=is_subscription)
        request = replace(request, incremental=incremental_dialect(accepted.stream))
        stream = _Stream(
            self,
            framing,
            send,
            abort=aborting(scope),
            expires_at=request.identity.expires_at,
            is_endless=is_subscription,
        )
        self._open.add(stream)
        try:
            if self._is_leaving and is_subscription:
                return await stream.refuse(takes_whole=accepted.whole is not None)
            return await stream.serve(request, watching(scope, receive), takes_whole=accepted.whole is not None)
        except asyncio.CancelledError:
            stream.ending = Ending.LEFT
            if not self._is_leaving:
                raise
            raise ClientGone from None  # the drain has run out: of a response that has begun nothing can be told
        finally:
            self._open.discard(stream)
            self._metrics.streams_ended.labels(framing.transport, stream.ending.value).inc()

    async def refuse(self, result: GraphQLResult, accepted: Accepted, send: Send) -> None:
        """A request that never became an operation, for a client that takes nothing but a stream."""
        framing = self._framing(accepted.stream, is_subscription=True)
        await send({"type": "http.response.start", "status": 200, "headers": headers_of(framing)})
        await send({"type": "http.response.body", "body": framing.opening + framing.answer(result) + framing.end})

    async def leave(self) -> None:
        """Tell every client that follows something to connect again, and end that; take no more of it. Answers in parts end by
        themselves."""
        self._is_leaving = True
        for stream in list(self._open):
            if stream.is_endless:
                stream.break_off(Ending.DRAINED)

    def _framing(self, dialect: Range | None, *, is_subscription: bool) -> Framing:
        """As the client says that it wants it."""
        if dialect is None or dialect.media == EVENT_STREAM:
            return EventStream(reconnect=self.limits.reconnect)
        if is_subscription and is_for_subscriptions(dialect):
            return Payloads()
        return Parts(dialect.parameters)

    def expires_in(self, at: Epoch | None) -> Seconds | None:
        """Seconds until credentials that expire `at` are no longer valid; None: never."""
        return None if at is None else Seconds(at - self._clock.wall())


def headers_of(framing: Framing) -> list[tuple[bytes, bytes]]:
    return [
        (b"content-type", framing.media_type),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
        (b"vary", b"accept, authorization"),
    ]


class _Stream:
    """One response. Its task waits for answers, or for the network; its timer does what is due meanwhile.

    `_errand`: the head or a heartbeat on its way, sent while the task waits for an answer; the task awaits it before it sends.
    """

    __slots__ = (
        "_abort",
        "_errand",
        "_expires_at",
        "_framing",
        "_is_begun",
        "_last_sent",
        "_scope",
        "_send",
        "_sending_since",
        "_streams",
        "_timer",
        "ending",
        "is_endless",
    )

    def __init__(
        self,
        streams: HttpStreams,
        framing: Framing,
        send: Send,
        *,
        abort: Callable[[], None],
        expires_at: Epoch | None,
        is_endless: bool,
    ) -> None:
        """`is_endless`: whether it ends by itself only when there is nothing more to follow."""
        self._streams = streams
        self._framing = framing
        self._send = send
        self._abort = abort
        self._expires_at = expires_at
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._errand: asyncio.Task[None] | None = None
        self._last_sent = asyncio.get_running_loop().time()
        self._sending_since: float | None = None
        self._is_begun = False
        self.ending = Ending.COMPLETED
        self.is_endless = is_endless

    def break_off(self, ending: Ending) -> None:
        """Have it end now. A timeout whose time has come: `asyncio.timeout` knows its own cancellation from others'."""
        if self.ending is Ending.COMPLETED:
            self.ending = ending
            with suppress(RuntimeError):  # it is ending already
                self._scope.reschedule(asyncio.get_running_loop().time())

    async def refuse(self, *, takes_whole: bool) -> GraphQLResult | None:
        """Begin nothing: who connects again finds another gateway, or this one's successor."""
        self.ending = Ending.DRAINED
        return await self._break(None, takes_whole=takes_whole)

    async def serve(self, request: GraphQLRequest, watch: Watch, *, takes_whole: bool) -> GraphQLResult | None:
        """See `HttpStreams.answer`."""
        failure: Exception | None = None
        try:
            async with self._scope:
                return await self._answers(request, watch, takes_whole=takes_whole)
        except TimeoutError as error:
            if not self._scope.expired():
                self.ending, failure = Ending.FAILED, error
        except OSError:  # what other servers than ours say of a client that has gone
            self.ending = Ending.LEFT
        except Exception as error:  # a value that JSON cannot hold, or a bug of ours: masked, and the client is told
            self.ending, failure = Ending.FAILED, error
        finally:
            await self._settle()
        return await self._break(failure, takes_whole=takes_whole)

    async def _answers(self, request: GraphQLRequest, watch: Watch, *, takes_whole: bool) -> GraphQLResult | None:
        take_back = watch(lambda: self.break_off(Ending.LEFT))
        self._schedule()
        try:
            async with aclosing(self._streams.engine.stream(request, begun=self._begin)) as answers:
                async for result in answers:
                    if takes_whole and result.is_request_error and not self._is_begun:
                        return result
                    await self._write(self._framing.answer(result))
            await self._write(self._framing.end, is_last=True)
            return None
        finally:
            take_back()

    async def _break(self, failure: Exception | None, *, takes_whole: bool) -> GraphQLResult | None:
        """The last word of a stream that ends before its time."""
        if self.ending is Ending.LEFT:
            raise ClientGone
        if self.ending is Ending.STALLED:
            self._abort()
            raise ClientGone
        result = self._streams.engine.refuse(_reason(self.ending, failure))
        if takes_whole and not self._is_begun:
            return result
        word = self._framing.restarting if self.ending is Ending.DRAINED else self._framing.broken_off
        try:
            async with asyncio.timeout(FAREWELL_WITHIN):
                await self._write(word(result), is_last=True)
        except TimeoutError:
            self._abort()
            raise ClientGone from None
        except OSError:
            raise ClientGone from None
        return None

    async def _settle(self) -> None:
        """Nothing is due any more; what is on its way arrives, or the stall that ended the stream has stopped it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._errand is not None:
            if self._sending_since is not None and self.ending is not Ending.COMPLETED:
                self._errand.cancel()
            await asyncio.wait({self._errand})
            self._errand = None

    # -- what is sent --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """The operation is under way, and its first answer may be far: let the client know that it is heard."""
        if not self._is_begun:
            self._is_begun = True
            self._run(self._transmit(self._framing.opening, is_first=True))

    def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        self._errand = asyncio.get_running_loop().create_task(errand)
        self._errand.add_done_callback(self._returned)

    def _returned(self, errand: asyncio.Task[None]) -> None:
        if not errand.cancelled() and errand.exception() is not None:
            self.break_off(Ending.LEFT)

    async def _write(self, frame: bytes, *, is_last: bool = False) -> None:
        """Returns when the network has taken it."""
        if self._errand is not None:
            await self._errand
            self._errand = None
        if self._is_begun:
            await self._transmit(frame, is_last=is_last)
        else:
            self._is_begun = True
            await self._transmit(self._framing.opening + frame, is_first=True, is_last=is_last)

    async def _transmit(self, frame: bytes, *, is_first: bool = False, is_last: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self._sending_since = loop.time()
        if is_first:
            await self._send({"type": "http.response.start", "status": 200, "headers": headers_of(self._framing)})
        await self._send({"type": "http.response.body", "body": frame, "more_body": not is_last})
        self._last_sent, self._sending_since = loop.time(), None

    # -- what is due ---------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Look again when something may be due. Answers that are sent meanwhile touch no timer."""
        loop, limits = asyncio.get_running_loop(), self._streams.limits
        now = loop.time()
        due = min(self._last_sent + limits.ping, (self._sending_since or now) + limits.stalled)
        left = self._streams.expires_in(self._expires_at)
        if left is not None:
            due = min(due, now + left)
        self._timer = loop.call_at(max(due, now + 0.001), self._look)

    def _look(self) -> None:
        now, limits = asyncio.get_running_loop().time(), self._streams.limits
        left = self._streams.expires_in(self._expires_at)
        if left is not None and left <= 0:
            self.break_off(Ending.EXPIRED)
            return
        if self._sending_since is not None and now >= self._sending_since + limits.stalled:
            self.break_off(Ending.STALLED)
            return
        if self._sending_since is None and self._is_begun and now >= self._last_sent + limits.ping:
            self._ping()
        self._schedule()

    def _ping(self) -> None:
        if self._framing.heartbeat:
            self._run(self._transmit(self._framing.heartbeat))
        self._last_sent = asyncio.get_running_loop().time()


def _reason(ending: Ending, failure: Exception | None) -> Exception:
    match ending:
        case Ending.DRAINED:
            return Draining("this gateway is restarting: subscribe again")
        case Ending.EXPIRED:
            return Unauthenticated("the credentials of this stream have expired: subscribe again with new ones")
        case _:
            return failure or RuntimeError(f"a stream ended as {ending.value}, which says nothing")
