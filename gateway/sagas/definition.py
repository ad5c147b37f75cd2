"""`Saga`: what an author writes of a write that spans services; checked whole when the class is built.

Invariant: a class that exists is a saga that can run: its steps form a DAG, every parameter names something that exists
and has its type, at most one pivot divides what can be undone from what must be done.
Source: Garcia-Molina and Salem, "Sagas", 1987; the pivot from Richardson, "Microservices Patterns", 2018.

    class PlaceOrder(Saga[PlaceOrderInput, Order], version=1, deadline="30s", key="required"):
        @step(retry=Retry(attempts=4), overtaken="tombstone")
        async def reservation(self, ctx: StepCtx, order: PlaceOrderInput) -> Reservation: ...
        @reservation.undo
        async def release(self, ctx: StepCtx, reservation: Done[Reservation] | Unknown) -> None: ...
        @step(pivot=True)
        async def capture(self, ctx: StepCtx, reservation: Reservation) -> Capture: ...
        def result(self, order: PlaceOrderInput, capture: Capture) -> Order: ...
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from ..clock import Seconds
from .mistakes import SagaDefinitionError
from .plan import SagaPlan

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

KeyPolicy = Literal["required", "optional"]
Method = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of a method and where its value comes from; `step` is set for "result" and "known"."""

    parameter: str
    source: Literal["ctx", "input", "result", "known"]
    step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A step's code beside its plan: what the host calls, and with what."""

    method: Method | None
    """None: it waits, and nobody is called."""
    arguments: tuple[Argument, ...]
    yields: Any
    """The annotated result type; a signal's payload."""
    undo: Method | None
    undo_arguments: tuple[Argument, ...]
    lookup: Method | None = None
    """Finds out whether the step took effect: answers Done or NotDone."""
    lookup_arguments: tuple[Argument, ...] = ()
    invalidates: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Everything that is known of a saga class once it is built."""

    saga: type[Saga[Any, Any]]
    name: str
    version: int
    deadline: Seconds
    key: KeyPolicy
    description: str | None
    input_type: Any
    result_type: Any
    plan: SagaPlan
    bindings: Mapping[str, Binding]
    result: Callable[..., Any]
    result_arguments: tuple[Argument, ...]
    input_holds_secrets: bool
    steps_hold_secrets: bool
    """What a step yields, or a signal brings."""

    @property
    def holds_secrets(self) -> bool:
        """Then it runs only where the settings have a key to seal them."""
        return self.input_holds_secrets or self.steps_hold_secrets

    @property
    def signals(self) -> Mapping[str, Any]:
        """The payload's type of each signal that it waits for."""
        waits = {name: step.wait for name, step in self.plan.steps.items() if step.wait is not None}
        return {name: self.bindings[name].yields for name, wait in waits.items() if wait.kind == "signal"}


class Saga(Generic[I, R]):
    """Base of every saga: `class Name(Saga[Input, Result], version=1, deadline="30s", key="required")`.

    `name` overrides the class's name, so that an older version of a saga can stand beside the newer one until its last
    open saga has ended.
    """

    def __init_subclass__(
        cls,
        *,
        version: int = 0,
        deadline: str | float = "30s",
        key: KeyPolicy = "required",
        name: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        from .building import build  # building needs Saga and Step

        _DEFINITIONS[cls] = build(cls, name=name or cls.__name__, version=version, deadline=deadline, key=key)


_DEFINITIONS: dict[type[Saga[Any, Any]], Definition] = {}


def definition_of(saga: type[Saga[Any, Any]]) -> Definition:
    """What was read from the class. Raises: SagaDefinitionError for `Saga` itself."""
    found = _DEFINITIONS.get(saga)
    if found is None:
        raise SagaDefinitionError(
            f"{saga.__name__} is not a saga: write class {saga.__name__}(Saga[Input, Result], version=1)"
        )
    return found
