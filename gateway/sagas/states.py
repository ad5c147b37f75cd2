"""The states of a saga and of a step, by name.

Invariant: a saga that is `settled` runs nothing; only an operator leads NEEDS_ATTENTION back.
"""

from __future__ import annotations

from enum import StrEnum


class SagaState(StrEnum):
    __hash__ = str.__hash__  # Enum's own is a Python function: states are looked up in sets on every turn of a saga

    RUNNING = "RUNNING"
    COMPENSATING = "COMPENSATING"
    FORWARD_ONLY = "FORWARD_ONLY"
    """The pivot is done: what follows must happen."""
    COMPLETED = "COMPLETED"
    COMPENSATED = "COMPENSATED"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"

    def __init__(self, value: str) -> None:
        self.is_final = value in {"COMPLETED", "COMPENSATED"}
        """Settled for good: NEEDS_ATTENTION is not."""
        self.is_settled = self.is_final or value == "NEEDS_ATTENTION"


class StepState(StrEnum):
    __hash__ = str.__hash__

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    """Between two attempts."""
    WAITING = "WAITING"
    """For a timer or a signal."""
    DONE = "DONE"
    REJECTED = "REJECTED"
    """The business said no; nothing took effect."""
    FAILED = "FAILED"
    """Given up, and certainly not applied."""
    UNKNOWN = "UNKNOWN"
    """Given up, and nobody can tell whether it took effect."""
    SKIPPED = "SKIPPED"
    """Never begun, and never will be."""
    FINDING_OUT = "FINDING_OUT"
    """Whether it took effect is being asked, before its undo."""
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"
    UNDO_STUCK = "UNDO_STUCK"
    UNDO_SKIPPED = "UNDO_SKIPPED"
    """An operator let its effect stand."""
