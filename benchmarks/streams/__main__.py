"""`python -m benchmarks.streams`: what 5,000 subscriptions cost one process, idle, and when one event is told to all of them."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from statistics import median

import uvloop

from benchmarks.figures import Figure, at_least, at_most, run
from benchmarks.processes import free_port, started
from benchmarks.streams.crowd import Crowd, asked, cpu, resident

SUBSCRIPTIONS = 5_000
WARM = 200
EVENTS = 10
FOLLOW = "subscription { ticks { number text } }"
TELL = "{ tick { number } }"
ASK = "{ last { number text } }"


def figures() -> Iterator[Figure]:
    with served() as (port, pid):
        yield from uvloop.run(_measured(port, pid))


async def _measured(port: int, pid: int) -> list[Figure]:
    await asked(port, ASK, times=WARM)
    warm = Crowd(port)
    await warm.join(WARM, FOLLOW)
    before = resident(pid)
    crowd = Crowd(port)
    await crowd.join(SUBSCRIPTIONS, FOLLOW)
    held = (resident(pid) - before) / SUBSCRIPTIONS
    warm.leave()
    took, used = list[float](), list[float]()
    for _ in range(EVENTS):
        began, spent = time.perf_counter(), cpu(pid)
        all_told = crowd.told + SUBSCRIPTIONS
        await asked(port, TELL, times=1)
        await crowd.until(all_told)
        took.append(time.perf_counter() - began)
        used.append(cpu(pid) - spent)
    told = crowd.told
    spent = cpu(pid)
    await asked(port, ASK, times=SUBSCRIPTIONS)
    of_a_query = (cpu(pid) - spent) / SUBSCRIPTIONS
    of_an_event = median(used) / SUBSCRIPTIONS
    crowd.leave()
    print(f"  one event to all: {median(took) * 1000:.0f} ms, {median(used) * 1000:.0f} ms of CPU", flush=True)
    print(f"  CPU of an event {of_an_event * 1e6:.0f} µs, of a query {of_a_query * 1e6:.0f} µs", flush=True)
    return [
        at_most("memory of an idle subscription", 30, held / 1000, unit=" kB"),
        at_least("events that came, of those told", 1, told / (EVENTS * SUBSCRIPTIONS)),
        at_most(
            "CPU of an event told to one of 5,000, against a query answered", 1, of_an_event / of_a_query, unit=" x"
        ),
    ]


@contextmanager
def served() -> Generator[tuple[int, int]]:
    """A gateway as a process of its own: its port and its id."""
    port = free_port()
    with started(sys.executable, "-m", "benchmarks.streams.gateway", str(port), port=port) as process:
        yield port, process.pid


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the gateway inherits it
    raise SystemExit(run("streams", {"idle": figures}))
