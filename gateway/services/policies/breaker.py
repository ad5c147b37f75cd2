"""The breaker: a service that keeps failing is left alone for a moment.

Invariants: while open nothing is sent; while half-open at most `probes` attempts are under way, and while it ramps up no more
than have succeeded since; whoever leaves gives its permit back, cancelled or not; a late outcome of an earlier state changes
nothing.
State: per service (or endpoint) and worker process. It stands inside retry, so it sees every attempt.
Source: Nygard, Release It!; the consecutive rule from measurements (a 50 % window alone took 5.3 s to open at 100
calls/s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, NewType

from ...clock import Clock, Instant, Seconds
from ...errors import ServiceBreakerOpen
from ...telemetry import Telemetry
from ..outcome import FAILURE, IGNORED, SUCCESS, Outcome, outcome_of
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
    ramp: int = 64
    """Attempts under way from which a closed breaker holds nobody back any more: until then it lets one more in for each
    success, twice as many every round trip. A service that just came back is not met by all that waited. 0: no ramp."""
    per: Literal["service", "endpoint"] = "service"
    """What is left alone: "endpoint" where one endpoint may fail by itself."""

    def __post_init__(self) -> None:
        if self.ramp < 0 or self.per not in {"service", "endpoint"}:
            raise ValueError(
                f'breaker.ramp is {self.ramp}, breaker.per {self.per!r}: ramp >= 0, and per is "service" or "endpoint"'
            )
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


_CLOSED, _OPEN, _HALF_OPEN = BreakerState  # as `SUCCESS` of `outcome.py`: looked up on every call's path


class Breaker:
    """The decision, pure: asked for a permit and told the outcome, both with the time.

    `jitter` gives a number in [0, 1). Instants must not go backwards.
    """

    def __init__(self, settings: BreakerSettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._state = _CLOSED
        self._generation = 0
        self._consecutive = 0
        self._window = _Window(settings.window)
        self._openings = 0  # since it was last closed
        self._open_until = Instant(0.0)
        self._under_way = 0  # while half-open or ramping
        self._succeeded = 0
        self._cap: int | None = None  # of attempts under way, while ramping

    def configure(self, settings: BreakerSettings) -> None:
        """Other settings from now on; state and counts stay, but for those of a window of another length."""
        if settings.window != self._settings.window:
            self._window = _Window(settings.window)
        self._settings = settings

    @property
    def state(self) -> BreakerState:
        """As of the last question or outcome: an opening that is over shows only when somebody asks."""
        return self._state

    @property
    def is_open(self) -> bool:
        return self._state is _OPEN

    @property
    def is_ramping(self) -> bool:
        """Whether it was closed lately and lets in only some."""
        return self._cap is not None

    def __repr__(self) -> str:
        match self._state:
            case BreakerState.CLOSED:
                ramp = "" if self._cap is None else f", {self._under_way}/{self._cap} while it ramps up"
                return f"<Breaker closed, {self._consecutive} failed in a row{ramp}>"
            case BreakerState.OPEN:
                return f"<Breaker open, opening {self._openings}>"
            case BreakerState.HALF_OPEN:
                return (
                    f"<Breaker half-open, {self._under_way}/{self._settings.probes} probing, "
                    f"{self._succeeded} succeeded>"
                )

    def ask(self, now: Instant) -> Permit | None:
        """A permit for one attempt, to be returned by `tell` exactly once; or None: send nothing."""
        if self._state is _CLOSED and self._cap is None:
            return Permit(self._generation)
        if self._state is _OPEN:
            if now < self._open_until:
                return None
            self._enter(_HALF_OPEN)
        if self._under_way >= (self._settings.probes if self._cap is None else self._cap):
            return None
        self._under_way += 1
        return Permit(self._generation)

    def tell(self, permit: Permit, outcome: Outcome, *, now: Instant) -> None:
        """What became of the attempt that held `permit`."""
        if permit != self._generation:
            return
        if self._state is _HALF_OPEN:
            self._under_way -= 1
            self._after_probe(outcome, now)
            return
        if self._cap is not None:
            self._under_way -= 1
            self._ramp_up(outcome)
        self._after_attempt(outcome, now)

    def retry_in(self, now: Instant) -> Seconds:
        """Seconds until a probe may be sent; 0 unless open."""
        return Seconds(max(0.0, self._open_until - now) if self.is_open else 0.0)

    def _after_attempt(self, outcome: Outcome, now: Instant) -> None:
        if outcome is IGNORED:
            return
        self._window.count(now, failed=outcome is FAILURE)
        if outcome is SUCCESS:
            self._consecutive = 0
            return
        self._consecutive += 1
        if self._consecutive >= self._allowed_in_a_row() or self._fails_too_often():
            self._open(now)

    def _allowed_in_a_row(self) -> int:
        """While ramping up it is on its guard, and opens again after as many failures as it has probes."""
        return (
            self._settings.consecutive if self._cap is None else min(self._settings.probes, self._settings.consecutive)
        )

    def _ramp_up(self, outcome: Outcome) -> None:
        if outcome is not SUCCESS or self._cap is None:
            return
        self._cap += 1
        if self._cap > self._settings.ramp:
            self._cap = None
            self._openings = 0
            # Permits given while ramping were counted, later ones are not: the former must not count down the latter.
            self._generation += 1
            self._under_way = 0

    def _after_probe(self, outcome: Outcome, now: Instant) -> None:
        if outcome is FAILURE:
            self._open(now)
        elif outcome is SUCCESS:
            self._succeeded += 1
            if self._succeeded >= self._settings.successes:
                self._enter(_CLOSED)
                if self._settings.ramp > self._settings.probes:
                    self._cap = self._settings.probes
                else:
                    self._openings = 0

    def _fails_too_often(self) -> bool:
        total, failed = self._window.totals()
        return total >= self._settings.volume and failed >= self._settings.ratio * total

    def _open(self, now: Instant) -> None:
        longest = min(self._settings.open_cap, self._settings.open_for * 2 ** min(self._openings, 32))
        self._openings += 1
        self._open_until = Instant(now + longest * (1 - self._settings.spread * self._jitter()))
        self._enter(_OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._generation += 1
        self._consecutive = self._under_way = self._succeeded = 0
        self._cap = None
        self._window.clear()


MAX_ENDPOINTS = 256
"""Endpoints with a breaker of their own; further ones share one."""


class Breakers:
    """The breaker of a service, or those of its endpoints, where `per` says so."""

    def __init__(self, settings: BreakerSettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._whole = Breaker(settings, jitter)
        self._endpoints: dict[str, Breaker] = {}

    def __repr__(self) -> str:
        return repr(self._endpoints or self._whole)

    def of(self, endpoint: str) -> Breaker:
        """The one that decides for `endpoint`."""
        if self._settings.per == "service":
            return self._whole
        found = self._endpoints.get(endpoint)
        if found is None:
            found = self._whole
            if len(self._endpoints) < MAX_ENDPOINTS:
                found = self._endpoints[endpoint] = Breaker(self._settings, self._jitter)
        return found

    def configure(self, settings: BreakerSettings) -> None:
        """Other settings from now on; states and counts stay, unless there are now other breakers."""
        if settings.per != self._settings.per:
            self._whole, self._endpoints = Breaker(settings, self._jitter), {}
        self._settings = settings
        for each in (self._whole, *self._endpoints.values()):
            each.configure(settings)

    @property
    def state(self) -> BreakerState:
        """Of all of them the least well."""
        states = {each.state for each in (self._whole, *self._endpoints.values())}
        return next(
            state for state in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED) if state in states
        )

    @property
    def is_open(self) -> bool:
        """Whether something of the service is left alone."""
        return self.state is BreakerState.OPEN


class _Window:
    """Counts of the last `length` seconds, in a ring of tenths."""

    def __init__(self, length: Seconds) -> None:
        self._step = length / _BUCKETS
        self._newest = 0
        self._moves_at = 0.0
        self.clear()

    def clear(self) -> None:
        self._total = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS

    def count(self, now: Instant, *, failed: bool) -> None:
        if now >= self._moves_at:
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
        self._moves_at = (self._newest + 1) * self._step


def breaker(state: Breakers, service: str, *, telemetry: Telemetry, clock: Clock) -> Policy:
    """Refuse while the endpoint's breaker is open, and tell it how every attempt ended."""
    telemetry.metrics.breaker_open.labels(service).set_function(lambda: state.is_open)  # asked, not told: free

    def policy(attempt: Handler) -> Handler:
        async def handle(request: ServiceRequest) -> ServiceResponse:
            decides, now = state.of(request.endpoint), clock.now()
            permit = decides.ask(now)
            if permit is None:
                raise _left_alone(service, decides.retry_in(now), is_ramping=decides.is_ramping)
            try:
                response = await attempt(request)
            except BaseException as error:
                decides.tell(permit, outcome_of(error), now=clock.now())
                raise
            decides.tell(permit, SUCCESS, now=clock.now())
            return response

        return handle

    return policy


def _left_alone(service: str, seconds: Seconds, *, is_ramping: bool) -> ServiceBreakerOpen:
    if is_ramping:
        text = f"{service} has just recovered and is given only some calls for now"
    else:
        until = f"for another {seconds:.1f} s" if seconds else "until its probes are back"
        text = f"{service} failed too often and is left alone {until}"
    return ServiceBreakerOpen(text, service=service, applied=False)
