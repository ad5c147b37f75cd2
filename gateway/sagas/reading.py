"""What one saga class says: its steps and waits, where each parameter's value comes from, and that types fit.

Invariant: every mistake names the class, the step and the remedy.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from .context import StepCtx
from .definition import Argument, Saga
from .known import Done, NotDone, Unknown
from .mistakes import SagaDefinitionError, nearest, shown
from .plan import Overtaken
from .shapes import check_journallable
from .steps import Step
from .waiting import WaitStep

Needs = Mapping[str, frozenset[str]]
Node = Step[..., Any] | WaitStep[Any]


class Reading:
    """What one class says, with the class's name at hand for messages."""

    def __init__(self, saga: type[Saga[Any, Any]]) -> None:
        self.saga = saga
        self.input_type, self.result_type = _type_arguments(saga)
        self.nodes = _declared(saga)
        self.steps = {name: node for name, node in self.nodes.items() if isinstance(node, Step)}
        self.waits = {name: node for name, node in self.nodes.items() if isinstance(node, WaitStep)}
        if not self.steps:
            raise SagaDefinitionError(f"{saga.__name__} has no steps: write at least one method under @step")
        self._journallable("its input", self.input_type)
        self.yields = {name: self._yielded(node) for name, node in self.nodes.items()}
        for node in self.nodes.values():
            for name in node.after:
                self._check_known(node.name, name, what=f"after names {name!r}")

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

    # -- parameters ----------------------------------------------------------------------------------------------------

    def arguments(self, step: str, method: Callable[..., Any]) -> tuple[Argument, ...]:
        """Where each parameter of a step, or of `result`, comes from."""
        hints = self.hints(step, method)
        return tuple(self._argument(step, name, hint=hints.get(name)) for name in self._parameters(step, method))

    def undo_arguments(self, step: Step[..., Any], *, needs: Needs) -> tuple[Argument, ...]:
        """A parameter named as the step itself is told what is known of it."""
        if step.undo_method is None:
            return ()
        method = step.undo_method
        if step.name not in self._parameters(method.__name__, method):
            return self._earlier_arguments(step, method, needs=needs)
        self._check_own(step, method.__name__, hint=self.hints(method.__name__, method).get(step.name))
        return self._earlier_arguments(step, method, needs=needs, own=Argument(step.name, "known", step.name))

    def lookup_arguments(self, step: Step[..., Any], *, needs: Needs) -> tuple[Argument, ...]:
        """It is told the input and what the step could read."""
        method = step.lookup_method
        if method is None:
            return ()
        if step.name in self._parameters(method.__name__, method):
            raise self.fail(
                method.__name__,
                f"it reads {step.name!r}, which is what it shall find out",
                remedy=f"drop the parameter; ctx.forward_key is the key under which {step.name!r} was sent",
            )
        return self._earlier_arguments(step, method, needs=needs)

    def _earlier_arguments(
        self, step: Step[..., Any], method: Callable[..., Any], *, needs: Needs, own: Argument | None = None
    ) -> tuple[Argument, ...]:
        """Of an undo or a lookup: only what was there before the step is certain to be there."""
        hints, known = self.hints(method.__name__, method), ancestors(needs, step.name)
        found: list[Argument] = []
        for name in self._parameters(method.__name__, method):
            if own is not None and name == own.parameter:
                found.append(own)
                continue
            argument = self._argument(method.__name__, name, hint=hints.get(name))
            if argument.step is not None and argument.step not in known:
                raise self.fail(
                    method.__name__,
                    f"it reads {name!r}, on which {step.name!r} does not depend, so it may not be there",
                    remedy=f"drop the parameter, or let {step.name!r} read {name!r} too",
                )
            found.append(argument)
        return tuple(found)

    def _argument(self, step: str, name: str, *, hint: Any) -> Argument:
        if name in self.nodes:
            return self._result_of(step, name, hint=hint)
        if hint is StepCtx:
            return Argument(name, "ctx")
        if hint == self.input_type:
            return Argument(name, "input")
        expected = f"{shown(self.input_type)} (the input), StepCtx, or a step by name"
        near = nearest(name, self.nodes)
        raise self.fail(
            step,
            f"parameter {name!r} ({shown(hint)}) is neither a step nor the input",
            remedy=f"did you mean {near!r}?" if near else f"a parameter is {expected}: {', '.join(self.nodes)}",
        )

    def _result_of(self, step: str, name: str, *, hint: Any) -> Argument:
        if name == step:
            raise self.fail(step, "it reads its own result", remedy=f"drop the parameter {name!r}")
        if hint != self.yields[name]:
            rename = f"{name!r} is a step: name the input otherwise"
            raise self.fail(
                step,
                f"parameter {name!r} is {shown(hint)}, and that step yields {shown(self.yields[name])}",
                remedy=rename if hint == self.input_type else f"annotate {name}: {shown(self.yields[name])}",
            )
        return Argument(name, "result", name)

    def _parameters(self, step: str, method: Callable[..., Any]) -> Iterable[str]:
        parameters = list(inspect.signature(method).parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise self.fail(step, f"parameter {parameter} has no name of its own", remedy="write plain parameters")
        return [parameter.name for parameter in parameters]

    # -- types ---------------------------------------------------------------------------------------------------------

    def result_method(self) -> Callable[..., Any]:
        method = getattr(self.saga, "result", None)
        if not inspect.isfunction(method) or inspect.iscoroutinefunction(method):
            raise self.fail(
                "result",
                "there must be a plain method that computes the saga's result from the steps'",
                remedy=f"write def result(self, ...) -> {shown(self.result_type)}",
            )
        returned = self.hints("result", method).get("return", inspect.Parameter.empty)
        if returned != self.result_type:
            raise self.fail(
                "result",
                f"it returns {shown(returned)}, and the saga promises {shown(self.result_type)}",
                remedy=f"annotate -> {shown(self.result_type)}",
            )
        return method

    def check_lookup(self, step: Step[..., Any]) -> None:
        """A lookup is a coroutine that answers in the step's own words."""
        method = step.lookup_method
        if method is None:
            return
        if not inspect.iscoroutinefunction(method):
            raise self.fail(method.__name__, "a lookup is a coroutine", remedy="write async def")
        returned = self.hints(method.__name__, method).get("return")
        if _union_members(returned) != {self._done(step), NotDone}:
            raise self.fail(
                method.__name__,
                f"it answers {shown(returned)}, and is asked whether {step.name!r} took effect",
                remedy=f"annotate -> Done[{shown(self.yields[step.name])}] | NotDone",
            )

    def _check_own(self, step: Step[..., Any], undo: str, *, hint: Any) -> None:
        """What was found out is known: then the undo may say so."""
        told, members = f"Done[{shown(self.yields[step.name])}]", _union_members(hint)
        is_found_out = step.overtaken in (Overtaken.LOOKUP, Overtaken.RESEND)
        if members == {self._done(step), Unknown} or (is_found_out and members == {self._done(step)}):
            return
        raise self.fail(
            undo,
            f"it is told what is known of {step.name!r}, and its parameter is {shown(hint)}",
            remedy=f"annotate {step.name}: {told if is_found_out else f'{told} | Unknown'}",
        )

    def _done(self, step: Step[..., Any]) -> Any:
        done: Any = Done
        return done[self.yields[step.name]]

    def _check_known(self, step: str, name: str, *, what: str) -> None:
        if name in self.nodes and name != step:
            return
        others = [other for other in self.nodes if other != step]
        near = nearest(name, others)
        remedy = f"did you mean {near!r}?" if near else f"the other steps are {', '.join(others) or 'none'}"
        raise self.fail(step, f"{what}, which is no other step", remedy=remedy)

    def _yielded(self, node: Node) -> Any:
        if isinstance(node, WaitStep):
            self._journallable(f"what {node.name!r} waits for", node.yields)
            return node.yields
        if not inspect.iscoroutinefunction(node.method):
            raise self.fail(node.name, "a step is a coroutine", remedy="write async def")
        hints = self.hints(node.name, node.method)
        if "return" not in hints:
            raise self.fail(node.name, "it does not say what it yields", remedy="annotate its result")
        self._journallable(f"the result of step {node.name!r}", hints["return"])
        return hints["return"]

    def _journallable(self, what: str, into: Any) -> None:
        try:
            check_journallable(into)
        except Exception as error:  # msgspec raises several kinds; any of them means "not as JSON"
            raise SagaDefinitionError(
                f"{self.saga.__name__}: {what} ({shown(into)}) cannot be journalled as JSON: {error}; "
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


def _declared(saga: type) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for name, value in vars(saga).items():
        if isinstance(value, Step | WaitStep):
            node = cast("Node", value)
            if node.name != name:
                raise SagaDefinitionError(
                    f"{saga.__name__}.{name}: the step is {node.name!r} elsewhere; use one name, and declare it once"
                )
            found[name] = node
    return found


def _union_members(hint: Any) -> set[Any]:
    return set(get_args(hint)) if get_origin(hint) in (Union, types.UnionType) else {hint}
