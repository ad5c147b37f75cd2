"""The rules of going back: what has an undo, what may not have one, what if it is overtaken, and how long may be waited.

Invariant: a saga that passes can be undone whole until its pivot is done, and only goes forward after it.
"""

from __future__ import annotations

import inspect
from typing import Any

from ..clock import NEVER, Seconds
from .plan import Wait, followers
from .reading import Needs, Reading, ancestors
from .steps import Step


def check_ways_back(reading: Reading, needs: Needs) -> None:
    """Raises: SagaDefinitionError for the first step whose way back is not told, or cannot be had."""
    pivot = _pivot(reading)
    before = frozenset[str]() if pivot is None else ancestors(needs, pivot)
    after = frozenset[str]() if pivot is None else followers(needs, pivot)
    for step in reading.steps.values():
        _check_undo_statement(reading, step)
        if step.name == pivot:
            _check_has_no_undo(reading, step, "it is the pivot, after which there is no way back")
        elif step.name in after:
            _check_has_no_undo(reading, step, f"it follows the pivot {pivot!r}, after which nothing is undone")
        elif step.undo_method is None and step.undo_stated != "nothing":
            raise reading.fail(
                step.name,
                "it can be followed by a failure and says nothing of its undo",
                remedy=f"write a method under @{step.name}.undo, or @step(undo=None) if there is nothing to undo",
            )
        elif pivot is not None and step.undo_method is not None and step.name not in before:
            raise reading.fail(
                step.name,
                f"it has an undo and is not before the pivot {pivot!r}",
                remedy=f'add {step.name!r} to the pivot: @step(pivot=True, after=["{step.name}"])',
            )
        _check_overtaken(reading, step)


def _pivot(reading: Reading) -> str | None:
    pivots = [step.name for step in reading.steps.values() if step.pivot]
    if len(pivots) > 1:
        raise reading.fail(
            pivots[1],
            f"a saga has at most one pivot, and {pivots[0]!r} is one",
            remedy="keep pivot=True on one step",
        )
    return pivots[0] if pivots else None


def _check_undo_statement(reading: Reading, step: Step[..., Any]) -> None:
    if step.undo_count > 1:
        raise reading.fail(step.name, "it has two undos", remedy="keep one")
    if step.undo_method is None:
        return
    if step.undo_stated == "nothing":
        raise reading.fail(step.name, "it says undo=None and has an undo", remedy="drop one of the two")
    if not inspect.iscoroutinefunction(step.undo_method):
        raise reading.fail(step.undo_method.__name__, "an undo is a coroutine", remedy="write async def")


def _check_has_no_undo(reading: Reading, step: Step[..., Any], why: str) -> None:
    if step.undo_method is not None:
        raise reading.fail(
            step.name, f"{why}, and it has an undo", remedy="drop the undo, or move the step before the pivot"
        )


def _check_overtaken(reading: Reading, step: Step[..., Any]) -> None:
    """Exactly one answer where there is an undo, none where there is not."""
    stated = None if step.overtaken_stated is None else f'overtaken="{step.overtaken_stated.value}"'
    if step.lookup_count > 1:
        raise reading.fail(step.name, "it has two lookups", remedy="keep one")
    if step.undo_method is None and step.overtaken is not None:
        raise reading.fail(
            step.name,
            f"it has {stated or 'a lookup'} and no undo that could be overtaken",
            remedy="drop it, or write the undo",
        )
    if step.lookup_method is not None and stated is not None:
        raise reading.fail(step.name, f"it says {stated} and has a lookup", remedy="drop one of the two")
    if step.undo_method is not None and step.overtaken is None:
        raise reading.fail(
            step.name,
            "a request of it may arrive after its undo, and it does not say what then",
            remedy='write @step(overtaken="tombstone") if the service refuses what comes under an undone key, '
            f'overtaken="resend" to send it again before it is undone, or a method under @{step.name}.lookup that finds out',
        )
    reading.check_lookup(step)


def check_waits(reading: Reading, needs: Needs, *, deadline: Seconds) -> None:
    """Before the pivot the saga's deadline ends every wait: a longer one says what will not happen. Raises: SagaDefinitionError."""
    pivot = _pivot(reading)
    after = frozenset[str]() if pivot is None else followers(needs, pivot)
    for name in reading.waits.keys() - after:
        wait = reading.waits[name].wait
        if wait.kind == "signal" and (wait.lasts is None or wait.lasts >= deadline):
            raise reading.fail(
                name,
                f"{_patience(wait)}, and the saga's deadline of {deadline:g} s turns it back before that",
                remedy=f"write within= less than {deadline:g} s, a longer deadline= of the saga, or let it follow the pivot",
            )
        waited = _timers_until(reading, needs, name)
        if waited >= deadline:
            raise reading.fail(
                name,
                f"its timers last {waited:g} s, and the saga's deadline of {deadline:g} s turns it back before that",
                remedy="write a longer deadline= of the saga, a shorter timer, or let it follow the pivot",
            )


def _patience(wait: Wait) -> str:
    return "it waits without end" if wait.lasts is None else f"it waits up to {wait.lasts:g} s"


def _timers_until(reading: Reading, needs: Needs, name: str) -> Seconds:
    """Seconds that must pass before `name` can be done, by the timers on its longest way."""
    node = reading.waits.get(name)
    own = node.wait.lasts if node is not None and node.wait.kind == "timer" else None
    earlier = max((_timers_until(reading, needs, other) for other in needs[name]), default=NEVER)
    return Seconds(earlier + (own or NEVER))
