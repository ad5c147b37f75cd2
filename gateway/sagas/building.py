"""From a saga class to its `Definition`: reads the class, refuses what could not run, compiles the plan.

Invariant: every mistake is found here and names the class, the step and the remedy.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from ..clock import NEVER, Seconds, duration
from .checking import check_waits, check_ways_back
from .definition import Argument, Binding, Definition, KeyPolicy, Saga
from .mistakes import SagaDefinitionError, shown
from .plan import Overtaken, SagaPlan, StepPlan, compile_plan
from .reading import Node, Reading
from .retry import Retry
from .shapes import holds_secrets
from .steps import Step
from .waiting import WaitStep


def build(saga: type[Saga[Any, Any]], *, name: str, version: int, deadline: str | float, key: KeyPolicy) -> Definition:
    """Raises: SagaDefinitionError."""
    _check_header(saga, version=version, key=key)
    reading, patience = Reading(saga), duration(deadline)
    arguments = {step.name: reading.arguments(step.name, step.method) for step in reading.steps.values()}
    needs = {node.name: _needs(arguments.get(node.name, ()), after=node.after) for node in reading.nodes.values()}
    check_ways_back(reading, needs)
    bindings = {name: _binding(reading, node, arguments=arguments, needs=needs) for name, node in reading.nodes.items()}
    result = reading.result_method()
    result_arguments = reading.arguments("result", result)
    plan = _plan(reading, name, version=version, deadline=patience, needs=needs, read=_read(bindings, result_arguments))
    check_waits(reading, needs, deadline=patience)
    return Definition(
        saga=saga,
        name=name,
        version=version,
        deadline=patience,
        key=key,
        description=inspect.cleandoc(saga.__doc__) if saga.__doc__ and "__doc__" in vars(saga) else None,
        input_type=reading.input_type,
        result_type=reading.result_type,
        plan=plan,
        bindings=bindings,
        result=result,
        result_arguments=result_arguments,
        input_holds_secrets=holds_secrets(reading.input_type),
        steps_hold_secrets=any(holds_secrets(each) for each in reading.yields.values()),
    )


def _check_header(saga: type[Saga[Any, Any]], *, version: int, key: str) -> None:
    if version < 1:
        raise SagaDefinitionError(
            f"{saga.__name__} states no version: write class {saga.__name__}(Saga[Input, Result], version=1); "
            "count it up whenever its steps change"
        )
    if key not in ("required", "optional"):
        raise SagaDefinitionError(f'{saga.__name__}: key={key!r} is not known; write key="required" or key="optional"')


def _needs(arguments: Iterable[Argument], *, after: Iterable[str]) -> frozenset[str]:
    return frozenset(argument.step for argument in arguments if argument.step is not None) | frozenset(after)


def _binding(
    reading: Reading,
    node: Node,
    *,
    arguments: Mapping[str, tuple[Argument, ...]],
    needs: Mapping[str, frozenset[str]],
) -> Binding:
    yields = reading.yields[node.name]
    if isinstance(node, WaitStep):
        return Binding(method=None, arguments=(), yields=yields, undo=None, undo_arguments=(), invalidates=())
    return Binding(
        method=node.method,
        arguments=arguments[node.name],
        yields=yields,
        undo=node.undo_method,
        undo_arguments=reading.undo_arguments(node, needs=needs),
        lookup=node.lookup_method,
        lookup_arguments=reading.lookup_arguments(node, needs=needs),
        invalidates=node.invalidates,
    )


def _read(bindings: Mapping[str, Binding], result_arguments: Iterable[Argument]) -> frozenset[str]:
    """Steps whose result somebody else reads. An undo that is told what is known of its own step reads nothing of it."""
    told = [*result_arguments]
    for binding in bindings.values():
        told += [*binding.arguments, *binding.undo_arguments, *binding.lookup_arguments]
    return frozenset(argument.step for argument in told if argument.source == "result" and argument.step is not None)


def _plan(
    reading: Reading,
    name: str,
    *,
    version: int,
    deadline: Seconds,
    needs: Mapping[str, frozenset[str]],
    read: frozenset[str],
) -> SagaPlan:
    try:
        return compile_plan(
            name,
            version=version,
            deadline=deadline,
            steps=[_step_plan(node, needs=needs[node.name], read=read) for node in reading.nodes.values()],
            shapes={"input": shown(reading.input_type)} | {step: shown(each) for step, each in reading.yields.items()},
        )
    except ValueError as problem:
        raise SagaDefinitionError(
            f"{reading.saga.__name__}: {problem}; drop one parameter or one name in `after`"
        ) from problem


def _step_plan(node: Node, *, needs: frozenset[str], read: frozenset[str]) -> StepPlan:
    ordered, is_read = tuple(sorted(needs)), node.name in read
    if isinstance(node, WaitStep):
        return StepPlan(
            name=node.name, needs=ordered, retry=Retry(attempts=1), timeout=NEVER, wait=node.wait, is_read=is_read
        )
    return StepPlan(
        name=node.name,
        needs=ordered,
        has_undo=node.undo_method is not None,
        is_pivot=node.pivot,
        retry=node.retry,
        timeout=node.timeout,
        overtaken=node.overtaken or Overtaken.TOMBSTONE,
        settles_after=_settles_after(node),
        is_read=is_read,
    )


def _settles_after(step: Step[..., Any]) -> Seconds:
    """A request that is sent again need not be waited for: the answer to the one is the answer to both."""
    return step.settles_after if step.lookup_method is not None else NEVER
