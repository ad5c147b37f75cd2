"""Sagas: writes that span services and end, done or undone. Start with `definition.py`, then `core.py`."""

from .codec import Codec
from .context import CommandLike, LoaderLike, Reader, Sender, StepCtx
from .definition import Definition, Saga, SagaDefinitionError, Step, definition_of, step
from .embedded import EmbeddedHost
from .host import Host, IdempotencyConflict, SagaHistory, SagaStartError, SagaView, StepView, Ticket
from .journal import Journal, SagaQuery, SagaRecord
from .known import Done, NotDone, Owner, Reject, Unknown
from .operating import Answer, Cancel, Refused, Request, ResolveStep, RetryStep, Signal, SkipStep, Taken, Verdict
from .outcome import Completed, Failed, NeedsAttention, Outcome, Rejected
from .retry import UNTIL_DONE, Retry
from .running import Observer
from .sqlite_journal import SqliteJournal
from .states import SagaState, StepState

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
    "definition_of",
    "step",
]
