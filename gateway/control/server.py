"""The control socket of a running gateway: takes a command, runs it, says what came of it.

Invariants: at most `MAX_CALLERS` are served at once; each has a bounded time and says a bounded line; what goes wrong is told to
the caller and never ends the gateway. A gateway whose socket cannot be had serves all the same, and says so: operators can do
without it, clients cannot do without the gateway.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from pathlib import Path

from ..telemetry import Log
from .commands import Caller, Commands, Refused
from .message import DONE_WITHIN, MAX_ANSWER, MAX_REQUEST, SPEAKS_WITHIN, Answer, line, request
from .place import Place, Unplaceable

MAX_CALLERS = 8
"""Callers at once: people and their scripts, not traffic."""

_CREDENTIALS = struct.Struct("3i")
"""pid, uid and gid, as Linux tells them (SO_PEERCRED)."""


class ControlServer:
    """Listens between `start` and `close`. State: the callers that are being served."""

    def __init__(self, path: Path, commands: Commands, *, log: Log) -> None:
        self._place = Place(path)
        self._commands = commands
        self._log = log
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        listens = "silent" if self._server is None else f"{len(self._callers)} callers"
        return f"<ControlServer {self._place.path} {listens}>"

    @property
    def is_listening(self) -> bool:
        return self._server is not None

    async def start(self) -> None:
        """Listen, if the path can be had; else say why not."""
        try:
            bound = self._place.take()
        except Unplaceable as error:
            self._log.warning("no control socket", reason=str(error))
            return
        self._server = await asyncio.start_unix_server(self._connected, sock=bound, limit=MAX_REQUEST)
        self._log.info("control socket", path=str(self._place.path))

    async def close(self) -> None:
        """Listen no more, and wait until nobody is served. Closing twice is closing once."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        callers = [*self._callers]
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        self._place.give_up()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the stream server runs this in one
        self._callers.add(task)
        try:
            with suppress(OSError, TimeoutError):  # the caller went away, or does not read
                await self._serve(reader, writer)
        finally:
            self._callers.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = line(await self._answer(reader, caller=caller_of(writer)))
        if len(answer) > MAX_ANSWER:
            answer = line(Answer(problems=[f"the answer has more than {MAX_ANSWER} bytes"]))
        async with asyncio.timeout(SPEAKS_WITHIN):
            writer.write(answer)
            await writer.drain()
            writer.write_eof()
            await reader.read()  # until the caller has read it and hangs up

    async def _answer(self, reader: asyncio.StreamReader, *, caller: Caller) -> Answer:
        if len(self._callers) > MAX_CALLERS:
            return Answer(problems=[f"{MAX_CALLERS} commands are being run already: try again"])
        try:
            async with asyncio.timeout(SPEAKS_WITHIN):
                asked = request(await reader.readuntil(b"\n"))
        except TimeoutError:
            return Answer(problems=[f"no command came within {SPEAKS_WITHIN:g} s"])
        except asyncio.LimitOverrunError:
            return Answer(problems=[f"a command may have {MAX_REQUEST} bytes"])
        except (asyncio.IncompleteReadError, ValueError):  # msgspec's are ValueErrors too
            return Answer(problems=['a command is one line of JSON: {"command": "services", "arguments": {}}'])
        return await self._run(asked.command, asked.arguments, caller=caller)

    async def _run(self, command: str, arguments: dict[str, object], *, caller: Caller) -> Answer:
        try:
            async with asyncio.timeout(DONE_WITHIN):
                return Answer(result=await self._commands.run(command, arguments, caller))
        except Refused as error:
            return Answer(problems=error.problems)
        except TimeoutError:
            return Answer(problems=[f"{command} was not done within {DONE_WITHIN:g} s, and was given up"])
        except Exception:  # a bug of ours: told in the log, and the gateway goes on
            self._log.exception("command failed", command=command, uid=caller.uid)
            return Answer(problems=[f"{command} failed within the gateway: its log says how"])


def caller_of(writer: asyncio.StreamWriter) -> Caller:
    """Who is at the other end, where the operating system tells."""
    option = getattr(socket, "SO_PEERCRED", None)
    connection = writer.get_extra_info("socket")
    if option is None or connection is None:
        return Caller()
    with suppress(OSError):
        pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
        return Caller(uid=uid, pid=pid)
    return Caller()
