"""A saga, explained: its steps in order, what each sends, how often, and what undoes it.

A step is Python: what it sends is named in its code. Invariant: order, pivot and retries are those of the compiled plan, which is
what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...clock import Seconds
from ...sagas import Definition
from ...sagas.plan import StepPlan, followers
from .calls import Calls
from .explanation import Call, ExplainedSaga, ExplainedStep
from .named import named_in


def explained_saga(
    definition: Definition, calls: Calls, *, wait: Seconds, question: Callable[[], int]
) -> ExplainedSaga:
    """`wait`: how long its field waits for it. `question` numbers a call."""
    plan = definition.plan
    needs = {name: frozenset(step.needs) for name, step in plan.steps.items()}
    after_pivot = frozenset[str]() if plan.pivot is None else followers(needs, plan.pivot)
    layers = _layers(plan.steps)

    def sent(method: Any) -> tuple[Call, ...]:
        found = () if method is None else named_in(method, owner=definition.saga)
        return tuple(calls.of_step(each, question=question()) for each in found)

    def step(name: str, planned: StepPlan) -> ExplainedStep:
        binding = definition.bindings[name]
        return ExplainedStep(
            name=name,
            needs=planned.needs,
            layer=layers[name],
            is_pivot=planned.is_pivot,
            is_after_pivot=name in after_pivot,
            attempts=planned.retry.attempts,
            timeout=planned.timeout,
            calls=sent(binding.method),
            undo=None if binding.undo is None else binding.undo.__name__,
            undo_calls=sent(binding.undo),
            invalidates=tuple(str(getattr(each, "name", each)) for each in binding.invalidates),
        )

    return ExplainedSaga(
        name=definition.name,
        version=definition.version,
        deadline=definition.deadline,
        wait=wait,
        key=definition.key,
        pivot=plan.pivot,
        steps=tuple(step(name, planned) for name, planned in plan.steps.items()),
    )


def _layers(steps: Mapping[str, StepPlan]) -> dict[str, int]:
    """Steps in topological order -> 1 for what needs nothing, else one more than the last of what it needs."""
    layers: dict[str, int] = {}
    for name, step in steps.items():
        layers[name] = 1 + max((layers[need] for need in step.needs), default=0)
    return layers
