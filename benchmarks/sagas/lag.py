"""How late the event loop is: a timer every few milliseconds, and by how much each of them rang too late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EVERY = 0.005


class Lag:
    """Seconds by which timers were late."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def percentile(self, share: float) -> float:
        """Milliseconds; 0 where nothing was measured."""
        ordered = sorted(self.late)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1e3 if ordered else 0.0

    async def watch(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self.late.append(max(0.0, loop.time() - due))


@asynccontextmanager
async def watching(lag: Lag) -> AsyncIterator[None]:
    """While the body runs."""
    task = asyncio.create_task(lag.watch())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
