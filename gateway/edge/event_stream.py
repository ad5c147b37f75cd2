"""Answers as server-sent events.

Invariants: lines end in LF, an event in an empty line, and nothing else does: some clients split at exactly that; an answer is one
line, because JSON as it is written here holds no line break. An event carries an id where the author's has one: an EventSource that
connects again says it back as `Last-Event-ID`.
Source: the GraphQL over SSE protocol (graphql-sse, PROTOCOL.md), distinct connections mode; the HTML standard's event stream.
"""

from __future__ import annotations

from ..clock import Seconds
from ..execution import GraphQLResult
from .negotiation import EVENT_STREAM


class EventStream:
    """A `Framing`."""

    transport = "sse"
    media_type = f"{EVENT_STREAM}; charset=utf-8".encode()
    heartbeat = b":\n\n"
    end = b"event: complete\ndata:\n\n"  # without the empty data an EventSource would not tell its page

    def __init__(self, *, reconnect: Seconds) -> None:
        """`reconnect`: what an EventSource waits before it connects again."""
        self.opening = b"retry: %d\n\n" % round(reconnect * 1000)

    def answer(self, result: GraphQLResult) -> bytes:
        """Raises: Unwritable."""
        number = b"" if result.event_id is None else b"id: %s\n" % result.event_id.encode()
        return b"%sevent: next\ndata: %s\n\n" % (number, result.encoded())

    def broken_off(self, result: GraphQLResult) -> bytes:
        return self.answer(result) + self.end

    def restarting(self, result: GraphQLResult) -> bytes:
        """Not completed: so an EventSource connects again by itself, and graphql-sse tries again."""
        return b": restarting\n" + self.opening
