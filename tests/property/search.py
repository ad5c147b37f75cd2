"""Every schedule of a small saga: all orders in which calls come back, all that they may come to, with a crash anywhere.

Invariant: two paths are joined only when nothing that follows can tell them apart: same progress, same calls in flight, same
hour, same past as the `History` sees it. So what is visited are states; what is counted are the schedules that lead through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from gateway.sagas.core import Failure, Find, Launch, Undo
from gateway.sagas.operating import Signal
from gateway.sagas.plan import SagaPlan

from .drive import CERTAIN_FOR_GOOD, RESULT, UNKNOWN_AGAIN, UNKNOWN_FOR_GOOD, Drive

Luck = Callable[[Launch], tuple[Failure | str, ...]]


def all_luck(launch: Launch) -> tuple[Failure | str, ...]:
    """A first call may come to anything; later ones to what is definite, so that the search ends."""
    match launch:
        case Undo():
            return ("ok",) if launch.attempt > 1 else ("ok", UNKNOWN_AGAIN)
        case Find():
            return ("ok", "no") if launch.attempt > 1 else ("ok", "no", UNKNOWN_AGAIN)
        case _ if launch.attempt > 2:
            return ("ok",)
        case _ if launch.attempt == 2:
            return ("ok", "no", CERTAIN_FOR_GOOD)
        case _:
            return ("ok", "no", CERTAIN_FOR_GOOD, UNKNOWN_FOR_GOOD)


def few_luck(launch: Launch) -> tuple[Failure | str, ...]:
    """Done, rejected or unknown at the first attempt; afterwards all goes well."""
    if isinstance(launch, Find):
        return ("ok", "no")
    return ("ok",) if isinstance(launch, Undo) or launch.attempt > 1 else ("ok", "no", UNKNOWN_FOR_GOOD)


@dataclass
class Search:
    """What was seen: states, and the schedules through them."""

    luck: Luck
    crashes: int = 0
    states: int = 0
    schedules: int = 0
    _known: dict[object, int] = field(default_factory=dict[object, int], repr=False)

    def all_of(self, plans: Iterable[SagaPlan]) -> Search:
        for plan in plans:
            self._known.clear()  # two plans share no state
            self.schedules += self._from(Drive(plan).begin(), crashes=self.crashes)
            self.states += len(self._known)
        return self

    def _from(self, drive: Drive, *, crashes: int) -> int:
        """How many schedules lead from here to an end."""
        while not (drive.is_settled or drive.in_flight or drive.waiting):
            drive.sleep()
        if drive.is_settled:
            return 1
        key = _key(drive, crashes)
        if key not in self._known:
            self._known[key] = self._onwards(drive, crashes=crashes)
        return self._known[key]

    def _onwards(self, drive: Drive, *, crashes: int) -> int:
        ends = 0
        for index, launch in enumerate(drive.in_flight):
            for what in self.luck(launch):
                branch = drive.fork()
                branch.resolve(branch.in_flight[index], what)
                ends += self._from(branch, crashes=crashes)
        for step in drive.waiting:
            ends += self._waited(drive, step, crashes=crashes)
        if crashes:
            branch = drive.fork()
            branch.crash()
            ends += self._from(branch, crashes=crashes - 1)
        return ends

    def _waited(self, drive: Drive, step: str, *, crashes: int) -> int:
        """The signal comes, or the time is up; with nothing in flight, so that time passes only when all is quiet."""
        ends = 0
        wait = drive.plan.steps[step].wait
        if wait is not None and wait.kind == "signal":
            branch = drive.fork()
            branch.ask(Signal(step, "someone", RESULT))
            ends += self._from(branch, crashes=crashes)
        if wait is not None and wait.lasts is not None and not drive.in_flight:
            branch = drive.fork()
            branch.sleep()
            ends += self._from(branch, crashes=crashes)
        return ends


def _key(drive: Drive, crashes: int) -> object:
    return (crashes, drive.now, drive.in_flight, drive.history.key, msgspec.msgpack.encode(drive.progress))
