"""`make soak`: small sagas searched further, and a process that dies at every two points, in several processes.

Exit code 1: a promise was broken, and where.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import partial
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def search(number: int) -> Counter[str]:
    """Every schedule of the field so numbered."""
    from tests.property.test_saga_search import FULL

    found = FULL[number].search()
    return Counter({"states searched": found.states, "schedules through them": found.schedules})


def die(number: int, host: str) -> Counter[str]:
    """Every pair of deaths in the story so numbered."""
    from tests.conformance.crashes import die_everywhere, stories
    from tests.conformance.hosts import HOMES

    with tempfile.TemporaryDirectory() as path:
        played = die_everywhere(HOMES[host], Path(path), list(stories())[number], again=lambda _: count(1))
    return Counter({f"schedules of deaths, {host}": played})


def main() -> int:
    from tests.conformance.crashes import stories
    from tests.property.test_saga_search import FULL

    began, seen, failed = time.monotonic(), Counter[str](), 0
    hosts = ("embedded in memory", "on an engine that replays")
    work = [partial(search, number) for number in range(len(FULL))]
    work += [partial(die, number, host) for number in range(len(list(stories()))) for host in hosts]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        running: list[Future[Counter[str]]] = [pool.submit(each) for each in work]
        for done, future in enumerate(as_completed(running), start=1):
            try:
                seen.update(future.result())
            except AssertionError as error:
                failed += 1
                print(f"✗ {error}")
            print(f"\r{done}/{len(work)} searches, {failed} failed", end="", file=sys.stderr, flush=True)
    print(f"\n{len(work)} searches in {time.monotonic() - began:.0f} s")
    for name, times in seen.most_common():
        print(f"  {name:<48} {times:>10,}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
