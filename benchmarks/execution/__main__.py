"""`python -m benchmarks.execution [engine|served]`: what executing an operation costs, all of it or one part.

Only a whole run is written to `results/execution.json`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks.execution import engine, served
from benchmarks.figures import Figure, tell, write

PARTS: dict[str, Callable[[], list[Figure]]] = {"engine": engine.figures, "served": served.figures}


def main() -> int:
    chosen = sys.argv[1:] or [*PARTS]
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
        return 2
    figures: list[Figure] = []
    for name in chosen:
        print(f"{name}:", flush=True)
        figures += PARTS[name]()
    print("\n" + tell(figures))
    if not sys.argv[1:]:
        print(f"written to {write('execution', figures)}")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
