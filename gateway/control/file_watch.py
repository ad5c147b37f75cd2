"""A file that is looked at now and then, and told when it has become another one and has come to rest.

What is compared is what `stat` says of the file that the path leads to in the end: so a Kubernetes ConfigMap, which swaps a link
to a whole folder, is seen, and so is an editor that writes beside and renames.

Invariants: nobody is told of a file that changed between the last two looks, so not of one that is half written; whoever is told
has answered before the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from pathlib import Path
from typing import NamedTuple

from ..clock import Seconds
from ..telemetry import Log

SETTLES = Seconds(0.25)
"""Seconds that a changed file must stay as it is. Editors and `cp` write some kilobytes in less."""


class Signature(NamedTuple):
    """What tells one state of a file from another."""

    mtime_ns: int
    size: int
    inode: int


def signature(path: Path) -> Signature | None:
    """Of the file that `path` leads to, links followed; None where there is none, or none that can be reached."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Signature(found.st_mtime_ns, found.st_size, found.st_ino)


class Rest:
    """The decision, pure: told what each look saw, says when there is something new that has come to rest."""

    def __init__(self, known: Signature | None) -> None:
        self._known = known
        self._moving: Signature | None = None
        self.is_moving = False
        """Whether the last look saw something new that the next one has to confirm."""

    def __repr__(self) -> str:
        return f"<Rest {'moving' if self.is_moving else 'at rest'}>"

    def look(self, seen: Signature | None) -> bool:
        """Whether the file is another one than was last told of, and the same as at the last look."""
        if seen == self._known:
            self.is_moving = False
            return False
        if self.is_moving and seen == self._moving:
            self._known, self.is_moving = seen, False
            return True
        self._moving, self.is_moving = seen, True
        return False


class FileWatch:
    """Looks every `interval` seconds, between `start` and `close`. State: one task."""

    def __init__(
        self,
        look: Callable[[], Signature | None],
        *,
        known: Signature | None,
        interval: Seconds,
        changed: Callable[[], Awaitable[None]],
        log: Log,
    ) -> None:
        """`look` may block: it is called in a thread. `known`: what was seen when the file was read first."""
        self._look = look
        self._rest = Rest(known)
        self._interval = interval
        self._changed = changed
        self._log = log
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<FileWatch every {self._interval:g} s, {self._rest!r}{'' if self._task else ', off'}>"

    async def start(self) -> None:
        """A context of its own: whoever starts us is no part of what a change does."""
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def close(self) -> None:
        """End it and wait until it has. Closing twice is closing once."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min(self._interval, SETTLES) if self._rest.is_moving else self._interval)
            if not self._rest.look(await asyncio.to_thread(self._look)):
                continue
            try:
                await self._changed()
            except Exception:  # a bug of ours: told, and the watch goes on, or no later change would be seen
                self._log.exception("a changed file could not be taken")
