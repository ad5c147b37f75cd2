"""From a saga class to its `Definition`: reads the class, refuses what could not run, compiles the plan.

Invariant: every mistake is found here and names the class, the step and the remedy.
"""

from __future__ import annotations

import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from ..clock import duration
from .codec import check_journallable
from .context import StepCtx
from .definition import Argument, Binding, Definition, KeyPolicy, Saga, SagaDefinitionError, Step
from .known import Done, Unknown
from .plan import StepPlan, compile_plan, followers

Needs = Mapping[str, frozenset[str]]


def build(saga: type[Saga[Any, Any]], *, name: str, version: int, deadline: str | float, key: KeyPolicy) -> Definition:
    """Raises: SagaDefinitionError."""
    _check_header(saga, version=version, key=key)
    reading = _Reading(saga)
    arguments = {step.name: reading.arguments(step.name, step.method) for step in reading.steps.values()}
    needs = {step.name: _needs(arguments[step.name], after=step.after) for step in reading.steps.values()}
    reading.check_pivot_and_undo(needs)
    undo_arguments = {step.name: reading.undo_arguments(step, needs=needs) for step in reading.steps.values()}
    read = {each.step for each in chain(*arguments.values(), *undo_arguments.values())} | _parameters_of_result(saga)
    try:
        plan = compile_plan(
            name,
            version=version,
            deadline=duration(deadline),
            steps=[
                _step_plan(step, needs=needs[step.name], is_read=step.name in read) for step in reading.steps.values()
            ],
            shapes={"input": _shown(reading.input_type)} | {name: _shown(t) for name, t in reading.yields.items()},
        )
    except ValueError as problem:
        raise SagaDefinitionError(f"{saga.__name__}: {problem}; drop one parameter or one name in `after`") from problem
    result = reading.result_method()
    return Definition(
        saga=saga,
        name=name,
        version=version,
        deadline=duration(deadline),
        key=key,
        description=inspect.cleandoc(saga.__doc__) if saga.__doc__ and "__doc__" in vars(saga) else None,
        input_type=reading.input_type,
        result_type=reading.result_type,
        plan=plan,
        bindings={
            step.name: Binding(
                method=step.method,
                arguments=arguments[step.name],
                yields=reading.yields[step.name],
                undo=step.undo_method,
                undo_arguments=undo_arguments[step.name],
                invalidates=step.invalidates,
            )
            for step in reading.steps.values()
        },
        result=result,
        result_arguments=reading.arguments("result", result),
    )


class _Reading:
    """What one class says, with the class's name at hand for messages."""

    def __init__(self, saga: type[Saga[Any, Any]]) -> None:
        self.saga = saga
        self.input_type, self.result_type = _type_arguments(saga)
        self.steps = _declared_steps(saga)
        if not self.steps:
            raise SagaDefinitionError(f"{saga.__name__} has no steps: write at least one method under @step")
        self._journallable("its input", self.input_type)
        self.yields = {step.name: self._yielded(step) for step in self.steps.values()}
        for step in self.steps.values():
            for name in step.after:
                self._check_known(step.name, name, what=f"after names {name!r}")

    def fail(self, step: str, problem: str, *, remedy: str) -> SagaDefinitionError:
        return SagaDefinitionError(f"{self.saga.__name__}.{step}: {problem}; {remedy}")

    def hints(self, step: str, method: Callable[..., Any]) -> dict[str, Any]:
        try:
            return get_type_hints(method, include_extras=True)
        except NameError as error:
            raise self.fail(
                step,
                f"an annotation names {error.name!r}, which its module does not have",
                remedy="import the type at the top of the module, not under TYPE_CHECKING",
            ) from error

    def arguments(self, step: str, method: Callable[..., Any]) -> tuple[Argument, ...]:
        """Where each parameter of a step, or of `result`, comes from."""
        hints = self.hints(step, method)
        return tuple(self._argument(step, name, hint=hints.get(name)) for name in self._parameters(step, method))

    def undo_arguments(self, step: Step[..., Any], *, needs: Needs) -> tuple[Argument, ...]:
        if step.undo_method is None:
            return ()
        method = step.undo_method
        hints = self.hints(method.__name__, method)
        known = ancestors(needs, step.name)
        found: list[Argument] = []
        for name in self._parameters(method.__name__, method):
            hint = hints.get(name)
            if name == step.name:
                self._check_own(step, method.__name__, hint=hint)
                found.append(Argument(name, "known", name))
                continue
            argument = self._argument(method.__name__, name, hint=hint)
            if argument.step is not None and argument.step not in known:
                raise self.fail(
                    method.__name__,
                    f"it reads {name!r}, on which {step.name!r} does not depend, so it may not be there",
                    remedy=f"drop the parameter, or let {step.name!r} read {name!r} too",
                )
            found.append(argument)
        return tuple(found)

    def result_method(self) -> Callable[..., Any]:
        method = getattr(self.saga, "result", None)
        if not inspect.isfunction(method) or inspect.iscoroutinefunction(method):
            raise self.fail(
                "result",
                "there must be a plain method that computes the saga's result from the steps'",
                remedy=f"write def result(self, ...) -> {_shown(self.result_type)}",
            )
        returned = self.hints("result", method).get("return", inspect.Parameter.empty)
        if returned != self.result_type:
            raise self.fail(
                "result",
                f"it returns {_shown(returned)}, and the saga promises {_shown(self.result_type)}",
                remedy=f"annotate -> {_shown(self.result_type)}",
            )
        return method

    def check_pivot_and_undo(self, needs: Needs) -> None:
        pivots = [step.name for step in self.steps.values() if step.pivot]
        if len(pivots) > 1:
            raise self.fail(
                pivots[1],
                f"a saga has at most one pivot, and {pivots[0]!r} is one",
                remedy="keep pivot=True on one step",
            )
        pivot = pivots[0] if pivots else None
        before = frozenset[str]() if pivot is None else ancestors(needs, pivot)
        after = frozenset[str]() if pivot is None else followers(needs, pivot)
        for step in self.steps.values():
            self._check_undo_statement(step)
            if step.name == pivot:
                self._check_has_no_undo(step, "it is the pivot, after which there is no way back")
            elif step.name in after:
                self._check_has_no_undo(step, f"it follows the pivot {pivot!r}, after which nothing is undone")
            elif step.undo_method is None and step.undo_stated != "nothing":
                raise self.fail(
                    step.name,
                    "it can be followed by a failure and says nothing of its undo",
                    remedy=f"write a method under @{step.name}.undo, or @step(undo=None) if there is nothing to undo",
                )
            elif pivot is not None and step.undo_method is not None and step.name not in before:
                raise self.fail(
                    step.name,
                    f"it has an undo and is not before the pivot {pivot!r}",
                    remedy=f'add {step.name!r} to the pivot: @step(pivot=True, after=["{step.name}"])',
                )

    def _check_undo_statement(self, step: Step[..., Any]) -> None:
        if step.undo_count > 1:
            raise self.fail(step.name, "it has two undos", remedy="keep one")
        if step.undo_method is None:
            return
        if step.undo_stated == "nothing":
            raise self.fail(step.name, "it says undo=None and has an undo", remedy="drop one of the two")
        if not inspect.iscoroutinefunction(step.undo_method):
            raise self.fail(step.undo_method.__name__, "an undo is a coroutine", remedy="write async def")

    def _check_has_no_undo(self, step: Step[..., Any], why: str) -> None:
        if step.undo_method is not None:
            raise self.fail(
                step.name, f"{why}, and it has an undo", remedy="drop the undo, or move the step before the pivot"
            )

    def _check_own(self, step: Step[..., Any], undo: str, *, hint: Any) -> None:
        yields: Any = self.yields[step.name]
        done: Any = Done
        if _union_members(hint) != {done[yields], Unknown}:
            raise self.fail(
                undo,
                f"it is told what is known of {step.name!r}, and its parameter is {_shown(hint)}",
                remedy=f"annotate {step.name}: Done[{_shown(yields)}] | Unknown",
            )

    def _argument(self, step: str, name: str, *, hint: Any) -> Argument:
        if name in self.steps:
            return self._result_of(step, name, hint=hint)
        if hint is StepCtx:
            return Argument(name, "ctx")
        if hint == self.input_type:
            return Argument(name, "input")
        expected = f"{_shown(self.input_type)} (the input), StepCtx, or a step by name"
        near = _nearest(name, self.steps)
        raise self.fail(
            step,
            f"parameter {name!r} ({_shown(hint)}) is neither a step nor the input",
            remedy=f"did you mean {near!r}?" if near else f"a parameter is {expected}: {', '.join(self.steps)}",
        )

    def _result_of(self, step: str, name: str, *, hint: Any) -> Argument:
        if name == step:
            raise self.fail(step, "it reads its own result", remedy=f"drop the parameter {name!r}")
        if hint != self.yields[name]:
            raise self.fail(
                step,
                f"parameter {name!r} is {_shown(hint)}, and that step yields {_shown(self.yields[name])}",
                remedy=f"annotate {name}: {_shown(self.yields[name])}",
            )
        return Argument(name, "result", name)

    def _check_known(self, step: str, name: str, *, what: str) -> None:
        if name in self.steps and name != step:
            return
        near = _nearest(name, [other for other in self.steps if other != step])
        remedy = f"did you mean {near!r}?" if near else f"the other steps are {', '.join(self.steps.keys() - {step})}"
        raise self.fail(step, f"{what}, which is no other step", remedy=remedy)

    def _parameters(self, step: str, method: Callable[..., Any]) -> Iterable[str]:
        parameters = list(inspect.signature(method).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise self.fail(step, f"parameter {parameter} has no name of its own", remedy="write plain parameters")
        return [parameter.name for parameter in parameters]

    def _yielded(self, step: Step[..., Any]) -> Any:
        if not inspect.iscoroutinefunction(step.method):
            raise self.fail(step.name, "a step is a coroutine", remedy="write async def")
        hints = self.hints(step.name, step.method)
        if "return" not in hints:
            raise self.fail(step.name, "it does not say what it yields", remedy="annotate its result")
        self._journallable(f"the result of step {step.name!r}", hints["return"])
        return hints["return"]

    def _journallable(self, what: str, into: Any) -> None:
        try:
            check_journallable(into)
        except Exception as error:  # msgspec raises several kinds; any of them means "not as JSON"
            raise SagaDefinitionError(
                f"{self.saga.__name__}: {what} ({_shown(into)}) cannot be journalled as JSON: {error}; "
                "use a Struct or dataclass of plain fields"
            ) from error


def ancestors(needs: Needs, step: str) -> frozenset[str]:
    """Every step that `step` needs, directly or not."""
    found: set[str] = set()
    waiting = list(needs[step])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(needs[name])
    return frozenset(found)


def _check_header(saga: type[Saga[Any, Any]], *, version: int, key: str) -> None:
    if version < 1:
        raise SagaDefinitionError(
            f"{saga.__name__} states no version: write class {saga.__name__}(Saga[Input, Result], version=1); "
            "count it up whenever its steps change"
        )
    if key not in ("required", "optional"):
        raise SagaDefinitionError(f'{saga.__name__}: key={key!r} is not known; write key="required" or key="optional"')


def _type_arguments(saga: type[Saga[Any, Any]]) -> tuple[Any, Any]:
    for base in _original_bases(saga):
        if get_origin(base) is Saga:
            input_type, result_type = get_args(base)
            return input_type, result_type
    raise SagaDefinitionError(
        f"{saga.__name__} does not say what goes in and what comes out: write "
        f"class {saga.__name__}(Saga[Input, Result], version=1)"
    )


def _original_bases(saga: type) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", getattr(saga, "__orig_bases__", ()))


def _declared_steps(saga: type) -> dict[str, Step[..., Any]]:
    found: dict[str, Step[..., Any]] = {}
    for name, value in vars(saga).items():
        if isinstance(value, Step):
            declared = cast("Step[..., Any]", value)
            if declared.name != name:
                raise SagaDefinitionError(
                    f"{saga.__name__}.{name}: the step's method is {declared.name!r}; use one name"
                )
            found[name] = declared
    return found


def _needs(arguments: Iterable[Argument], *, after: Iterable[str]) -> frozenset[str]:
    return frozenset(argument.step for argument in arguments if argument.step is not None) | frozenset(after)


def _parameters_of_result(saga: type[Saga[Any, Any]]) -> set[str | None]:
    """Names that `result` reads; whether it may is checked later, when the graph of steps is known to be one."""
    method = getattr(saga, "result", None)
    return set(inspect.signature(method).parameters) if inspect.isfunction(method) else set()


def _step_plan(step: Step[..., Any], *, needs: frozenset[str], is_read: bool) -> StepPlan:
    return StepPlan(
        name=step.name,
        needs=tuple(sorted(needs)),
        has_undo=step.undo_method is not None,
        is_pivot=step.pivot,
        retry=step.retry,
        timeout=step.timeout,
        is_read=is_read,
    )


def _union_members(hint: Any) -> set[Any]:
    return set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}


def _nearest(name: str, known: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def _shown(hint: Any) -> str:
    if hint is None or hint is inspect.Parameter.empty:
        return "not annotated"
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
