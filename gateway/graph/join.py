"""`join`: an edge of the graph that crosses to another service. One line says batching, arguments and degradation.

    stock: Stock | None = join(stock_by_sku, on="sku", otherwise=stale("15m"))

Invariants: a join is never read from the parent's own payload; its failure stays at its path; what is served instead is reported.
The line in the schema (`@degrades`) is made from the same declaration that runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, overload

from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from ..clock import Seconds
from ..errors import GatewayError
from ..loading import Loader, Page
from ..loading.loader import LazyLoader
from ..loading.records import camel, loader_codec
from .connection import Connection, connection, window
from .context import Ctx
from .degradation import Default, Degradation, Degraded, Otherwise, Stale, directive_of
from .resolver import Allow, context_of, ensure_allowed
from .rules import Between, Check, check_for, checked, constraints

V = TypeVar("V")
T = TypeVar("T")

Argument = tuple[Any, Any]
"""(type, default) of a join's GraphQL argument."""

_PAGE_ARGUMENTS: dict[str, Argument] = {"first": (Annotated[int, Between(1, 100)], 10), "after": (str | None, None)}


class JoinField(StrawberryField):
    """The strawberry field behind `join`; the executor and `explain` read its declaration here."""

    def __init__(
        self,
        loader: Loader[Any] | LazyLoader,
        *,
        on: str,
        otherwise: Otherwise = None,
        join_arguments: Mapping[str, Argument] | None = None,
        allow: Allow | None = None,
        description: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(description=description, directives=[directive_of(otherwise)], **rest)
        self.init = self.repr = self.compare = False
        self.declared_loader = loader
        self.on = on
        self.otherwise = otherwise
        self.join_arguments = dict(join_arguments or {})
        self.allow = allow
        self.arguments = [_argument(name, kind, value) for name, (kind, value) in self.join_arguments.items()]
        self.checks: dict[str, tuple[str, Check]] = {
            name: (camel(name), check)
            for name, (kind, _) in self.join_arguments.items()
            if (check := check_for(kind)) is not None
        }

    @property
    def is_basic_field(self) -> bool:
        return False

    @cached_property
    def is_async(self) -> bool:
        return True

    @property
    def loader(self) -> Loader[Any]:
        """The loader, found by name where it closes a cycle of modules."""
        return self.declared_loader.resolve() if isinstance(self.declared_loader, LazyLoader) else self.declared_loader

    @property
    def stale_age(self) -> Seconds:
        """How old an answer this join may want; 0 when it never does."""
        return self.otherwise.max_age if isinstance(self.otherwise, Stale) else Seconds(0.0)

    def problem(self) -> str | None:
        """What is wrong with the declaration, checked once the whole graph is there; None if nothing.

        Raises: TypeError for a record that cannot be decoded, LookupError for a loader that is not where it was named.
        """
        loader = self.loader
        if (unreadable := _unreadable(self.origin, self.on)) is not None:
            return unreadable
        unpaged = [name for name in _PAGE_ARGUMENTS if loader.page and name not in self.join_arguments]
        if unpaged:
            return f"{loader!r} answers pages, and a lazily named loader cannot say so in time: add {_page_arguments(unpaged)}"
        unknown = [name for name in self.join_arguments if name not in loader.params]
        if unknown:
            known = ", ".join(sorted(loader.params)) or "none"
            return f"argument {unknown[0]!r} is no parameter of {loader!r} (it has: {known}); add it to params="
        if not isinstance(self.type, StrawberryOptional) and not isinstance(self.otherwise, Default):
            return "it is not nullable and has no fallback: make it `| None`, or give otherwise=default(...)"
        loader_codec(loader)
        return None

    def get_result(self, source: Any, info: Info[Any, Any] | None, args: list[Any], kwargs: Any) -> Any:
        given = vars(source).get(self.name, dataclasses.MISSING)
        if given is dataclasses.MISSING:
            return self._load(source, info, kwargs)
        ensure_allowed(self.allow, source, context_of(info))
        return _at_once(given)

    async def _load(self, source: Any, info: Info[Any, Any] | None, arguments: dict[str, Any]) -> Any:
        ctx, loader = context_of(info), self.loader
        ensure_allowed(self.allow, source, ctx)
        checked(self.checks, arguments)
        key = getattr(source, self.on)
        if loader.page:
            return await self._load_page(loader, key, ctx=ctx, info=info, arguments=arguments)
        if key is None:
            return loader.absent
        try:
            return await ctx.loads.load(loader, key, arguments)
        except GatewayError as error:
            return self._instead(error, key, ctx=ctx, info=info, arguments=arguments)

    async def _load_page(
        self, loader: Loader[Page[Any]], key: str | None, *, ctx: Ctx, info: Any, arguments: dict[str, Any]
    ) -> Connection[Any]:
        asked = window(arguments["first"], arguments.get("after"), longest=loader.max_page)
        sent = {**arguments, "first": asked.limit, "after": asked.cursor.page}
        page: Page[Any] | None
        try:
            page = await ctx.loads.load(loader, key, sent) if key is not None else None
        except GatewayError as error:
            page = self._instead(error, key or "", ctx=ctx, info=info, arguments=sent)
        return connection(page or Page(()), asked)

    def _instead(self, error: GatewayError, key: str, *, ctx: Ctx, info: Any, arguments: Mapping[str, Any]) -> Any:
        """What the declaration serves in place of the answer. Raises: `error`, where nothing can be."""
        path = info.path.as_list()
        if isinstance(self.otherwise, Default):
            ctx.note(Degraded(path, Degradation.DEFAULT, error))
            value = self.otherwise.value
            return list(value) if isinstance(value, list) else value
        if isinstance(self.otherwise, Stale):
            known = ctx.loads.stale(self.loader, key, arguments=arguments, max_age=self.otherwise.max_age)
            if known is not None:
                ctx.note(Degraded(path, Degradation.STALE, error, known[1]))
                return known[0]
        ctx.note(Degraded(path, Degradation.NULL, error))
        raise error

    def __copy__(self) -> JoinField:
        return JoinField(
            self.declared_loader,
            on=self.on,
            otherwise=self.otherwise,
            join_arguments=self.join_arguments,
            allow=self.allow,
            description=self.description,
            python_name=self.python_name,
            graphql_name=self.graphql_name,
            type_annotation=self.type_annotation,
            origin=self.origin,
            deprecation_reason=self.deprecation_reason,
        )

    def __repr__(self) -> str:
        return f"<JoinField {self.python_name} on {self.on} by {self.declared_loader!r}>"


@overload
def join(
    loader: Loader[Page[T]],
    *,
    on: str,
    otherwise: Default[Page[T]],
    description: str | None = None,
    allow: Allow | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Connection[T]: ...
@overload
def join(
    loader: Loader[Page[T]],
    *,
    on: str,
    otherwise: Stale | None = None,
    description: str | None = None,
    allow: Allow | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Connection[T] | None: ...
@overload
def join(
    loader: Loader[V],
    *,
    on: str,
    otherwise: Default[V],
    description: str | None = None,
    allow: Allow | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> V: ...
@overload
def join(
    loader: Loader[V],
    *,
    on: str,
    otherwise: Stale | None = None,
    description: str | None = None,
    allow: Allow | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> V | None: ...
def join(
    loader: Any,
    *,
    on: str,
    otherwise: Otherwise = None,
    description: str | None = None,
    allow: Allow | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Any:
    """Declare an edge to what `loader` finds under the parent's attribute `on`.

    `otherwise`: `stale("15m")` serves the last known answer, `default(value)` a value; without it the field is null with an
    error. Keyword arguments become GraphQL arguments, as in `first=(int, 10)`: they are part of the batch key and go to the
    service by the names in the loader's `params`. A loader of pages makes a connection, with `first` and `after`.
    `allow(parent, identity)` guards the field. Cost: one call a layer and distinct argument set.
    """
    if isinstance(loader, Loader) and loader.page:
        arguments = {**_PAGE_ARGUMENTS, **arguments}
    return JoinField(loader, on=on, otherwise=otherwise, join_arguments=arguments, allow=allow, description=description)


class Unresolved:
    """Stands on the class where a join was declared: reading it without loading is a mistake that says how to load it."""

    def __init__(self, field: JoinField, owner: str) -> None:
        self.field = field
        self.owner = owner

    def __get__(self, instance: object | None, owner: type[Any]) -> Any:
        if instance is None:
            return self.field
        loader = self.field.declared_loader
        raise LookupError(
            f"{self.owner}.{self.field.python_name} is a join and was not loaded: await ctx.load({loader!r}, {self.field.on})"
        )


def _unreadable(owner: Any, on: str) -> str | None:
    """What is wrong with `on`, unless it names something that every `owner` has."""
    if owner is None:
        return None
    known = {column.name for column in dataclasses.fields(owner) if column.init}
    if on in known or hasattr(owner, on):
        return None
    near = get_close_matches(on, known, n=1)
    hint = f": did you mean {near[0]!r}?" if near else f" (it has: {', '.join(sorted(known)) or 'none'})"
    return f"on={on!r} is no attribute of {owner.__name__}{hint}"


def _page_arguments(names: Sequence[str]) -> str:
    written = {"first": "first=(int, 10)", "after": "after=(str | None, None)"}
    return " and ".join(written[name] for name in names)


async def _at_once(value: Any) -> Any:
    return value


def _argument(name: str, kind: Any, value: Any) -> StrawberryArgument:
    """A GraphQL argument of a join, with its rules in the SDL."""
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(_plain(kind)),
        default=value,
        directives=constraints(kind),
    )


def _plain(kind: Any) -> Any:
    return kind.__origin__ if hasattr(kind, "__metadata__") else kind
