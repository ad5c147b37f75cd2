"""How far a saga is: the value that events are folded into.

Invariant: immutable; equal histories give equal values.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from ..clock import Epoch
from .states import SagaState, StepState


class StepProgress(msgspec.Struct, frozen=True):
    """One step. `attempts` numbers them; `counted` leaves out those that a crash cut."""

    state: StepState = StepState.PENDING
    attempts: int = 0
    counted: int = 0
    undo_attempts: int = 0
    undo_counted: int = 0
    find_attempts: int = 0
    find_counted: int = 0
    in_flight: bool = False
    """An attempt, an undo, or a question whether it took effect, has been intended and not answered."""
    is_unknown: bool = False
    """Some attempt may have taken effect without our knowing."""
    retry_at: Epoch | None = None
    waits_until: Epoch | None = None
    """When its timer fires, or its patience with a signal ends."""
    received: msgspec.Raw | None = None
    """A signal that came, perhaps before anybody waited for it."""
    is_operated: bool = False
    """An operator asked for another attempt, which is made although something else is broken; or skipped it."""
    result: msgspec.Raw | None = None
    code: str | None = None
    started_at: Epoch | None = None
    ended_at: Epoch | None = None


class Cause(msgspec.Struct, frozen=True):
    """The first thing that went wrong; with a `message` it was a rejection."""

    code: str
    message: str | None = None


class SagaProgress(msgspec.Struct, frozen=True):
    """A whole saga."""

    state: SagaState
    steps: Mapping[str, StepProgress]
    deadline_at: Epoch
    started_at: Epoch
    ended_at: Epoch | None = None
    cause: Cause | None = None
    stop: Cause | None = None
    """A deadline or a cancel that came while the pivot might be done: obeyed once it is known not to be."""
    deadline_recorded: bool = False
    resumes_as: SagaState | None = None
    """While it needs attention: the state that it was in."""

    @property
    def has_in_flight(self) -> bool:
        for step in self.steps.values():  # noqa: SIM110  (twice as fast as any(); asked on every turn of every saga)
            if step.in_flight:
                return True
        return False

    def any_in(self, states: Collection[StepState]) -> bool:
        for step in self.steps.values():  # noqa: SIM110  (as above)
            if step.state in states:
                return True
        return False
