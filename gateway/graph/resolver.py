"""`@resolver`: a method that yields a field, told the request's `Ctx`, under the deadline, its arguments checked.

A resolver is a strawberry field with three things added: a parameter annotated `Ctx` receives the request's context, declared
domain rules are checked before the body runs, and an asynchronous body ends with the operation's deadline.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar, overload

from graphql import OperationType
from strawberry.types.field import StrawberryField
from strawberry.types.fields.resolver import ReservedType, StrawberryResolver
from strawberry.types.info import Info

from ..errors import DeadlineExceeded
from ..loading.records import camel
from ..services.timers import Expiry
from .access import Allow, lets, refusal
from .context import Ctx
from .pricing import ListSize, pricing
from .rules import Check, as_written, check_for, checked, constraints

F = TypeVar("F", bound=Callable[..., Any])


class CtxResolver(StrawberryResolver[Any]):
    """A resolver whose parameter annotated `Ctx` is no GraphQL argument."""

    CTX_PARAMSPEC = ReservedType("ctx", Ctx)
    RESERVED_PARAMSPEC = (*StrawberryResolver.RESERVED_PARAMSPEC, CTX_PARAMSPEC)

    @property
    def ctx_parameter(self) -> str | None:
        parameter = self.reserved_parameters.get(self.CTX_PARAMSPEC)
        return None if parameter is None else parameter.name


class ResolverField(StrawberryField):
    """A field with a resolver of ours."""

    allow: Allow | None = None
    checks: Mapping[str, tuple[str, Check]] = {}
    ctx_parameter: str | None = None

    @classmethod
    def of(
        cls,
        method: Callable[..., Any],
        *,
        description: str | None,
        allow: Allow | None,
        directives: Sequence[object] = (),
    ) -> ResolverField:
        """`directives`: what the schema says of it besides its rules."""
        resolver = CtxResolver(method)
        made = cls(
            python_name=method.__name__,
            base_resolver=resolver,
            description=description or first_paragraph(method.__doc__),
            directives=directives,
        )
        made.allow = allow
        made.ctx_parameter = resolver.ctx_parameter
        made.checks = declare_rules(made, method)
        return made

    def get_result(self, source: Any, info: Info[Any, Any] | None, args: list[Any], kwargs: Any) -> Any:
        ctx = context_of(info)
        self.admit(source, kwargs, ctx, info)
        if self.ctx_parameter is not None:
            kwargs[self.ctx_parameter] = ctx
        result = super().get_result(source, info, args, kwargs)
        return within_deadline(result, ctx) if inspect.isawaitable(result) else result

    def admit(self, source: Any, arguments: Mapping[str, Any], ctx: Ctx, info: Info[Any, Any] | None) -> None:
        """Raises: Unauthenticated or Forbidden for who may not have it, then BadUserInput for arguments that break a rule."""
        if self.allow is not None:
            ensure_allowed(self.allow, source, ctx, is_write=_is_write(info))
        checked(self.checks, arguments)

    def __copy__(self) -> ResolverField:
        copy = super().__copy__()
        copy.allow, copy.checks, copy.ctx_parameter = self.allow, self.checks, self.ctx_parameter
        return copy


class ColumnField(StrawberryField):
    """A plain field with an access rule: copied from its parent, where the caller may have it."""

    allow: Allow | None = None

    @property
    def is_basic_field(self) -> bool:
        return False

    def get_result(self, source: Any, info: Info[Any, Any] | None, args: list[Any], kwargs: Any) -> Any:
        ensure_allowed(self.allow, source, context_of(info))
        return super().get_result(source, info, args, kwargs)

    def __copy__(self) -> ColumnField:
        copy = super().__copy__()
        copy.allow = self.allow
        return copy


@overload
def resolver(method: F, /) -> F: ...
@overload
def resolver(
    *,
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
) -> Callable[[F], F]: ...
def resolver(
    method: Any = None,
    *,
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
) -> Any:
    """Make a method a field of the graph; its docstring's first paragraph is the field's description.

    `allow`, an access rule or a function of the parent and the identity, guards it: an anonymous caller gets UNAUTHENTICATED, a
    known one FORBIDDEN, for this field only.

    `cost`: what it costs for each parent, besides the calls that it names; `list_size`: how long its list is taken to be.
    """
    directives = pricing(cost, list_size)

    def declare(declared: Callable[..., Any]) -> Any:
        return ResolverField.of(declared, description=description, allow=allow, directives=directives)

    return declare if method is None else declare(method)


def context_of(info: Info[Any, Any] | None) -> Ctx:
    if info is None or not isinstance(info.context, Ctx):
        raise TypeError("this graph runs inside the gateway: execute it through gateway.app, which hands over a Ctx")
    return info.context


def ensure_allowed(allow: Allow | None, source: Any, ctx: Ctx, *, is_write: bool = False) -> None:
    """Raises: Unauthenticated or Forbidden."""
    if allow is not None and not lets(allow, source, ctx.identity):
        raise refusal(ctx.identity, "mutation" if is_write else "field")


def _is_write(info: Info[Any, Any] | None) -> bool:
    """Whether the field is one of the mutation type."""
    return info is not None and info.path.prev is None and info.operation.operation is OperationType.MUTATION


class Bounded:
    """A result that ends with the operation's deadline. Whoever does not await it after all closes it."""

    __slots__ = ("_ctx", "_result")

    def __init__(self, result: Awaitable[Any], ctx: Ctx) -> None:
        self._result = result
        self._ctx = ctx

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._bounded().__await__()

    def close(self) -> None:
        if inspect.iscoroutine(self._result):
            self._result.close()

    async def _bounded(self) -> Any:
        expiry = Expiry(self._ctx.timers, self._ctx.deadline.at)
        try:
            with expiry:
                return await self._result
        except TimeoutError as error:
            if not expiry.has_expired:
                raise
            raise DeadlineExceeded("the operation's deadline passed before this field was ready") from error


def within_deadline(result: Awaitable[Any], ctx: Ctx) -> Bounded:
    """The result, unless the operation's deadline comes first. Raises, when awaited: DeadlineExceeded."""
    return Bounded(result, ctx)


def declare_rules(made: StrawberryField, method: Callable[..., Any]) -> dict[str, tuple[str, Check]]:
    """Print the rules on a method's parameters in the SDL, and return their checkers by Python name."""
    checks: dict[str, tuple[str, Check]] = {}
    annotations = {name: parameter.annotation for name, parameter in inspect.signature(method).parameters.items()}
    for argument in made.arguments:
        annotation = as_written(annotations.get(argument.python_name), method)
        argument.directives = (*argument.directives, *constraints(annotation))
        check = check_for(annotation)
        if check is not None:
            checks[argument.python_name] = (argument.graphql_name or camel(argument.python_name), check)
    return checks


def first_paragraph(docstring: str | None) -> str | None:
    """What a schema shows of a docstring."""
    if not docstring:
        return None
    return " ".join(inspect.cleandoc(docstring).split("\n\n")[0].split())
