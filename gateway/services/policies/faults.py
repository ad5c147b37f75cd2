"""Fault injection, innermost: what a service could do to us, done on purpose and by a seed.

By the settings, or by a plan that comes with the request. What happens is decided once an attempt, before it is sent: at most one
of error, reset, hang, garbage, trickle and lost; and, besides, that it is slow.

Invariant: off means not there: no random number is drawn, and nothing is slower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from random import Random
from typing import ClassVar, NoReturn

import msgspec

from ...clock import Seconds
from ...errors import ServiceUnavailable
from ...telemetry import Telemetry
from ..request import Handler, Policy, ServiceRequest, ServiceResponse

_KINDS = ("error", "reset", "hang", "garbage", "trickle", "lost")
_GARBAGE = b"\0garbage"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSettings:
    """What is done to a service's attempts, and to which share of them. Every share is between 0 and 1."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    seed: int = 0
    """The same seed and the same order of attempts bring the same faults."""
    latency: Seconds = Seconds(0.0)
    """Seconds that are added to the attempts of `slow`."""
    slow: float = 0.0
    error: float = 0.0
    """Answered 503, before the service sees it."""
    reset: float = 0.0
    """The connection breaks before the service sees it; nobody here can know that it has not."""
    hang: float = 0.0
    """Never answered."""
    garbage: float = 0.0
    """Done, and answered with bytes that are no JSON."""
    trickle: float = 0.0
    """Done, and its answer begins to arrive and never ends: above the wire that is an attempt which hangs after it was done."""
    lost: float = 0.0
    """Done, and its answer is lost."""

    def __post_init__(self) -> None:
        shares = {name: float(getattr(self, name)) for name in ("slow", *_KINDS)}
        for name, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"faults.{name} is {share}: it is a share, from 0 to 1")
        if (together := sum(shares[name] for name in _KINDS)) > 1 + 1e-9:
            raise ValueError(f"faults: {', '.join(_KINDS)} are {together:g} together: only one befalls an attempt")
        if self.latency < 0:
            raise ValueError(f"faults.latency is {self.latency}: it must not be negative")

    @property
    def is_off(self) -> bool:
        return not (self.slow or any(getattr(self, kind) for kind in _KINDS))

    def kind(self, draw: float) -> str | None:
        """What befalls an attempt, for a number in [0, 1)."""
        for kind in _KINDS:
            draw -= getattr(self, kind)
            if draw < 0:
                return kind
        return None


def faults(settings: Callable[[], FaultSettings], service: str, *, telemetry: Telemetry) -> Policy:
    """Do to attempts what `settings`, or the request's own verified faults, say."""
    dice: dict[int, Random] = {}
    injected = telemetry.metrics.faults
    nothing: FaultSettings | None = None

    def policy(attempt: Handler) -> Handler:
        def handle(request: ServiceRequest) -> Awaitable[ServiceResponse]:
            nonlocal nothing
            chosen = settings()
            if request.faults is not None:
                chosen = planned(request.faults).get(service, chosen)
            if chosen is nothing or chosen.is_off:
                nothing = chosen  # its seven shares are looked at once, not on every attempt
                return attempt(request)
            return befallen(chosen, request)

        async def befallen(chosen: FaultSettings, request: ServiceRequest) -> ServiceResponse:
            random = dice.get(chosen.seed) or dice.setdefault(chosen.seed, Random(chosen.seed))  # noqa: S311
            if len(dice) > 16:
                dice.clear()
            is_slow, kind = random.random() < chosen.slow, chosen.kind(random.random())
            if is_slow:
                injected.labels(service, "slow").inc()
                await asyncio.sleep(chosen.latency)
            if kind is None:
                return await attempt(request)
            injected.labels(service, kind).inc()
            return await _befall(kind, attempt, request)

        return handle

    return policy


async def _befall(kind: str, attempt: Handler, request: ServiceRequest) -> ServiceResponse:
    if kind == "error":
        return ServiceResponse(503, {}, b"")
    if kind == "reset":
        _break(request)
    if kind == "hang":
        await _forever()
    response = await attempt(request)
    if kind == "lost":
        _break(request)
    if kind == "trickle":
        await _forever()
    return ServiceResponse(response.status, response.headers, _GARBAGE)


def _break(request: ServiceRequest) -> NoReturn:
    raise ServiceUnavailable(f"{request.service} closed the connection before it answered", service=request.service)


async def _forever() -> NoReturn:
    """Until the attempt timeout, or whoever called, ends it."""
    never: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
    await never
    raise AssertionError("unreachable")


@lru_cache(64)
def planned(plan: str) -> Mapping[str, FaultSettings]:
    """A plan as it travels, JSON of service -> faults. Raises: ValueError for what is no plan."""
    known = {each.name for each in fields(FaultSettings)}
    try:
        services = msgspec.json.decode(plan, type=dict[str, dict[str, float]])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f'the plan is not JSON such as {{"reviews": {{"error": 0.5}}}}: {error}') from error
    for service, shares in services.items():
        if unknown := sorted(set(shares) - known):
            raise ValueError(f"{service}: there is no fault {unknown[0]!r} (there are: {', '.join(sorted(known))})")
    return {service: _faults_of(service, shares) for service, shares in services.items()}


def _faults_of(service: str, shares: Mapping[str, float]) -> FaultSettings:
    if (seed := shares.get("seed", 0)) != int(seed):
        raise ValueError(f"{service}: faults.seed is {seed}: it is a whole number")
    try:
        return FaultSettings(**{**shares, "seed": int(seed)})  # type: ignore[arg-type]  # a latency is a number of seconds
    except ValueError as error:
        raise ValueError(f"{service}: {error}") from error
