"""`python -m scripts.soak_compiled`: tens of thousands of random operations, by their plans and by graphql-core.

`--in-parts`: operations that defer, and their parts. `--seed N` repeats one.
Exit code 1: an operation was answered differently, and the seeds are told.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

CHUNK = 50


def operations(first: int, count: int, *, in_parts: bool) -> tuple[Counter[str], list[str]]:
    """How `count` seeds were executed, and which of them were answered differently."""
    from tests.property.comparing import Differs

    seen, failed = Counter[str](), list[str]()
    for seed in range(first, first + count):
        try:
            seen[one(seed, in_parts=in_parts)] += 1
        except Differs as error:
            failed.append(f"seed {seed}: {error}")
    return seen, failed


def one(seed: int, *, in_parts: bool) -> str:
    """Raises: Differs."""
    from gateway.execution.document import DocumentRejected
    from tests.property import comparing, parts

    compares = parts if in_parts else comparing
    try:
        return compares.compared(compares.written(Random(seed)))  # noqa: S311 - to be repeated
    except DocumentRejected:
        return "not valid"


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak_compiled", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many (20000)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--seed", type=int, help="only this one, with its traceback")
    parser.add_argument("--in-parts", action="store_true", help="operations that defer")
    asked = parser.parse_args()
    if asked.seed is not None:
        print(one(asked.seed, in_parts=asked.in_parts))
        return 0
    return soak(asked.first, asked.seeds, in_parts=asked.in_parts)


def soak(first: int, count: int, *, in_parts: bool) -> int:
    began, seen, failed = time.monotonic(), Counter[str](), list[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        starts = range(first, first + count, CHUNK)
        chunks = [
            pool.submit(operations, start, min(CHUNK, first + count - start), in_parts=in_parts) for start in starts
        ]
        for done, chunk in enumerate(as_completed(chunks), start=1):
            found, wrong = chunk.result()
            seen.update(found)
            failed += wrong
            print(f"\r{done * CHUNK}/{count} operations, {len(failed)} answered differently", end="", flush=True)
    print(f"\n{dict(seen)} in {time.monotonic() - began:.0f} s")
    print("\n\n".join(failed[:20]))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
