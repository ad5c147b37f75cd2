"""What loaders did for one operation, written down while it runs: for a client that asked to have its answer explained.

Invariant: bounded; nothing of a payload or a key is in it. State: of one request. An operation that is not explained has none, and
pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..clock import Clock, Instant, Seconds
from ..errors import GatewayError
from .loader import Loader, Pages

MAX_READS = 1_000
"""Reads that are written down; of further ones there is a number."""


@dataclass(slots=True)
class Read:
    """One batch of a loader, or one page of a listing."""

    declared: Loader[Any] | Pages[Any]
    keys: int
    """That were asked for in this batch; 1 of a listing."""
    began: Instant
    cached: int = 0
    """Of these, served without asking."""
    asked: int = 0
    """Of these, asked for in the call; 0: no call was made."""
    tried: list[str] = field(default_factory=list[str])
    """Addresses that the call was sent to, hedges and retries included. None though it was answered: an identical call of somebody
    else's was shared."""
    waited: list[Seconds] = field(default_factory=list[Seconds])
    """How long its attempts waited for permits, of those that had to."""
    outcome: str = "under way"
    """Then "ok", "cancelled", or the code of the failure."""
    took: Seconds = Seconds(0.0)


class Recording:
    """The reads of an operation, in the order in which they began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.began = clock.now()
        self.reads: list[Read] = []
        self.beyond = 0

    def __repr__(self) -> str:
        return f"<Recording of {len(self.reads)} reads>"

    @contextmanager
    def read(self, declared: Loader[Any] | Pages[Any], keys: int) -> Generator[Read]:
        """A read that begins with the body and ends with it."""
        now = self._clock.now()
        made = Read(declared, keys, began=now)
        if len(self.reads) < MAX_READS:
            self.reads.append(made)
        else:
            self.beyond += 1
        ended = "cancelled"
        try:
            yield made
            ended = "ok"
        except GatewayError as error:
            ended = error.code
            raise
        finally:
            made.took = Seconds(self._clock.now() - now)
            if made.outcome == "under way":  # else a failure that is told key by key
                made.outcome = ended

    def elapsed(self) -> Seconds:
        """Since the operation began."""
        return Seconds(self._clock.now() - self.began)
