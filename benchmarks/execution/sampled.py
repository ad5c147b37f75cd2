"""A gateway that looks at itself a thousand times a CPU second: `python -m benchmarks.execution.sampled SAMPLES CONFIG`.

SIGUSR1 begins to count anew, SIGUSR2 writes the counts to SAMPLES as JSON: {stage: samples}. A sample belongs to the innermost
frame that one of the stages knows. Python looks at signals between its own steps, so what the kernel and C code do is counted where
Python next runs.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import msgspec

EVERY = 0.001

STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("log, metrics, spans", ("gateway/telemetry/", "structlog/", "prometheus_client/", "opentelemetry/")),
    ("decode", ("gateway/loading/records.py", "gateway/loading/cache.py")),
    ("loaders", ("gateway/loading/", "aiodataloader/")),
    ("calls", ("gateway/services/",)),
    (
        "columns",
        ("gateway/execution/", "gateway/graph/", "graphql/", "strawberry/", "benchmarks/execution/graph.py", "<plan"),
    ),
    ("server", ("gateway/edge/", "gateway/server.py", "gateway/admission/", "uvicorn/", "starlette/")),
)
ENCODE = ("_respond", "encoded")
DOCUMENT = ("gateway/execution/document.py", "gateway/execution/plans.py", "gateway/execution/arguments.py")
LOOP = "event loop and kernel"

_counts: Counter[str] = Counter()


def stage_of(frame: FrameType | None) -> str:
    """The stage in which the interrupted code worked."""
    while frame is not None:
        name = frame.f_code.co_filename
        if frame.f_code.co_name in ENCODE:
            return "encode"
        if any(each in name for each in DOCUMENT):
            return "document and plan"
        if name.endswith("uvicorn/server.py") and frame.f_code.co_name == "run":
            return LOOP  # below it there is only the loop, which waits, reads and writes
        for stage, places in STAGES:
            if any(each in name for each in places):
                return stage
        frame = frame.f_back
    return LOOP


def main() -> None:
    samples, config = Path(sys.argv[1]), sys.argv[2]

    def begin(*_: object) -> None:
        _counts.clear()
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)

    def end(*_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        samples.write_bytes(msgspec.json.encode(dict(_counts)))

    signal.signal(signal.SIGPROF, lambda _, frame: _counts.update([stage_of(frame)]))
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    sys.argv = ["sagaql", "serve", "--config", config]
    from gateway.cli import main as sagaql

    sagaql()


if __name__ == "__main__":
    main()
