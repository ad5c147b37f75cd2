"""Public test doubles: virtual time, a scripted wire, a whole gateway without a socket."""

from .client import Answer, GatewayUnderTest
from .clock import Deadlock, VirtualClock, VirtualLoop, in_virtual_time, run_virtual
from .journal import MemoryJournal
from .streaming import StreamUnderTest, streamed
from .websocket import WebSocketUnderTest, connected
from .wire import ScriptedWire, Sent, after, answer, hang

__all__ = [
    "Answer",
    "Deadlock",
    "GatewayUnderTest",
    "MemoryJournal",
    "ScriptedWire",
    "Sent",
    "StreamUnderTest",
    "VirtualClock",
    "VirtualLoop",
    "WebSocketUnderTest",
    "after",
    "answer",
    "connected",
    "hang",
    "in_virtual_time",
    "run_virtual",
    "streamed",
]
