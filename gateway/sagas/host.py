"""Where sagas live: the `Host` protocol, and the frozen values that it hands out.

Invariant: a `Ticket` exists only for a saga that the journal has; a view never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from ..clock import NEVER, Epoch, Seconds
from .definition import Saga
from .events import Event
from .journal import SagaQuery, SagaRecord
from .known import Owner
from .operating import Answer, Request
from .outcome import Outcome
from .progress import SagaProgress
from .states import SagaState, StepState


class SagaStartError(RuntimeError):
    """Sagas cannot be served as things are; the message is for the operator and names the remedy."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A saga that the journal has; `created` is False when the same key and input had begun it before."""

    saga_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class IdempotencyConflict:
    """The key was used before, by the same owner for the same saga, with another input."""

    saga_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A step as far as it is."""

    name: str
    status: StepState
    attempts: int
    undo_attempts: int
    code: str | None
    """Of the last error or rejection."""
    started_at: Epoch | None
    ended_at: Epoch | None
    next_at: Epoch | None = None
    """When it is tried again, its timer fires, or its patience with a signal ends."""
    result: msgspec.Raw | None = None
    """What it yielded, as the journal holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaView:
    """A saga as far as it is. `steps` is empty when this version of its class is no longer registered."""

    id: str
    saga: str
    version: int
    owner: Owner
    status: SagaState
    outcome: Outcome | None
    steps: tuple[StepView, ...]
    created_at: Epoch
    ended_at: Epoch | None
    deadline_at: Epoch | None = None
    cause: str | None = None
    """Code of the first thing that went wrong, and was not mended."""
    input: bytes = b"null"
    """As the journal holds it."""
    compute_result: Callable[[], Any] | None = field(default=None, repr=False, compare=False)
    record: SagaRecord | None = field(default=None, repr=False, compare=False)
    progress: SagaProgress | None = field(default=None, repr=False, compare=False)
    """With `record` what the view was computed from, for a process that computes it again."""

    @property
    def is_settled(self) -> bool:
        return self.status.is_settled

    def result(self) -> Any:
        """The saga's `result`, recomputed from the results of its steps. Raises: LookupError unless it is completed."""
        if self.compute_result is None:
            raise LookupError(f"saga {self.id} is {self.status} and has no result")
        return self.compute_result()


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaHistory:
    """Part of a saga's events. `first` is the number of the first one here, counted from 1."""

    first: int
    events: tuple[Event, ...]
    state: SagaState
    owner: Owner

    @property
    def last(self) -> int:
        """The number to go on after."""
        return self.first + len(self.events) - 1


class Host(Protocol):
    """Keeps sagas and runs them to their end, whoever waits for them."""

    @property
    def is_healthy(self) -> bool:
        """False once the journal cannot be written: nothing more is begun or sent."""
        ...

    async def start(self) -> None:
        """Take up every open saga where it was. Raises: SagaStartError that says what is in the way, and the remedy."""
        ...

    async def begin(
        self,
        saga: type[Saga[Any, Any]],
        input_value: object,
        *,
        owner: Owner,
        key: str | None,
        input_hash: str,
        trace: Mapping[str, str],
        saga_id: str | None = None,
    ) -> Ticket | IdempotencyConflict:
        """Begin, or find what the same key began. Returns only after the journal has it; `key` None means a new one.

        `saga_id`: the id to begin it under, from whoever may have to ask again: the same begin under the same id is one saga,
        with a key or without.

        Raises: SagasUnavailable (nothing was begun), Overloaded, Draining.
        """
        ...

    async def wait(self, saga_id: str, *, timeout: Seconds) -> SagaView:  # noqa: ASYNC109  (a bound, not a failure)
        """The settled view, or the current one after `timeout`. Raises: SagaNotFound."""
        ...

    async def view(self, saga_id: str) -> SagaView | None: ...

    async def history(self, saga_id: str, *, after: int = 0, timeout: Seconds = NEVER) -> SagaHistory | None:  # noqa: ASYNC109  (a bound)
        """What happened after the first `after` events; where that is nothing yet, what happens within `timeout` seconds."""
        ...

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        """Records that fit, the newest first."""
        ...

    async def ask(self, saga_id: str, request: Request) -> Answer | None:
        """Deliver a signal, or do what an operator wants. Returns only after the journal has it; None: no such saga.

        Raises: SagasUnavailable, Draining.
        """
        ...

    async def stop(self, drain: Seconds) -> None:
        """Begin nothing more, let attempts in flight end for up to `drain`, then let go of the journal."""
        ...
