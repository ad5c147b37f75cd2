"""How a saga stands, read from a mutation's payload: the members that every saga has, whatever the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Conflict, Failed, NeedsAttention, Rejected, SagaEnded

SETTLED = frozenset({"COMPLETED", "COMPENSATED", "NEEDS_ATTENTION"})
"""Statuses in which the mutation, sent again, tells an outcome."""


def is_accepted(payload: Mapping[str, Any]) -> bool:
    """Whether it is durable and still running."""
    return bool(payload["__typename"] == "SagaAccepted")


def error_of(payload: Mapping[str, Any]) -> SagaEnded | None:
    """What the payload raises; None for success."""
    about: dict[str, str] = {"saga_id": payload["sagaId"], "status": payload["status"]}
    match payload["__typename"]:
        case "SagaRejected":
            return Rejected(payload["message"], **about, code=payload["code"])
        case "SagaFailed":
            told = f"it did not work ({payload['code']}), and what had been done is undone"
            return Failed(told, **about, code=payload["code"], undone=tuple(payload["undone"]))
        case "SagaNeedsAttention":
            return NeedsAttention(f"it waits for a person ({payload['code']})", **about, code=payload["code"])
        case "IdempotencyConflict":
            return Conflict(payload["message"], **about)
        case _:
            return None
