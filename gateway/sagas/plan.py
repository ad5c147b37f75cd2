"""A saga's graph as data: what the pure core may know of a definition.

Invariant: `steps` is in topological order; the pivot waits for every step that does not follow it, so nothing that can
fail runs beside it, and whatever is open after it follows it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from ..clock import NEVER, Seconds
from .retry import Retry


class Overtaken(StrEnum):
    """How a step of unknown outcome is undone although its request may still arrive."""

    TOMBSTONE = "tombstone"
    """The undo names the forward key, and the service refuses whatever comes under it later."""
    RESEND = "resend"
    """Send it again under the same key until the outcome is known, then undo what was done."""
    LOOKUP = "lookup"
    """Ask the service whether it took effect, then undo what was done."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A step that waits for the outside world instead of calling it."""

    kind: Literal["timer", "signal"]
    lasts: Seconds | None
    """A timer's length; a signal's patience, None for no end."""
    refusal: tuple[str, str] | None = None
    """(code, message) that a signal which did not come in time amounts to; None: the step failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One node. `needs` must be DONE before it starts; `dependents` (direct or not) must be undone before its undo."""

    name: str
    needs: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()
    has_undo: bool = False
    is_pivot: bool = False
    retry: Retry
    timeout: Seconds
    wait: Wait | None = None
    overtaken: Overtaken = Overtaken.TOMBSTONE
    settles_after: Seconds = NEVER
    """Seconds after the last attempt before which a lookup's "not there" would mean nothing."""
    is_read: bool = True
    """Whether another step, or the saga's result, reads what it yields: then it cannot be skipped."""

    @property
    def is_found_out(self) -> bool:
        """Whether an unknown outcome is found out before it is undone."""
        return self.has_undo and self.overtaken is not Overtaken.TOMBSTONE


@dataclass(frozen=True, slots=True)
class SagaPlan:
    """The compiled graph of one version of a saga."""

    name: str
    version: int
    deadline: Seconds
    steps: Mapping[str, StepPlan]
    pivot: str | None
    digest: str
    """sha256 over the structure: changes whenever stored events could be read differently."""

    def __repr__(self) -> str:
        return f"<SagaPlan {self.name} v{self.version} {len(self.steps)} steps, pivot {self.pivot}>"


def compile_plan(
    name: str, *, version: int, deadline: Seconds, steps: Sequence[StepPlan], shapes: Mapping[str, str] | None = None
) -> SagaPlan:
    """Order the steps, let the pivot wait for all that does not follow it, compute dependents and digest.

    `shapes` names the types that are journalled, for the digest. Raises: ValueError on a cycle, naming its steps.
    """
    given = {step.name: step for step in steps}
    needs = {step.name: frozenset(step.needs) for step in steps}
    order = list(_topological(needs))
    pivot = next((step.name for step in steps if step.is_pivot), None)
    if pivot is not None:
        needs[pivot] = frozenset(needs) - followers(needs, pivot) - {pivot}
        order = list(_topological(needs))
    compiled = {
        step: replace(
            given[step],
            needs=tuple(other for other in order if other in needs[step]),
            dependents=tuple(sorted(followers(needs, step), key=order.index)),
        )
        for step in order
    }
    digest = _digest(name, version=version, steps=compiled.values(), shapes=shapes or {})
    return SagaPlan(name, version, deadline, compiled, pivot, digest)


def followers(needs: Mapping[str, frozenset[str]], step: str) -> frozenset[str]:
    """Every step that needs `step`, directly or not."""
    found: set[str] = set()
    grown = True
    while grown:
        more = {name for name, before in needs.items() if name not in found and before & (found | {step})}
        grown = bool(more)
        found |= more
    return frozenset(found)


def _topological(needs: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Kahn's order, ties broken by the order of declaration."""
    left = dict(needs)
    while left:
        ready = [name for name, before in left.items() if not before & left.keys()]
        if not ready:
            raise ValueError(f"the steps {', '.join(sorted(left))} wait for one another in a circle")
        for name in ready:
            del left[name]
            yield name


def _digest(name: str, *, version: int, steps: Iterable[StepPlan], shapes: Mapping[str, str]) -> str:
    structure = [name, version, [_structure(step) for step in steps], dict(sorted(shapes.items()))]
    return hashlib.sha256(json.dumps(structure, separators=(",", ":"), sort_keys=True).encode()).hexdigest()


def _structure(step: StepPlan) -> list[Any]:
    """What decides how a step's events are read. What came later is left out where it is not used: older digests stay."""
    structure: list[Any] = [step.name, sorted(step.needs), step.has_undo, step.is_pivot]
    if step.wait is not None:
        structure.append(step.wait.kind)
    if step.is_found_out:
        structure.append(step.overtaken.value)
    return structure
