"""What a supervisor and its children tell each other, over a pair of sockets that a child inherits.

Invariants: a child says once that it is ready, or why it will never be; whoever asks for the others' metrics is answered within
GATHERED_WITHIN, with None for those who did not answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from .clock import Seconds
from .framing import Frames

SAGAS = "sagas"
"""The name of the process that runs the sagas; the others are "worker-1", "worker-2" and so on."""
ANSWER_WITHIN = Seconds(0.5)
"""How long a child has to tell its metrics."""
GATHERED_WITHIN = Seconds(1.0)


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Written as a list that begins with its kind."""


# -- a child says ------------------------------------------------------------------------------------------------------


class Ready(_Message, frozen=True):
    pass


class Unneeded(_Message, frozen=True):
    """There is nothing to do for this child: it leaves, and need not be started again."""


class Failing(_Message, frozen=True):
    """What stands in the way of its start, a sentence each."""

    problems: list[str]
    exit_code: int


class Gather(_Message, frozen=True):
    """Ask all the others for their metrics."""

    number: int


class Exposition(_Message, frozen=True):
    number: int
    text: str


FromChild = Ready | Unneeded | Failing | Gather | Exposition

# -- the supervisor says -----------------------------------------------------------------------------------------------


class Expose(_Message, frozen=True):
    number: int


class Gathered(_Message, frozen=True):
    number: int
    texts: dict[str, str | None]


FromSupervisor = Expose | Gathered

_ENCODER = msgspec.msgpack.Encoder()
_FROM_CHILD: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
_FROM_SUPERVISOR: msgspec.msgpack.Decoder[FromSupervisor] = msgspec.msgpack.Decoder(FromSupervisor)


def encode(message: FromChild | FromSupervisor) -> bytes:
    return _ENCODER.encode(message)


def from_child(payload: bytes) -> FromChild:
    """Raises: msgspec.MsgspecError."""
    return _FROM_CHILD.decode(payload)


class Siblings:
    """A child's end. Before its loop runs it can say why it fails; after `attach` it converses."""

    def __init__(self, fd: int, *, name: str) -> None:
        """`fd`: as inherited. `name`: how the supervisor calls this child."""
        self.name = name
        self._socket = socket.socket(fileno=fd)
        self._frames: Frames | None = None
        self._exposition: Callable[[], bytes] | None = None
        self._waiting: dict[int, asyncio.Future[Mapping[str, str | None]]] = {}
        self._last = 0

    def say(self, message: Ready | Unneeded | Failing) -> None:
        """Whether or not the loop runs yet. A supervisor that is gone hears nothing."""
        if self._frames is not None:
            self._frames.send(encode(message))
            return
        payload = encode(message)
        with suppress(OSError):
            self._socket.sendall(len(payload).to_bytes(4, "big") + payload)

    async def attach(self, exposition: Callable[[], bytes]) -> None:
        """From now on tell the metrics, `exposition`, to whoever gathers them; and be ready."""
        self._exposition = exposition
        self._frames = Frames(on_frame=self._received, on_lost=lambda: None)
        frames = self._frames
        self._socket.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: frames, sock=self._socket)
        self.say(Ready())

    async def detach(self) -> None:
        if self._frames is not None:
            await self._frames.close()

    async def gather(self) -> Mapping[str, str | None]:
        """The metrics of all the others, by name. With the supervisor gone: nobody's."""
        if self._frames is None or not self._frames.is_open:
            return {}
        self._last = number = self._last + 1
        answer: asyncio.Future[Mapping[str, str | None]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._frames.send(encode(Gather(number)))
            async with asyncio.timeout(GATHERED_WITHIN):
                return await answer
        except TimeoutError:
            return {"supervisor": None}
        finally:
            del self._waiting[number]

    def _received(self, payload: bytes) -> None:
        match _FROM_SUPERVISOR.decode(payload):
            case Expose(number):
                if self._frames is not None and self._exposition is not None:
                    self._frames.send(encode(Exposition(number, self._exposition().decode())))
            case Gathered(number, texts):
                if (waiting := self._waiting.get(number)) is not None and not waiting.done():
                    waiting.set_result(texts)
