"""`@step`: a method of a saga that does one thing at one service, how it is undone, and what if the undo is overtaken.

Invariant: a step states everything that decides how it ends; what it leaves out is a mistake, told when the class is built.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from ..clock import Seconds, duration
from .known import Done, NotDone
from .mistakes import SagaDefinitionError
from .plan import Overtaken
from .retry import Retry

T = TypeVar("T")
P = ParamSpec("P")
Q = ParamSpec("Q")
U = TypeVar("U", bound=Callable[..., Coroutine[Any, Any, None]])
Lookup = Callable[Q, Coroutine[Any, Any, Done[T] | NotDone]]
"""Asks the service whether a step took effect."""

UndoStated = Literal["nothing", "unstated"]
OvertakenStated = Literal["tombstone", "resend"]
Method = Callable[..., Coroutine[Any, Any, Any]]

SETTLES_AFTER = Seconds(30.0)
"""How long after an attempt was given up its request may still arrive: proxies and queues have let go of it by then."""


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
        overtaken_stated: Overtaken | None,
    ) -> None:
        self.method = method
        self.name: str = method.__name__
        self.retry = retry
        self.timeout = timeout
        self.pivot = pivot
        self.after = tuple(after)
        self.invalidates = tuple(invalidates)
        self.undo_stated: UndoStated = undo_stated
        self.overtaken_stated = overtaken_stated
        self.undo_method: Method | None = None
        self.undo_count = 0
        self.lookup_method: Method | None = None
        self.lookup_count = 0
        self.settles_after = SETTLES_AFTER
        self.__doc__ = method.__doc__

    @property
    def overtaken(self) -> Overtaken | None:
        """The answer to an undo that its own request may overtake; None: it has not been given."""
        return Overtaken.LOOKUP if self.lookup_method is not None else self.overtaken_stated

    def undo(self, method: U) -> U:
        """Declare how this step is undone; the method stays a plain method."""
        self.undo_method = method
        self.undo_count += 1
        return method

    @overload
    def lookup(self, method: Lookup[Q, T], /) -> Lookup[Q, T]: ...
    @overload
    def lookup(self, /, *, settles_after: str | float) -> Callable[[Lookup[Q, T]], Lookup[Q, T]]: ...
    def lookup(self, method: Any = None, /, *, settles_after: str | float = SETTLES_AFTER) -> Any:
        """Declare how to find out whether this step took effect, where an attempt's outcome is unknown.

        It is asked before the undo, and not before `settles_after` ("30s", or seconds) have passed since the last attempt: till
        then its request may still arrive, and "not done" would mean nothing. It answers Done(what the step yields) or NotDone().
        """
        self.settles_after = duration(settles_after)

        def declare(declared: Method) -> Method:
            self.lookup_method = declared
            self.lookup_count += 1
            return declared

        return declare if method is None else declare(method)

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
    overtaken: OvertakenStated = ...,
) -> Callable[[Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]], Step[P, T]]: ...
def step(method: Any = None, /, **stated: Any) -> Any:
    """Declare a step, named by what it yields.

    `retry`: attempts and back-off (3). `timeout`: of one attempt, its undo's and its lookup's too ("5s"); a cut one is unknown.
    `pivot`: the step after which there is no way back. `after`: steps that must be done first although their result is
    not read. `invalidates`: handed to the host's observer when the step is done or undone. `undo=None`: there is nothing
    to undo (a read).

    `overtaken`: what if a request of this step arrives after its undo? "tombstone": the service remembers an undone
    `ctx.forward_key` and refuses what comes under it later; so the undo passes the forward key on. "resend": the request is sent
    again, under the same key, until its outcome is known; then it is undone. Where neither holds, `@name.lookup` finds out.
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
    overtaken: str | None = None,
) -> Step[..., Any]:
    if undo is not None and undo is not ...:
        raise SagaDefinitionError(
            f"step {method.__name__}: undo may only be None; write @{method.__name__}.undo instead"
        )
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
        overtaken_stated=None if overtaken is None else _overtaken(method.__name__, overtaken),
    )


def _overtaken(step: str, stated: str) -> Overtaken:
    if stated == "lookup":
        raise SagaDefinitionError(
            f"step {step}: a lookup is a method; write it under @{step}.lookup, without overtaken="
        )
    if stated not in ("tombstone", "resend"):
        raise SagaDefinitionError(
            f'step {step}: overtaken={stated!r} is not known; write "tombstone" or "resend", or a method under @{step}.lookup'
        )
    return Overtaken(stated)
