"""What a service says: an answer is a status and JSON bytes; a refusal is an answer that a handler may raise.

Invariant: every refusal's body is exactly {"code", "message"} plus the members that the refusal names.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    replayed: bool = False

    @property
    def is_definite(self) -> bool:
        """Will stay so however often it is asked; not a server error, nor a question that made no sense."""
        return self.status < 500 and self.status != 400


class Refusal(Exception):
    """A definite no, or a malformed question; undoes what its handler had begun."""

    def __init__(self, status: int, code: str, message: str, **members: str) -> None:
        super().__init__(message)
        self.answer = answered(status, {"code": code, "message": message, **members})


def answered(status: int, value: object) -> Answer:
    return Answer(status, msgspec.json.encode(value))


def malformed(message: str) -> Refusal:
    return Refusal(400, "MALFORMED", message)
