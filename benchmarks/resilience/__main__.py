"""`python -m benchmarks.resilience [cpu|behaviour|gateway]`: the figures of the resilience stack, all of them or one part.

Only a whole run is written to `results/resilience.json`.
"""

from __future__ import annotations

from benchmarks.figures import run
from benchmarks.resilience import behaviour, cpu, gateway

PARTS = {"cpu": cpu.figures, "behaviour": behaviour.figures, "gateway": gateway.figures}

if __name__ == "__main__":
    raise SystemExit(run("resilience", PARTS))
