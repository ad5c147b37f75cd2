"""Python's collector of cycles, as the processes that are ours whole have it: there is one for all that runs in a process.

What requests and sagas make dies by itself, by its last reference; the collector is there for what is in cycles, and each look at
thousands of objects that live finds nothing.
"""

from __future__ import annotations

import gc

_THRESHOLDS = (5_000, 20, 20)
"""New containers, and then generations, until the collector looks. With Python's own 700 it takes a fifth of the CPU that an answer
of a thousand objects costs."""


def leave_what_is_there() -> None:
    """Look seldom from now on, and never again at what is there: code, schema and settings stay. Called once these are loaded, and
    once more when the process has started. Cost: one look at everything, about 0.1 s."""
    gc.set_threshold(*_THRESHOLDS)
    gc.collect()
    gc.freeze()
