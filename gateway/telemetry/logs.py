"""JSON logs, one object a line, with the trace id of whatever is under way.

structlog is configured per logger, not globally, so that two applications in one process can log to two places.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import FilteringBoundLogger

from .spans import current_trace_id

Log = FilteringBoundLogger

_EXCEPTIONS = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False, max_frames=30))
"""Tracebacks as data, without local variables: those hold tokens, addresses and whole requests."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def json_log(stream: TextIO | None = None, *, level: str = "info") -> Log:
    """A log that writes to `stream` (standard error by default) what is at least as grave as `level`."""
    # One write a line, its end included: several processes may write to one file, and lines stay whole.
    return _wrap(structlog.WriteLogger(stream or sys.stderr), _LEVELS[level])


def silent_log() -> Log:
    """For tests and benchmarks: filters everything short of critical before a line is built."""
    return _wrap(structlog.PrintLogger(sys.stderr), 50)


def _wrap(sink: Any, level: int) -> Log:
    logger: Log = structlog.wrap_logger(
        sink,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_trace_id,
            _EXCEPTIONS,
            _render,
        ],
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    return logger


def _add_trace_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    trace_id = current_trace_id()
    if trace_id is not None:
        event["traceId"] = trace_id
    return event


def _render(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
