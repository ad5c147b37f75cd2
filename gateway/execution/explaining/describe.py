"""What the author wrote behind a field: column, join, batched or plain Python, saga; and the calls that follow from it.

Invariant: whoever adds a kind of field adds it here and nowhere else; two fields that would ask their service the same question
get the same number for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import GraphQLField
from strawberry.types.field import StrawberryField

from ...clock import Seconds
from ...graph import JoinField, SagaField
from ...graph.access import told
from ...graph.batched import BatchedField
from ...graph.pricing import weight_of
from ...graph.resolver import ColumnField, ResolverField
from ...graph.schema import DEFINITION, definition_of
from .calls import Calls
from .declared import Fallback, declared
from .explanation import Call, ExplainedFallback, ExplainedJoin, ExplainedSaga, Kind
from .named import Named, named_in
from .sagas import explained_saga
from .sizes import Sizes, sizes_of


@dataclass(frozen=True, slots=True)
class Asking:
    """How a field is asked for in one place of an operation."""

    arguments: Mapping[str, str]
    is_many: bool
    generation: int
    """Of the request: what was read in another one is read anew."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What comes of it."""

    calls: tuple[Call, ...] = ()
    join: ExplainedJoin | None = None
    saga: ExplainedSaga | None = None

    @property
    def makes_calls(self) -> bool:
        return bool(self.calls) or self.saga is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A field of a type, wherever it is asked for."""

    kind: Kind
    identity: Hashable
    """Equal for fields of several types that are one declaration."""
    ask: Callable[[Asking], Asked]
    guard: str | None = None
    is_async: bool = False
    """Whether its value is not there in the tick in which it is asked for."""
    weight: int = 0
    """What it is declared to cost for each parent."""
    sizes: Sizes = Sizes({})


@dataclass(slots=True)
class Descriptions:
    """Describes fields. State: the numbers of questions, so that equal ones are told; what was read of each function, and
    said of each field."""

    calls: Calls
    saga_wait: Seconds
    _questions: dict[Hashable, int] = field(default_factory=dict[Hashable, int], init=False)
    _named: dict[Any, tuple[Named, ...]] = field(default_factory=dict[Any, tuple[Named, ...]], init=False)
    _described: dict[int, Description] = field(default_factory=dict[int, Description], init=False)

    def of(self, name: str, core: GraphQLField) -> Description:
        """The field that types have under `name`."""
        found = self._described.get(id(core))
        if found is None:
            found = self._described[id(core)] = self._priced(name, core)
        return found

    def _priced(self, name: str, core: GraphQLField) -> Description:
        definition = core.extensions.get(DEFINITION)
        described, weight, sizes = self._of(name, definition), weight_of(definition_of(core)), sizes_of(core)
        identity = (described.identity, weight, repr(sizes))  # what costs differently is not told together
        return replace(described, identity=identity, weight=weight, sizes=sizes)

    def _of(self, name: str, definition: object) -> Description:
        match definition:
            case JoinField():
                return self._join(definition)
            case SagaField():
                return self._saga(definition)
            case BatchedField():
                return self._python("batched", definition, definition.method, owner=definition.origin)
            case StrawberryField(base_resolver=resolver) if resolver is not None:
                return self._python("resolver", definition, resolver.wrapped_func, owner=definition.origin)
            case ColumnField():
                guard = told(definition.allow)
                return Description(kind="column", identity=(name, guard), ask=lambda _: Asked(), guard=guard)
            case _:
                kind: Kind = "introspection" if name.startswith("__") else "column"
                return Description(kind=kind, identity=name, ask=lambda _: Asked())

    def _join(self, join: JoinField) -> Description:
        declaration = declared(join)

        def ask(asking: Asking) -> Asked:
            arguments = {declaration.parameters.get(name, name): text for name, text in asking.arguments.items()}
            batch = _Batch(arguments, asking.is_many, asking.generation)
            asked = (self._batch(loader, batch) for loader in declaration.sources)
            calls = tuple(self.calls.strongly(call) if declaration.is_strong else call for call in asked)
            fallbacks = tuple(self._fallback(each, batch) for each in declaration.fallbacks)
            join = ExplainedJoin(
                on=declaration.on,
                reconcile=declaration.reconcile,
                authority=declaration.authority,
                is_strong=declaration.is_strong,
                fallbacks=fallbacks,
            )
            return Asked(calls=calls, join=join)

        identity = (
            declaration.on,
            *map(id, declaration.sources),
            declaration.reconcile,
            declaration.is_strong,
            repr(declaration.fallbacks),
        )
        return Description(kind="join", identity=identity, ask=ask, guard=told(join.allow), is_async=True)

    def _fallback(self, fallback: Fallback, batch: _Batch) -> ExplainedFallback:
        call = None if fallback.loader is None else self._batch(fallback.loader, batch)
        return ExplainedFallback(kind=fallback.kind, value=fallback.value, max_age=fallback.max_age, call=call)

    def _batch(self, loader: Any, batch: _Batch) -> Call:
        question = self._question(batch.generation, id(loader), tuple(sorted(batch.arguments.items())))
        return self.calls.of_loader(loader, question=question, has_many_keys=batch.is_many, arguments=batch.arguments)

    def _python(self, kind: Kind, definition: StrawberryField, function: Any, *, owner: Any) -> Description:
        def ask(asking: Asking) -> Asked:
            return Asked(calls=self._of_code(function, owner, generation=asking.generation))

        guard = definition.allow if isinstance(definition, ResolverField | BatchedField) else None
        return Description(kind=kind, identity=function, ask=ask, guard=told(guard), is_async=definition.is_async)

    def _of_code(self, function: Any, owner: Any, *, generation: int) -> tuple[Call, ...]:
        found = self._named.get(function)
        if found is None:
            found = self._named[function] = named_in(function, owner=owner)
        return tuple(
            self.calls.of_named(each, question=self._question(generation, id(each.declaration), "code"))
            for each in found
        )

    def _saga(self, saga: SagaField) -> Description:
        def ask(asking: Asking) -> Asked:
            return Asked(
                saga=explained_saga(saga.definition, self.calls, wait=self.saga_wait, question=self._fresh_question)
            )

        identity = id(saga.definition.saga)
        return Description(kind="saga", identity=identity, ask=ask, guard=told(saga.allow), is_async=True)

    def _fresh_question(self) -> int:
        """A saga reads anew and sends under a key of its own: nobody shares its calls."""
        return self._question(len(self._questions))

    def _question(self, *parts: Hashable) -> int:
        return self._questions.setdefault(parts, len(self._questions) + 1)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a batch of keys has in common."""

    arguments: Mapping[str, str]
    """By the names that loaders know."""
    is_many: bool
    generation: int
