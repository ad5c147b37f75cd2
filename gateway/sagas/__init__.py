"""Sagas: writes that span services and end, done or undone. Start with `definition.py`, then `core.py`."""

from .codec import Codec
from .context import CommandLike, LoaderLike, Reader, Sender, StepCtx
from .definition import Definition, Saga, SagaDefinitionError, Step, definition_of, step
from .embedded import EmbeddedHost
from .host import Host, IdempotencyConflict, SagaStartError, SagaView, StepView, Ticket
from .journal import Journal
from .known import Done, Owner, Reject, Unknown
from .outcome import Completed, Failed, NeedsAttention, Outcome, Rejected
from .retry import UNTIL_DONE, Retry
from .running import Observer
from .sqlite_journal import SqliteJournal
from .states import SagaState, StepState

__all__ = [
    "UNTIL_DONE",
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
    "Observer",
    "Outcome",
    "Owner",
    "Reader",
    "Reject",
    "Rejected",
    "Retry",
    "Saga",
    "SagaDefinitionError",
    "SagaStartError",
    "SagaState",
    "SagaView",
    "Sender",
    "SqliteJournal",
    "Step",
    "StepCtx",
    "StepState",
    "StepView",
    "Ticket",
    "Unknown",
    "definition_of",
    "step",
]
