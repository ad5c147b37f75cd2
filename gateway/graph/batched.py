"""`@batched`: a resolver for all parents of a layer at once; the fast lane, and the documented way to compute a field.

    @batched
    @staticmethod
    async def delivery_days(products: list["Product"], ctx: Ctx, country: str) -> list[int | None]: ...

Invariant: as many values as parents, in their order; an exception in a place is that parent's own error. Called once per layer
and distinct argument set.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from .access import Allow, open_for
from .context import Ctx
from .pricing import ListSize, pricing
from .resolver import CtxResolver, context_of, declare_rules, ensure_allowed, first_paragraph, within_deadline
from .rules import Check, checked

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


class BatchWrongLength(Exception):
    """A batch resolver's answer does not fit its question; our own bug, so masked from clients."""


class batched(Generic[A, P, R]):  # noqa: N801 - a decorator
    """The decorator. On an instance it is a function of one parent, for tests and for other resolvers."""

    def __init__(
        self,
        method: Callable[Concatenate[list[A], P], Awaitable[list[R]]],
        *,
        allow: Allow | None = None,
        directives: Sequence[object] = (),
    ) -> None:
        """`directives`: what the schema says of it besides its rules."""
        self.method: Callable[..., Awaitable[list[Any]]] = _function(method)
        self.element = _element(self.method)
        self.allow = allow
        self.directives = directives

    @staticmethod
    def guarded(allow: Allow) -> Declaring:
        """`@batched.guarded(scope("support"))`: the parents for which the caller may not have the field are not handed over."""
        return Declaring(allow)

    @staticmethod
    def priced(
        cost: int | None = None, *, list_size: ListSize | int | None = None, allow: Allow | None = None
    ) -> Declaring:
        """`@batched.priced(5)`: each parent costs 5, besides the calls that are named; `list_size`: how long the list is taken to
        be.
        """
        return Declaring(allow, pricing(cost, list_size))

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> batched[A, P, R]: ...
    @overload
    def __get__(self, instance: A, owner: type[Any]) -> Callable[P, Awaitable[R]]: ...
    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        if instance is None:
            return self

        async def one(*args: P.args, **kwargs: P.kwargs) -> R:
            values = await self.method([instance], *args, **kwargs)
            value: R = values[0]
            return value

        return one

    def as_field(self) -> BatchedField:
        return BatchedField(self.method, self.element, allow=self.allow, directives=self.directives)


class Declaring:
    """`batched`, with an access rule, or what the schema says of it."""

    def __init__(self, allow: Allow | None, directives: Sequence[object] = ()) -> None:
        self.allow = allow
        self.directives = directives

    def __call__(self, method: Callable[Concatenate[list[A], P], Awaitable[list[R]]]) -> batched[A, P, R]:
        return batched(method, allow=self.allow, directives=self.directives)


class BatchedField(StrawberryField):
    """The strawberry field behind `@batched`."""

    def __init__(
        self,
        method: Callable[..., Awaitable[list[Any]]],
        element: Any,
        *,
        allow: Allow | None = None,
        directives: Sequence[object] = (),
        origin: Any = None,
        type_annotation: StrawberryAnnotation | None = None,
    ) -> None:
        namespace = vars(sys.modules[method.__module__])
        super().__init__(
            python_name=method.__name__,
            type_annotation=type_annotation or StrawberryAnnotation(element, namespace=namespace),
            description=first_paragraph(method.__doc__),
            directives=directives,
            origin=origin,
        )
        self.init = self.repr = self.compare = False
        self.method = method
        self.element = element
        self.allow = allow
        resolver = CtxResolver(method)
        parents = next(iter(inspect.signature(method).parameters))
        self.arguments = [argument for argument in resolver.arguments if argument.python_name != parents]
        self.ctx_parameter = resolver.ctx_parameter
        self.checks: Mapping[str, tuple[str, Check]] = declare_rules(self, method)

    @property
    def is_basic_field(self) -> bool:
        return False

    @cached_property
    def is_async(self) -> bool:
        return True

    def get_result(self, source: Any, info: Info[Any, Any] | None, args: list[Any], kwargs: Any) -> Any:
        return self._load(source, context_of(info), kwargs)

    async def _load(self, source: Any, ctx: Ctx, arguments: dict[str, Any]) -> Any:
        (value,) = await self.column([source], ctx, arguments)()
        if isinstance(value, Exception):
            raise value
        return value

    def column(
        self, parents: Sequence[Any], ctx: Ctx, arguments: Mapping[str, Any]
    ) -> Callable[[], Awaitable[Sequence[Any]]]:
        """A value, or the parent's own exception, for each of `parents`. They share a call with all that ask in this tick.

        What is returned is called once it is waited for. Raises: BadUserInput at once; when awaited, whatever failed for all.
        """
        checked(self.checks, arguments)
        refused = self._refused(parents, ctx)
        if refused:
            return self._beside(refused, parents, ctx, arguments)
        return self._asked(parents, ctx, arguments)

    def _refused(self, parents: Sequence[Any], ctx: Ctx) -> Mapping[int, Exception]:
        """What those parents get whose field the caller may not have, by their place."""
        if open_for(self.allow, ctx.identity):
            return {}
        refused: dict[int, Exception] = {}
        for place, parent in enumerate(parents):
            try:
                ensure_allowed(self.allow, parent, ctx)
            except Exception as error:  # that parent's own: it is refused, or the rule fails
                refused[place] = error
        return refused

    def _beside(
        self, refused: Mapping[int, Exception], parents: Sequence[Any], ctx: Ctx, arguments: Mapping[str, Any]
    ) -> Callable[[], Awaitable[Sequence[Any]]]:
        """The column with the refusals in it; only the other parents are handed over, and nobody is called where there is none."""
        others = [parent for place, parent in enumerate(parents) if place not in refused]
        asked = self._asked(others, ctx, arguments) if others else None

        async def column() -> list[Any]:
            values = iter([] if asked is None else await asked())
            return [refused[place] if place in refused else next(values) for place in range(len(parents))]

        return column

    def _asked(
        self, parents: Sequence[Any], ctx: Ctx, arguments: Mapping[str, Any]
    ) -> Callable[[], Awaitable[Sequence[Any]]]:
        name = (self, tuple(sorted((key, repr(value)) for key, value in arguments.items())))

        async def read(columns: list[Sequence[Any]]) -> list[Any]:
            values = iter(await self._values([parent for column in columns for parent in column], ctx, arguments))
            return [list(islice(values, len(column))) for column in columns]

        return ctx.loads.batch(name, parents, read)

    async def _values(self, parents: list[Any], ctx: Ctx, arguments: Mapping[str, Any]) -> list[Any]:
        given = {**arguments, **({self.ctx_parameter: ctx} if self.ctx_parameter else {})}
        values = await within_deadline(self.method(parents, **given), ctx)
        if len(values) != len(parents):
            raise BatchWrongLength(f"{self.python_name} answered {len(values)} values for {len(parents)} parents")
        return list(values)

    def __hash__(self) -> int:
        return id(self)

    def __copy__(self) -> BatchedField:
        return BatchedField(
            self.method,
            self.element,
            allow=self.allow,
            directives=self.directives,
            origin=self.origin,
            type_annotation=self.type_annotation,
        )


def _function(method: Any) -> Callable[..., Any]:
    return method.__func__ if isinstance(method, staticmethod) else method


def _element(method: Callable[..., Any]) -> Any:
    """`T` of an annotated return type `list[T]`. Raises: TypeError that says what to write."""
    annotation = inspect.signature(method).return_annotation
    if isinstance(annotation, str) and annotation.startswith("list[") and annotation.endswith("]"):
        return annotation[len("list[") : -1]
    if typing.get_origin(annotation) is list:
        return typing.get_args(annotation)[0]
    raise TypeError(f"@batched {method.__qualname__}: annotate what it returns as list[...], one value for each parent")
