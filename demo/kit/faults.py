"""Faults on a switch: slow, failing, silent, babbling, dribbling, or doing the work and losing the answer.

Invariant: at most one fault is set; it breaks business requests only, so a broken service can always be asked and
mended. What a fault does to a request is decided first (`behaviour`), purely; the gate then does it, latency first.
Source: Alvaro et al., Lineage-driven Fault Injection, SIGMOD 2015, for losing an answer and not its effect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from random import Random
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.kit.answers import answered, malformed
from demo.kit.connection import Seconds, caller_left, cut, replayed, whole_body
from demo.kit.traffic import is_business

# No fault keeps a caller longer than this, whatever the caller's patience.
PATIENCE: Seconds = 120.0
# A trickle of PIECES at this pace lasts a minute: short answers are padded with JSON's white space.
TRICKLE_PAUSE: Seconds = 0.2
TRICKLE_BYTES = 4
TRICKLE_PIECES = 300

logger = logging.getLogger(__name__)

Duration = Annotated[float, Meta(ge=0, le=PATIENCE)]


class Fault(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """What is wrong with the service. Each member may be set alone; the base case is a fault that does nothing."""

    latency: Duration | None = None
    """Seconds before anything else happens."""
    error_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    """The share of requests that fail with `status`."""
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    """The status of failures, 503 unless set; without `errorRate` every request fails with it."""
    hang: bool = False
    garbage: bool = False
    trickle: bool = False
    apply_then_drop: bool = False
    apply_late: Duration | None = None
    path: str | None = None
    """The only path that is broken; all business paths if None."""
    times: Annotated[int, Meta(ge=1)] | None = None
    """Only so many matching requests are broken; all of them if None."""


class Behaviour(Enum):
    WORK = auto()
    FAIL = auto()
    HANG = auto()
    BABBLE = auto()
    TRICKLE = auto()
    APPLY_THEN_DROP = auto()
    APPLY_LATE = auto()


def behaviour(fault: Fault, *, draw: float) -> Behaviour:
    """What one request meets. `draw` is uniform in [0, 1). Of several kinds the first named here wins."""
    rate = fault.error_rate if fault.error_rate is not None else float(fault.status is not None)
    if draw < rate:
        return Behaviour.FAIL
    kinds = (
        (fault.hang, Behaviour.HANG),
        (fault.garbage, Behaviour.BABBLE),
        (fault.apply_late is not None, Behaviour.APPLY_LATE),
        (fault.apply_then_drop, Behaviour.APPLY_THEN_DROP),
        (fault.trickle, Behaviour.TRICKLE),
    )
    return next((kind for is_set, kind in kinds if is_set), Behaviour.WORK)


class FaultSwitch:
    """The fault that is set, and how many requests it has left. Each setting starts the same random draws anew."""

    def __init__(self, paths: AbstractSet[str]) -> None:
        self._paths = paths
        self.fault = Fault()
        self._left: int | None = None
        self._random = _draws()

    def set(self, fault: Fault) -> None:
        if fault.path is not None and fault.path not in self._paths:
            raise malformed(f"path must be one of {', '.join(sorted(self._paths))}, not {fault.path!r}")
        self.fault = fault
        self._left = fault.times
        self._random = _draws()

    def clear(self) -> None:
        self.set(Fault())

    def take(self, path: str) -> tuple[Fault, Behaviour] | None:
        """The fault that this request meets and what it does; None if it meets none."""
        if self.fault.path not in (None, path) or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        return self.fault, behaviour(self.fault, draw=self._random.random())


def _draws() -> Random:
    return Random("faults")


class LateEffects:
    """Requests whose callers were cut off and whose effects are yet to come; `close` drops them, as a crash would."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, app: ASGIApp, scope: Scope, receive: Receive, *, after: Seconds) -> None:
        task = asyncio.create_task(self._apply(app, scope, receive, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _apply(self, app: ASGIApp, scope: Scope, receive: Receive, after: Seconds) -> None:
        await asyncio.sleep(after)
        try:
            await app(scope, receive, _unheard)
        except Exception:
            # Nobody is left to answer; the log is the only one who can be told.
            logger.exception("late effect of %s failed", scope["path"])


class FaultGate:
    """Stands before the service's own application and does to a request what the switch says."""

    def __init__(self, app: ASGIApp, switch: FaultSwitch, late: LateEffects) -> None:
        self.app = app
        self.switch = switch
        self.late = late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = self.switch.take(scope["path"]) if is_business(scope) else None
        if taken is None:
            await self.app(scope, receive, send)
        else:
            await self._broken(*taken, scope=scope, receive=receive, send=send)

    async def _broken(self, fault: Fault, kind: Behaviour, *, scope: Scope, receive: Receive, send: Send) -> None:
        # The request was read whole by the intake, so work that outlasts the caller's patience is still done.
        if fault.latency:
            await asyncio.sleep(fault.latency)
        match kind:
            case Behaviour.WORK:
                await self.app(scope, receive, send)
            case Behaviour.FAIL:
                await _failure(fault.status or 503)(scope, receive, send)
            case Behaviour.HANG:
                await _hang(scope, receive)
            case Behaviour.BABBLE:
                await Response(b"<html>It works!", media_type="application/json")(scope, receive, send)
            case Behaviour.TRICKLE:
                await self._trickle(scope, receive, send)
            case Behaviour.APPLY_THEN_DROP:
                await self.app(scope, receive, _unheard)
                await _drop(scope, receive)
            case Behaviour.APPLY_LATE:
                await self._apply_late(scope, receive, fault.apply_late or 0.0)

    async def _apply_late(self, scope: Scope, receive: Receive, after: Seconds) -> None:
        body = await whole_body(receive)
        self.late.add(self.app, scope, replayed(body, receive), after=after)
        await _drop(scope, receive)

    async def _trickle(self, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await _answer_of(self.app, scope, receive)
        body = body.ljust(TRICKLE_BYTES * TRICKLE_PIECES)
        await send({**start, "headers": _with_length(start["headers"], len(body))})
        ends_at = asyncio.get_running_loop().time() + PATIENCE
        for at in range(0, len(body), TRICKLE_BYTES):
            piece = body[at : at + TRICKLE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": at + TRICKLE_BYTES < len(body)})
            if await caller_left(receive, within=TRICKLE_PAUSE):
                return
            if asyncio.get_running_loop().time() > ends_at:
                await _drop(scope, receive)
                return


async def _hang(scope: Scope, receive: Receive) -> None:
    try:
        await caller_left(receive, within=PATIENCE)
    finally:
        # Also when the server shuts down: a hanging request is never answered.
        cut(scope)


async def _drop(scope: Scope, receive: Receive) -> None:
    cut(scope)
    # The server takes silence for a mistake until it has seen the connection end.
    await caller_left(receive, within=1.0)


async def _answer_of(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


async def _unheard(_: Message) -> None:
    """Sends the answer to nobody."""


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]


def _failure(status: int) -> Response:
    answer = answered(status, {"code": "FAULT", "message": f"a fault is set: this request fails with {status}"})
    return Response(answer.body, status_code=status, media_type="application/json")
