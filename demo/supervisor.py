"""Starts a set of child processes, watches them, and stops every one of them.

Invariant: after `stop`, or after a `start` that failed, no child lives and no port is held. Should this process be
killed, the children's standard input ends, and those that watch it (--lifeline) end too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from demo import addresses

Seconds = float

POLL: Seconds = 0.05
ANSWER_WITHIN: Seconds = 1.0
STOP_WITHIN: Seconds = 5.0
LOG_LINES = 20
LOG_TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    command: list[str]
    port: int
    ready_url: str
    """Answers 200 to a GET once the child is ready."""
    env: dict[str, str] = field(default_factory=dict[str, str])
    """Added to this process's own environment."""
    moved_by: str = addresses.PORT_BASE_VARIABLE
    """The environment variable that moves the port, named when the port is taken."""


class StartFailed(Exception):
    """A child could not be started; none is running."""


class PortTaken(StartFailed):
    def __init__(self, child: Child, reason: str) -> None:
        super().__init__(
            f"port {child.port} for {child.name} cannot be used ({reason}): set {child.moved_by} to move it"
        )
        self.name = child.name
        self.port = child.port


class ChildDied(StartFailed):
    def __init__(self, name: str, exit_code: int, log: str) -> None:
        super().__init__(f"{name} exited with {exit_code} before it was ready; the end of its log:\n{log}")
        self.name = name
        self.exit_code = exit_code
        self.log = log


class NotReady(StartFailed):
    def __init__(self, names: Sequence[str], timeout: Seconds) -> None:
        super().__init__(f"not ready within {timeout:g} s: {', '.join(names)}")
        self.names = list(names)


def service_children(data: Path, environment: Mapping[str, str] = os.environ) -> list[Child]:
    """The seven services, each with its database below `data`, on the ports that the environment says."""
    return [_service_child(name, data.resolve(), environment=environment) for name in addresses.NAMES]


class Supervisor:
    """Owns the children between `start` and `stop`; their output goes to `logs/<name>.log`, emptied first."""

    def __init__(
        self, logs: Path, *, on_ready: Callable[[Child], None] | None = None, stop_within: Seconds = STOP_WITHIN
    ) -> None:
        self.logs = logs
        self._on_ready = on_ready or _say_nothing
        self._stop_within = stop_within
        self._running: list[tuple[Child, Process]] = []

    def __repr__(self) -> str:
        alive = self.pids()
        return f"<Supervisor {len(alive)} alive: {', '.join(alive) or 'none'}>"

    async def start(self, children: Sequence[Child], *, timeout: Seconds = 30.0) -> None:  # noqa: ASYNC109 - it is our own limit, and named in NotReady
        """Returns when all are ready.

        Raises: PortTaken, before any child is spawned; ChildDied or NotReady, after all have been stopped.
        """
        if self._running:
            raise RuntimeError(f"{self!r} has been started already")
        for child in children:
            _require_free_port(child)
        try:
            for child in children:
                self._running.append((child, await self._spawned(child)))
            await self._all_ready(timeout)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> Child:
        """The next child that exits by itself, which is not watched any more; without children, for ever.

        Cancel it freely: the children do not notice.
        """
        exits = {asyncio.create_task(process.wait()): (child, process) for child, process in self._running}
        if not exits:
            await asyncio.Event().wait()
        try:
            done, _ = await asyncio.wait(exits, return_when=asyncio.FIRST_COMPLETED)
            child, process = exits[done.pop()]
        finally:
            for task in exits:
                task.cancel()
        self._running.remove((child, process))
        _kill_group(process)
        _drop_lifeline(process)
        return child

    def pids(self) -> dict[str, int]:
        """The process ids of the children that live, by name."""
        return {child.name: process.pid for child, process in self._running if process.returncode is None}

    async def stop(self) -> None:
        """SIGTERM to each child, SIGKILL to what is left of its process group. Calling it again does nothing."""
        running, self._running = self._running, []
        for _, process in running:
            _signal(process, signal.SIGTERM)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stop_within):
                    await asyncio.gather(*(process.wait() for _, process in running))
        finally:
            # Also when we are cancelled: an impatient second Ctrl-C must not leave orphans.
            for _, process in running:
                _kill_group(process)
        await asyncio.gather(*(process.wait() for _, process in running))
        for _, process in running:
            _drop_lifeline(process)

    async def _spawned(self, child: Child) -> Process:
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._log(child.name).open("wb") as log:
            # A session of its own: the terminal's Ctrl-C reaches us only, and we stop the children in order.
            return await asyncio.create_subprocess_exec(
                *child.command,
                env=os.environ | child.env,
                stdin=PIPE,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,
            )

    async def _all_ready(self, timeout: Seconds) -> None:  # noqa: ASYNC109 - as above
        waiting = [child for child, _ in self._running]
        try:
            async with asyncio.timeout(timeout):
                while waiting:
                    self._require_alive()
                    waiting = [child for child in waiting if not await self._is_ready(child)]
                    await asyncio.sleep(POLL if waiting else 0)
        except TimeoutError as error:
            raise NotReady([child.name for child in waiting], timeout) from error
        self._require_alive()

    async def _is_ready(self, child: Child) -> bool:
        is_ready = await _answers(child.ready_url)
        if is_ready:
            self._on_ready(child)
        return is_ready

    def _require_alive(self) -> None:
        for child, process in self._running:
            if process.returncode is not None:
                raise ChildDied(child.name, process.returncode, _tail(self._log(child.name)))

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _service_child(name: str, data: Path, *, environment: Mapping[str, str]) -> Child:
    port = addresses.port(name, environment)
    command = [sys.executable, "-m", "demo.serve", name, "--port", str(port), "--data", str(data), "--lifeline"]
    checkout = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (checkout, environment.get("PYTHONPATH"))))
    return Child(name, command, port, f"{addresses.url(name, environment)}/health", env={"PYTHONPATH": path})


def _require_free_port(child: Child) -> None:
    with socket.socket() as probe:
        # Connections of an earlier run that linger in TIME_WAIT do not count; a listener does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((addresses.HOST, child.port))
        except (OSError, OverflowError) as error:
            raise PortTaken(child, getattr(error, "strerror", None) or str(error)) from error


async def _answers(url: str) -> bool:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await _status_line(url) == "200"
    except (OSError, TimeoutError):
        return False


async def _status_line(url: str) -> str:
    """The status of a GET; a client library would be a dependency for one line of text."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        writer.write(f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return words[1].decode() if len(words) > 1 else ""


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _kill_group(process: Process) -> None:
    # The child leads its group, so this reaches whatever it has started and left behind.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _drop_lifeline(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-LOG_LINES:])


def _say_nothing(_: Child) -> None:
    """Progress is not reported."""
