"""Hedging: a second attempt when the first is slower than usual.

Invariants: at most one extra attempt a call, reads only, inside the shared budget and a share of its own; whoever loses is
cancelled and awaited before the call ends, so nothing is under way that nobody waits for. It stands outside the breaker, which so
sees every attempt, and is off while retrying.
Source: Dean and Barroso, The Tail at Scale, CACM 2013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import ClassVar

from ...clock import NEVER, Clock, Instant, Seconds
from ...telemetry import Telemetry
from ..budget import BudgetSettings, RetryBudget
from ..latency import Latencies
from ..request import Handler, Policy, ServiceRequest, ServiceResponse
from ..timers import Timers

_WINDOW = Seconds(10.0)
"""Seconds over which the share of its own is counted. It has no reserve: a service that is seldom called has no tail to cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeSettings:
    """When a slow read is asked a second time."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    enabled: bool = False
    """Off: the author knows whether the service can bear it, and whether it has a second instance."""
    quantile: float = 0.95
    """The share of attempts that is faster than the delay after which the second one is sent."""
    share: float = 0.05
    """Hedges for each call, at most. 5 %: what the quantile lets pass when nothing is wrong."""
    least: Seconds = Seconds(0.005)
    """Seconds below which nothing is hedged: it would cost more than it could win."""

    def __post_init__(self) -> None:
        if not (0 < self.quantile < 1 and 0 <= self.share <= 1 and self.least >= NEVER):
            raise ValueError(
                f"hedge.quantile is {self.quantile}, share {self.share}, least {self.least}: "
                "0 < quantile < 1, 0 <= share <= 1 and least >= 0 must hold"
            )


def hedge(
    settings: Callable[[], HedgeSettings],
    service: str,
    *,
    latencies: Latencies,
    timers: Timers,
    budget: RetryBudget,
    telemetry: Telemetry,
    clock: Clock,
) -> Policy:
    """A second attempt for a read that takes longer than usual; the first answer wins, the other attempt is cancelled."""
    outcomes = {name: telemetry.metrics.hedges.labels(service, name) for name in ("won", "lost", "refused")}
    own = RetryBudget(BudgetSettings(ratio=settings().share, window=_WINDOW, reserve=0.0))

    def policy(attempt: Handler) -> Handler:
        def handle(request: ServiceRequest) -> Awaitable[ServiceResponse]:
            chosen = settings()
            if not (chosen.enabled and request.may_hedge and request.is_safe):
                return attempt(request)
            return hedged(chosen, request)

        async def hedged(chosen: HedgeSettings, request: ServiceRequest) -> ServiceResponse:
            now = clock.now()
            own.deposit(now)
            usual = latencies.quantile(request.endpoint, chosen.quantile, now=now)
            if usual is None:
                return await attempt(request)
            race = _Race(attempt, request, timers=timers, may_start=permitted)
            try:
                return await race.run(Instant(now + max(usual, chosen.least)))
            finally:
                if (
                    race.has_hedged
                ):  # one that failed with the first, or was cancelled with it, was sent for nothing too
                    outcomes["won" if race.was_won_by_hedge else "lost"].inc()

        def permitted() -> bool:
            own.configure(BudgetSettings(ratio=settings().share, window=_WINDOW, reserve=0.0))
            now = clock.now()
            if own.withdraw(now) and budget.withdraw(now):
                return True
            outcomes["refused"].inc()
            return False

        return handle

    return policy


class _Race:
    """Two attempts at one request. The first runs in its caller's own task: a task is made only when the second one is.

    When the second answers first, the first is interrupted as `asyncio.timeout` does it: by cancelling the caller's task and
    taking that cancellation back, so that one from outside, at the same time or later, still counts.
    """

    __slots__ = (
        "_attempt",
        "_caller",
        "_context",
        "_hedge",
        "_interrupted",
        "_is_first_under_way",
        "_may_start",
        "_request",
        "_timers",
        "was_won_by_hedge",
    )

    def __init__(
        self, attempt: Handler, request: ServiceRequest, *, timers: Timers, may_start: Callable[[], bool]
    ) -> None:
        self._attempt = attempt
        self._request = request
        self._timers = timers
        self._may_start = may_start
        self._context = copy_context()  # the timers are shared: they ring in the context of some other call
        self._hedge: asyncio.Task[ServiceResponse] | None = None
        self._caller: asyncio.Task[object] | None = None
        self._is_first_under_way = True
        self._interrupted = False
        self.was_won_by_hedge = False

    @property
    def has_hedged(self) -> bool:
        return self._hedge is not None

    async def run(self, at: Instant) -> ServiceResponse:
        """The answer of whichever is first to have one. Raises: the first attempt's failure, if both fail."""
        self._caller = asyncio.current_task()
        assert self._caller is not None  # noqa: S101 - a coroutine runs in a task
        cancelling = self._caller.cancelling()
        timer = self._timers.at(at, self._start)
        try:
            return await self._first(cancelling)
        except Exception as error:
            if self._hedge is None:
                raise
            return await self._second_instead_of(error)
        finally:
            self._timers.cancel(timer)
            if self._hedge is not None:
                await self._ended()

    async def _first(self, cancelling: int) -> ServiceResponse:
        assert self._caller is not None  # noqa: S101 - set by `run`
        try:
            return await self._attempt(self._request)
        except asyncio.CancelledError:
            if not self._interrupted or self._caller.cancelling() - 1 > cancelling:
                raise  # somebody outside wants it to end, perhaps too
            assert self._hedge is not None  # noqa: S101 - it was the one that interrupted
            self.was_won_by_hedge = True
            return self._hedge.result()
        finally:
            self._is_first_under_way = False
            if self._interrupted:
                self._caller.uncancel()

    async def _second_instead_of(self, failure: Exception) -> ServiceResponse:
        """The second's answer. Raises: the first's failure, if the second fails too."""
        assert self._hedge is not None  # noqa: S101 - asked before
        await asyncio.wait({self._hedge})
        if self._hedge.cancelled() or self._hedge.exception() is not None:
            raise failure
        self.was_won_by_hedge = True
        return self._hedge.result()

    def _start(self) -> None:
        if self._is_first_under_way and self._may_start():
            self._hedge = asyncio.get_running_loop().create_task(self._second(), context=self._context)
            self._hedge.add_done_callback(self._hedge_done)

    async def _second(self) -> ServiceResponse:
        return await self._attempt(self._request)

    def _hedge_done(self, hedge: asyncio.Task[ServiceResponse]) -> None:
        if not self._is_first_under_way or hedge.cancelled() or hedge.exception() is not None:
            return
        assert self._caller is not None  # noqa: S101 - set before anything was started
        self._interrupted = True
        self._caller.cancel()

    async def _ended(self) -> None:
        """No attempt is under way any more, however often the caller is cancelled meanwhile."""
        assert self._hedge is not None  # noqa: S101 - asked before
        hedge, cancelled = self._hedge, None
        while not hedge.done():
            hedge.cancel()
            try:
                await asyncio.wait({hedge})
            except asyncio.CancelledError as error:
                cancelled = error
        if not hedge.cancelled():
            hedge.exception()  # read, so that nobody is warned of a failure that was answered by the other attempt
        if cancelled is not None:
            raise cancelled
