"""`join`: an edge of the graph that crosses to another service. One line says batching, arguments and degradation.

    stock: Stock | None = join(stock_by_sku, on="sku", otherwise=stale("15m"))

Invariants: a join is never read from the parent's own payload; its failure stays at its path; what is served instead is reported.
The line in the schema (`@degrades`) is made from the same declaration that runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar, overload

from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from ..clock import NEVER, Seconds
from ..errors import GatewayError
from ..loading import Loader, Page, Reconciliation
from ..loading.loader import LazyLoader, resolved
from ..loading.records import camel
from .access import Allow
from .connection import Connection, connection, window
from .consistency import Consistency, ConsistencyDirective, ConsistencyLevel
from .context import Ctx
from .degradation import Alternative, Default, Degradation, Degraded, Otherwise, Stale, directives_of, fallbacks_of
from .fallback import Asked, instead, left_out
from .join_mistakes import mistake
from .pricing import ListSize, pricing
from .resolver import context_of, ensure_allowed
from .rules import Between, Check, check_for, checked, constraints

V = TypeVar("V")
T = TypeVar("T")

Argument = tuple[Any, Any]
"""(type, default) of a join's GraphQL argument."""
Declared = Loader[Any] | LazyLoader

# Why a chain that ends in a default has three signatures: mypy infers `default([])` in a tuple only where its length is written.
Sources = Loader[V] | Sequence[Loader[V]]
Standby = Stale | Alternative[V]

_PAGE_ARGUMENTS: dict[str, Argument] = {"first": (Annotated[int, Between(1, 100)], 10), "after": (str | None, None)}


class JoinField(StrawberryField):
    """The strawberry field behind `join`; the executor and `explain` read its declaration here."""

    def __init__(
        self,
        loader: Declared | Sequence[Declared],
        *,
        on: str,
        otherwise: Otherwise = None,
        reconcile: Reconciliation | None = None,
        consistency: Consistency = "eventual",
        join_arguments: Mapping[str, Argument] | None = None,
        allow: Allow | None = None,
        cost: int | None = None,
        list_size: ListSize | int | None = None,
        description: str | None = None,
        **rest: Any,
    ) -> None:
        self.declared_sources = (loader,) if isinstance(loader, Loader | LazyLoader) else tuple(loader)
        self.declared_loader = self.declared_sources[0]
        self.on = on
        self.otherwise = otherwise
        self.fallbacks = fallbacks_of(otherwise)
        """What is served when it fails, in the order in which it is tried; empty: null, with an error."""
        self.is_optional = any(isinstance(each, Default) for each in self.fallbacks)
        """Whether something can always be served in its place, so that an overloaded gateway may leave it out."""
        self.reconcile = reconcile
        """The rule for what several sources say; None where there is one source."""
        self.consistency: Consistency = consistency
        """"strong": only what the service says now, and none of the fallbacks."""
        self.cost = cost
        self.list_size = list_size
        super().__init__(description=description, directives=self._directives(), **rest)
        self.init = self.repr = self.compare = False
        self.join_arguments = dict(join_arguments or {})
        self.allow = allow
        self.arguments = [_argument(name, kind, value) for name, (kind, value) in self.join_arguments.items()]
        self.checks: dict[str, tuple[str, Check]] = {
            name: (camel(name), check)
            for name, (kind, _) in self.join_arguments.items()
            if (check := check_for(kind)) is not None
        }

    def _directives(self) -> list[object]:
        """What the schema says of it."""
        several = len(self.declared_sources) > 1
        degrades = directives_of(self.fallbacks, has_several_sources=several)
        strong = [ConsistencyDirective(level=ConsistencyLevel.STRONG)] if self.consistency == "strong" else []
        return [*degrades, *strong, *pricing(self.cost, self.list_size)]

    @property
    def is_basic_field(self) -> bool:
        return False

    @cached_property
    def is_async(self) -> bool:
        return True

    @property
    def loader(self) -> Loader[Any]:
        """The loader, found by name where it closes a cycle of modules; of several sources the first."""
        return resolved(self.declared_loader)

    @property
    def sources(self) -> tuple[Loader[Any], ...]:
        """Who is asked at the same time, as declared: one loader, or those that `reconcile` decides between."""
        return tuple(resolved(declared) for declared in self.declared_sources)

    @property
    def loaders(self) -> tuple[Loader[Any], ...]:
        """Everybody whom the join may ever ask: its sources, then its alternatives."""
        return (*self.sources, *(each.loader for each in self.fallbacks if isinstance(each, Alternative)))

    @property
    def is_nullable(self) -> bool:
        return isinstance(self.type, StrawberryOptional)

    @property
    def stands_in(self) -> Default[Any] | None:
        """What an overloaded gateway serves without asking anybody nor looking for what is known; None where it has to look."""
        first = next((each for each in self.fallbacks if not isinstance(each, Alternative)), None)
        return first if isinstance(first, Default) and (first.value is not None or self.is_nullable) else None

    @property
    def stale_age(self) -> Seconds:
        """How old an answer this join may want; 0 when it never does."""
        return max((each.max_age for each in self.fallbacks if isinstance(each, Stale)), default=NEVER)

    def problem(self) -> str | None:
        """What is wrong with the declaration, checked once the whole graph is there; None if nothing.

        Raises: TypeError for a record that cannot be decoded, LookupError for a loader that is not where it was named.
        """
        return mistake(self)

    def get_result(self, source: Any, info: Info[Any, Any] | None, args: list[Any], kwargs: Any) -> Any:
        given = vars(source).get(self.name, dataclasses.MISSING)
        if given is dataclasses.MISSING:
            return self._load(source, info, kwargs)
        ensure_allowed(self.allow, source, context_of(info))
        return _at_once(given)

    async def _load(self, source: Any, info: Info[Any, Any] | None, arguments: dict[str, Any]) -> Any:
        ctx = context_of(info)
        ensure_allowed(self.allow, source, ctx)
        checked(self.checks, arguments)
        loader = self.loader
        if not loader.page:
            return await self._value(source, loader, ctx=ctx, info=info, arguments=arguments)
        asked = window(arguments["first"], arguments.get("after"), longest=loader.max_page)
        sent = {**arguments, "first": asked.limit, "after": asked.cursor.page}
        return connection(await self._value(source, loader, ctx=ctx, info=info, arguments=sent), asked)

    async def _value(self, source: Any, loader: Loader[Any], *, ctx: Ctx, info: Any, arguments: dict[str, Any]) -> Any:
        """What the source says, or what the declaration serves instead. Raises: GatewayError, where nothing can be served."""
        key = getattr(source, self.on)
        if key is None:
            return loader.absent
        try:
            if ctx.sheds and self.is_optional:
                raise left_out()
            if self.reconcile is not None:
                return await self._reconciled(self.reconcile, key, ctx=ctx, info=info, arguments=arguments)
            return await ctx.loads.load(loader, key, arguments, is_strong=self.consistency == "strong")
        except GatewayError as error:
            asked = Asked(parent=source, key=key, arguments=arguments, ctx=ctx, info=info)
            return await instead(error, self, asked)

    async def _reconciled(
        self, rule: Reconciliation, key: str, *, ctx: Ctx, info: Any, arguments: dict[str, Any]
    ) -> Any:
        """What the rule makes of all sources; those that failed are reported. Raises: GatewayError."""
        name = f"{info.path.typename}.{info.field_name}"
        found = await ctx.loads.reconcile(self.sources, key, arguments, rule=rule, field=name)
        for failure in found.left_out:
            ctx.note(Degraded(info.path.as_list(), Degradation.PARTIAL, failure))
        return found.value

    def __copy__(self) -> JoinField:
        return JoinField(
            self.declared_sources,
            on=self.on,
            otherwise=self.otherwise,
            reconcile=self.reconcile,
            consistency=self.consistency,
            join_arguments=self.join_arguments,
            allow=self.allow,
            cost=self.cost,
            list_size=self.list_size,
            description=self.description,
            python_name=self.python_name,
            graphql_name=self.graphql_name,
            type_annotation=self.type_annotation,
            origin=self.origin,
            deprecation_reason=self.deprecation_reason,
        )

    def __repr__(self) -> str:
        rule = "" if self.reconcile is None else f", {self.reconcile!r}"
        return f"<JoinField {self.python_name} on {self.on} by {', '.join(map(repr, self.declared_sources))}{rule}>"


@overload
def join(
    loader: Loader[Page[T]],
    *,
    on: str,
    otherwise: tuple[Stale, Default[Page[T]]],
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Connection[T]: ...
@overload
def join(
    loader: Loader[Page[T]],
    *,
    on: str,
    otherwise: Default[Page[T]],
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Connection[T]: ...
@overload
def join(
    loader: Loader[Page[T]],
    *,
    on: str,
    otherwise: Stale | None = None,
    consistency: Consistency = "eventual",
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Connection[T] | None: ...
@overload
def join(
    loader: Sources[V],
    *,
    on: str,
    otherwise: tuple[Standby[V], Default[V]],
    reconcile: Reconciliation | None = None,
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> V: ...
@overload
def join(
    loader: Sources[V],
    *,
    on: str,
    otherwise: tuple[Standby[V], Standby[V], Default[V]],
    reconcile: Reconciliation | None = None,
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> V: ...
@overload
def join(
    loader: Sources[V],
    *,
    on: str,
    otherwise: Default[V] | tuple[*tuple[Standby[V], ...], Default[V]],
    reconcile: Reconciliation | None = None,
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> V: ...
@overload
def join(
    loader: Sources[V],
    *,
    on: str,
    otherwise: Standby[V] | tuple[Standby[V], ...] | None = None,
    reconcile: Reconciliation | None = None,
    consistency: Consistency = "eventual",
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> V | None: ...
def join(
    loader: Any,
    *,
    on: str,
    otherwise: Otherwise = None,
    reconcile: Any = None,
    consistency: Any = "eventual",
    description: str | None = None,
    allow: Allow | None = None,
    cost: int | None = None,
    list_size: ListSize | int | None = None,
    init: Literal[False] = False,
    **arguments: Argument,
) -> Any:
    """Declare an edge to what `loader` finds under the parent's attribute `on`.

    `otherwise`: `stale("15m")` serves the last known answer, `alternative(other)` what another loader finds, `default(value)` a
    value; several in a tuple are tried in order, a default last; without it the field is null with an error.
    `consistency="strong"`: only what the service says now, nothing cached, shared or served instead.
    Several loaders in a list tell one fact: all are asked at the same time, and `reconcile` (`newest("updated_at")`,
    `authority("catalog")`, `quorum()`) says who is right.
    Keyword arguments become GraphQL arguments, as in `first=(int, 10)`: they are part of the batch key and go to the
    service by the names in the loader's `params`. A loader of pages makes a connection, with `first` and `after`.
    `allow`, an access rule or a function of the parent and the identity, guards the field.
    `cost`: what each key costs besides its call; `list_size`: how long the list is taken to be (`50`, or `sized(20, by="limit")`).
    Cost: one call a layer, source and distinct argument set.
    """
    if isinstance(loader, Loader) and loader.page:
        arguments = {**_PAGE_ARGUMENTS, **arguments}
    return JoinField(
        loader,
        on=on,
        otherwise=otherwise,
        reconcile=reconcile,
        consistency=consistency,
        join_arguments=arguments,
        allow=allow,
        cost=cost,
        list_size=list_size,
        description=description,
    )


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
