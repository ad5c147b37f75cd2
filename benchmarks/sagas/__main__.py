"""`python -m benchmarks.sagas [throughput|recovery|startup|mutation|peer]`: the figures of sagas, all of them or one part.

Only a whole run is written to `results/sagas.json`.
"""

from __future__ import annotations

import sys

from benchmarks.figures import Figure, tell, write
from benchmarks.sagas import mutation, peer, recovery, startup, throughput
from gateway import collector

PARTS = {
    "throughput": throughput.figures,
    "recovery": recovery.figures,
    "startup": startup.figures,
    "mutation": mutation.figures,
    "peer": peer.figures,
}


def main() -> int:
    chosen = sys.argv[1:] or [*PARTS]
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
        return 2
    figures: list[Figure] = []
    collector.leave_what_is_there()  # as every process of a gateway has it
    for name in chosen:
        print(f"{name}:", flush=True)
        for figure in PARTS[name]():
            figures.append(figure)
            print(tell([figure]), flush=True)
    print("\n" + tell(figures))
    if not sys.argv[1:]:
        print(f"written to {write('sagas', figures)}")
    return 0 if all(figure.ok for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
