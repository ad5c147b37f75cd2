"""A gateway that is attacked, as a process of its own, and what it has spent."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import free_port, started


@contextmanager
def served(*options: str) -> Generator[tuple[int, int]]:
    """Its port and its id. `options`: as `benchmarks.attacks.gateway` takes them."""
    port = free_port()
    with started(sys.executable, "-m", "benchmarks.attacks.gateway", str(port), *options, port=port) as process:
        yield port, process.pid


def processor_time(pid: int) -> float:
    """Seconds of the thread that serves, from the scheduler's own count: nanoseconds, where ticks would be 10 ms."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
