"""What a field costs and how long its list is, where its author knows better than the engine can guess.

    forecast: Forecast | None = join(forecast_by_sku, on="sku", cost=5)
    parcels: list[Parcel] = join(parcels_by_order, on="id", limit=(int, 20), list_size=sized(by="limit"))

Declared once: the same directives stand in the schema and are read by who estimates. Source: IBM's specification of GraphQL cost
directives (`@cost`, `@listSize`). Of it, weights are whole numbers of fields, and no slicing argument is ever demanded: GraphQL's
own `!` says that one is. Invariant: a weight is paid for each parent of which the field is made, besides the calls and the objects,
which the engine counts by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from ..loading.records import camel

MOST = 1_000_000
"""The largest weight and the longest list that can be declared: more is a slip of the pen."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="cost",
    description="What the field costs for each object that has it, besides the calls to services and the objects below it.",
)
class CostDirective:
    weight: str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="listSize",
    description="How long the field's list is taken to be where an operation's cost is estimated: as the largest of the slicing "
    "arguments says, else as assumed. Sized fields are the lists of the field's value that are so long.",
)
class ListSizeDirective:
    assumed_size: int | None = strawberry.UNSET
    slicing_arguments: list[str] | None = strawberry.UNSET
    sized_fields: list[str] | None = strawberry.UNSET
    require_one_slicing_argument: bool | None = True


@dataclass(frozen=True, slots=True)
class ListSize:
    """How long a list is. Names are Python's, as the author wrote them. Raises: ValueError."""

    assumed: int | None = None
    """Items, where no argument says how many."""
    by: tuple[str, ...] = ()
    """Arguments that say how many, numbers or lists; the largest counts."""
    of: tuple[str, ...] = ()
    """Lists of the field's value that are so long; empty: the field's own list, or all of its value's."""

    def __post_init__(self) -> None:
        if self.assumed is None and not self.by:
            raise ValueError("a list's size is assumed, or said by an argument: list_size=50, or sized(by='limit')")
        if self.assumed is not None and not 1 <= self.assumed <= MOST:
            raise ValueError(f"a list is assumed to have 1 to {MOST} items, not {self.assumed}")

    def directive(self) -> ListSizeDirective:
        """How it stands in the schema."""
        said = ListSizeDirective(require_one_slicing_argument=False if self.by else strawberry.UNSET)
        if self.assumed is not None:
            said.assumed_size = self.assumed
        if self.by:
            said.slicing_arguments = list(map(camel, self.by))
        if self.of:
            said.sized_fields = list(map(camel, self.of))
        return said


def sized(assumed: int | None = None, *, by: str | Sequence[str] = (), of: str | Sequence[str] = ()) -> ListSize:
    """`list_size=sized(20, by="limit")`: as many items as the argument `limit` says, and 20 where it says nothing.

    `by`: GraphQL arguments of the field, numbers or lists as long as the answer; the largest counts. `of`: the lists within the
    field's value that are so long, such as `edges`. All by their Python names. Raises: ValueError.
    """
    return ListSize(assumed, _names(by), _names(of))


def pricing(cost: int | None, list_size: ListSize | int | None) -> list[object]:
    """What the schema says of `cost=` and `list_size=`. Raises: ValueError."""
    if cost is not None and not 0 <= cost <= MOST:
        raise ValueError(f"cost= is a weight from 0 to {MOST}, not {cost}")
    size = ListSize(list_size) if isinstance(list_size, int) else list_size
    weight = [] if cost is None else [CostDirective(weight=str(cost))]
    return [*weight, *([] if size is None else [size.directive()])]


def weight_of(field: StrawberryField | None) -> int:
    """The declared weight; 0 where nothing is declared."""
    return next((int(each.weight) for each in _said_of(field) if isinstance(each, CostDirective)), 0)


def list_size_of(field: StrawberryField | None) -> ListSize | None:
    """What is declared, by GraphQL's names. What is unset is falsy, and no list is assumed to be empty."""
    found = next((each for each in _said_of(field) if isinstance(each, ListSizeDirective)), None)
    if found is None:
        return None
    assumed, by, of = found.assumed_size, found.slicing_arguments, found.sized_fields
    return ListSize(assumed or None, tuple(by or ()), tuple(of or ()))


def pricing_problem(core: GraphQLField, field: StrawberryField) -> str | None:
    """What is wrong with the declared size, which shows only once the schema is there; None if nothing."""
    size = list_size_of(field)
    return None if size is None else next(_mistakes(core, size), None)


def _said_of(field: StrawberryField | None) -> Sequence[object]:
    """What the schema says of it besides its type."""
    return () if field is None else field.directives


def _mistakes(core: GraphQLField, size: ListSize) -> Iterator[str]:
    for name in size.by:
        if name not in core.args:
            known = ", ".join(core.args) or "none"
            yield f"list_size= names the argument {name!r}, which the field has not (it has: {known})"
        elif not says_length(core.args[name]):
            yield f"list_size= names the argument {name!r}, which is neither an Int nor a list and so says no length"
    kind = get_named_type(core.type)
    for name in size.of:
        members = kind.fields if isinstance(kind, GraphQLObjectType) else {}
        if name not in members or "[" not in str(members[name].type):
            yield f"list_size= names {name!r}, which is no list of {kind}"
    if not size.of and "[" not in str(core.type) and not _has_lists(kind):
        yield f"list_size= stands on a field that has no list: it is of type {core.type}"


def says_length(argument: GraphQLArgument) -> bool:
    """A number says it; a list is as long as it is."""
    return is_list_type(get_nullable_type(argument.type)) or get_nullable_type(argument.type) is GraphQLInt


def _has_lists(kind: object) -> bool:
    return isinstance(kind, GraphQLObjectType) and any("[" in str(each.type) for each in kind.fields.values())


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
