"""Frames over a stream: four bytes of length, then as many of payload. What the processes of one gateway speak to each other.

Invariants: a frame is delivered whole or not at all; one that is longer than MAX_FRAME, or that its reader cannot read, ends the
connection, since nothing after it could be trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import msgspec

from .clock import Seconds

MAX_FRAME = 16 * 1024 * 1024
"""Bytes of a payload. 16 MiB: a saga's input is at most `server.max_body`, a step's result at most a service's `max_response`."""
LAST_WORDS = Seconds(0.25)
_LENGTH = 4


class FrameTooLong(ValueError):
    """A payload of more than MAX_FRAME bytes; nothing was sent."""


class Frames(asyncio.Protocol):
    """One connection. `on_frame` is called with each payload, `on_lost` once, when the connection has ended."""

    def __init__(self, *, on_frame: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self.broken: str | None = None
        """Why this side has ended the connection: what came could not be read."""
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._has_ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Frames {'open' if self.is_open else 'closed'}, {len(self._buffer)} bytes unread>"

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, payload: bytes) -> None:
        """Write a frame; to a connection that has ended, nothing. Raises: FrameTooLong."""
        if len(payload) > MAX_FRAME:
            raise FrameTooLong(f"a frame of {len(payload)} bytes is longer than {MAX_FRAME}")
        if self._transport is not None and self.is_open:
            self._transport.write(len(payload).to_bytes(_LENGTH, "big") + payload)

    async def room(self) -> None:
        """Until the other side has read enough of what was written."""
        await self._has_room.wait()

    async def close(self) -> None:
        """What is written is still sent, within LAST_WORDS seconds; then the connection has ended."""
        if self._transport is None:
            return
        self._transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._has_ended.wait()
        self.abort()
        await self._has_ended.wait()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            self._deliver()
        except (msgspec.MsgspecError, FrameTooLong) as error:
            self.broken = str(error)
            self._buffer.clear()
            self.abort()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_room.set()
        self._has_ended.set()
        self._on_lost()

    def _deliver(self) -> None:
        start, buffer = 0, self._buffer
        while len(buffer) - start >= _LENGTH:
            length = int.from_bytes(buffer[start : start + _LENGTH], "big")
            if length > MAX_FRAME:
                raise FrameTooLong(f"a frame of {length} bytes is longer than {MAX_FRAME}")
            end = start + _LENGTH + length
            if len(buffer) < end:
                break
            self._on_frame(bytes(buffer[start + _LENGTH : end]))
            start = end
        del buffer[:start]
