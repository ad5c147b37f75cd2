"""A wire without a network: answers by a script or a function, and remembers what it was asked.

Invariant: obeys the wire's contract and nothing more, so what passes over it passes over the real one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..clock import Instant, Seconds
from ..services.config import ServiceConfig
from ..services.request import ServiceRequest, ServiceResponse

Answer = ServiceResponse | BaseException
Behaviour = Callable[[ServiceRequest], Answer | Awaitable[Answer]]
Step = Answer | Behaviour
"""What happens to one attempt: it is answered, it fails, or a function of the request (async or not) says which."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt that reached the wire."""

    at: Instant
    request: ServiceRequest
    timeout: Seconds


class ScriptedWire:
    """`ScriptedWire(step, step, otherwise=step)`: the steps in order, then `otherwise` for ever.

    An exception given as a step is raised once; to fail for ever give a function that returns a new one each time.
    """

    def __init__(self, *script: Step, otherwise: Step | None = None) -> None:
        self._script = deque(script)
        self._otherwise = otherwise
        self.sent: list[Sent] = []
        self.is_started = False
        self.in_flight = 0
        self.peak = 0
        """The most attempts that were under way at once."""

    def __repr__(self) -> str:
        return f"<ScriptedWire {len(self.sent)} sent, {len(self._script)} scripted, {self.in_flight} in flight>"

    @property
    def requests(self) -> list[ServiceRequest]:
        return [sent.request for sent in self.sent]

    @property
    def instants(self) -> list[Instant]:
        """When each attempt was sent."""
        return [sent.at for sent in self.sent]

    async def send(self, request: ServiceRequest, *, timeout: Seconds) -> ServiceResponse:  # noqa: ASYNC109  (the protocol's)
        self.sent.append(Sent(Instant(asyncio.get_running_loop().time()), request, timeout))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            answer = await _perform(self._next_step(), request)
        finally:
            self.in_flight -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def configure(self, config: ServiceConfig) -> None:
        """Nothing here depends on settings."""

    async def start(self) -> None:
        self.is_started = True

    async def close(self) -> None:
        self.is_started = False

    def _next_step(self) -> Step:
        if self._script:
            return self._script.popleft()
        if self._otherwise is None:
            raise AssertionError(f"attempt {len(self.sent)} is one more than the script has steps")
        return self._otherwise


async def _perform(step: Step, request: ServiceRequest) -> Answer:
    if isinstance(step, ServiceResponse | BaseException):
        return step
    answer = step(request)
    return answer if isinstance(answer, ServiceResponse | BaseException) else await answer


def answer(body: object = None, *, status: int = 200, headers: Mapping[str, str] | None = None) -> ServiceResponse:
    """A response; `body` is encoded as JSON unless it is bytes."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return ServiceResponse(status, headers or {}, encoded)


def after(seconds: float, step: Step) -> Behaviour:
    """`step`, that much later."""

    async def behaviour(request: ServiceRequest) -> Answer:
        await asyncio.sleep(seconds)
        return await _perform(step, request)

    return behaviour


async def hang(_: ServiceRequest) -> Answer:
    """Never answers; ends only by cancellation."""
    never: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    await never
    raise AssertionError("unreachable")
