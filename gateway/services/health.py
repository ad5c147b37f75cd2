"""Active health checks: each instance is asked now and then whether it is well, so that traffic need not find out.

Invariants: a check goes straight to the wire, so it holds no permit and counts in no breaker, budget or latency; no more than
one round is under way, and it ends within `timeout`; an instance that nobody asks any more is taken for well; a check whose
timeout rang late is none, for the answer may lie unread.
State: the results in a row, per instance and worker process.
Source: Envoy's and HAProxy's health checks (thresholds both ways, so that one lost packet moves nobody).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import ClassVar

from ..clock import Clock, Seconds
from ..errors import GatewayError, ServiceTimeout
from ..telemetry import Telemetry
from .instances import Instances
from .outcome import rang_late
from .request import ServiceRequest
from .wire import Wire

_SPREAD = 0.1
"""Jitter, both ways: checks of many workers must not fall into step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How instances are asked for their health."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str = ""
    """What is asked for with GET, below the instance's own address; "" asks nobody. 2xx is well, all else is not."""
    interval: Seconds = Seconds(5.0)
    """Seconds between two checks of an instance, jittered by a tenth."""
    timeout: Seconds = Seconds(1.0)
    """Seconds after which a check has failed."""
    unhealthy_after: int = 2
    """Failed checks in a row that take an instance out."""
    healthy_after: int = 2
    """Good checks in a row that bring it back."""

    def __post_init__(self) -> None:
        if self.path and (not self.path.startswith("/") or {"?", "#"} & {*self.path} or _climbs(self.path)):
            raise ValueError(f"health.path is {self.path!r}: it starts with a slash and has no query, . or .. segments")
        for name in ("interval", "timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"health.{name} is {getattr(self, name)}: it must be more than 0, and finite")
        for name in ("unhealthy_after", "healthy_after"):
            if getattr(self, name) < 1:
                raise ValueError(f"health.{name} is {getattr(self, name)}: it must be at least 1")


class Health:
    """The decision, pure: what the checks of one instance, in a row, say of it."""

    __slots__ = ("_against", "is_well")

    def __init__(self) -> None:
        self.is_well = True
        """At first nothing is known against it."""
        self._against = 0
        """Results in a row that contradict `is_well`."""

    def __repr__(self) -> str:
        return f"<Health {'well' if self.is_well else 'unhealthy'}, {self._against} checks against it>"

    def tell(self, passed: bool, settings: HealthSettings) -> bool:
        """What a check found; returns whether the instance is well."""
        if passed == self.is_well:
            self._against = 0
            return self.is_well
        self._against += 1
        if self._against >= (settings.unhealthy_after if self.is_well else settings.healthy_after):
            self.is_well, self._against = passed, 0
        return self.is_well


class HealthChecks:
    """The checks of one service: one task between `start` and `close`, and only while there is a path to ask for."""

    def __init__(
        self,
        wire: Wire,
        instances: Instances,
        settings: Callable[[], HealthSettings],
        service: str,
        *,
        telemetry: Telemetry,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        """`random` gives a number in [0, 1)."""
        self._wire = wire
        self._instances = instances
        self._settings = settings
        self._service = service
        self._telemetry = telemetry
        self._clock = clock
        self._random = random
        self._known: dict[str, Health] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_started = False

    def __repr__(self) -> str:
        well = sum(each.is_well for each in self._known.values())
        return f"<HealthChecks {self._service} {well}/{len(self._known)} well{'' if self.is_running else ', off'}>"

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        self._is_started = True
        self._run_if_asked()

    async def close(self) -> None:
        """End the checks and wait until they have. Closing twice is closing once."""
        self._is_started = False
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def configure(self) -> None:
        """The settings are other ones now: they hold from the next round on, and the wait for it begins anew."""
        self._changed.set()
        self._run_if_asked()

    def _run_if_asked(self) -> None:
        if self._is_started and self._settings().path and not self.is_running:
            self._changed = asyncio.Event()
            # A context of its own: whoever starts us, perhaps an operator's request, is no part of the checks' traces.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def _run(self) -> None:
        is_new = True
        while (settings := self._settings()).path:
            # The first round is somewhere in the interval: workers that start, or are told, as one do not ask as one.
            share = self._random() if is_new else 1 - _SPREAD + 2 * _SPREAD * self._random()
            is_new = await self._changes_within(settings.interval * share)
            if is_new:
                continue
            try:
                await self._round(settings)
            except Exception:  # a bug of ours: told, and the checks go on, or an instance would be out for ever
                self._telemetry.log.exception("health checks failed", service=self._service)
        self._forget()

    async def _changes_within(self, seconds: float) -> bool:
        """Wait that long; or until the settings change, and say so."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    async def _round(self, settings: HealthSettings) -> None:
        """Ask every instance at once; what is known of those that are gone is forgotten."""
        addresses = self._instances.addresses
        self._known = {address: self._known.get(address) or Health() for address in addresses}
        async with asyncio.TaskGroup() as checks:
            found = [checks.create_task(self._check(address, settings)) for address in addresses]
        for address, check in zip(addresses, found, strict=True):
            if (passed := check.result()) is not None:
                self._tell(address, self._known[address].tell(passed, settings))

    async def _check(self, address: str, settings: HealthSettings) -> bool | None:
        """Whether the instance answers as it should, in time; None if we were too late to know."""
        began = self._clock.now()
        request = ServiceRequest(
            service=self._service, path=settings.path, endpoint=f"GET {settings.path}", instance=address
        )
        try:
            async with asyncio.timeout(settings.timeout):  # the wire's promise, not relied upon
                return (await self._wire.send(request, timeout=settings.timeout)).is_success
        except (ServiceTimeout, TimeoutError):
            return None if rang_late(Seconds(self._clock.now() - began), waited=settings.timeout) else False
        except GatewayError:
            return False
        except Exception:  # not what a wire may raise: told, for it is a bug, and a failed check all the same
            self._telemetry.log.exception("health check failed", service=self._service, instance=address)
            return False

    def _tell(self, address: str, is_well: bool) -> None:
        if not self._instances.set_well(address, is_well, now=self._clock.now()):
            return
        if is_well:
            self._telemetry.log.info("instance is well again", service=self._service, instance=address)
        else:
            self._telemetry.log.warning("instance is unhealthy", service=self._service, instance=address)

    def _forget(self) -> None:
        """Nobody asks any more, so nobody could find out that an instance is well again."""
        self._known = {}
        for address in self._instances.addresses:
            self._tell(address, True)


def _climbs(path: str) -> bool:
    return any(segment in {".", ".."} for segment in path.split("/"))
