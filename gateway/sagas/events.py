"""What may happen to a saga, as it is journalled.

Invariant: the sequence of events is the saga; every state is a fold over it. `at` is UTC, written, never computed again.
An event's kind and fields are a stored format: they are added to, never changed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ..clock import Epoch
from .states import SagaState

NULL = msgspec.Raw(b"null")
"""What a step without a result yields. (A field must not be `Raw | None`: msgspec would then take nothing but null.)"""


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=True):
    at: Epoch


class SagaStarted(_Event, frozen=True, kw_only=True):
    deadline_at: Epoch


class StepIntended(_Event, frozen=True, kw_only=True):
    """Durable before the attempt's call goes out."""

    step: str
    attempt: int


class StepDone(_Event, frozen=True, kw_only=True):
    step: str
    attempt: int
    result: msgspec.Raw


class StepRejected(_Event, frozen=True, kw_only=True):
    step: str
    attempt: int
    code: str
    message: str


class AttemptFailed(_Event, frozen=True, kw_only=True):
    """`retry_at` None: given up."""

    step: str
    attempt: int
    code: str
    applied_unknown: bool
    retry_at: Epoch | None


class AttemptInterrupted(_Event, frozen=True, kw_only=True):
    """Found at recovery: the process died with this attempt, or undo, in flight. Does not count against `attempts`."""

    step: str
    attempt: int


class DeadlinePassed(_Event, frozen=True, kw_only=True):
    pass


class CancelRequested(_Event, frozen=True, kw_only=True):
    reason: str
    actor: str | None = None
    """Who asked, where it was an operator."""


class WaitBegan(_Event, frozen=True, kw_only=True):
    """`until`: when the timer fires, or patience with the signal ends; None for no end."""

    step: str
    until: Epoch | None


class TimerFired(_Event, frozen=True, kw_only=True):
    step: str


class SignalReceived(_Event, frozen=True, kw_only=True):
    """Perhaps before its step waits. The first one counts; there is no second."""

    step: str
    sender: str
    payload: msgspec.Raw


class WaitExpired(_Event, frozen=True, kw_only=True):
    step: str


class FindIntended(_Event, frozen=True, kw_only=True):
    """Durable before it is asked whether the step took effect."""

    step: str
    attempt: int


class FoundDone(_Event, frozen=True, kw_only=True):
    step: str
    attempt: int
    result: msgspec.Raw


class FoundNotDone(_Event, frozen=True, kw_only=True):
    step: str
    attempt: int


class FindFailed(_Event, frozen=True, kw_only=True):
    """`retry_at` None: given up; the step is stuck."""

    step: str
    attempt: int
    code: str
    retry_at: Epoch | None


class UndoIntended(_Event, frozen=True, kw_only=True):
    step: str
    attempt: int


class UndoDone(_Event, frozen=True, kw_only=True):
    step: str
    attempt: int


class UndoFailed(_Event, frozen=True, kw_only=True):
    """`retry_at` None: given up; the step is stuck."""

    step: str
    attempt: int
    code: str
    retry_at: Epoch | None


class OperatorRetried(_Event, frozen=True, kw_only=True):
    """Another attempt, or undo, now, with all its patience."""

    step: str
    actor: str
    reason: str


class OperatorSkipped(_Event, frozen=True, kw_only=True):
    """Go on without the step; or let the effect of one stand that cannot be undone."""

    step: str
    actor: str
    reason: str


class OperatorResolved(_Event, frozen=True, kw_only=True):
    """What a person has found out about the step. `result` counts with "done" only."""

    step: str
    actor: str
    reason: str
    verdict: Literal["done", "not_done", "undone"]
    result: msgspec.Raw = NULL


class SagaEnded(_Event, frozen=True, kw_only=True):
    """Settled; NEEDS_ATTENTION may be led back later by an operator."""

    state: SagaState


Event = (
    SagaStarted
    | StepIntended
    | StepDone
    | StepRejected
    | AttemptFailed
    | AttemptInterrupted
    | DeadlinePassed
    | CancelRequested
    | WaitBegan
    | TimerFired
    | SignalReceived
    | WaitExpired
    | FindIntended
    | FoundDone
    | FoundNotDone
    | FindFailed
    | UndoIntended
    | UndoDone
    | UndoFailed
    | OperatorRetried
    | OperatorSkipped
    | OperatorResolved
    | SagaEnded
)

OperatorEvent = OperatorRetried | OperatorSkipped | OperatorResolved

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def kind_of(event: Event) -> str:
    return type(event).__name__


def encode_event(event: Event) -> bytes:
    return _ENCODER.encode(event)


def decode_event(payload: bytes) -> Event:
    """Raises: msgspec.ValidationError for a kind or shape that this version does not know."""
    return _DECODER.decode(payload)
