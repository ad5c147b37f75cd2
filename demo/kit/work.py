"""The work of one write: what a handler may use while its transaction is open.

Invariant: a handler changes tables through `connection` and says so with `record`; it never commits and never awaits.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from demo.kit import ledger
from demo.kit.answers import Refusal, malformed
from demo.kit.idempotency import tombstone


@dataclass(frozen=True, slots=True)
class Work:
    connection: sqlite3.Connection
    key: str
    at: str

    def record(self, effect: str, subject: str, *, forward_key: str | None = None, **details: Any) -> None:
        """Enter an effect that has just been made in this transaction. `details` are camelCase JSON members."""
        ledger.append(self.connection, ledger.Entry(effect, self.key, subject, forward_key, self.at, details))

    def undone(self, effect: str, *, forward_key: str | None, subject: str | None) -> str | None:
        """The subject whose `effect` is to be undone; None if it never happened, and now never will.

        An undo names its forward request's key, its subject, or both, which must then agree.
        Raises: Refusal 400 if neither is named, 422 if the key made something else.
        """
        if forward_key is None:
            if subject is None:
                raise malformed("name what to undo: forwardKey, or the id of its subject")
            return subject
        if forward_key == self.key:
            raise malformed("forwardKey must be the key of the request to undo, not the key of the undo")
        made = ledger.subject_of(self.connection, effect, key=forward_key)
        if subject not in (None, made):
            raise Refusal(422, "FORWARD_KEY_MISMATCH", f"forwardKey made {made or 'nothing'}, not {subject}")
        if made is None:
            tombstone(self.connection, forward_key, at=self.at)
        return made
