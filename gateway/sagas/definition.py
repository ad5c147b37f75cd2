"""`Saga`: what an author writes of a write that spans services; checked whole when the class is built.

Invariant: a class that exists is a saga that can run: its steps form a DAG, every parameter names something that exists
and has its type, at most one pivot divides what can be undone from what must be done.
Source: Garcia-Molina and Salem, "Sagas", 1987; the pivot from Richardson, "Microservices Patterns", 2018.

    class PlaceOrder(Saga[PlaceOrderInput, Order], version=1, deadline="30s", key="required"):
        @step(retry=Retry(attempts=4))
        async def reservation(self, ctx: StepCtx, order: PlaceOrderInput) -> Reservation: ...
        @reservation.undo
        async def release(self, ctx: StepCtx, reservation: Done[Reservation] | Unknown) -> None: ...
        @step(pivot=True)
        async def capture(self, ctx: StepCtx, reservation: Reservation) -> Capture: ...
        def result(self, order: PlaceOrderInput, capture: Capture) -> Order: ...
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from ..clock import Seconds, duration
from .plan import SagaPlan
from .retry import Retry

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")
T = TypeVar("T")
P = ParamSpec("P")
U = TypeVar("U", bound=Callable[..., Coroutine[Any, Any, None]])

KeyPolicy = Literal["required", "optional"]
UndoStated = Literal["nothing", "unstated"]

Method = Callable[..., Coroutine[Any, Any, Any]]


class SagaDefinitionError(TypeError):
    """A saga class that cannot run. The message names the class, the step and the remedy."""


class Step(Generic[P, T]):
    """A declared step; made by `@step`. On an instance it is the plain method, for unit tests."""

    def __init__(
        self,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]],
        *,
        retry: Retry,
        timeout: Seconds,
        pivot: bool,
        after: Sequence[str],
        invalidates: Sequence[object],
        undo_stated: UndoStated,
    ) -> None:
        self.method = method
        self.name: str = method.__name__
        self.retry = retry
        self.timeout = timeout
        self.pivot = pivot
        self.after = tuple(after)
        self.invalidates = tuple(invalidates)
        self.undo_stated: UndoStated = undo_stated
        self.undo_method: Method | None = None
        self.undo_count = 0
        self.__doc__ = method.__doc__

    def undo(self, method: U) -> U:
        """Declare how this step is undone; the method stays a plain method."""
        self.undo_method = method
        self.undo_count += 1
        return method

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Step[P, T]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Any:
        return self if instance is None else self.method.__get__(instance, owner)

    def __repr__(self) -> str:
        return f"<Step {self.name}>"


@overload
def step(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]], /) -> Step[P, T]: ...
@overload
def step(
    *,
    retry: Retry = ...,
    timeout: str | float = ...,
    pivot: bool = ...,
    after: Sequence[str] = ...,
    invalidates: Sequence[object] = ...,
    undo: None = ...,
    overtaken: Literal["tombstone"] = ...,
) -> Callable[[Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]], Step[P, T]]: ...
def step(method: Any = None, /, **stated: Any) -> Any:
    """Declare a step, named by what it yields.

    `retry`: attempts and back-off (3). `timeout`: of one attempt, its undo's too ("5s"); a cut one is unknown.
    `pivot`: the step after which there is no way back. `after`: steps that must be done first although their result is
    not read. `invalidates`: handed to the host's observer when the step is done or undone. `undo=None`: there is nothing
    to undo (a read). `overtaken="tombstone"`: the service remembers an undone `ctx.forward_key` and refuses a forward
    request that arrives later; so an undo passes the forward key on.
    """
    if method is not None:
        return _step(method)

    def declare(declared: Any) -> Step[..., Any]:
        return _step(declared, **stated)

    return declare


def _step(
    method: Any,
    *,
    retry: Retry | None = None,
    timeout: str | float = "5s",
    pivot: bool = False,
    after: Sequence[str] = (),
    invalidates: Sequence[object] = (),
    undo: object = ...,
    overtaken: Literal["tombstone"] = "tombstone",
) -> Step[..., Any]:
    if undo is not None and undo is not ...:
        raise SagaDefinitionError(
            f"step {method.__name__}: undo may only be None; write @{method.__name__}.undo instead"
        )
    if overtaken != "tombstone":
        raise SagaDefinitionError(f'step {method.__name__}: overtaken={overtaken!r} is not known; write "tombstone"')
    if isinstance(after, str):
        raise SagaDefinitionError(f'step {method.__name__}: after is a list of steps; write after=["{after}"]')
    return Step(
        method,
        retry=retry or Retry(),
        timeout=duration(timeout),
        pivot=pivot,
        after=after,
        invalidates=invalidates,
        undo_stated="nothing" if undo is None else "unstated",
    )


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter of a method and where its value comes from; `step` is set for "result" and "known"."""

    parameter: str
    source: Literal["ctx", "input", "result", "known"]
    step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A step's code beside its plan: what the host calls, and with what."""

    method: Method
    arguments: tuple[Argument, ...]
    yields: Any
    """The annotated result type."""
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
