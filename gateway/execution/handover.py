"""What a task makes is handed to a reader, piece by piece.

Why a task: whoever reads an asynchronous generator may do so from another context each time, and a span or a deadline that was
entered in the generator would be left in another one. Invariants: the maker is two pieces ahead of its reader at most; it is
cancelled when the reader goes, and has ended when the reader has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from .tasks import cancelled

T = TypeVar("T")

Give = Callable[[T], Awaitable[None]]
"""Hands one piece on; waits while the reader is behind."""


async def handed_over(make: Callable[[Give[T]], Coroutine[Any, Any, None]]) -> AsyncGenerator[T]:
    """The pieces that `make` gives. Raises: what it raises, after them."""
    pieces: asyncio.Queue[tuple[T] | None] = asyncio.Queue()
    room = asyncio.Semaphore(1)

    async def give(piece: T) -> None:
        await room.acquire()
        pieces.put_nowait((piece,))

    making = asyncio.create_task(make(give))
    making.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (found := await pieces.get()) is not None:
            room.release()
            yield found[0]
        making.result()
    finally:
        await cancelled([making])
        if not making.cancelled():
            making.exception()  # whoever reads to the end has been told
