"""Public test doubles: virtual time and a scripted wire."""

from .clock import Deadlock, VirtualClock, VirtualLoop, in_virtual_time, run_virtual
from .wire import ScriptedWire, Sent, after, answer, hang

__all__ = [
    "Deadlock",
    "ScriptedWire",
    "Sent",
    "VirtualClock",
    "VirtualLoop",
    "after",
    "answer",
    "hang",
    "in_virtual_time",
    "run_virtual",
]
