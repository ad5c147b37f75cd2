"""What a task makes is handed to a reader, piece by piece.

Why a task: whoever reads an asynchronous generator may do so from another context each time, and a span or a deadline that was
entered in the generator would be left in another one. Invariants: the maker is two pieces ahead of its reader at most; it is
cancelled when the reader goes, and has ended when the reader has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from .tasks import cancelled

T = TypeVar("T")

Give = Callable[[T], Awaitable[None]]
"""Hands one piece on; waits while the reader is behind."""


async def handed_over(make: Callable[[Give[T]], Awaitable[None]]) -> AsyncGenerator[T]:
    """The pieces that `make` gives. Raises: what it raises, after them."""
    pieces: asyncio.Queue[tuple[T] | Exception | None] = asyncio.Queue(1)

    async def give(piece: T) -> None:
        await pieces.put((piece,))

    async def to_its_end() -> None:
        try:
            await make(give)
        except Exception as error:  # told to the reader, who waits for a piece
            await pieces.put(error)
        else:
            await pieces.put(None)

    making = asyncio.create_task(to_its_end())
    try:
        while (found := await pieces.get()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found[0]
    finally:
        await cancelled([making])
