"""`python -m benchmarks.execution [engine|cost|served]`: what executing an operation costs, all of it or one part.

Only a whole run is written to `results/execution.json`.
"""

from __future__ import annotations

from benchmarks.execution import cost, engine, served
from benchmarks.figures import run

PARTS = {"engine": engine.figures, "cost": cost.figures, "served": served.figures}

if __name__ == "__main__":
    raise SystemExit(run("execution", PARTS))
