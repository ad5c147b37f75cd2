"""What the gateway bears of load, and how long operations wait for their turn: read by admission and by the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .clock import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadLimits:
    """When there is more than one process can do."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    adaptive: bool = True
    """Whether the number of operations under way is learnt from how late the event loop is; `server.max_operations` is then the
    most. Off: it is always that."""
    lag: Seconds = Seconds(0.05)
    """How late the event loop may be. 50 ms: what a person does not notice, and more than a busy neighbour makes it."""
    least: int = 16
    """The least that the learnt limit falls to: enough to keep the processor busy while most wait for services."""
    start: int = 64
    """The limit while nothing is known, and after a calm: so many of a sudden crowd are let in before the loop can be seen to be
    late. 64: a fifth of a second of pages of 3 ms; where operations only wait for services, 512 are reached in 1.5 s."""
    queue: int = 256
    """Operations that may wait for a permit, in each process. 256: half a second of what one process answers."""
    wait: Seconds = Seconds(0.25)
    """Longest wait of a query. 250 ms: it still ends while the person looks at the page."""
    mutation_wait: Seconds = Seconds(1.0)
    """Longest wait of a mutation. A second: somebody has pressed a button, and presses it again if refused."""
    critical_wait: Seconds = Seconds(2.0)
    """Longest wait of what is critical."""
    shed_optional: bool = True
    """Whether joins that declare what to serve instead serve it while the gateway is overloaded, before operations are refused."""
    shed_early: bool = True
    """Whether requests of clients that send more than their share are refused before they are read, while more come than can be
    judged."""

    def __post_init__(self) -> None:
        if self.lag <= 0:
            raise ValueError(f"overload.lag is {self.lag:g} s: it must be longer than nothing")
        if self.least < 1:
            raise ValueError(f"overload.least is {self.least}: it must be at least 1")
        if self.start < self.least:
            raise ValueError(
                f"overload.start is {self.start}: it must be at least overload.least, which is {self.least}"
            )
        if self.queue < 0:
            raise ValueError(f"overload.queue is {self.queue}: it must not be negative; 0 lets nobody wait")
        for name in ("wait", "mutation_wait", "critical_wait"):
            if getattr(self, name) < 0:
                raise ValueError(f"overload.{name} is {getattr(self, name):g} s: it must not be negative")
