"""`python -m benchmarks.resilience [cpu|behaviour|gateway]`: the figures of the resilience stack, all of them or one part.

Only a whole run is written to `results/resilience.json`.
"""

from __future__ import annotations

import sys

from benchmarks.figures import Figure, tell, write
from benchmarks.resilience import behaviour, cpu, gateway

PARTS = {"cpu": cpu.figures, "behaviour": behaviour.figures, "gateway": gateway.figures}


def main() -> int:
    chosen = sys.argv[1:] or [*PARTS]
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
        return 2
    figures: list[Figure] = []
    for name in chosen:
        print(f"{name}:", flush=True)
        for figure in PARTS[name]():
            figures.append(figure)
            print(tell([figure]), flush=True)
    print("\n" + tell(figures))
    if not sys.argv[1:]:
        print(f"written to {write('resilience', figures)}")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
