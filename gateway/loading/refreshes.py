"""Refreshes: cached answers that were served a little late are asked for again, and nobody waits for it.

Invariants: every refresh belongs to this object, which cancels and awaits it when its application ends; a key under refresh is
not refreshed again; at most `MAX_REFRESHES` at once, and beyond it the older answer is served without one. A failure is
counted and forgotten: the older answer stays for as long as it was declared to.
State: the refreshes under way and their keys; per application.
Source: RFC 5861, stale-while-revalidate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from ..telemetry import Telemetry

K = TypeVar("K")

MAX_REFRESHES = 64
"""Refreshes, each of one batch, under way at once in an application: as many as one service has permits by default."""


class Refreshes:
    """The refreshes of one application. Leaving its `async with` ends them and lets no other begin."""

    def __init__(self, *, telemetry: Telemetry) -> None:
        self._outcomes = telemetry.metrics.refreshes
        self._log = telemetry.log
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys: set[Hashable] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<Refreshes {len(self._tasks)}/{MAX_REFRESHES} under way, {len(self._keys)} keys>"

    def start(self, loader: str, due: Mapping[Any, K], refresh: Callable[[list[K]], Coroutine[Any, Any, int]]) -> None:
        """Refresh those of `due` that are not being refreshed, together.

        `due`: what each key is called here, hashable -> as `refresh` takes it; `refresh` returns how many of them failed.
        """
        begun = {name: key for name, key in due.items() if name not in self._keys}
        if not begun:
            return
        if self._is_closed or len(self._tasks) >= MAX_REFRESHES:
            self._outcomes.labels(loader, "refused").inc(len(begun))
            return
        self._keys.update(begun)
        task = asyncio.get_running_loop().create_task(
            self._refreshed(loader, list(begun.values()), refresh), name=f"refresh {loader}"
        )
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(done, begun))

    async def close(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        self._is_closed = True
        under_way = list(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _refreshed(
        self, loader: str, keys: list[K], refresh: Callable[[list[K]], Coroutine[Any, Any, int]]
    ) -> None:
        try:
            failed = await refresh(keys)
        except Exception as error:  # our own bug: nobody waits who could be told, so the log is; the older answer stays
            self._log.error("refresh broken", loader=loader, exc_info=error)
            failed = len(keys)
        self._outcomes.labels(loader, "renewed").inc(len(keys) - failed)
        self._outcomes.labels(loader, "failed").inc(failed)

    def _ended(self, task: asyncio.Task[None], begun: Mapping[Any, Any]) -> None:
        """Also of a task that was cancelled before it ran its first line."""
        self._tasks.discard(task)
        self._keys.difference_update(begun)

    async def __aenter__(self) -> Self:
        self._is_closed = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
