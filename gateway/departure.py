"""How a process leaves: what each signal, and the end of a wait, brings it to.

Invariants: it goes forward only; SIGTERM alone announces, and only where there is a delay; every signal after the first brings the
next stage at once; waiting ends nothing but the announcement.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import IntEnum

from .clock import Seconds


class Stage(IntEnum):
    """In their order."""

    SERVING = 0
    ANNOUNCED = 1
    """Not ready any more, and still there for whoever has not noticed: balancers look, and send their clients elsewhere."""
    DRAINING = 2
    """Nothing is accepted; what runs may end."""
    FORCED = 3
    """Nothing is waited for."""


@dataclass(slots=True)
class Departure:
    """Decided, not slept. State: the stage. `delay`: seconds between the announcement and the drain; 0 announces nothing."""

    delay: Seconds = Seconds(0.0)
    stage: Stage = Stage.SERVING

    @property
    def has_begun(self) -> bool:
        return self.stage > Stage.SERVING

    def asked(self, number: signal.Signals) -> Stage:
        """The stage that a signal brings. SIGINT, which is somebody at a terminal, announces nothing."""
        if self.stage is Stage.SERVING and number is signal.SIGTERM and self.delay > 0:
            self.stage = Stage.ANNOUNCED
        elif self.stage < Stage.DRAINING:
            self.stage = Stage.DRAINING
        else:
            self.stage = Stage.FORCED
        return self.stage

    def waited(self) -> bool:
        """The delay is over. Returns whether that brings the drain: a signal may have been faster."""
        if self.stage is not Stage.ANNOUNCED:
            return False
        self.stage = Stage.DRAINING
        return True
