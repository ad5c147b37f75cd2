"""What a journal promises: the `Journal` protocol and the records that it keeps.

Invariant: what an operation has returned survives a crash; what it refused did not happen. A journal that failed once to write
takes nothing more until it is opened again, and can still be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ..clock import Epoch
from .events import Event
from .known import Owner
from .states import SagaState

HASH_VERSION = 2
"""Of the way in which `input_hash` is computed; two hashes are compared only within one version. 2: keyed where there are
secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaRecord:
    """What is known of a saga besides its events."""

    id: str
    owner: Owner
    saga: str
    version: int
    digest: str
    """Of the plan that it was begun under."""
    key: str
    input_hash: str
    """One hash; or several of the same input, separated by spaces, each under another key of the settings."""
    hash_version: int = HASH_VERSION
    input: bytes
    state: SagaState
    trace: Mapping[str, str]
    """W3C headers of the request that began it."""
    created_at: Epoch
    deadline_at: Epoch
    ended_at: Epoch | None = None
    secret_key: bytes | None = field(default=None, repr=False)
    """Its data key, wrapped. None: it has no secrets, or has ended, or was read by `search`, which has no use for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaQuery:
    """Which sagas to list, the newest first."""

    states: frozenset[SagaState] = frozenset()
    """Empty: all."""
    saga: str | None = None
    owner: Owner | None = None
    limit: int = 50
    before: tuple[Epoch, str] | None = None
    """(created_at, id) of the last one that is known already."""


@dataclass(frozen=True, slots=True)
class StoredSaga:
    """A record with its whole history."""

    record: SagaRecord
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """The journal has it."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """The same owner used the same key for the same saga before."""

    record: SagaRecord


class JournalConflict(RuntimeError):
    """Somebody else has written to this saga: a second owner of the file, or a bug of the host."""


@runtime_checkable
class Mendable(Protocol):
    """A journal that may be written again after a write has failed, without being closed."""

    async def failed(self) -> None:
        """Returns once a write has failed that was not mended."""
        ...

    async def mend(self) -> bool:
        """Try to write again. True: what is read from now on is what is committed, and more may follow it."""
        ...


class Journal(Protocol):
    """Append-only histories of sagas, and the table of who began what."""

    @property
    def is_healthy(self) -> bool:
        """False before it is opened, after it is closed, and once a write has failed."""
        ...

    async def open(self) -> None:
        """Raises: SagaStartError naming the remedy."""
        ...

    async def close(self) -> None: ...

    async def begin(self, record: SagaRecord, events: Sequence[Event]) -> Begun | AlreadyThere:
        """Decided inside the write: one of two that race begins, the other finds it. Raises: SagasUnavailable."""
        ...

    async def append(
        self,
        saga_id: str,
        *,
        expected_seq: int,
        events: Sequence[Event],
        state: SagaState | None = None,
        ended_at: Epoch | None = None,
    ) -> None:
        """Add `events` from `expected_seq` on, all or none; `state` when it has changed. `ended_at` destroys the secret key.

        Raises: SagasUnavailable; JournalConflict unless the saga has exactly `expected_seq` events.
        """
        ...

    async def find(self, saga_id: str) -> StoredSaga | None: ...

    async def find_by_key(self, owner: Owner, *, saga: str, key: str) -> SagaRecord | None: ...

    async def open_sagas(self) -> Sequence[SagaRecord]:
        """Those that are not settled, oldest first. Cost: their number, not the number of all sagas."""
        ...

    async def search(self, query: SagaQuery) -> Sequence[SagaRecord]:
        """Records that fit, the newest first, at most `query.limit`."""
        ...

    async def needing_attention(self) -> Mapping[str, int]:
        """How many wait for a person, by saga."""
        ...
