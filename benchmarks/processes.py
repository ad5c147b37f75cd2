"""Processes beside a benchmark: on ports of their own, waited for, and ended when their block ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTS_WITHIN = 30.0
"""Seconds."""
ENDS_WITHIN = 20.0


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def started(*command: str, port: int) -> Generator[subprocess.Popen[bytes]]:
    """A process that listens on `port`. Raises: RuntimeError, where it does not."""
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        try:
            _wait_for(process, port)
            yield process
        finally:
            ended(process)


def ended(process: subprocess.Popen[bytes]) -> None:
    """It has left, as it does at a SIGTERM."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_WITHIN)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    ends = time.monotonic() + STARTS_WITHIN
    while not _listens(port):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"nobody listens on {port} within {STARTS_WITHIN:g} s")
        time.sleep(0.05)  # another process starts: there is nothing to be woken by


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
