"""`explain`: an operation, and what it will cost, without running it. Read `explain` first; it is the table of contents.

The selections are walked as they would be executed: each field is described by its declaration, and told which field it waits for.
Invariant: pure. Nobody is called, nothing is imported but what the graph names lazily.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    OperationType,
    SchemaMetaFieldDef,
    SelectionSetNode,
    TypeMetaFieldDef,
    TypeNameMetaFieldDef,
    get_named_type,
)

from ...clock import Seconds
from ...graph import Graph
from ...graph.guards import guard_of_type
from ...graph.saga_field import ANSWER_MARGIN
from ...services import ServiceConfig
from ..document import Operation
from .calls import Calls
from .describe import Asking, Description, Descriptions
from .estimating import Formula, estimated
from .executing import why_not_compiled
from .explanation import Call, ExplainedField, Explanation, Path
from .selections import Conditions, Selected, Selections, TooLarge
from .summary import summary
from .values import Values, values_of

MAX_FIELDS = 10_000
"""Fields of one explanation."""

_META = {"__typename": TypeNameMetaFieldDef, "__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}


def explain(
    graph: Graph,
    operation: Operation,
    variables: Mapping[str, Any] | None,
    *,
    services: Mapping[str, ServiceConfig],
    deadline: Seconds,
    saga_wait: Seconds,
    discovered: Collection[str] = (),
    compiles: bool = True,
) -> Explanation:
    """What `operation` will do.

    `variables`: as a client sends them; None explains it for any, with the operation's own defaults. `deadline`: when it must be
    answered. `saga_wait`: how long a mutation waits for its saga within it. `discovered`: services whose addresses are asked for at
    start, so that those in `services` say nothing. `compiles`: whether the settings have operations compiled at all.
    Raises: VariablesUnfit; TooLarge; ServiceMissing for a service that is called and is not in `services`.
    """
    values = values_of(graph.core, operation.node, variables)
    calls = Calls(services)
    wait = Seconds(max(0.0, min(saga_wait, deadline - ANSWER_MARGIN)))
    walk = _Walk(graph.core, operation, values, Descriptions(calls, saga_wait=wait))
    fields = tuple(walk.roots())
    told = summary(fields, is_serial=walk.is_serial)
    return Explanation(
        operation=operation.kind.value,
        name=operation.name,
        deadline=deadline,
        not_compiled=why_not_compiled(graph.core, operation, values, is_on=compiles),
        fields=fields,
        services=tuple(calls.service(name, is_discovered=name in discovered) for name in told.services),
        summary=told,
        cost=estimated(fields),
    )


def cost_formula(
    graph: Graph,
    operation: Operation,
    variables: Mapping[str, Any] | None,
    *,
    services: Mapping[str, ServiceConfig],
    only: Collection[str],
) -> Formula:
    """What `operation` costs, by the lengths of its lists: of an explanation no more is made than is needed for it.

    `only`: names of the variables that are looked at; the others may be anything. Raises: as `explain`.
    """
    values = values_of(graph.core, operation.node, variables, only=only)
    descriptions = Descriptions(Calls(services), saga_wait=Seconds(0.0))
    return Formula(_Walk(graph.core, operation, values, descriptions).roots())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a selection stands: what its fields have above them."""

    path: Path = ()
    layer: int = 0
    waits_for: int | None = None
    is_many: bool = False
    """Whether there may be several parents: a list stands above."""
    generation: int = 0


class _Walk:
    """One pass over an operation. State: the numbers that are given out."""

    def __init__(self, schema: GraphQLSchema, operation: Operation, values: Values, descriptions: Descriptions) -> None:
        fragments = {
            each.name.value: each for each in operation.document.definitions if isinstance(each, FragmentDefinitionNode)
        }
        self._schema = schema
        self._operation = operation
        self._values = values
        self._descriptions = descriptions
        self._selections = Selections(schema, fragments, values)
        self._fields = 0
        self._first: dict[tuple[int, int | None], Path] = {}

    @property
    def is_serial(self) -> bool:
        """Whether the operation's fields run one after another."""
        return self._operation.kind is OperationType.MUTATION

    def roots(self) -> Iterator[ExplainedField]:
        """The operation's fields. Those of a mutation wait for one another, and what was read before one is read anew after it."""
        root = self._schema.get_root_type(self._operation.kind)
        assert root is not None  # noqa: S101 - the document is validated
        place = _Place()
        for group in self._groups([root], [(self._operation.node.selection_set, ())]):
            made = self._field(group, place)
            yield made
            if self.is_serial:
                deepest = max(made.below(), key=lambda each: each.layer)
                place = _Place(layer=deepest.layer, waits_for=made.number, generation=place.generation + 1)

    def _kinds(self, core: GraphQLField) -> Iterable[GraphQLObjectType]:
        """Object types that the value may be of; none for a leaf."""
        kind = get_named_type(core.type)
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            return self._schema.get_possible_types(kind)
        return [kind] if isinstance(kind, GraphQLObjectType) else []

    def _groups(
        self, kinds: Iterable[GraphQLObjectType], sets: Iterable[tuple[SelectionSetNode, Conditions]]
    ) -> list[_Group]:
        """The fields that these types may be asked for. Types whose field is declared, asked and selected alike share one."""
        groups: dict[Hashable, _Group] = {}
        for kind in kinds:
            for key, selected in self._selections.of(kind, sets).items():
                core = _META.get(selected.name) or kind.fields[selected.name]
                description = self._descriptions.of(selected.name, core)
                nodes = tuple((id(each.node), each.conditions) for each in selected.found)
                same = (key, nodes, description.identity, str(core.type))
                group = groups.get(same)
                if group is None:
                    groups[same] = _Group(key, selected, core, description, [kind.name])
                else:
                    group.parents.append(kind.name)
        return list(groups.values())

    def _field(self, group: _Group, place: _Place) -> ExplainedField:
        number = self._number()
        path = (*place.path, group.key)
        arguments = self._values.arguments(group.core, group.selected.found[0].node)
        asked = group.description.ask(Asking(arguments, place.is_many, place.generation))
        layer = place.layer + 1 if asked.makes_calls else place.layer
        kinds = () if group.description.kind == "introspection" else tuple(self._kinds(group.core))
        is_write = self.is_serial and not place.path
        below = _Place(
            path=path,
            layer=layer,
            waits_for=number if asked.makes_calls or group.description.is_async else place.waits_for,
            is_many=place.is_many or "[" in str(group.core.type),
            generation=place.generation + is_write,
        )
        return ExplainedField(
            number=number,
            key=group.key,
            name=group.selected.name,
            parents=tuple(group.parents),
            path=path,
            type=str(group.core.type),
            types=tuple(kind.name for kind in kinds),
            kind=group.description.kind,
            arguments=arguments,
            only_if=group.selected.only_if,
            guard=_guard(group.description, kinds),
            weight=group.description.weight,
            list_size=group.description.sizes.said(arguments),
            sized_fields=group.description.sizes.of,
            sizes=group.description.sizes,
            layer=layer,
            waits_for=place.waits_for,
            join=asked.join,
            saga=asked.saga,
            calls=asked.calls if asked.join is None else tuple(self._told_once(asked.calls, place, path)),
            fields=tuple(self._field(each, below) for each in self._groups(kinds, list(group.selected.below()))),
        )

    def _told_once(self, calls: Iterable[Call], place: _Place, path: Path) -> Iterator[Call]:
        """The calls of a join; those that another one makes already say so."""
        for call in calls:
            first = self._first.setdefault((call.question, place.waits_for), path)
            yield call if first == path else replace(call, same_as=first)

    def _number(self) -> int:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise TooLarge(f"the operation has more than {MAX_FIELDS} fields: explain a part of it")
        return self._fields


def _guard(description: Description, kinds: Iterable[GraphQLObjectType]) -> str | None:
    """The field's rule, and those of the types that its values may be of."""
    of_types = [f"{kind.name}: {rule}" for kind in kinds if (rule := guard_of_type(kind)) is not None]
    return "; ".join([*([] if description.guard is None else [description.guard]), *of_types]) or None


@dataclass(slots=True)
class _Group:
    """One response key of one or more types that agree on it."""

    key: str
    selected: Selected
    core: GraphQLField
    description: Description
    parents: list[str] = field(default_factory=list[str])
