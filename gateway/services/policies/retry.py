"""Retry: the same request again, after a random wait.

Invariants: only what may safely be sent twice; never past the deadline; nothing is held while waiting (so it stands
outside the bulkhead); never more than the budget allows, whoever else retries. A local refusal is not retried: it was made
to take load off, and asking again puts it back.
Source: Brooker, Exponential Backoff And Jitter, 2015 (full jitter); stamina for the manner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from msgspec.structs import replace

from ...clock import Clock, Seconds
from ...errors import GatewayError, ServiceError, ServiceUnavailable
from ...telemetry import Telemetry
from ..budget import RetryBudget
from ..outcome import DeadlineCut, is_local_refusal
from ..request import Handler, Policy, ServiceRequest, ServiceResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When and how often an attempt is repeated."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    attempts: int = 3
    """All attempts, the first included; 1 switches retries off. 3: a third retry seldom helps and multiplies load."""
    base: Seconds = Seconds(0.05)
    """Upper end of the first wait; it doubles each time. 50 ms: about one round of a healthy service."""
    cap: Seconds = Seconds(1.0)
    """Upper end of any wait."""
    longest_retry_after: Seconds = Seconds(5.0)
    """A service that asks for more than this is not waited for: the error goes up at once."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"retry.attempts is {self.attempts}: the first attempt counts, so it is at least 1")
        if not 0 <= self.base <= self.cap:
            raise ValueError(f"retry.base is {self.base} and retry.cap {self.cap}: 0 <= base <= cap must hold")

    def wait(self, failed: int, *, jitter: float, floor: Seconds) -> Seconds:
        """Seconds after the `failed`-th attempt (from 1) failed; `jitter` in [0, 1); never less than `floor`."""
        upper = self.cap if failed > 64 else min(self.cap, self.base * 2 ** (failed - 1))
        return Seconds(max(floor, upper * jitter))

    def next_wait(self, error: GatewayError, *, failed: int, remaining: Seconds, jitter: float) -> Seconds | None:
        """The wait before another attempt, or None to give up: spent, hopeless, asked too long, or past the
        deadline."""
        if failed >= self.attempts or not error.retryable or is_local_refusal(error):
            return None
        floor = _retry_after(error)
        wait = self.wait(failed, jitter=jitter, floor=floor)
        return None if floor > self.longest_retry_after or wait >= remaining else wait


def retry(
    settings: Callable[[], Retry],
    service: str,
    *,
    budget: RetryBudget,
    telemetry: Telemetry,
    clock: Clock,
    random: Random,
) -> Policy:
    """Repeat a failed attempt as `settings` decides.

    An error that says "nothing was applied" is corrected to "unknown" when an earlier attempt of the same call left
    it open.
    """
    retries = telemetry.metrics.retries.labels(service)
    refused = telemetry.metrics.retries_refused.labels(service)

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            budget.deposit(clock.now())
            if not (request.may_retry and request.is_retryable):
                return await attempt(request)
            failed, is_unknown = 0, False
            while True:
                try:
                    return await attempt(request)
                except GatewayError as error:
                    failed += 1
                    is_unknown = is_unknown or _leaves_open(error)
                    wait = settings().next_wait(
                        error, failed=failed, remaining=request.deadline.remaining(clock), jitter=random.random()
                    )
                    if wait is not None and not budget.withdraw(clock.now()):
                        refused.inc()
                        wait = None
                    if wait is None:
                        _correct(error, is_unknown=is_unknown)
                        raise
                retries.inc()
                await asyncio.sleep(wait)
                if failed == 1:  # off while retrying: a service in trouble is not asked twice at a time
                    request = replace(request, may_hedge=False)

        return handle

    return policy


def _retry_after(error: GatewayError) -> Seconds:
    return Seconds((error.retry_after or 0.0) if isinstance(error, ServiceUnavailable) else 0.0)


def _leaves_open(error: GatewayError) -> bool:
    """Whether the request may have been applied in spite of the error."""
    return isinstance(error, DeadlineCut) or (isinstance(error, ServiceError) and error.applied is None)


def _correct(error: GatewayError, *, is_unknown: bool) -> None:
    if is_unknown and isinstance(error, ServiceError) and error.applied is False:
        error.applied = None
