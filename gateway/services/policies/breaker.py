"""The breaker: a service that keeps failing is left alone for a moment.

Invariants: while open nothing is sent; while half-open at most `probes` attempts are under way, and whoever leaves
gives its permit back, cancelled or not; a late outcome of an earlier state changes nothing.
State: per service and worker process. It stands inside retry, so it sees every attempt.
Source: Nygard, Release It!; the consecutive rule from measurements (a 50 % window alone took 5.3 s to open at 100
calls/s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NewType

from ...clock import Clock, Instant, Seconds
from ...errors import ServiceBreakerOpen
from ...telemetry import Telemetry
from ..outcome import Outcome, outcome_of
from ..request import Handler, Policy, ServiceRequest, ServiceResponse

_BUCKETS = 10
"""The window moves in tenths of itself: ten pairs of numbers, whatever the rate."""

Permit = NewType("Permit", int)
"""The generation in which it was given: outcomes of an earlier generation are not counted."""


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a service is left alone, and for how long."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    consecutive: int = 10
    """Failures in a row that open it. 10: opens within 0.14 s of an outage at 100 calls/s."""
    ratio: float = 0.5
    """Share of failures in the window that opens it, from `volume` calls upwards."""
    volume: int = 20
    """Calls in the window below which `ratio` says nothing."""
    window: Seconds = Seconds(10.0)
    """Seconds that the ratio looks back, in steps of a tenth."""
    open_for: Seconds = Seconds(1.0)
    """Seconds that the first opening lasts at most; doubles each time the probes fail."""
    open_cap: Seconds = Seconds(10.0)
    """Seconds that any opening lasts at most."""
    spread: float = 0.25
    """Jitter, downwards only: an opening lasts between (1 - spread) and 1 of its length, so that workers do not probe
    as one."""
    probes: int = 3
    """Attempts that may be under way while half-open."""
    successes: int = 3
    """Successful probes that close it."""

    def __post_init__(self) -> None:
        for name in ("consecutive", "volume", "probes", "successes"):
            if getattr(self, name) < 1:
                raise ValueError(f"breaker.{name} is {getattr(self, name)}: it must be at least 1")
        if not 0 < self.ratio <= 1 or not 0 <= self.spread < 1:
            raise ValueError(
                f"breaker.ratio is {self.ratio}, breaker.spread {self.spread}: 0 < ratio <= 1, 0 <= spread < 1"
            )
        if not (self.window > 0 and 0 < self.open_for <= self.open_cap):
            raise ValueError(
                f"breaker.window is {self.window}, open_for {self.open_for}, open_cap {self.open_cap}: "
                "window > 0 and 0 < open_for <= open_cap must hold"
            )


class Breaker:
    """The decision, pure: asked for a permit and told the outcome, both with the time.

    `jitter` gives a number in [0, 1). Instants must not go backwards.
    """

    def __init__(self, settings: BreakerSettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._state = BreakerState.CLOSED
        self._generation = 0
        self._consecutive = 0
        self._window = _Window(settings.window)
        self._openings = 0  # since it was last closed
        self._open_until = Instant(0.0)
        self._probing = 0
        self._succeeded = 0

    def configure(self, settings: BreakerSettings) -> None:
        """Other settings from now on; state and counts stay."""
        self._settings = settings

    @property
    def state(self) -> BreakerState:
        """As of the last question or outcome: an opening that is over shows only when somebody asks."""
        return self._state

    @property
    def is_open(self) -> bool:
        return self._state is BreakerState.OPEN

    def __repr__(self) -> str:
        match self._state:
            case BreakerState.CLOSED:
                return f"<Breaker closed, {self._consecutive} failed in a row>"
            case BreakerState.OPEN:
                return f"<Breaker open, opening {self._openings}>"
            case BreakerState.HALF_OPEN:
                return (
                    f"<Breaker half-open, {self._probing}/{self._settings.probes} probing, {self._succeeded} succeeded>"
                )

    def ask(self, now: Instant) -> Permit | None:
        """A permit for one attempt, to be returned by `tell` exactly once; or None: send nothing."""
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._enter(BreakerState.HALF_OPEN)
        if self._state is BreakerState.OPEN:
            return None
        if self._state is BreakerState.HALF_OPEN:
            if self._probing >= self._settings.probes:
                return None
            self._probing += 1
        return Permit(self._generation)

    def tell(self, permit: Permit, outcome: Outcome, *, now: Instant) -> None:
        """What became of the attempt that held `permit`."""
        if permit != self._generation:
            return
        if self._state is BreakerState.HALF_OPEN:
            self._after_probe(outcome, now)
        else:
            self._after_attempt(outcome, now)

    def retry_in(self, now: Instant) -> Seconds:
        """Seconds until a probe may be sent; 0 unless open."""
        return Seconds(max(0.0, self._open_until - now) if self.is_open else 0.0)

    def _after_attempt(self, outcome: Outcome, now: Instant) -> None:
        if outcome is Outcome.IGNORED:
            return
        self._window.count(now, failed=outcome is Outcome.FAILURE)
        if outcome is Outcome.SUCCESS:
            self._consecutive = 0
            return
        self._consecutive += 1
        if self._consecutive >= self._settings.consecutive or self._fails_too_often():
            self._open(now)

    def _after_probe(self, outcome: Outcome, now: Instant) -> None:
        self._probing -= 1
        if outcome is Outcome.FAILURE:
            self._open(now)
        elif outcome is Outcome.SUCCESS:
            self._succeeded += 1
            if self._succeeded >= self._settings.successes:
                self._openings = 0
                self._enter(BreakerState.CLOSED)

    def _fails_too_often(self) -> bool:
        total, failed = self._window.totals()
        return total >= self._settings.volume and failed >= self._settings.ratio * total

    def _open(self, now: Instant) -> None:
        longest = min(self._settings.open_cap, self._settings.open_for * 2 ** min(self._openings, 32))
        self._openings += 1
        self._open_until = Instant(now + longest * (1 - self._settings.spread * self._jitter()))
        self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
        self._consecutive = self._probing = self._succeeded = 0
        self._window.clear()


class _Window:
    """Counts of the last `length` seconds, in a ring of tenths."""

    def __init__(self, length: Seconds) -> None:
        self._step = length / _BUCKETS
        self._newest = 0
        self.clear()

    def clear(self) -> None:
        self._total = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS

    def count(self, now: Instant, *, failed: bool) -> None:
        self._move_to(int(now // self._step))
        slot = self._newest % _BUCKETS
        self._total[slot] += 1
        self._failed[slot] += failed

    def totals(self) -> tuple[int, int]:
        """(all, failed), as of the last count."""
        return sum(self._total), sum(self._failed)

    def _move_to(self, bucket: int) -> None:
        for passed in range(max(self._newest, bucket - _BUCKETS) + 1, bucket + 1):
            self._total[passed % _BUCKETS] = self._failed[passed % _BUCKETS] = 0
        self._newest = max(self._newest, bucket)


def breaker(state: Breaker, service: str, *, telemetry: Telemetry, clock: Clock) -> Policy:
    """Refuse while `state` is open, and tell it how every attempt ended."""
    gauge = telemetry.metrics.breaker_open.labels(service)

    def policy(attempt: Handler) -> Handler:
        def tell(permit: Permit, outcome: Outcome) -> None:
            state.tell(permit, outcome, now=clock.now())
            gauge.set(state.is_open)

        async def handle(request: ServiceRequest) -> ServiceResponse:
            permit = state.ask(clock.now())
            if permit is None:
                raise _left_alone(service, state.retry_in(clock.now()))
            try:
                response = await attempt(request)
            except BaseException as error:
                tell(permit, outcome_of(error))
                raise
            tell(permit, Outcome.SUCCESS)
            return response

        return handle

    return policy


def _left_alone(service: str, seconds: Seconds) -> ServiceBreakerOpen:
    until = f"for another {seconds:.1f} s" if seconds else "until its probes are back"
    return ServiceBreakerOpen(f"{service} failed too often and is left alone {until}", service=service, applied=False)
