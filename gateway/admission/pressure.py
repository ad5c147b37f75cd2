"""How the gateway feels: late, crowded, strained; measured while operations run, and told to what decides by it.

Every ten milliseconds a timer tells by how much it rings late: that is how long whatever is ready has to wait for the processor.
Each tenth of a second the limit of operations and the shares of clients are told what was seen.

Invariant: nothing is measured while nothing runs, so an idle gateway sleeps.
State: the window, per process.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from ..clock import Instant, Seconds
from ..overload_limits import OverloadLimits
from ..telemetry import Telemetry
from .concurrency import Admission
from .fair_share import FairShare

_EVERY = 0.01
"""Seconds between two measurements."""
_WINDOW = 0.1
_STRAINED_AFTER, _RELIEVED_AFTER = 2, 10
"""Windows in a row in which operations had to wait or were refused, and in which none had, until they leave something out, and do
not any more. A late loop alone is no reason: it may be a neighbour's."""


@dataclass(slots=True)
class _Window:
    began: float
    processor: float
    late: float = 0.0
    count: int = 0


class Pressure:
    """Measures, and tells. `is_strained`: whether operations should leave out what they can do without."""

    def __init__(self, admission: Admission, *, limits: OverloadLimits, telemetry: Telemetry) -> None:
        self.share = FairShare()
        self.is_strained = False
        self._admission = admission
        self._limits = limits
        self._metrics = telemetry.metrics
        self._log = telemetry.log
        self._bad = self._good = 0
        self._window: _Window | None = None
        self._handle: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Measure from now on, whenever operations run."""
        if self._limits.adaptive:
            self._admission.learnt.begin(self._limits.start)
        self._admission.on_busy = self._wake
        if self._admission.in_flight:
            self._wake()

    def end(self) -> None:
        self._admission.on_busy = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def __repr__(self) -> str:
        return f"<Pressure {'strained' if self.is_strained else 'relieved'}, {self.share!r}>"

    def _wake(self) -> None:
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._window = _Window(loop.time(), time.process_time())
            self._set(loop)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _EVERY
        self._handle = loop.call_at(due, self._ring, loop, due)

    def _ring(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now, window = loop.time(), self._window
        if window is None:
            return
        window.late += max(0.0, now - due)
        window.count += 1
        if now - window.began >= _WINDOW:
            self._tell(window, now)
            if self._is_calm():
                self._handle = None
                return
            self._window = _Window(now, time.process_time())
        self._set(loop)

    def _is_calm(self) -> bool:
        admission = self._admission
        return not (admission.in_flight or admission.waiting or self.is_strained or self.share.is_on) and (
            admission.learnt.knows_nothing
        )

    def _tell(self, window: _Window, now: float) -> None:
        lag, lasted = Seconds(window.late / window.count), Seconds(now - window.began)
        seen = self._admission.look()
        self._metrics.event_loop_lag.set(lag)
        utilisation = (time.process_time() - window.processor) / lasted
        self._metrics.processor_utilisation.set(utilisation)
        if self._limits.adaptive:
            self._admission.learnt.tell(lag, used=seen.most, held_back=seen.held_back, utilisation=utilisation)
        if self._limits.shed_early:
            self.share.tell(is_crowded=seen.refused > 0, taken=seen.given, window=lasted, now=Instant(now))
        self._judge(is_bad=seen.refused > 0 or self._admission.waiting > 0)

    def _judge(self, *, is_bad: bool) -> None:
        self._bad, self._good = (self._bad + 1, 0) if is_bad else (0, self._good + 1)
        if not self.is_strained and self._bad >= _STRAINED_AFTER:
            self.is_strained = True
            self._log.warning("overloaded", limit=self._admission.limit, waiting=self._admission.waiting)
        elif self.is_strained and self._good >= _RELIEVED_AFTER:
            self.is_strained = False
            self._log.info("no longer overloaded")
