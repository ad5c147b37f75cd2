"""The embedded host of sagas, its journal and its keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from ..clock import Seconds
from ..sagas.secret_keys import KeyRing
from ..sagas.signing import SigningKey
from .concern import Concern, Duration, LongerThanZero, Positive, Scope


class SagaSettings(Concern):
    """The embedded host of sagas."""

    journal: Path = Path(".sagaql/journal.sqlite3")
    """The SQLite file that owns all sagas, relative to gateway.toml. One process at a time."""
    wait: Annotated[Duration, Field(ge=0)] = Seconds(10.0)
    """Seconds that a mutation waits for its saga before it answers "accepted"; also bounded by its deadline."""
    drain: Annotated[Duration, Field(ge=0)] = Seconds(5.0)
    """Seconds that running steps may take at shutdown. What is not done then is resumed at the next start."""
    operator_scope: Scope = "operator"
    """The scope of those who may list, retry, skip, resolve and cancel sagas of others."""
    overseer_scope: Scope | None = None
    """The scope of those who may list and follow sagas of others, and change nothing. None: operators alone see others' sagas."""
    signal_scope: Scope = "signals"
    """The scope of those who may send a saga the signal that it waits for: the services that know, not clients."""
    max_open: Positive = 10_000
    """Sagas not ended yet; further ones are refused with OVERLOADED before anything is written."""
    retention: Annotated[Duration, Field(ge=0)] = Seconds(30 * 86_400.0)
    """Seconds that a finished saga is kept, and that its idempotency key finds it; after that the key begins anew. Longer than
    any client repeats itself. 0 keeps all for ever. Those that need attention always stay."""
    checkpoint_every: LongerThanZero = Seconds(300.0)
    """Seconds between two checkpoints over all sagas. What is changed in the file within the newest span is not found; each
    checkpoint is half a kilobyte that is never removed. None is made while nothing happens."""
    anchor: Path | None = None
    """A file, relative to gateway.toml, to which each checkpoint is added as a line. Copy it to where nobody who can write the
    journal can write: with it `verify` finds edits, truncation and roll-back; without one it finds accidents."""
    signing_key: SecretStr | None = None
    """Signs checkpoints and prunings: one line, made by `sagaql sagas new-key signing`. Write ${NAME} and keep it in the
    environment. None: they are unsigned, and say so."""
    secret_key: SecretStr | None = None
    """Seals what sagas declare as Secret in the journal: 32 random bytes as base64, made by `sagaql sagas new-key secret`. Write
    ${NAME} and keep it in the environment. None: no saga may hold secrets; a default would be everybody's."""
    old_secret_keys: tuple[SecretStr, ...] = ()
    """Keys that `secret_key` was before: they open what they sealed. One may be dropped when all sagas begun under it have ended,
    and their clients retry no more."""

    @field_validator("signing_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            SigningKey.parse(key.get_secret_value())
        return key

    @model_validator(mode="after")
    def _are_keys(self) -> Self:
        if self.secret_key is None and self.old_secret_keys:
            raise ValueError("old_secret_keys are given and no secret_key: the newest key is the secret_key")
        self.key_ring()  # the rules stand there
        return self

    def key_ring(self) -> KeyRing | None:
        """The keys as the floor below is handed them. Raises: ValueError for what is no key, never telling it."""
        if self.secret_key is None:
            return None
        return KeyRing(self.secret_key.get_secret_value(), old=[key.get_secret_value() for key in self.old_secret_keys])
