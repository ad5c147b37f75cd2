"""Records stand for the objects that they would become wherever a plan only copies attributes, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import strawberry

from gateway import Ctx, Node, Service, batched, entity, field, global_id, join, resolver
from gateway.graph import build_graph
from gateway.graph.node import global_ids
from gateway.loading.records import Rows, derive, objects_of, origin_of
from gateway.services import ServiceRequest, ServiceResponse
from gateway.settings import Settings
from gateway.testing import GatewayUnderTest, ScriptedWire, answer, in_virtual_time

zoo = Service("zoo")
MADE: list[str] = []
"""Keepers that were made objects, by the names of their keys."""


@entity
class Size:
    metres: float = field("Across.")


@entity
class Keeper(Node):
    name: str = field("In full.")
    shifts: list[int] = field("Hours.")
    cage: Size | None = field("Of the booth.")

    @resolver
    def shout(self) -> str:
        """Louder."""
        MADE.append(self.key)
        return self.name.upper()

    @batched
    @staticmethod
    async def mates(keepers: list[Keeper], ctx: Ctx) -> list[int]:
        """How many others."""
        return [len(keepers) - 1 for _ in keepers]


keepers = zoo.loader("/keepers", keys="ids", key="key", into=Keeper, shared="public")


@entity
class Animal(Node):
    keeper_key: strawberry.Private[str | None]
    keeper: Keeper | None = join(keepers, on="keeper_key")
    guarded: Keeper | None = join(keepers, on="keeper_key", allow=lambda animal, _: isinstance(animal, Animal))


animals = zoo.pages("/animals", into=Animal, params={}, shared="public")


@dataclass
class Loud(Animal):
    """A Python subclass that is no type of the graph: its ids have always said its own name."""


@strawberry.type
class Query:
    @resolver
    async def animals(self, ctx: Ctx) -> Sequence[Animal]:
        """All."""
        return (await ctx.page(animals)).items

    @resolver
    async def renamed(self, ctx: Ctx) -> Sequence[Animal]:
        """All, after the author has looked at one."""
        page = await ctx.page(animals)
        page.items[0].key = "changed"
        return page.items

    @resolver
    async def loud(self) -> Animal:
        """One of another class."""
        return Loud(key="l", keeper_key=None)

    @resolver
    async def same(self, ctx: Ctx) -> bool:
        """Whether one key is one object, whoever asks."""
        first, (second,) = await ctx.load(keepers, "k"), await ctx.load_many(keepers, ["k"])
        return first is second


graph = build_graph(Query)


def served(request: ServiceRequest) -> ServiceResponse:
    if request.path == "/animals":
        return answer({"items": [{"key": "a", "keeperKey": "k"}, {"key": "b", "keeperKey": "k"}, {"key": "c"}]})
    asked = [value for _, value in request.query]
    return answer([{"key": key, "name": f"K {key}", "shifts": [1, 2], "cage": {"metres": 2}} for key in asked])


async def twice(text: str) -> Any:
    """The data, which the operation's plan must give as graphql-core does at first sight."""
    settings = Settings.model_validate({"services": {"zoo": {"url": "http://zoo.test"}}})
    async with GatewayUnderTest(settings, graph, wires={"zoo": ScriptedWire(otherwise=served)}) as gateway:
        first, second = await gateway.execute(text), await gateway.execute(text)
    assert (first.errors, second.errors) == ([], [])
    assert first.data == second.data
    return second.data


@pytest.mark.parametrize(
    "selection",
    [
        "id",
        "__typename id keeper { __typename id name shifts cage { metres } }",
        "keeper { name shout }",
        "keeper { mates id }",
        "guarded { name } id",
        "x: id y: id keeper { z: id }",
    ],
)
@in_virtual_time
async def test_whatever_is_selected_is_answered_as_by_objects(selection: str) -> None:
    for field_name in ("animals", "renamed"):
        data = await twice(f"{{ {field_name} {{ {selection} }} }}")
        assert len(data[field_name]) == 3


@in_virtual_time
async def test_a_record_that_several_share_becomes_one_object_where_an_object_is_needed() -> None:
    MADE.clear()
    await twice("{ animals { keeper { shout } } }")
    assert MADE == ["k"] * 4, "the method is called for each place, at each of the two executions"


@in_virtual_time
async def test_what_the_author_has_changed_is_what_is_answered() -> None:
    data = await twice("{ renamed { id } }")
    assert data["renamed"][0] == {"id": global_id(Animal, "changed")}


@in_virtual_time
async def test_an_object_of_a_subclass_keeps_the_id_that_its_own_class_gives() -> None:
    assert (await twice("{ loud { id } }")) == {"loud": {"id": global_id(Loud, "l")}}


@in_virtual_time
async def test_a_key_is_the_same_object_for_all_resolvers_of_a_request() -> None:
    assert (await twice("{ same }")) == {"same": True}


def test_a_page_makes_its_objects_once_and_only_when_somebody_looks() -> None:
    kind, hydrate = derive(Size)
    records, made = [kind(metres=1.0), kind(metres=2.0)], list[Any]()

    def counting() -> list[Any]:
        made.append(len(records))
        return [hydrate(record) for record in records]

    rows = Rows(records, counting)
    assert (len(rows), rows.records(None), made) == (2, records, [])
    assert [each.metres for each in rows] == [1.0, 2.0]
    assert rows[0] is next(iter(rows))
    assert rows[0:1] == [rows[0]]
    assert (made, rows.records(None)) == ([2], None)


def test_records_of_which_a_part_was_read_stand_for_objects_of_which_no_more_is_wanted() -> None:
    rows = Rows([], list, read=("name", "cage"))
    assert [rows.records(wanted) for wanted in (("cage",), ("cage", "name"), ())] == [[], [], []]
    assert [rows.records(wanted) for wanted in (None, ("key",), ("name", "key"))] == [None, None, None]


def test_records_among_other_values_become_objects_one_each() -> None:
    kind, _ = derive(Keeper)
    record = kind(key="k", name="K", shifts=[], cage=None)
    first, none, text, again = objects_of([record, None, "x", record])
    assert isinstance(first, Keeper)
    assert (none, text, again) == (None, "x", first)
    assert again is first
    origin = origin_of(kind)
    assert origin is not None
    assert (origin.into, origin.nested) == (Keeper, frozenset({"cage"}))
    assert origin_of(Keeper) is None


@dataclass
class Named:
    name: str


class Loudly(Named):
    """What is read is not what was set."""

    @property
    def name(self) -> str:
        return str(vars(self)["name"]).upper()

    @name.setter
    def name(self, value: str) -> None:
        vars(self)["name"] = value


@dataclass
class Holder:
    loudly: Loudly | None


@dataclass
class Watched:
    name: str

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)


@dataclass(frozen=True)
class Frozen:
    name: str


@pytest.mark.parametrize(("into", "stands"), [(Loudly, False), (Holder, False), (Watched, False), (Frozen, True)])
def test_no_record_stands_for_an_object_that_reads_otherwise_than_it_was_set(into: type[Any], stands: bool) -> None:
    kind, _ = derive(into)
    assert (origin_of(kind) is not None) is stands


def test_what_no_record_stands_for_is_made_an_object_as_ever() -> None:
    kind, hydrate = derive(Loudly)
    assert hydrate(kind(name="quiet")).name == "QUIET"


def test_ids_made_together_are_those_made_one_by_one() -> None:
    keys = ["", "a", "ab", "abc", "abcd", "\n", "ü/+?>~", "7" * 200]
    assert global_ids(Keeper, keys) == [global_id(Keeper, key) for key in keys]
    assert global_ids(Keeper, []) == []
    assert not any(set(made) & set("+/=\n") for made in global_ids(Keeper, keys))
