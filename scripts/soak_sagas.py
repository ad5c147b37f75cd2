"""`make soak`: a thousand orders through fifty SIGKILLs, lost replies and late effects, over the demo's real processes.

`--workers 2` kills whichever process it meets. Exit code 1: something was lost, doubled or is stuck, and is told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.addresses import NAMES
from tests.e2e.conftest import free_ports
from tests.e2e.soaking import Serving, Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak_sagas", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sagas", type=int, default=1_000, help="at least so many (1000)")
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs (50)")
    parser.add_argument("--workers", type=int, default=1, help="gateway processes (1)")
    parser.add_argument("--seed", type=int, default=1, help="of orders, faults and kills (1)")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as data:
        demo = Serving(Path(data), free_ports(1 + len(NAMES)))
        demo.workers = asked.workers
        with demo:
            soak = Soak(demo, asked.sagas, asked.kills, asked.seed)
            try:
                ended = soak.run()
            except AssertionError as error:
                print(f"✗ {error}")
                return 1
    print(f"{len(soak.begun)} sagas: {', '.join(f'{count} {how}' for how, count in ended.most_common())}")
    print(f"{soak.faults} faults; {', '.join(f'{count} kills of a {what}' for what, count in soak.killed.items())}")
    print(f"0 lost, 0 doubled, 0 stuck, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
