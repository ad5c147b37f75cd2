"""Mistakes in declarations: each message names the place and the remedy. And what a graph knows of itself."""

from typing import Any

import msgspec
import pytest
import strawberry
from graphql import build_schema

from gateway import (
    Connection,
    Page,
    Service,
    alternative,
    authority,
    default,
    entity,
    field,
    join,
    lazy_loader,
    newest,
    quorum,
    resolver,
    stale,
)
from gateway.graph import GraphInvalid, build_graph

from .shop import catalog, graph

things = Service("things")


@entity
class Thing:
    """Something."""

    name: str = field("Its name.")


class Unkeyed(msgspec.Struct):
    name: str


thing_by_key = things.loader("/things", keys="ids", key="id", into=Thing, params={"size": "size"})
thing_pages = things.loader("/pages", keys="ids", key="id", into=Thing, page=True, params={"first": "n", "after": "c"})


@entity
class Other:
    """Something else."""

    name: str = field("Its name.")


things_by_key = things.loader("/many", keys="ids", key="id", into=Thing, many=True)
elsewhere = Service("elsewhere").loader("/things", keys="ids", key="id", into=Thing)
others = Service("elsewhere").loader("/others", keys="ids", key="id", into=Other)
unkeyed = things.loader(
    "/bad", keys="ids", key="id", into=Thing, record=Unkeyed, to=lambda record: Thing(name=record.name)
)


EARLY: Any = (default(Thing(name="x")), stale("1m"))
"""What type checkers refuse as well."""


@entity
class Holder:
    """Holds every mistake that a join can make."""

    key: str = field("Its key.")
    required: Thing = join(thing_by_key, on="key")  # type: ignore[assignment]
    stale_required: Thing = join(thing_by_key, on="key", otherwise=stale("1m"))  # type: ignore[assignment]
    sized: Thing | None = join(thing_by_key, on="key", colour=(str, "red"))
    typo: Thing | None = join(thing_by_key, on="kee")
    nowhere: Thing | None = join(lazy_loader("tests.unit.graph.test_declarations:nothing"), on="key")
    no_module: Thing | None = join(lazy_loader("tests.unit.graph.no_such_module:nothing"), on="key")
    undecodable: Thing | None = join(unkeyed, on="key")
    lazy_pages: Connection[Thing] | None = join(lazy_loader("tests.unit.graph.test_declarations:thing_pages"), on="key")
    unsure: Thing = join(thing_by_key, on="key", otherwise=(alternative(elsewhere), stale("1m")))  # type: ignore[assignment]
    early: Thing = join(thing_by_key, on="key", otherwise=EARLY)
    itself: Thing | None = join(thing_by_key, on="key", otherwise=alternative(thing_by_key))
    unlike: Thing | None = join(thing_by_key, on="key", otherwise=alternative(others))  # type: ignore[assignment]
    keyless: Thing | None = join(thing_by_key, on="key", otherwise=alternative(elsewhere, on="kee"))
    deaf: Thing | None = join(thing_by_key, on="key", otherwise=alternative(elsewhere), size=(int, 1))
    turned: Connection[Thing] | None = join(thing_pages, on="key", otherwise=alternative(thing_by_key))  # type: ignore[assignment]
    absent: Thing | None = join(
        thing_by_key, on="key", otherwise=alternative(lazy_loader("tests.unit.graph.test_declarations:none"))
    )
    strong_stale: Thing | None = join(thing_by_key, on="key", otherwise=stale("1m"), consistency="strong")
    strong_required: Thing = join(thing_by_key, on="key", consistency="strong")  # type: ignore[assignment]
    strong_sources: Thing | None = join(
        [thing_by_key, elsewhere], on="key", reconcile=authority("things"), consistency="strong"
    )
    unruled: Thing | None = join([thing_by_key, elsewhere], on="key")
    alone: Thing | None = join(thing_by_key, on="key", reconcile=quorum())
    mixed: Thing | None = join([thing_by_key, others], on="key", reconcile=authority("things"))  # type: ignore[assignment]
    dateless: Thing | None = join([thing_by_key, elsewhere], on="key", reconcile=newest("updatedAt"))
    nobody: Thing | None = join([thing_by_key, elsewhere], on="key", reconcile=authority("thing"))
    pair: Thing | None = join([thing_by_key, elsewhere], on="key", reconcile=quorum())
    paged: Thing | None = join([thing_pages, elsewhere], on="key", reconcile=authority("things"))  # type: ignore[assignment]
    undecodable_source: Thing | None = join([elsewhere, unkeyed], on="key", reconcile=authority("things"))


@strawberry.type
class Faulty:
    @resolver
    def holder(self) -> Holder | None:
        """A holder."""
        return None


@pytest.fixture(scope="module")
def problems() -> dict[str, str]:
    with pytest.raises(GraphInvalid) as caught:
        build_graph(Faulty)
    return dict(problem.split(": ", 1) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("required", "it is not nullable and has no fallback: make it `| None`, or give otherwise=default(...)"),
        ("staleRequired", "it is not nullable and has no fallback: make it `| None`, or give otherwise=default(...)"),
        ("sized", "argument 'colour' is no parameter of <Loader things /things> (it has: size); add it to params="),
        ("typo", "on='kee' is no attribute of Holder: did you mean 'key'?"),
        ("nowhere", "tests.unit.graph.test_declarations has no loader named 'nothing'"),
        ("noModule", "No module named 'tests.unit.graph.no_such_module'"),
        ("undecodable", "<Loader things /bad>: Unkeyed has no field that reads 'id', which names the key of a record"),
        ("lazyPages", "add first=(int, 10) and after=(str | None, None)"),
        (
            "unsure",
            "it is not nullable and its fallbacks may all fail: make it `| None`, or let default(...) be the last",
        ),
        ("early", "default(...) always can be served, so what stands after it never is: put it last"),
        ("itself", "<Loader things /things> is its own alternative: name another, or leave it away"),
        (
            "unlike",
            "<Loader elsewhere /others> gives Other and <Loader things /things> Thing: they must be of one type",
        ),
        ("keyless", "on='kee' is no attribute of Holder: did you mean 'key'?"),
        ("deaf", "argument 'size' is no parameter of <Loader elsewhere /things> (it has: none); add it to params="),
        (
            "turned",
            "a page of one service is none of another's, since its cursors are not: use stale(...) or default(...)",
        ),
        ("absent", "tests.unit.graph.test_declarations has no loader named 'none'"),
        ("strongStale", "a strong join serves nothing in place of its answer: leave otherwise= away, or consistency="),
        ("strongRequired", "a strong join has no fallback and so is null when its service fails: make it `| None`"),
        ("strongSources", "a strong join has one source: name the one that owns the fact"),
        ("unruled", "it has several sources: say which is served with reconcile=newest(...)"),
        ("alone", "reconcile=quorum() needs several sources: name them in a list, or leave it away"),
        ("mixed", "gives Other and <Loader things /things> Thing: their values must be of one type"),
        ("dateless", "newest('updatedAt') names no attribute of Thing (it has: name)"),
        ("nobody", "authority('thing') names no source: the authority is one of things, elsewhere"),
        ("pair", "quorum() needs 3 sources, not 2"),
        ("paged", "<Loader things /pages> answers pages"),
        ("undecodableSource", "Unkeyed has no field that reads 'id', which names the key of a record"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_remedy(problems: dict[str, str], place: str, message: str) -> None:
    assert message in problems[f"Holder.{place}"]


def test_every_mistake_is_told_at_once(problems: dict[str, str]) -> None:
    assert len(problems) == 27


def test_a_schema_that_strawberry_refuses_is_one_problem() -> None:
    @strawberry.type
    class Broken:
        thing: Any

    with pytest.raises(GraphInvalid, match="the schema cannot be built: "):
        build_graph(Broken)


@pytest.mark.parametrize("age", ["soon", "-1s", "5 parsecs"])
def test_an_age_that_is_none_is_refused_where_it_is_written(age: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        stale(age)


@entity
class Sound:
    """A lazily named loader of pages, as it must be written."""

    key: str = field("Its key.")
    things: Connection[Thing] | None = join(
        lazy_loader("tests.unit.graph.test_declarations:thing_pages"),
        on="key",
        first=(int, 10),
        after=(str | None, None),
        description="All of them.",
    )
    other: Connection[Thing] = join(thing_pages, on="key", otherwise=default(Page(())))


@strawberry.type
class Fine:
    @resolver
    def sound(self) -> Sound:
        """A sound one."""
        return Sound(key="k")


def test_the_remedies_work() -> None:
    sound = build_graph(Fine)
    assert sorted(sound.joins) == ["Sound.other", "Sound.things"]


# -- what a graph knows ------------------------------------------------------------------------------------------------


def test_one_graph_is_built_for_a_pair_of_roots() -> None:
    assert build_graph(Fine) is build_graph(Fine)


def test_a_graph_knows_its_joins_their_services_and_how_long_answers_are_wanted() -> None:
    assert sorted(name for name in graph.joins if name.startswith("Review")) == ["Review.author"]
    assert graph.services == {"catalog", "inventory", "reviews"}
    assert {loader.path: seconds for loader, seconds in graph.keep.items()}["/stock"] == 900.0
    assert "joins to 3 services" in graph.summary()


def test_a_join_says_in_the_schema_how_it_degrades() -> None:
    assert 'stock: Stock @degrades(to: STALE, maxAge: "15m")' in graph.sdl
    assert "cost: Stock @degrades(to: NULL)" in graph.sdl
    assert "reviews(first: Int! = 10 @constraint(min: 1, max: 50)): [Review!]! @degrades(to: DEFAULT)" in graph.sdl


def test_the_schema_hides_the_context_and_private_keys_and_can_be_read_again() -> None:
    assert "ctx" not in graph.sdl
    assert "authorKey" not in graph.sdl
    build_schema(graph.sdl)


def test_docstrings_are_descriptions_up_to_their_first_paragraph() -> None:
    assert '"""Days of delivery."""' in graph.sdl
    assert "SLOW" not in graph.sdl


def test_a_service_is_a_name() -> None:
    assert catalog == Service("catalog")
