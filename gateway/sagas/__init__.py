"""Sagas: writes that span services and end, done or undone. Start with `definition.py`, then `core.py`."""

from ..secret import Secret, SecretGone
from .codec import Codec
from .context import CommandLike, LoaderLike, Reader, Sender, StepCtx
from .definition import Definition, Saga, definition_of
from .drawing import draw
from .embedded import EmbeddedHost
from .host import Host, IdempotencyConflict, SagaHistory, SagaStartError, SagaView, StepView, Ticket
from .journal import Journal, SagaQuery, SagaRecord
from .known import Done, NotDone, Owner, Reject, Unknown
from .mistakes import SagaDefinitionError
from .operating import Answer, Cancel, Refused, Request, ResolveStep, RetryStep, Signal, SkipStep, Taken, Verdict
from .outcome import Completed, Failed, NeedsAttention, Outcome, Rejected
from .retry import UNTIL_DONE, Retry
from .running import Observer
from .secret_keys import KeyRing, new_secret_key
from .sqlite_journal import SqliteJournal
from .states import SagaState, StepState
from .steps import Step, step
from .waiting import WaitStep, signal, timer

__all__ = [
    "UNTIL_DONE",
    "Answer",
    "Cancel",
    "Codec",
    "CommandLike",
    "Completed",
    "Definition",
    "Done",
    "EmbeddedHost",
    "Failed",
    "Host",
    "IdempotencyConflict",
    "Journal",
    "KeyRing",
    "LoaderLike",
    "NeedsAttention",
    "NotDone",
    "Observer",
    "Outcome",
    "Owner",
    "Reader",
    "Refused",
    "Reject",
    "Rejected",
    "Request",
    "ResolveStep",
    "Retry",
    "RetryStep",
    "Saga",
    "SagaDefinitionError",
    "SagaHistory",
    "SagaQuery",
    "SagaRecord",
    "SagaStartError",
    "SagaState",
    "SagaView",
    "Secret",
    "SecretGone",
    "Sender",
    "Signal",
    "SkipStep",
    "SqliteJournal",
    "Step",
    "StepCtx",
    "StepState",
    "StepView",
    "Taken",
    "Ticket",
    "Unknown",
    "Verdict",
    "WaitStep",
    "definition_of",
    "draw",
    "new_secret_key",
    "signal",
    "step",
    "timer",
]
