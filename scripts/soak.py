"""`make soak`: thousands of simulated scenarios over the real stack, in several processes. `--seed N` repeats one.

Ctrl-C ends it with what was seen until then. Exit code 1: an oracle was contradicted, and the seeds are told.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CHUNK = 25


def scenarios(first: int, count: int) -> tuple[Counter[str], list[str]]:
    """What `count` seeds have exercised, and which of them failed."""
    from tests.simulation.world import Broken, run

    seen, failed = Counter[str](), list[str]()
    for seed in range(first, first + count):
        try:
            seen.update(run(seed).counts)
        except Broken as error:
            failed.append(str(error))
    return seen, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--seed", type=int, help="only this one, with its traceback")
    asked = parser.parse_args()
    if asked.seed is not None:
        from tests.simulation.world import run

        print(dict(run(asked.seed).counts))
        return 0
    return soak(asked.first, asked.seeds)


def soak(first: int, count: int) -> int:
    began, done, seen, failed = time.monotonic(), 0, Counter[str](), list[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        chunks = [
            pool.submit(scenarios, start, min(CHUNK, first + count - start))
            for start in range(first, first + count, CHUNK)
        ]
        try:
            for chunk in as_completed(chunks):
                found, wrong = chunk.result()
                seen.update(found)
                failed += wrong
                done += CHUNK
                print(f"\r{min(done, count)}/{count} seeds, {len(failed)} failed", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            print("\nstopped", file=sys.stderr)
    print(f"\n{min(done, count)} seeds in {time.monotonic() - began:.0f} s")
    for name, times in seen.most_common():
        print(f"  {name:<24} {times:>10}")
    for each in failed:
        print(f"✗ {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
