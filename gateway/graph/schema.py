"""The author's classes become one schema, and what they declared is found again: joins, sagas, freshness.

Invariant: a `Graph` is immutable and stateless, so applications in one process may share it. One schema per pair of root types
and process: strawberry does not build relay-style generics twice from the same types.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from strawberry.schema.config import StrawberryConfig
from strawberry.types.field import StrawberryField

from ..clock import Seconds
from ..loading import Loader
from ..sagas import Definition
from .access_directives import print_guards
from .batched import BatchedField
from .context import Ctx
from .guards import place_guards, problems_of_roots
from .join import JoinField
from .pricing import list_size_of, pricing_problem
from .resolver import ResolverField, within_deadline
from .saga_field import SagaField

_CONFIG = StrawberryConfig(enable_experimental_incremental_execution=True)
"""@defer and @stream are in every schema, so that a document is valid wherever it is sent; whether parts come later is decided
where it is executed."""

DEFINITION = "strawberry-definition"
"""Under this name a field of graphql-core's schema has strawberry's in its `extensions`, and so what the author declared."""

SLICING = ("first", "last")
"""Arguments that say how long a list is, wherever nothing else is declared."""


class GraphInvalid(Exception):
    """The graph cannot be built. `problems` has one sentence for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, eq=False)
class Graph:
    """A schema and what was declared in it."""

    schema: strawberry.Schema
    joins: Mapping[str, JoinField]
    """By "Type.field"."""
    sagas: Mapping[str, Definition]
    """By the name of their mutation field: those that can be begun."""
    older_sagas: tuple[Definition, ...] = ()
    """Earlier versions, registered so that what was begun under them can end."""

    @property
    def core(self) -> GraphQLSchema:
        """What graphql-core executes."""
        return core_of(self.schema)

    @cached_property
    def sdl(self) -> str:
        """The contract that clients see, as `schema.graphql` holds it."""
        return self.schema.as_str().rstrip() + "\n"

    @cached_property
    def keep(self) -> Mapping[Loader[Any], Seconds]:
        """For how long joins may want stale answers of a loader: the longest wish counts."""
        longest: dict[Loader[Any], Seconds] = {}
        for field in self.joins.values():
            for source in field.sources:
                longest[source] = max(longest.get(source, Seconds(0.0)), field.stale_age)
        return longest

    @cached_property
    def services(self) -> frozenset[str]:
        """Names of the services that joins cross to."""
        return frozenset(loader.service for field in self.joins.values() for loader in field.loaders)

    @cached_property
    def slicing(self) -> frozenset[str]:
        """Names of all arguments that say how long a list is."""
        declared = (list_size_of(field) for _, (_, field) in _fields(self.core))
        return frozenset(SLICING).union(*(each.by for each in declared if each is not None))

    def problems(self) -> list[str]:
        """Mistakes that show only once all of the graph is there."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        for name, field in self.joins.items():
            try:
                problem = field.problem()
            except (LookupError, ImportError, TypeError) as error:
                problem = str(error)
            if problem is not None:
                yield f"{name}: {problem}"
        yield from problems_of_roots(self.core)
        for name, (core_field, definition) in _fields(self.core):
            if (mistake := pricing_problem(core_field, definition)) is not None:
                yield f"{name}: {mistake}"
        for name, times in Counter(definition.name for definition in self.sagas.values()).items():
            if times > 1:
                yield f"saga {name} is the field of {times} mutations: one saga, one mutation"

    def summary(self) -> str:
        """A few lines for people."""
        objects = [name for name in self.core.type_map if not name.startswith("__")]
        lines = [f"{len(objects)} types, {len(self.joins)} joins to {len(self.services)} services"]
        lines += [f"saga {each.name} v{each.version}: {', '.join(each.plan.steps)}" for each in self.sagas.values()]
        return "\n".join(lines)


def build_graph(query: type[Any], mutation: type[Any] | None = None, subscription: type[Any] | None = None) -> Graph:
    """Build the schema from its root types. Raises: GraphInvalid with every problem that can be told."""
    roots: tuple[Any, Any, Any] = (query, mutation, subscription)
    return _built(*roots)


@lru_cache(maxsize=16)
def _built(query: type[Any], mutation: type[Any] | None, subscription: type[Any] | None) -> Graph:
    try:
        schema = strawberry.Schema(query=query, mutation=mutation, subscription=subscription, config=_CONFIG)
        place_guards(core_of(schema))
    except Exception as error:  # strawberry's, about the author's own types; becomes what `check` prints
        raise GraphInvalid([f"the schema cannot be built: {type(error).__name__}: {error}"]) from error
    print_guards(core_of(schema))
    fields = dict(_fields(core_of(schema)))
    graph = Graph(
        schema=schema,
        joins={name: field for name, (_, field) in fields.items() if isinstance(field, JoinField)},
        older_sagas=tuple(
            older for _, field in fields.values() if isinstance(field, SagaField) for older in field.older
        ),
        sagas={
            name.split(".")[1]: field.definition for name, (_, field) in fields.items() if isinstance(field, SagaField)
        },
    )
    streams = "" if graph.core.subscription_type is None else f"{graph.core.subscription_type.name}."
    for name, (core_field, field) in fields.items():
        if not (streams and name.startswith(streams)):  # a stream has no deadline; each of its answers has one
            _end_with_deadline(core_field, field)
    if graph.core.mutation_type is not None:
        for core_field in graph.core.mutation_type.fields.values():
            _begin_a_generation(core_field)
    if problems := graph.problems():
        raise GraphInvalid(problems)
    return graph


def core_of(schema: strawberry.Schema) -> GraphQLSchema:
    return schema._schema  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - strawberry has no public name for it


def definition_of(field: GraphQLField) -> StrawberryField | None:
    """Strawberry's field behind one of graphql-core's; None for those of the schema itself."""
    found = field.extensions.get(DEFINITION)
    return found if isinstance(found, StrawberryField) else None


def _fields(core: GraphQLSchema) -> Iterator[tuple[str, tuple[GraphQLField, StrawberryField]]]:
    """("Type.field", (graphql-core's field, strawberry's)) of every object type."""
    for type_name, kind in core.type_map.items():
        if isinstance(kind, GraphQLObjectType) and not type_name.startswith("__"):
            for name, core_field in kind.fields.items():
                field = core_field.extensions.get(DEFINITION)
                if isinstance(field, StrawberryField):
                    yield f"{type_name}.{name}", (core_field, field)


def _end_with_deadline(core_field: GraphQLField, field: StrawberryField) -> None:
    """Put plain strawberry resolvers under the operation's deadline; ours are already."""
    if isinstance(field, ResolverField | JoinField | BatchedField) or not field.is_async:
        return
    resolve = core_field.resolve
    if resolve is None:
        return

    def bounded(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        result = resolve(source, info, **arguments)
        ctx = info.context
        return within_deadline(result, ctx) if inspect.isawaitable(result) and isinstance(ctx, Ctx) else result

    core_field.resolve = bounded


def _begin_a_generation(core_field: GraphQLField) -> None:
    """After a field of the mutation type, what the request has read and what is fresh in caches holds no more."""
    resolve = core_field.resolve
    if resolve is None:
        return

    def renewing(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        result = resolve(source, info, **arguments)
        return _then_renew(result, info) if inspect.isawaitable(result) else _renewed(result, info)

    core_field.resolve = renewing


async def _then_renew(result: Awaitable[Any], info: GraphQLResolveInfo[Any]) -> Any:
    return _renewed(await result, info)


def _renewed(value: Any, info: GraphQLResolveInfo[Any]) -> Any:
    if isinstance(info.context, Ctx):
        info.context.loads.new_generation()
    return value
