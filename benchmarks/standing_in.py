"""How stand-in services and peers of the benchmarks listen: on the loopback interface, at the port that the command line names."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

KEPT = 600
"""Seconds that an idle connection is kept: longer than a benchmark pauses. Clients that repeat nothing fail at what was closed."""


def serve(app: Any) -> None:
    """Until a signal comes. As fast as uvicorn is: uvloop and httptools, no access log."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="error",
        access_log=False,
        timeout_keep_alive=KEPT,
    )
