"""How long a stream may be silent, stalled or idle: one value for every transport, read by the edge and by the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .clock import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """What a stream may cost, in seconds, over every transport."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    ping: Seconds = Seconds(25.0)
    """Silence after which something is sent that means nothing: a proxy closes lines that are silent for 60 s, most of them. A
    WebSocket's client must answer within as long again."""
    stalled: Seconds = Seconds(30.0)
    """How long a message may wait for the network to take it. A reader that has read nothing for half a minute is not slow, it has
    stalled: it is cut off, and connects again if it still wants to know."""
    idle: Seconds = Seconds(600.0)
    """How long a WebSocket may stay without an operation under way. Ten minutes: a page that is open and follows nothing.
    0: for ever."""
    reconnect: Seconds = Seconds(1.0)
    """How soon a browser's EventSource connects again after its stream has ended before its time."""

    def __post_init__(self) -> None:
        for name in ("ping", "stalled", "reconnect"):
            if getattr(self, name) <= 0:
                raise ValueError(f"streams.{name} is {getattr(self, name):g} s: it must be longer than nothing")
        if self.idle < 0:
            raise ValueError(f"streams.idle is {self.idle:g} s: it must not be negative; 0 is for ever")
