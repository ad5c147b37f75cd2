"""`python -m benchmarks.sagas [throughput|recovery|startup|mutation|peer]`: the figures of sagas, all of them or one part.

Only a whole run is written to `results/sagas.json`.
"""

from __future__ import annotations

from benchmarks.figures import run
from benchmarks.sagas import mutation, peer, recovery, startup, throughput
from gateway import collector

PARTS = {
    "throughput": throughput.figures,
    "recovery": recovery.figures,
    "startup": startup.figures,
    "mutation": mutation.figures,
    "peer": peer.figures,
}

if __name__ == "__main__":
    collector.leave_what_is_there()  # as every process of a gateway has it
    raise SystemExit(run("sagas", PARTS))
