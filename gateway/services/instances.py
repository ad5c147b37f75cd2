"""The instances of a service: which one an attempt goes to. The decision, pure; `policies/balance.py` acts on it.

Of two that are drawn by lot the cheaper one is taken, where an instance costs what its attempts take, times how many it has under
way. An instance is left out for a while when it fails several times in a row, or when its health checks say so; when too few are
left, health is disbelieved and all are used, or those of the fallback region, if there is one. What an operator has drained is
never among them.

Invariants: at most `max_ejected` of the instances are left out for their failures (with a fallback region: all may be); what a call
has tried is avoided as long as there is something else; one instance at least is not drained; whatever is picked is told to
`finished` exactly once.
State: per service and worker process.
Source: Mitzenmacher, The power of two choices; Finagle's peak EWMA; Envoy's outlier detection and panic threshold. That a failure
costs at least `penalty` keeps an instance that fails fast from being the cheapest of all: without it, it draws two thirds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, ClassVar

from ..clock import FOREVER, Instant, Seconds
from .outcome import FAILURE, SUCCESS, Outcome

STATES = ("well", "ejected", "unhealthy", "drained")
"""What may be thought of an instance."""

_START_SHARE = 0.1
"""What an instance is given at first while it starts slowly."""

_FORGIVEN = Seconds(300.0)
"""Seconds without an ejection after which the next one is short again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSettings:
    """How attempts are spread over several instances, and when one is left out."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    memory: Seconds = Seconds(10.0)
    """Time constant of the latency that is remembered of an instance (the tau of its peak EWMA)."""
    eject_after: int = 5
    """Failures in a row after which an instance is left out."""
    eject_for: Seconds = Seconds(5.0)
    """Seconds that the first ejection lasts; the n-th lasts n times as long."""
    eject_cap: Seconds = Seconds(120.0)
    """Seconds that any ejection lasts at most."""
    max_ejected: float = 0.5
    """Share of the instances that may be left out at once for their failures."""
    panic: float = 0.5
    """Share of healthy instances below which health is disbelieved and all are used."""
    slow_start: Seconds = Seconds(10.0)
    """Seconds over which an instance that is new, or back, is given its full share."""

    def __post_init__(self) -> None:
        if self.eject_after < 1:
            raise ValueError(f"balance.eject_after is {self.eject_after}: it must be at least 1")
        if not (self.memory > 0 and 0 < self.eject_for <= self.eject_cap and self.slow_start >= 0):
            raise ValueError(
                f"balance.memory is {self.memory}, eject_for {self.eject_for}, eject_cap {self.eject_cap}, slow_start "
                f"{self.slow_start}: memory > 0, 0 < eject_for <= eject_cap and slow_start >= 0 must hold"
            )
        if not (0 <= self.max_ejected <= 1 and 0 <= self.panic <= 1):
            raise ValueError(
                f"balance.max_ejected is {self.max_ejected}, panic {self.panic}: both are shares, from 0 to 1"
            )


class Instance:
    """One address of a service, and what is known of it."""

    __slots__ = (
        "address",
        "ejected_until",
        "ejections",
        "failed",
        "in_flight",
        "is_drained",
        "is_well",
        "latency",
        "measured_at",
        "since",
    )

    def __init__(self, address: str, *, since: Instant, latency: float = 0.0) -> None:
        self.address = address
        self.in_flight = 0
        self.is_well = True
        """What its health checks say."""
        self.is_drained = False
        """Taken out by an operator: nothing new goes there, whatever else is known of it."""
        self.failed = 0
        """Failures in a row."""
        self.ejections = 0
        """In a row, the one under way included."""
        self.ejected_until = Instant(float("-inf"))
        self.latency = latency
        """Peak EWMA in seconds, as of `measured_at`; 0: not known."""
        self.measured_at = Instant(0.0)
        self.since = since
        """From when on it has been used: its slow start."""

    def __repr__(self) -> str:
        return f"<Instance {self.address} {self.latency * 1000:.0f} ms, {self.in_flight} in flight>"

    def is_usable(self, now: Instant) -> bool:
        return self.is_well and now >= self.ejected_until

    def cost(self, now: Instant, settings: BalanceSettings) -> float:
        """Seconds of work that one more attempt would stand behind. What is remembered fades, so a slow one is asked again."""
        fade = exp((self.measured_at - now) / settings.memory)
        cost = (self.latency * fade + 1e-6) * (self.in_flight + 1)
        age, slow_start = now - self.since, settings.slow_start
        return cost if age >= slow_start or not slow_start else cost / max(_START_SHARE, age / slow_start)

    def measure(self, took: float, now: Instant, settings: BalanceSettings) -> None:
        """A longer attempt counts at once, a shorter one bit by bit: an instance that becomes slow is left at once."""
        if took >= self.latency:
            self.latency = took
        else:
            weight = exp((self.measured_at - now) / settings.memory)
            self.latency = self.latency * weight + took * (1 - weight)
        self.measured_at = now


class Instances:
    """All instances of a service, those of the fallback region included. Instants must not go backwards."""

    def __init__(
        self, addresses: Sequence[str], fallback: Sequence[str], settings: BalanceSettings, random: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._random = random
        long_ago = Instant(float("-inf"))  # at the start all are as new as the others: none is held back
        self._primary = [Instance(address, since=long_ago) for address in addresses]
        self._fallback = [Instance(address, since=long_ago) for address in fallback]
        self._latest = Instant(0.0)
        self._all_usable_from = Instant(float("-inf"))
        """From when on every instance of the primary region may be used, as things stand: `_note_change` keeps it true."""
        self.ejections = 0
        """Since the start."""

    def __repr__(self) -> str:
        well = sum(each.is_well for each in self._primary)
        region = f", {len(self._fallback)} of a fallback region" if self._fallback else ""
        return f"<Instances {well}/{len(self._primary)} well, {self.ejections} ejections so far{region}>"

    @property
    def addresses(self) -> list[str]:
        """All of them, those of the fallback region last."""
        return [each.address for each in self._everyone]

    @property
    def in_flight(self) -> int:
        return sum(each.in_flight for each in self._everyone)

    def configure(
        self, addresses: Sequence[str], fallback: Sequence[str], settings: BalanceSettings, *, now: Instant
    ) -> None:
        """Other instances or settings from now on: those that stay keep what is known of them; those that go end what they
        have under way. What is drained stays so, unless nothing else would be left: then all are used, as the settings say."""
        known = {each.address: each for each in self._everyone}
        usual = max((each.latency for each in known.values()), default=0.0)
        self._settings = settings
        self._primary = [known.get(address) or Instance(address, since=now, latency=usual) for address in addresses]
        self._fallback = [known.get(address) or Instance(address, since=now, latency=usual) for address in fallback]
        if all(each.is_drained for each in self._everyone):
            for each in self._everyone:
                each.is_drained = False
        self._note_change()

    def drain(self, address: str) -> int:
        """Send nothing new to an instance; what it has under way goes on. Returns how much that is.

        Raises: LookupError for an address that is none of ours; ValueError for the last one that is left.
        """
        instance = self._named(address)
        if not [each for each in self._everyone if not each.is_drained and each is not instance]:
            raise ValueError(
                f"{address} is the last instance that is not drained: add another one, or undrain one, first"
            )
        instance.is_drained = True
        self._note_change()
        return instance.in_flight

    def undrain(self, address: str, *, now: Instant) -> bool:
        """Use an instance again, slowly at first. Returns whether that is news. Raises: LookupError."""
        instance = self._named(address)
        if instance.is_drained:
            instance.is_drained, instance.since = False, now
            self._note_change()
            return True
        return False

    def pick(self, tried: Sequence[str], *, now: Instant) -> Instance:
        """The instance for the next attempt of a call that has `tried` some already; its attempt is counted as under way."""
        only = self._primary[0] if len(self._primary) == 1 and not self._fallback else None
        picked = only or self._cheaper_of_two(self._candidates(tried, now), now)
        picked.in_flight += 1
        self._latest = now
        return picked

    def finished(
        self, instance: Instance, outcome: Outcome, *, elapsed: Seconds, penalty: Seconds, now: Instant
    ) -> None:
        """How the attempt ended. A failure counts as having taken at least `penalty`; one that was broken off by us counts
        only if it had already taken longer than is usual, as the loser of a hedge has."""
        instance.in_flight -= 1
        if outcome is SUCCESS:
            instance.failed = 0
            instance.measure(elapsed, now, self._settings)
        elif outcome is FAILURE:
            instance.failed += 1
            instance.measure(max(elapsed, penalty), now, self._settings)
            if instance.failed >= self._settings.eject_after:
                self._eject(instance, now)
        elif elapsed > instance.latency:
            instance.measure(elapsed, now, self._settings)

    def set_well(self, address: str, is_well: bool, *, now: Instant) -> bool:
        """What a health check says of an instance. Returns whether that is news."""
        for instance in self._everyone:
            if instance.address == address and instance.is_well != is_well:
                instance.is_well = is_well
                if is_well:
                    instance.since = now
                self._note_change()
                return True
        return False

    def counts(self) -> dict[str, int]:
        """Instances by state, one of `STATES`. As of the last attempt."""
        states = Counter(_state(each, self._latest) for each in self._everyone)
        return {state: states[state] for state in STATES}

    def snapshot(self, now: Instant) -> list[dict[str, Any]]:
        """For operators: each instance and what is known of it."""
        return [
            {
                "address": each.address,
                "region": "fallback" if each in self._fallback else "primary",
                "state": _state(each, now),
                "latencySeconds": round(each.latency, 6),
                "inFlight": each.in_flight,
                "failedInARow": each.failed,
            }
            for each in self._everyone
        ]

    # -- the choice ----------------------------------------------------------------------------------------------------

    def _candidates(self, tried: Sequence[str], now: Instant) -> list[Instance]:
        """Those that an attempt may go to: not tried yet, if possible; of the fallback region only when it must be."""
        if not tried and now >= self._all_usable_from:
            return self._primary  # the common case
        usable = [each for each in self._primary if each.is_usable(now) and not each.is_drained]
        primary = [each for each in self._primary if not each.is_drained]
        is_panic = not usable or len(usable) < self._settings.panic * len(primary)
        if not is_panic and (fresh := _without(usable, tried)):
            return fresh
        fallback = [each for each in self._fallback if not each.is_drained]
        if standby := _without([each for each in fallback if each.is_usable(now)], tried):
            return standby
        return (_without(primary, tried) or primary or fallback) if is_panic else usable

    @property
    def _everyone(self) -> tuple[Instance, ...]:
        """Those of the fallback region last."""
        return (*self._primary, *self._fallback)

    def _named(self, address: str) -> Instance:
        found = next((each for each in self._everyone if each.address == address), None)
        if found is None:
            raise LookupError(f"there is no instance {address}: there are {', '.join(self.addresses)}")
        return found

    def _cheaper_of_two(self, among: list[Instance], now: Instant) -> Instance:
        if len(among) == 1:
            return among[0]
        first = int(self._random() * len(among))
        second = int(self._random() * (len(among) - 1))
        second += second >= first
        one, other = among[first], among[second]
        return one if one.cost(now, self._settings) <= other.cost(now, self._settings) else other

    def _eject(self, instance: Instance, now: Instant) -> None:
        """Leave it out for a while, unless too many are left out already."""
        settings, peers = self._settings, self._primary if instance in self._primary else self._fallback
        if now < instance.ejected_until or len(peers) + len(self._fallback) < 2:
            return
        out = sum(now < each.ejected_until for each in peers)
        has_elsewhere = peers is self._primary and bool(self._fallback)
        if not has_elsewhere and out + 1 > settings.max_ejected * len(peers):
            return
        if now - instance.ejected_until > _FORGIVEN:
            instance.ejections = 0
        instance.ejections += 1
        lasts = min(settings.eject_cap, settings.eject_for * instance.ejections)
        instance.ejected_until = Instant(now + lasts)
        instance.since = instance.ejected_until  # it comes back slowly
        instance.failed = settings.eject_after - 1  # and one failure puts it out again
        self.ejections += 1
        self._note_change()

    def _note_change(self) -> None:
        """Something was said of an instance, or there are others."""
        is_whole = all(each.is_well and not each.is_drained for each in self._primary)
        self._all_usable_from = (
            max((each.ejected_until for each in self._primary), default=FOREVER) if is_whole else FOREVER
        )


def _state(instance: Instance, now: Instant) -> str:
    if instance.is_drained:
        return "drained"
    if not instance.is_well:
        return "unhealthy"
    return "well" if instance.is_usable(now) else "ejected"


def _without(instances: list[Instance], tried: Sequence[str]) -> list[Instance]:
    return [each for each in instances if each.address not in tried] if tried else instances
