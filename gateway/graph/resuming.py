"""Events that can be told apart, so that a client which lost its connection goes on after the last one that it has seen.

An event that has an attribute `event_id` (a property of the type, no field of the graph) is sent with it where the transport has a
place for it; a client that connects again says it back, and the subscription finds it as `ctx.last_event_id`.
"""

from __future__ import annotations

from typing import Any


def event_id_of(event: Any) -> str | None:
    """One line of text; None where the event has no id, or one that would break a line."""
    found = getattr(event, "event_id", None)
    return found if isinstance(found, str) and found.isprintable() else None
